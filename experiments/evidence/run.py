"""Does motion guidance help, and when? The paper's ablations at the size that two cores can run.

    python experiments/evidence/run.py masks --sets headings-still headings-pan --plan
    python experiments/evidence/run.py masks --sets headings-still headings-pan --seeds 0 1 2
    python experiments/evidence/run.py masks --sets real --data DATA --seeds 0 1 2
    python experiments/evidence/run.py masks --sets headings-still --table --figure masks.png

A cell is an arm on a set with a seed: pretraining without labels, then probes of the frozen encoder, and fine-tuning with --tune,
on test videos that no choice was made on. Cells are kept in --cells, one line each, for all questions. A cell that is there is not
computed again, so that a stopped experiment continues. Several can run side by side: each leaves the others' cells to them.
--plan prints the cells, their cost, and the differences that they can show. Every table has the untrained encoder, and the motion
vectors without a model.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from cells import Cell, Cells, Hits, pack
from figures import draw_curves, draw_differences
from grid import MOTION, PIXELS, QUESTIONS, Arm, Question, paper_figures
from judging import Judges
from sets import SETS, Judged
from tables import Found, judge, print_table, ways_of

from mgm.data.items import VideoSet
from mgm.errors import FileError
from mgm.evaluation.probing import untrained_encoder
from mgm.evaluation.raw_motion import probe_raw_motion
from mgm.files.lock import locked
from mgm.machine import machine, versions
from mgm.masks.ratio_schedule import progress_of
from mgm.models import Encoder
from mgm.models.cost import autoencoder_multiply_accumulates
from mgm.show.drawing.save import save_drawing
from mgm.show.drawing.shapes import Drawing
from mgm.training import Config, load_config, load_encoder
from mgm.training.pretrain import pretrain

UNTRAINED, RAW_MOTION = "untrained", "motion vectors, no model"
DISCORDANCE, SEED_DEVIATION = 0.35, 0.04
"""Share of the test videos on which two arms differ, and deviation over seeds: as in docs/results.md, "Real clips"."""

CONSTANT_RATIO = ("mask.ratio_schedule=constant", "mask.final_ratio=null")
KEPT = Path(__file__).parents[2] / "benchmarks" / "results" / "evidence"


def settings_of(judged: Judged, arm: Arm | None, seed: int, extra: Sequence[str], *, equal_compute: bool) -> list[str]:
    """The settings of a cell on top of the set's recipe; without an arm, of the rivals."""
    chosen = () if arm is None else (*arm.overrides, *(judged.motion_target if arm.target == MOTION else judged.pixels))
    factors = [setting for setting in chosen if setting.startswith("steps*")]
    settings = [*judged.settings, *(setting for setting in chosen if setting not in factors), *extra, f"seed={seed}"]
    config = load_config(judged.recipe, settings)
    steps = config.pretrain.steps
    assert steps is not None
    factor = math.prod(float(text.removeprefix("steps*")) for text in factors)
    if equal_compute and arm is not None:
        factor *= clip_cost(
            load_config(
                judged.recipe,
                [*settings, *("mask.name=tube", "mask.ratio=0.75", "mask.options={}"), *CONSTANT_RATIO],
            )
        )
        factor /= clip_cost(config)
    return [*settings, f"pretrain.steps={round(steps * factor)}"]


def clip_cost(config: Config) -> int:
    """Multiply-accumulates of a clip in pretraining, mean over the steps; 1 where they do not depend on the mask."""
    if config.model.replacement is not None:  # it computes every token, hidden or not
        return 1
    rule, spec, steps = config.mask_rule(), config.model_spec(), config.pretrain.steps or 1
    rules = [rule] if rule.schedule is None else [rule.at(progress_of(step, steps)) for step in range(steps)]
    each = [autoencoder_multiply_accumulates(spec, spec.tokens - one.hidden) or 1 for one in rules]
    return sum(each) // len(each)


def pretrain_arm(judged: Judged, arm: Arm, settings: list[str], folder: Path) -> Encoder:
    """The encoder of a run, which is kept in `folder`."""
    items = judged.pool[:: round(1 / arm.share)]  # classes take turns in the pool
    videos = VideoSet("pool", items, (), (), "unlabelled")
    config = load_config(judged.recipe, settings)
    pretrain(videos, config, out=folder, resume="auto", source=judged.source_of(config), show_progress=False)
    return load_encoder(folder)


def ask_rivals(
    judged: Judged, settings: list[str], seed: int, judges: Judges, folder: Path
) -> dict[str, dict[str, Hits]]:
    """The untrained encoder and the motion vectors: system -> set -> hits."""
    config = load_config(judged.recipe, settings)
    untrained = untrained_encoder(config, judged.pool, judged.source)
    return {
        UNTRAINED: judges.ask(untrained, judged, settings, seed, folder),
        RAW_MOTION: {
            name: dict(probe_raw_motion(videos, config, judged.source).hits)
            for name, videos in judged.labelled(seed).items()
        },
    }


