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
from mgm.models.convert.shapes import Model
from mgm.models.encoder import Encoder

_PROTOBUF_LIMIT: Final = 1_900_000_000  # a single file holds less than 2 GiB; more goes to a file beside it
VideoType = Literal["uint8", "float32"]


def export_graph(model: Model, *, video: VideoType) -> torch.export.ExportedProgram:
    """An encoder or a classifier as a graph of one input `video`, (B, 3, T, H, W), any B; see `Encoder` for its values.

    video: the type of its input: uint8, normalised inside; or float32, taken as normalised.
    Raises ModelError for an autoencoder: which tokens it computes depends on the mask, which no graph holds.
    """
    batch = torch.export.Dim("batch", min=1)
    with _quiet():
        return torch.export.export(_ready(model), (_example(model, video),), dynamic_shapes=({0: batch},))


def write_onnx(model: Model, file: Path, *, video: VideoType) -> None:
    """The same graph as an ONNX file; its input is `video`, its output `tokens` or `logits`.

    Raises ModelError as `export_graph`, and where onnx and onnxscript are not installed.
    """
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ModuleNotFoundError as error:
        raise ModelError(
            f"onnx: the package {error.name} is missing; pip install 'motion-guided-masking[onnx]', or '.[onnx]' in a checkout"
        ) from error
    with _quiet():
        torch.onnx.export(
            _ready(model),
            (_example(model, video),),
            str(file),
            input_names=["video"],
            output_names=["tokens" if isinstance(model, Encoder) else "logits"],
            dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
            dynamo=True,
            external_data=_bytes(model) > _PROTOBUF_LIMIT,
            verbose=False,
        )


def _ready(model: Model) -> nn.Module:
    if isinstance(model, MaskedAutoencoder):
        raise ModelError(
            "holds an autoencoder, expected an encoder or a classifier: which tokens it computes depends on the mask, which "
            "no graph holds; export the encoder alone (part='encoder', --part encoder)"
        )
    # A copy, because the caller's may be in training, and a graph made on a GPU runs on no other device.
    return copy.deepcopy(model).cpu().eval()


def _example(model: Model, video: VideoType) -> Tensor:
    spec = model.spec if isinstance(model, Encoder) else model.encoder.spec
    # Two clips: a batch of one would be taken for a constant.
    return torch.zeros(2, *spec.video_shape, dtype=getattr(torch, video))


def _bytes(model: Model) -> int:
    return sum(p.numel() * p.element_size() for p in model.parameters())


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter warns of its own inner workings and of a missing torchvision, about which nobody can do anything."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)
