"""`mgm finetune`"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import mgm
from mgm.commands.interrupted import keeping, kept_checkpoint
from mgm.commands.next_command import suggest_export
from mgm.commands.options import (
    Change,
    Data,
    Extend,
    ForeignRecipe,
    Network,
    Out,
    Resume,
    Settings,
    open_set,
    start_of,
    with_network,
)
from mgm.printable import plural
from mgm.terminal import Activity, print_result

if TYPE_CHECKING:
    from mgm.training.folder import Start

_WITHOUT_WEIGHTS = Path("none")
SUPERVISED_RECIPE = "supervised-vitb-k400"
"""Default recipe of a start without weights: the supervised baseline of the paper's Table 2."""


def finetune(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN",
            help="Folder of 'mgm pretrain', with its settings; weights of another project; or none, to start without weights by a "
            f"recipe (default: {SUPERVISED_RECIPE}).",
        ),
    ],
    data: Data,
    settings: Settings = None,
    recipe: ForeignRecipe = None,
    model: Network = None,
    out: Out = Path("runs/finetune"),
    resume: Resume = "never",
    extend: Extend = None,
    change: Change = "",
    from_scratch: Annotated[bool, typer.Option("--from-scratch", help="Start untrained, as a baseline.")] = False,
) -> None:
    """Fine-tune a pretrained encoder on labelled videos and evaluate it over all views.

    mgm finetune runs/a videos/ --out runs/a-finetuned finetune.steps=500

    Weights of other projects: a folder of Hugging Face's VideoMAE or a checkpoint of VideoMAE, V2, MAE-ST or mmaction2.

    mgm finetune checkpoint.pth videos/ --recipe mgm-vitb-k400 --out runs/b

    mgm finetune runs/k400 ucf101/ --recipe finetune-vitb-ucf101 --out runs/ucf101

    mgm finetune none videos/ --recipe debug --out runs/supervised

    mgm finetune MViTv2_B_32x3.pyth videos/ --model mvitv2-b-32x3 --out runs/mvit
    """
    from mgm.training.folder import run_folder

    start = start_of(resume, extend, change)
    with keeping(lambda: kept_checkpoint(out)), run_folder(out, start):  # first: refused before torch is imported
        _finetune(run, data, with_network(settings, model), recipe, out, start, from_scratch=from_scratch)


def _finetune(
    run: Path, data: str, settings: Sequence[str], recipe: str | None, out: Path, start: Start, *, from_scratch: bool
) -> None:
    with Activity("reading the encoder and the set"):
        from mgm.data.judging import untestable
        from mgm.training import load_config
        from mgm.training.finetune import open_start
        from mgm.training.recipe import default_recipe

        if run == _WITHOUT_WEIGHTS:
            encoder, config = None, load_config(recipe or default_recipe(settings, SUPERVISED_RECIPE), settings)
        else:
            encoder, config = open_start(run, settings, recipe=recipe)
        videos = open_set(data)
    trained = mgm.finetune(
        None if from_scratch else encoder,
        videos,
        config,
        out=out,
        resume=start.resume,
        extend=start.extend,
        change=tuple(start.change),
    )
    if (problem := untestable(videos)) is not None:
        print_result(f"not evaluated: {problem.statement}; run 'mgm evaluate {out} test=FILE' later; {out}")
        return
    with Activity("evaluating") as activity:
        result = mgm.evaluate(out, videos, progress=activity.rename).result
    top1, state = result.metric("top-1"), f", {result.videos.incomplete}," if result.videos.incomplete else ""
    print_result(
        f"{top1} on {plural(top1.count, 'video')}{state} after {plural(len(trained.history.losses), 'step')}; "
        f"{out}/evaluation.json"
    )
    suggest_export(out)
