"""Models as graphs that run without this package: torch.export and ONNX."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

import torch
from torch import Tensor, nn

from mgm.errors import ModelError
from mgm.models.autoencoder import MaskedAutoencoder
from mgm.models.convert.shapes import Model, encoder_of
from mgm.models.encoder import Encoder
from mgm.models.networks.described import describe
from mgm.models.networks.network import TokensOf, VideoNetwork

_PROTOBUF_LIMIT: Final = 1_900_000_000  # bytes of a single file, below 2 GiB; larger weights go to a file beside it
VideoType = Literal["uint8", "float32"]


GraphModel = Model | VideoNetwork | TokensOf
"""What a graph may be of; `export_graph` refuses an autoencoder."""


def export_graph(model: GraphModel, *, video: VideoType) -> torch.export.ExportedProgram:
    """An encoder, a classifier or a network of the catalog as a graph of one input `video`, (B, 3, T, H, W), any B.

    Args:
        video: dtype of the input: uint8, which the graph normalises; or float32: of a ViT already normalised (see `Encoder`), of a
            network of the catalog RGB in [0, 1].

    Raises:
        ModelError: an autoencoder: the tokens that it computes depend on the mask, which a graph does not contain.
    """
    batch = torch.export.Dim("batch", min=1)
    with _quiet():
        return torch.export.export(_ready(model), (_example(model, video),), dynamic_shapes=({0: batch},))


def write_onnx(model: GraphModel, file: Path, *, video: VideoType) -> None:
    """The same graph as an ONNX file; its input is `video`, its output `tokens` or `logits`.

    Raises:
        ModelError: as `export_graph`, or onnx or onnxscript is not installed.
    """
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ModuleNotFoundError as error:
        raise ModelError.missing_package("onnx", str(error.name), extra="onnx") from error
    with _quiet():
        torch.onnx.export(
            _ready(model),
            (_example(model, video),),
            str(file),
            input_names=["video"],
            output_names=["tokens" if isinstance(model, Encoder | TokensOf) else "logits"],
            dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
            dynamo=True,
            external_data=_bytes(model) > _PROTOBUF_LIMIT,
            verbose=False,
        )


def _ready(model: GraphModel) -> nn.Module:
    if isinstance(model, MaskedAutoencoder):
        raise ModelError(
            "",
            "found an autoencoder, whose computed tokens depend on a mask, which a graph does not contain",
            "an encoder or a classifier",
            "export the encoder alone (part='encoder', --part encoder)",
            reason="unsupported",
        )
    # A copy, because the model may be in training, and a graph traced on a GPU runs on no other device.
    return copy.deepcopy(model).cpu().eval()


def video_shape(model: GraphModel) -> tuple[int, int, int, int]:
    """(3, T, H, W) of the clips of a model. Raises ModelError for a network that is not of the catalog."""
    if isinstance(model, VideoNetwork | TokensOf):
        about = describe(model.network if isinstance(model, TokensOf) else model)
        return 3, about["frames"], about["size"], about["size"]
    return encoder_of(model).spec.video_shape


def _example(model: GraphModel, video: VideoType) -> Tensor:
    # Two clips: a batch of one would become a constant.
    return torch.zeros(2, *video_shape(model), dtype=getattr(torch, video))


def _bytes(model: nn.Module) -> int:
    return sum(p.numel() * p.element_size() for p in model.parameters())


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter's warnings about its internals and about a missing torchvision; users cannot act on them."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)
