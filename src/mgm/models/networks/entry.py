"""An entry of the catalog of networks: how to build one, and the clips that it was trained and tested with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mgm.clip_kinds import ClipSampling, InputKind
from mgm.models.networks.class_names import ClassList
from mgm.models.networks.network import VideoNetwork
from mgm.models.networks.weights import WeightsFormat


@dataclass(frozen=True, kw_only=True)
class NetworkOptions:
    """What may differ between two networks of one entry; None: the entry's own.

    Attributes:
        classes, labels: as in `VideoNetwork`.
        frames, size: of the clips.
        dropout: rate before the head. drop_path: rate of stochastic depth of the last block.
    """

    classes: int
    labels: Sequence[str] | None = None
    frames: int | None = None
    size: int | None = None
    dropout: float | None = None
    drop_path: float | None = None

    def given(self, *names: str) -> dict[str, Any]:
        """The named options that are not None, as keyword arguments."""
        return {name: value for name in names if (value := getattr(self, name)) is not None}


NetworkBuilder = Callable[[NetworkOptions], VideoNetwork]
"""Builds a network with random weights. Raises ModelError when the network cannot have such clips or rates."""


@dataclass(frozen=True, kw_only=True)
class NetworkEntry:
    """A network of the catalog.

    Attributes:
        name: of the setting `model.network`. title: as its paper names it.
        build: makes it from its options, with random weights.
        formats: the programs that write weights of it.
        reads: what the frames of its clips show, `data.input`.
        classes: of the published weights; class_names: the list that names them, None if there is none.
        frames, stride, size: of a clip: frames, their distance in the video, side in pixels.
        views: (temporal, spatial) views of a video in the published test.
        sampling: of the frames of a clip.
        parameters: number of them, with `classes`. gmacs: 1e9 multiply-accumulates of a view of `frames` and `size`.
        licence: of the published weights; "" if none are published. source: address of code and weights.
        paper: authors and year.
        recipe: the built-in recipe that trains it, by which it is fine-tuned and evaluated unless another is named.
        needs: a package that builds it; None: mgm alone.
        stochastic_depth: whether `build` takes a `drop_path` above 0.
        layer_decay: whether the network has an order of layers, `VideoNetwork.depth` above 0.
    """

    name: str
    title: str
    build: NetworkBuilder
    formats: tuple[WeightsFormat, ...]
    reads: InputKind = "pixels"
    classes: int
    class_names: ClassList | None
    frames: int
    stride: int
    size: int
    views: tuple[int, int]
    sampling: ClipSampling
    parameters: int
    gmacs: float
    licence: str
    source: str
    paper: str
    recipe: str
    needs: str | None = None
    stochastic_depth: bool = True
    layer_decay: bool = True
