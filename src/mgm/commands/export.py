"""`mgm export`"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Target(StrEnum):
    """Formats of `mgm.export_model`."""

    HF = "hf"
    VIDEOMAE = "videomae"
    SAFETENSORS = "safetensors"
    TORCH_EXPORT = "torch-export"
    ONNX = "onnx"


class Part(StrEnum):
    """What is exported."""

    WHOLE = "whole"
    ENCODER = "encoder"


class Video(StrEnum):
    """Types of a graph's input."""

    UINT8 = "uint8"
    FLOAT32 = "float32"


class BiasNames(StrEnum):
    """Spellings of the attention's biases."""

    Q_BIAS = "q_bias"
    QUERY_BIAS = "query.bias"


def export(
    model: Annotated[Path, typer.Argument(help="A run, or weights from elsewhere: a folder or a file.")],
    to: Annotated[Target, typer.Option(help="Format to write.")],
    out: Annotated[Path, typer.Option(help="The folder to make; it appears when all of it is written.")],
    part: Annotated[Part, typer.Option(help="All of the model, or its encoder alone.")] = Part.WHOLE,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier export.")] = False,
    data: Annotated[str | None, typer.Option(help="Name of the videos it was trained on, for the page.")] = None,
    video: Annotated[
        Video | None,
        typer.Option(help="Input of a graph: uint8 (normalised inside, the default) or normalised float32."),
    ] = None,
    bias_names: Annotated[
        BiasNames | None,
        typer.Option(help="Spelling of biases in hf: q_bias (the default); query.bias for transformers 5.5.1 to 5.17."),
    ] = None,
    frames: Annotated[int | None, typer.Option(min=1, help="Frames of a clip; overrules the weights.")] = None,
    resolution: Annotated[int | None, typer.Option(min=1, help="Side in pixels; overrules the weights.")] = None,
    heads: Annotated[
        int | None, typer.Option(min=1, help="Attention heads of the encoder; overrules the weights.")
    ] = None,
) -> None:
    """Write a model for another program, with a page that says what it is.

    hf: a folder for transformers; videomae: the reference's names; safetensors: ours, of one file that describes itself;
    torch-export and onnx: graphs of an encoder or a classifier.

    mgm export runs/b --to hf --out exported
    """
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
    )
    print(f"{folder}: {', '.join(sorted(file.name for file in folder.iterdir()))}")
