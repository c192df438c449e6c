"""A small network and its entry, for tests of what all networks share."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from mgm.models.networks.entry import NetworkEntry, NetworkOptions
from mgm.models.networks.network import VideoNetwork
from mgm.models.networks.weights import WeightsFormat


class SmallNetwork(VideoNetwork):
    """A strided convolution with batch norm, two residual layers over its cells, the mean, and a head."""

    feature_dim = 16
    depth = 2
    first_layers = ("stem", "norm")

    def __init__(self, options: NetworkOptions) -> None:
        clips = options.given("classes", "labels", "frames", "size")
        super().__init__(mean=0.45, std=0.225, **clips)
        self.stem = nn.Conv3d(3, 16, (2, 8, 8), stride=(2, 8, 8), bias=False)
        self.norm = nn.BatchNorm3d(16)
        self.blocks = nn.ModuleList(nn.Linear(16, 16) for _ in range(2))
        self.dropout = nn.Dropout(options.dropout or 0.0)
        self.head = nn.Linear(16, options.classes)

    def features(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.stem(x))).flatten(2).transpose(1, 2)
        for block in self.blocks:
            x = x + F.gelu(block(x))
        return x

    def classify(self, features: Tensor) -> Tensor:
        logits: Tensor = self.head(self.dropout(features.mean(1)))
        return logits


def rename(key: str) -> str | None:
    """The names of an imagined author: a prefix, and another word for two parts."""
    if key.endswith("_momentum"):
        return None
    key = key.removeprefix("net.")
    for theirs, ours in (("conv1.", "stem."), ("bn1.", "norm."), ("fc.", "head.")):
        if key.startswith(theirs):
            return ours + key.removeprefix(theirs)
    return key


def authors_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The state dict of a `SmallNetwork` under the names that `rename` reads."""
    words = {"stem": "conv1", "norm": "bn1", "head": "fc"}
    return {
        ".".join(("net", words.get(parts[0], parts[0]), *parts[1:])): value
        for parts, value in ((key.split("."), value) for key, value in state.items())
    }


SMALL = NetworkEntry(
    name="small",
    title="Small",
    build=SmallNetwork,
    formats=(WeightsFormat("Small's", "net.conv1.weight", rename),),
    classes=7,
    class_names=None,
    frames=4,
    stride=2,
    size=32,
    views=(2, 1),
    sampling="dense",
    parameters=3 * 2 * 64 * 16 + 32 + 2 * (16 * 16 + 16) + 17 * 7,
    gmacs=0.000213,  # 32 cells x (384 x 16 + 2 x 256) + 16 x 7
    licence="MIT",
    source="https://example.org/small",
    paper="nobody, 2026",
    recipe="debug",
)
