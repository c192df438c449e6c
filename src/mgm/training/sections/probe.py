"""The section `probe`: evaluation by probes, and the views of a test video."""

from __future__ import annotations

import math
from itertools import product
from typing import Any, Literal, TypeVar, get_args

from pydantic import Field, ValidationInfo, field_validator

from mgm.data.clips.sampling import Sampling
from mgm.errors import ConfigError
from mgm.training.sections.section import MOST_BLOCKS, MOST_CLIPS, MOST_REPEATS, Precision, Section

LinearProtocolName = Literal["linear-sgd", "linear-lars", "linear-adamw"]
"""Linear probes that are trained by steps; "linear" is solved exactly."""
Head = Literal["attentive", "linear", LinearProtocolName, "knn"]
FeaturePooling = Literal["mean", "mean-std-max"]

_NumberT = TypeVar("_NumberT", int, float)
_NUMBERS: dict[str, tuple[Any, float]] = {
    "lr": (int | float, math.ulp(0)),
    "weight_decay": (int | float, 0),
    "neighbours": (int, 1),
    "shots": (int, 1),
}
"""The type and the smallest value of the numbers of a key."""
_EXAMPLES = {"lr": "[0.005, 0.001]", "weight_decay": "[0.01, 0.1]", "neighbours": "[1, 20]", "shots": "[1, 5]"}


def _listed(value: _NumberT | tuple[_NumberT, ...]) -> tuple[_NumberT, ...]:
    return value if isinstance(value, tuple) else (value,)


class ProbeConfig(Section):
    """Evaluation: probes of a frozen encoder, and the views of a test video."""

    heads: tuple[Head, ...] = Field(
        ("attentive", "linear", "knn"),
        description="probes: attentive, which alone needs every token of the training clips, on disk; linear: logistic regression; "
        "linear-sgd, linear-lars, linear-adamw: the protocols of VideoMAE, MAE and SIGMA; knn",
    )
    pooling: FeaturePooling = Field(
        "mean",
        description="feature of a clip for linear probe and k-NN, from its tokens: their mean, or also their deviation and maximum",
    )
    precision: Precision = Field(
        "32-true", description="of the evaluated model; bf16-mixed is faster on a GPU, and auto chooses it there"
    )
    clips_per_video: int = Field(
        1, ge=1, le=MOST_REPEATS, description="training clips per video, spread over its length"
    )
    steps: int = Field(400, ge=1, description="steps of the attentive probe")
    batch: int = Field(64, ge=1, le=MOST_CLIPS, description="clips per step of the attentive probe")
    lr: float | tuple[float, ...] = Field(
        (5e-3, 1e-3, 3e-4),
        description="learning rate of the attentive probe, or several: the best on held-out training videos is used",
    )
    weight_decay: float | tuple[float, ...] = Field(
        (0.01, 0.1), description="weight decay of the attentive probe, or several, each with every learning rate"
    )
    depth: int = Field(
        1, ge=1, le=MOST_BLOCKS, description="blocks of the attentive probe: V-JEPA has 1, V-JEPA 2 has 4"
    )
    neighbours: int | tuple[int, ...] = Field(
        (1, 5, 10, 20, 200),
        description="k of the k-NN classifier, or several, as far as there are so many training clips",
    )
    shots: tuple[int, ...] = Field(
        (1, 2, 5, 10, 50),
        description="labels per class of the low-shot curve, as far as every class has them; []: no curve",
    )
    draws: int = Field(5, ge=1, le=MOST_REPEATS, description="draws of the labels of each point of that curve")
    cache: bool = Field(True, description="keep the features in the run's folder, for another probe of the same videos")
    sampling: Sampling = Field(
        "dense",
        description="clips of a probed video: as data.sampling, or segments: each from its own part of the video",
    )
    temporal_views: int = Field(5, ge=1, le=MOST_REPEATS, description="clips of a test video, spread over its length")
    spatial_views: Literal[1, 3] = Field(3, description="crops of each: 1 or 3")

    @field_validator("lr", "weight_decay", "neighbours", "shots", mode="before")
    @classmethod
    def _numbers(cls, value: Any, info: ValidationInfo) -> Any:
        """Check before pydantic, which would report every form of the union."""
        name = info.field_name or ""
        kind, least = _NUMBERS[name]
        listed = isinstance(value, list | tuple)
        numbers = [cls._whole_numbers(one) for one in (value if listed else [value])]
        known = all(
            isinstance(n, kind) and not isinstance(n, bool) and math.isfinite(n) and n >= least for n in numbers
        )
        if not known or (name == "shots" and not listed) or not (numbers or name == "shots"):
            words = "whole numbers" if kind is int else "numbers"
            limit = "of at least 1" if kind is int else "of at least 0" if least == 0 else "above 0"
            expected = f"a list of {words} {limit}, such as {_EXAMPLES[name]}"
            raise ConfigError("", "", expected, reason="invalid_value")
        return tuple(numbers) if listed else numbers[0]

    @property
    def settings(self) -> list[tuple[float, float]]:
        """(learning rate, weight decay) of every attentive probe."""
        return list(product(_listed(self.lr), _listed(self.weight_decay)))

    @property
    def neighbour_counts(self) -> tuple[int, ...]:
        """Every k of the k-NN classifier."""
        return _listed(self.neighbours)

    @field_validator("heads", mode="before")
    @classmethod
    def _known_heads(cls, value: Any) -> Any:
        """Accept a list, since YAML and JSON have no tuples, of different probes."""
        known = get_args(Head)
        if not isinstance(value, list | tuple) or not value or any(value.count(v) > 1 or v not in known for v in value):
            raise ConfigError("", "", f"a list of {', '.join(known)}, such as [linear]", reason="invalid_value")
        return tuple(value)

    @field_validator("spatial_views", mode="before")
    @classmethod
    def _known_views(cls, value: Any) -> Any:
        """Check before pydantic, which accepts true as 1."""
        if isinstance(value, bool) or value not in (1, 3):
            raise ConfigError("", "", "1 or 3", reason="invalid_value")
        return value
