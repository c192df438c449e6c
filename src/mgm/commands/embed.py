"""`mgm embed`"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated, Literal

import typer

import mgm
from mgm.commands.interrupted import keeping, kept_features
from mgm.commands.next_command import suggest
from mgm.commands.options import Data, ForeignRecipe, Network, Settings, open_set, with_network
from mgm.files.atomic import check_writable
from mgm.ranks import on_first_rank
from mgm.terminal import Activity, note, print_result


def embed(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run, or weights of another project.")],
    data: Data,
    settings: Settings = None,
    out: Annotated[Path, typer.Option(help="File to write: .npz, .safetensors or .parquet.")] = Path("features.npz"),
    layer: Annotated[
        int | None,
        typer.Option(
            help="Block whose output is written, from 0; negative counts from the end. Default: the last one and the final norm."
        ),
    ] = None,
    pooling: Annotated[
        Literal["mean", "mean-std-max", "none"],
        typer.Option(help="Feature of a view from its tokens; none keeps them."),
    ] = "mean",
    recipe: ForeignRecipe = None,
    model: Network = None,
) -> None:
    """Write the features of all videos of a set, with labels, frames and times.

    mgm embed runs/a videos/ --out features.npz probe.temporal_views=1 probe.spatial_views=1

    After an interruption the same command continues.
    """
    unfinished = out.with_name(f".{out.name}.unfinished")
    with keeping(lambda: kept_features(unfinished)), Activity("reading videos") as activity:
        from mgm.evaluation.embedding import check_embedding_suffix

        check_embedding_suffix(out)
        if on_first_rank():
            check_writable(out)
        found = mgm.embed(
            run,
            open_set(data),
            layer=layer,
            pooling=pooling,
            overrides=with_network(settings, model),
            recipe=recipe,
            keep=unfinished,
            progress=activity.rename,
            announce=note,
        )
        if on_first_rank():
            activity.rename(f"writing {out}")
            found.save(out)
            shutil.rmtree(unfinished, ignore_errors=True)
    shape = " x ".join(map(str, found.features.shape[1:]))
    print_result(f"{out}: {len(found.path):,} views of {len(set(found.path)):,} videos, {shape} numbers each")
    for message in found.unreadable.values():
        note(message)
    own = () if recipe is None else ("--recipe", recipe)
    suggest("mgm", "probe", run, data, *own)