def print_plan(question: Question, groups: Sequence[str], seeds: int) -> None:
    """Cells, cost, and the smallest difference of two arms that would be seen four times in five."""
    print(f"{question.asks}\n{len(question.arms)} arms, {seeds} seeds, compared with {question.reference!r}\n")
    print("| set | cells | hours of a core | test videos | smallest difference |\n|---|---|---|---|---|")
    for group in groups:
        about = SETS[group]
        cells = len(question.arms) * seeds
        for name, videos in about.test_videos.items():
            error = math.sqrt(DISCORDANCE / videos + 2 * SEED_DEVIATION**2 / seeds)
            print(f"| {name} | {cells} | {cells * about.minutes / 60:.1f} | {videos} | {2.8 * error:.2f} |")


def run_missing(
    judged: Judged, arms: Sequence[Arm], seeds: Sequence[int], options: argparse.Namespace, cells: Cells
) -> None:
    """Compute the cells that are not kept, the rivals of each seed first."""
    judges = Judges(options.tune)
    runs = options.out / "runs"
    for seed in seeds:
        settings = settings_of(judged, None, seed, options.settings, equal_compute=False)
        if not judges.are_whole(cells.read().get(identity(judged, settings, UNTRAINED)), judged):
            tuning = runs / f"{cells.file.stem}--{UNTRAINED}--{seed}--tuning"
            for system, hits in ask_rivals(judged, settings, seed, judges, tuning).items():
                cells.add(cell(identity(judged, settings, system), system, hits, 0.0))
        for arm in arms:
            settings = settings_of(judged, arm, seed, options.settings, equal_compute=options.equal_compute)
            key = identity(judged, settings, arm)
            name = run_name(cells.file.stem, arm, seed, key)
            try:
                with locked(runs / f"{name}.cell"):  # pretraining locks the folder itself
                    if not judges.are_whole(cells.read().get(key), judged):
                        began = time.perf_counter()
                        encoder = pretrain_arm(judged, arm, settings, runs / name)
                        hits = judges.ask(encoder, judged, settings, seed, runs / f"{name}--tuning")
                        cells.add(cell(key, arm.name, hits, time.perf_counter() - began))
                        print(f"{arm.name}, seed {seed}: {time.perf_counter() - began:.0f} s", flush=True)
            except FileError as error:
                if error.reason != "locked":
                    raise
                print(f"{arm.name}, seed {seed}: left to another process", flush=True)


def run_name(group: str, arm: Arm, seed: int, key: str) -> str:
    """Name of the folder of a cell's run; `key` is what identifies the cell, so that another one never continues the run."""
    digest = hashlib.sha256(key.encode()).hexdigest()[:8]
    return f"{group}--{arm.name}--{seed}--{digest}".replace(" ", "-").replace("%", "pc")


def identity(judged: Judged, settings: Sequence[str], of: Arm | str) -> str:
    """What identifies a cell on its set: a rival, or all that decides what an arm gives."""
    share = of.share if isinstance(of, Arm) else 1.0
    system = "" if isinstance(of, Arm) else f"{of}: "
    return system + " ".join([judged.recipe, *settings, *([f"share={share:g}"] if share < 1 else [])])


def cell(settings: str, name: str, hits: dict[str, Hits], seconds: float) -> Cell:
    """A computed cell with what computed it."""
    packed, videos = pack(hits)
    return Cell(settings, name, packed, videos, round(seconds), machine(), dict(versions()))


def collect(
    judged: Judged, arms: Sequence[Arm], seeds: Sequence[int], options: argparse.Namespace, cells: Cells
) -> dict[str, Found]:
    """Name of the judged set -> the kept cells of arms and rivals."""
    kept = cells.read()
    found: dict[str, Found] = {}
    systems: dict[str, Arm | None] = {UNTRAINED: None, RAW_MOTION: None, **{arm.name: arm for arm in arms}}
    for name, arm in systems.items():
        for seed in seeds:
            settings = settings_of(judged, arm, seed, options.settings, equal_compute=options.equal_compute)
            one = kept.get(identity(judged, settings, arm or name))
            for of_set, hits in ({} if one is None else one.unpack()).items():
                found.setdefault(of_set, {}).setdefault(name, {})[seed] = hits
    return found


