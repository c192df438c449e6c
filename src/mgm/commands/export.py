"""`mgm export`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from mgm.commands.next_command import suggest
from mgm.commands.options import Network
from mgm.terminal import Activity, print_result
from mgm.training.export.destination import ExportFormat, ExportPart, check_free


def export(
    model: Annotated[Path, typer.Argument(help="A run, or external weights: a folder or a file.")],
    to: Annotated[ExportFormat, typer.Option(help="Format to write.")],
    out: Annotated[Path, typer.Option(help="Folder to write; it appears when it is complete.")],
    part: Annotated[ExportPart, typer.Option(help="The whole model, or its encoder alone.")] = "whole",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier export.")] = False,
    data: Annotated[str | None, typer.Option(help="Name of the training videos, for the model card.")] = None,
    video: Annotated[
        Literal["uint8", "float32"] | None,
        typer.Option(help="Input of a graph: uint8 (default, normalised by the graph) or normalised float32."),
    ] = None,
    bias_names: Annotated[
        Literal["q_bias", "query.bias"] | None,
        typer.Option(help="Names of biases in hf: q_bias (default), or query.bias for transformers 5.5.1 to 5.17."),
    ] = None,
    frames: Annotated[int | None, typer.Option(min=1, help="Frames per clip, instead of the weights' own.")] = None,
    resolution: Annotated[int | None, typer.Option(min=1, help="Side in pixels, instead of the weights' own.")] = None,
    heads: Annotated[
        int | None, typer.Option(min=1, help="Attention heads of the encoder, instead of the weights' own.")
    ] = None,
    network: Network = None,
) -> None:
    """Export a model for another program, with a model card.

    hf: a folder for transformers; videomae: the reference's names; safetensors: one file with a description of the model;
    torch-export and onnx: graphs of an encoder or a classifier. A network of 'mgm models' has the last three.

    mgm export runs/b --to hf --out exported

    mgm export MViTv2_B_32x3.pyth --model mvitv2-b-32x3 --to onnx --out exported
    """
    check_free(out.absolute(), overwrite=overwrite)  # first: refused before torch is imported
    with Activity(f"exporting {model}"):
        from mgm.training import export_model

        folder = export_model(
            model,
            to=to,
            out=out,
            part=part,
            overwrite=overwrite,
            data=data,
            video=video,
            bias_names=bias_names,
            frames=frames,
            resolution=resolution,
            heads=heads,
            network=network,
        )
    print_result(f"{folder}: {', '.join(sorted(file.name for file in folder.iterdir()))}")
    suggest("more", folder / "README.md")
