"""`mgm finetune`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mgm.commands.options import Data, Out, Resume, Settings, open_set


def finetune(
    run: Annotated[Path, typer.Argument(help="Folder of 'mgm pretrain'; its settings are taken over.")],
    data: Data,
    settings: Settings = None,
    out: Out = Path("runs/finetune"),
    resume: Resume = False,
    from_scratch: Annotated[
        bool, typer.Option("--from-scratch", help="Start untrained: what fine-tuning is compared with.")
    ] = False,
) -> None:
    """Fine-tune a pretrained encoder on labelled videos and evaluate it over all views.

    mgm finetune runs/a videos/ --out runs/a-finetuned finetune.steps=500
    """
    from mgm.evaluation.run import evaluate, run_config
    from mgm.training import finetune as train
    from mgm.training import load_encoder

    config = run_config(run, tuple(settings or ()))
    videos = open_set(data)
    outcome = train(None if from_scratch else load_encoder(run), videos, config, out=out, resume=resume)
    if not videos.test:
        print(f"nothing to judge by ({videos.split}): 'mgm evaluate {out} test=FILE' does it later; {out}/last.pt")
        return
    result = evaluate(out, videos)
    top1 = result["top1"]
    print(
        f"top-1 {top1['top1']:.1%} [{top1['low']:.1%}, {top1['high']:.1%}] on {top1['videos']} videos "
        f"after {len(outcome.history.losses)} steps; {out}/evaluation.json"
    )
