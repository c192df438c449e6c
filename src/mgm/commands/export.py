"""`mgm export`"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mgm.commands.next_command import suggest
from mgm.commands.options import Network
from mgm.terminal import Activity, print_result


class FormatChoice(StrEnum):
    """Formats of `mgm.export_model`."""

    HF = "hf"
    VIDEOMAE = "videomae"
    SAFETENSORS = "safetensors"
    TORCH_EXPORT = "torch-export"
    ONNX = "onnx"


class PartChoice(StrEnum):
    """Exported parts of a model."""

    WHOLE = "whole"
    ENCODER = "encoder"


class VideoChoice(StrEnum):
    """Dtypes of the input of a graph."""

    UINT8 = "uint8"
    FLOAT32 = "float32"


class BiasChoice(StrEnum):
    """Names of the attention's biases."""

    Q_BIAS = "q_bias"
    QUERY_BIAS = "query.bias"


def export(
    model: Annotated[Path, typer.Argument(help="A run, or external weights: a folder or a file.")],
    to: Annotated[FormatChoice, typer.Option(help="Format to write.")],
    out: Annotated[Path, typer.Option(help="Folder to write; it appears when it is complete.")],
    part: Annotated[PartChoice, typer.Option(help="The whole model, or its encoder alone.")] = PartChoice.WHOLE,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier export.")] = False,
    data: Annotated[str | None, typer.Option(help="Name of the training videos, for the model card.")] = None,
    video: Annotated[
        VideoChoice | None,
        typer.Option(help="Input of a graph: uint8 (default, normalised by the graph) or normalised float32."),
    ] = None,
    bias_names: Annotated[
        BiasChoice | None,
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
    from mgm.training.export.target import check_free

    check_free(out.absolute(), overwrite=overwrite)  # first: refused before torch is imported
    with Activity(f"exporting {model}"):
        from mgm.training import export_model

        folder = export_model(
            model,
            to=to.value,
            out=out,
            part=part.value,
            overwrite=overwrite,
            data=data,
            video=None if video is None else video.value,
            bias_names=None if bias_names is None else bias_names.value,
            frames=frames,
            resolution=resolution,
            heads=heads,
            network=network,
        )
    print_result(f"{folder}: {', '.join(sorted(file.name for file in folder.iterdir()))}")
    suggest("more", folder / "README.md")
