"""`mgm pretrain`"""

from __future__ import annotations

from pathlib import Path

import mgm
from mgm.commands.interrupted import keeping, kept_checkpoint
from mgm.commands.next_command import suggest, suggest_export
from mgm.commands.options import Change, Data, Extend, Out, Recipe, Resume, Settings, open_set, start_of
from mgm.printable import plural
from mgm.terminal import Activity, print_result


def pretrain(
    data: Data,
    settings: Settings = None,
    recipe: Recipe = "debug",
    out: Out = Path("runs/pretrain"),
    resume: Resume = "never",
    extend: Extend = None,
    change: Change = "",
) -> None:
    """Pretrain a masked autoencoder on a set of videos.

    mgm pretrain videos/ --out runs/a mask.name=tube pretrain.steps=2000
    """
    from mgm.training.folder import run_folder

    start = start_of(resume, extend, change)
    with keeping(lambda: kept_checkpoint(out)), run_folder(out, start):  # first: refused before torch is imported
        with Activity("reading the set"):
            from mgm.data.judging import unprobeable

            config = mgm.load_config(recipe, settings or ())
            videos = open_set(data)
        trained = mgm.pretrain(
            videos, config, out=out, resume=start.resume, extend=start.extend, change=tuple(start.change)
        )
    history = trained.history
    print_result(f"loss {history.losses[0]:.4f} -> {history.final_loss:.4f} in {history.seconds:.0f} s; {out}")
    if history.bad:
        print_result(f"{plural(len(history.bad), 'video')} could not be read: {out}/bad_videos.tsv")
    if history.flow:
        clips = config.pretrain.batch * config.repeats("pretrain")
        measured, total = round(history.flow * clips), len(history.losses) * clips
        print_result(f"motion was measured from the decoded frames in {measured:,} of {total:,} clips")
    if unprobeable(videos) is None:
        suggest("mgm", "probe", out, data)
    else:
        suggest_export(out)
