"""`mgm pretrain`"""

from __future__ import annotations

from pathlib import Path

import mgm
from mgm.commands.options import Data, Out, Recipe, Resume, Settings, open_set


def pretrain(
    data: Data,
    settings: Settings = None,
    recipe: Recipe = "debug",
    out: Out = Path("runs/pretrain"),
    resume: Resume = False,
) -> None:
    """Pretrain a masked autoencoder on a set of videos.

    mgm pretrain videos/ --out runs/a mask.name=tube pretrain.steps=2000
    """
    config = mgm.load_config(recipe, settings or ())
    outcome = mgm.pretrain(open_set(data), config, out=out, resume=resume)
    losses = outcome.history.losses
    print(
        f"loss {losses[0]:.4f} -> {sum(losses[-20:]) / len(losses[-20:]):.4f} in {outcome.history.seconds:.0f} s; {out}/last.pt"
    )
    if outcome.history.bad:
        print(f"{len(outcome.history.bad)} videos could not be read: {out}/bad_videos.tsv")
    if outcome.history.flow:
        clips = config.pretrain.batch * config.data.repeats
        print(
            f"motion was measured by optical flow in {round(outcome.history.flow * clips):,} of {len(losses) * clips:,} clips"
        )