def draw(
    question: Question,
    name: str,
    found: Found,
    arms: Sequence[Arm],
    against: str,
    options: argparse.Namespace,
    label: npt.NDArray[np.int64],
) -> Drawing:
    """The figure of one judged set: curves where the question has an axis, differences elsewhere.

    Ends the program where the kept cells have nothing to draw.
    """
    ways = ways_of(found[system] for system in found if system != RAW_MOTION)
    facts = [f"{name}; {len(label)} test videos"]
    if not question.axis:
        rows = judge(found, against, options.probe, label)
        if all(math.isnan(row.gain) for row in rows.values()):
            raise SystemExit(
                f"--figure: no arm of {name} is compared with {against!r} by {options.probe!r}; kept: {', '.join(ways)}"
            )
        facts = [f"{facts[0]}; {options.probe}",
                 "bars: 95% intervals over seeds and videos; grey: no difference is shown"]  # fmt: skip
        return draw_differences(question.asks, facts, rows, against)
    judged = {way: judge(found, against, way, label) for way in ways}
    if max(Counter(arm.mask for arm in arms if arm.name in found).values(), default=0) < 2:
        raise SystemExit(f"--figure: a curve needs two arms of a mask; {name} has {', '.join(found)}")
    return draw_curves(question.asks, [*facts, "bars: lowest and highest seed"], question.axis, arms, judged, UNTRAINED)


def choose(arms: Sequence[Arm], words: Sequence[str] | None) -> list[Arm]:
    """The arms of these names, or, where no arm has a word as its name, those whose names contain it; in their order."""
    names = {arm.name for arm in arms}
    wanted = (
        names
        if words is None
        else {n for word in words for n in names if n == word or (word not in names and word in n)}
    )
    return [arm for arm in arms if arm.name in wanted]


def number_from(least: int) -> Callable[[str], int]:
    """The type of an argument: an integer of at least `least`."""

    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"found {text!r}, expected an integer of at least {least}")
        return int(text)

    return number


def read_arguments() -> tuple[argparse.Namespace, Question, list[Arm]]:
    """The options, the question and its arms that they name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("question", choices=tuple(QUESTIONS))
    parser.add_argument("--sets", nargs="+", choices=tuple(SETS), default=["headings-still"])
    parser.add_argument(
        "--arms", nargs="*", help="of the question's arms, by name or a word in it; no word: the rivals alone"
    )
    parser.add_argument("--seeds", type=number_from(0), nargs="+", default=[0, 1, 2])
    parser.add_argument("--data", type=Path, help="folder with surv_fights and tank_wagon")
    parser.add_argument("--settings", nargs="*", default=[], help="key=value of the recipe")
    parser.add_argument("--equal-compute", action="store_true", help="as many steps as cost what tube at .75 costs")
    parser.add_argument(
        "--tune", type=number_from(0), default=0, help="steps of fine-tuning, which judges beside the probes"
    )
    parser.add_argument("--threads", type=number_from(1), default=1)
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("runs/evidence"),
        help="videos and runs; only a probe that is added reads them again",
    )
    parser.add_argument("--cells", type=Path, default=KEPT, help="folder of the cells that are kept")
    parser.add_argument("--plan", action="store_true")
    parser.add_argument("--table", action="store_true", help="print the tables of kept cells alone")
    parser.add_argument(
        "--against", help="the arm, or rival, that others are compared with; default: that of the question"
    )
    parser.add_argument("--figure", type=Path, help="draw the answer on one set: a .png, .svg or .pdf file")
    parser.add_argument("--target", choices=(PIXELS, MOTION), default=PIXELS, help="of the figure")
    parser.add_argument(
        "--judged", default="", help="of the figure: a word in the name of its table, where a set has several"
    )
    parser.add_argument("--probe", default="attentive probe", help="of the figure of differences")
    options = parser.parse_args()
    question = QUESTIONS[options.question]
    arms = choose(question.arms, options.arms)
    if options.arms and not arms:
        parser.error(f"argument --arms: no such arm; expected {', '.join(arm.name for arm in question.arms)}")
    rivals = (UNTRAINED, RAW_MOTION)
    if options.against is not None and options.against not in (*rivals, *(arm.name for arm in question.arms)):
        known = ", ".join((*rivals, *(arm.name for arm in question.arms)))
        parser.error(f"argument --against: found {options.against!r}, expected one of {known}")
    return options, question, arms


def main() -> None:
    """Plan, run what is missing, print the tables."""
    options, question, arms = read_arguments()
    if options.plan:
        return print_plan(question, options.sets, len(options.seeds))
    torch.set_num_threads(options.threads)
    print(machine())
    print(", ".join(f"{name} {version}" for name, version in versions()), flush=True)
    for group in options.sets:
        judged = SETS[group].open(options.out, options.data, read=not options.table)
        cells = Cells(options.cells / f"{group}.jsonl")
        if not options.table:
            run_missing(judged, arms, options.seeds, options, cells)
        for reference in question.references:
            compared = [arm for arm in arms if arm.target == reference.target]
            against = options.against or reference.name
            for name, found in collect(judged, compared, options.seeds, options, cells).items():
                if any(arm.name in found for arm in compared):
                    print_table(name, found, against, judged.labels[name], paper_figures(compared))
                if options.figure is not None and reference.target == options.target and options.judged in name:
                    save_drawing(
                        draw(question, name, found, compared, against, options, judged.labels[name]), options.figure
                    )
    return None


if __name__ == "__main__":
    main()
