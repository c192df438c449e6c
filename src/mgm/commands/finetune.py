"""`mgm finetune`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mgm.commands.options import Data, Out, Resume, Settings


def finetune(
    run: Annotated[
        Path,
        typer.Argument(help="Folder of 'mgm pretrain'; its settings are taken over, unless --recipe gives others."),
    ],
    data: Data,
    settings: Settings = None,
    out: Out = Path("runs/finetune"),
    resume: Resume = False,
    recipe: Annotated[
        str | None,
        typer.Option(help="A recipe for these videos instead of the run's: one of ours by name, or a .yaml file."),
    ] = None,
    from_scratch: Annotated[
        bool, typer.Option("--from-scratch", help="Start untrained: what fine-tuning is compared with.")
    ] = False,
) -> None:
    """Fine-tune a pretrained encoder on labelled videos and evaluate it over all views.

    mgm finetune runs/a videos/ --out runs/a-finetuned finetune.steps=500

    mgm finetune runs/k400 ucf101/ --recipe finetune-vitb-ucf101 --out runs/ucf101
    """
    from mgm.evaluation.run import evaluate, run_config
    from mgm.training import finetune as train
    from mgm.training import load_config, load_encoder

    overrides = tuple(settings or ())
    config = run_config(run, overrides) if recipe is None else load_config(recipe, overrides)
    outcome = train(None if from_scratch else load_encoder(run), data, config, out=out, resume=resume)
    result = evaluate(out, data)
    top1 = result["top1"]
    print(
        f"top-1 {top1['top1']:.1%} [{top1['low']:.1%}, {top1['high']:.1%}] on {top1['videos']} videos "
        f"after {len(outcome.history.losses)} steps; {out}/evaluation.json"
    )
