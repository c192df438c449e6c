"""The cells of the experiments: which arms answer which question, on which sets."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from mgm.evaluation.paper import FIGURES

PIXELS, MOTION = "pixels", "pixels + motion"
RATIOS = (0.5, 0.75, 0.9)


@dataclass(frozen=True)
class Arm:
    """One way to pretrain.

    Attributes:
        name: in the tables.
        mask, ratio, options: of the mask.
        target: `PIXELS`, or `MOTION`: the recipe's second target too.
        settings: other values that differ from the set's recipe.
        share: of the training videos, which pretraining reads.
        at: place on the axis of its question.
    """

    name: str
    mask: str
    ratio: float = 0.75
    options: Mapping[str, object] = field(default_factory=dict)
    target: str = PIXELS
    settings: tuple[str, ...] = ()
    share: float = 1.0
    at: float | None = None

    @property
    def overrides(self) -> tuple[str, ...]:
        """Settings of the arm, without those of its target."""
        options = (f"mask.options={json.dumps(dict(self.options))}",) if self.options else ()
        return (f"mask.name={self.mask}", f"mask.ratio={self.ratio}", *options, *self.settings)


@dataclass(frozen=True)
class Question:
    """What is asked, the arms that answer it, and the arm that the others with the same target are compared with.

    Attributes:
        reference: its name, without the target where arms have either.
        axis: of the figure, where the answer is a curve for each mask.
    """

    asks: str
    arms: tuple[Arm, ...]
    reference: str
    axis: str = ""

    @property
    def references(self) -> tuple[Arm, ...]:
        """The arm that is compared with, for each target."""
        return tuple(arm for arm in self.arms if arm.name in (self.reference, f"{self.reference}, {arm.target}"))


def _both(arms: Sequence[Arm]) -> tuple[Arm, ...]:
    """Every arm with either target."""
    return tuple(
        Arm(f"{arm.name}, {target}", arm.mask, arm.ratio, arm.options, target, arm.settings, arm.share)
        for target in (PIXELS, MOTION)
        for arm in arms
    )


MASKS = ("tube", "block", "smm-sparse", "smm", "mgm-sparse", "mgm", "random", "frame", "motion-topk", "mgmae")
"""Tube first: the mask of VideoMAE, which MGM is compared with in the paper."""
OPEN_POINTS: Mapping[str, Mapping[str, object]] = {
    "mgm": {},
    "border shift": {"boundary": "shift"},
    "border grow": {"boundary": "grow"},
    "border wrap": {"boundary": "wrap"},
    "start at the motion": {"start": "motion"},
    "camera removed": {"camera": "median"},
    "three peaks": {"top_k": 3},
    "share .8": {"share": 0.8},
    "softness 1": {"softness": 1.0},
    "one centre per clip": {"scope": "clip"},
    "top-up beside the rectangle": {"fill": "near"},
    "sides of the motion": {"sides": "motion"},
    "sides of the motion, border grow": {"sides": "motion", "boundary": "grow"},
}

QUESTIONS: dict[str, Question] = {
    "masks": Question(
        "Which mask is best, at its best ratio (Table 4e)?",
        _both([Arm(f"{mask} {ratio:g}", mask, ratio) for mask in MASKS for ratio in RATIOS]),
        "tube 0.75",
    ),
    "open": Question(
        "Does a point that the paper leaves open decide?",
        tuple(Arm(name, "mgm", options=options) for name, options in OPEN_POINTS.items()),
        "mgm",
    ),
    "ratio": Question(
        "Which share of the tokens should mgm hide (Figure 3a)?",
        tuple(Arm(f"mgm {ratio:g}", "mgm", ratio, at=ratio) for ratio in (0.4, 0.5, 0.6, 0.75, 0.9)),
        "mgm 0.75",
        "mask ratio",
    ),
    "schedule": Question(
        "Should the share of hidden tokens change over the run?",
        tuple(
            Arm(f"{mask}, {name}", mask, first, settings=settings)
            for mask in ("mgm", "random")
            for name, first, settings in (
                ("constant", 0.75, ()),
                *(
                    (f"{first:g} to {last:g}, {curve}", first,
                     (f"mask.ratio_schedule={curve}", f"mask.final_ratio={last}"))
                    for first, last in ((0.6, 0.9), (0.9, 0.6))
                    for curve in ("linear", "cosine")
                ),
            )
        ),
        "mgm, constant",
    ),
    "count": Question(
        "Does it matter that every step hides as many tokens (Eq. 7 counts none)?",
        tuple(
            Arm(f"{model}exact in {exact}", "mgm", options={} if value == "step" else {"exact": value}, settings=settings)
            for model, settings in (("", ()), ("replaced tokens, ", ("model.replacement=vit",)))
            for exact, value in (("each step", "step"), ("the clip", "clip"), ("nothing", "none"))
            if settings or value != "none"  # an encoder of visible tokens needs equal counts in a batch
        ),
        "exact in each step",
    ),
    "length": Question(
        "What does a longer run give (Figure 3b)?",
        tuple(
            Arm(f"{mask}, {factor:g} times the steps", mask, settings=(f"steps*{factor:g}",), at=factor)
            for mask in ("tube", "smm", "mgm", "random")
            for factor in (0.5, 1, 2, 4)
        ),
        "tube, 1 times the steps",
        "steps, as a multiple of the recipe's",
    ),
    "length-half": Question(
        "What does a longer run give where half of the tokens are hidden?",
        tuple(
            Arm(f"{mask} 0.5, {factor:g} times the steps", mask, 0.5, settings=(f"steps*{factor:g}",), at=factor)
            for mask in ("tube", "smm", "mgm", "random")
            for factor in (1, 2, 4)
        ),
        "tube 0.5, 1 times the steps",
        "steps, as a multiple of the recipe's",
    ),
    "source": Question(
        "Which source of motion (Table 4b)?",
        (
            Arm("mgm, codec", "mgm"),  # the recipes' source: without a setting it shares the cells of `masks`
            *(Arm(f"mgm, {source}", "mgm", settings=(f"data.motion={source}",)) for source in ("flow", "difference")),
        ),
        "mgm, codec",
    ),
    "jitter": Question(
        "Does a varying aspect ratio help (Table 4c)?",
        (Arm("jitter", "mgm"), Arm("no jitter", "mgm", options={"jitter": False})),
        "no jitter",
    ),
    "scale": Question(
        "What do more videos give (Table 4d)?",
        tuple(
            Arm(f"{mask}, {share:.0%} of the videos", mask, share=share, at=share)
            for mask in ("tube", "mgm")
            for share in (0.25, 0.5, 1)
        ),
        "tube, 100% of the videos",
        "share of the videos",
    ),
    "backbone": Question(
        "Does the backbone matter (Table 4a)?",
        tuple(
            Arm(f"{mask}, {name}", mask, settings=settings)
            for mask in ("tube", "mgm")
            for name, settings in (
                ("ViT", ()),
                ("TimeSformer, joint", ("model.backbone=timesformer", "model.attention=joint")),
                ("TimeSformer, divided", ("model.backbone=timesformer", "model.attention=divided")),
            )
        ),
        "tube, ViT",
    ),
}  # fmt: skip

_PAPER = {
    "tube 0.75": "random tube",
    "block 0.75": "random block",
    "smm-sparse 0.75": "SMM (sparse)",
    "smm 0.75": "SMM (dense)",
    "mgm-sparse 0.75": "MGM (sparse)",
    "mgm 0.75": "MGM ViT-B",
    "mgm": "MGM ViT-B",
    "exact in each step": "MGM ViT-B",
    "mgm, constant": "MGM ViT-B",
    "mgm, codec": "MGM ViT-B",
    "mgm, flow": "MGM with optical flow",
    "jitter": "MGM ViT-B",
    "no jitter": "MGM without jitter",
    "mgm, ViT": "MGM ViT-B",
    "mgm, TimeSformer, joint": "MGM TimeSformer",
}
"""Name of an arm, without its target -> method of Table 4 of the paper: top-1 on SSv2 after 200 epochs, of ViT-B unless named."""


def _table_4() -> Question:
    """The arms of all questions that Table 4 of the paper has, by its names; their cells are those of the other questions."""
    found: dict[str, Arm] = {}
    for question in QUESTIONS.values():
        for arm in question.arms:
            method = _method(arm)
            if method is not None and arm.target == PIXELS:
                found.setdefault(method, replace(arm, name=method, at=None))
    return Question(
        "What does the paper's Table 4 report, and what do these sets?", tuple(found.values()), "random tube"
    )


def _method(arm: Arm) -> str | None:
    """The paper's name of an arm; None: it has none."""
    name = arm.name.removesuffix(f", {arm.target}")
    return name if name in _PAPER.values() else _PAPER.get(name)


QUESTIONS["paper"] = _table_4()


def paper_figures(arms: Sequence[Arm]) -> dict[str, float]:
    """Name of an arm -> the paper's top-1 of the same arm."""
    known = {figure.method: figure.value for figure in FIGURES if figure.table.startswith("4")}
    methods = {arm.name: _method(arm) for arm in arms}
    return {name: known[f"{method}, 200 epochs"] for name, method in methods.items() if method is not None}
