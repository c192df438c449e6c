"""The motion stream of CoViAR (Wu et al. 2018): a ResNet-18 over pictures of accumulated motion, without any pixel of the video.

Its other streams are image networks on I-frames and on residuals; no weights are published.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from torch import Tensor, nn

from mgm.models.networks.entry import NetworkEntry, NetworkOptions
from mgm.models.networks.network import VideoNetwork, check_no_stochastic_depth
from mgm.models.networks.weights import WeightsFormat

_WIDTHS: Final = (64, 128, 256, 512)


class CoviarMotion(VideoNetwork):
    """Each frame's motion by itself; the scores of a clip are the mean over its frames (temporal segment networks).

    Reads frames that show motion (`data.input=motion`): of their three channels the first two, dx and dy. Weights have the
    authors' names, those of torchvision's ResNet, but for the last layer. frames, size: any. dropout: rate before the head.
    """

    depth = 2 * len(_WIDTHS)

    def __init__(self, *, classes: int, labels: Sequence[str] | None = None, dropout: float = 0.0) -> None:
        super().__init__(classes=classes, labels=labels, mean=0.5, std=1.0)
        self.feature_dim = _WIDTHS[-1]
        self.data_bn = nn.BatchNorm2d(2)
        stages = {f"layer{i}": _stage(i) for i in range(1, 1 + len(_WIDTHS))}
        stem = {"conv1": nn.Conv2d(2, 64, 7, 2, 3, bias=False), "bn1": nn.BatchNorm2d(64)}
        self.base_model = nn.ModuleDict({**stem, **stages})
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(self.feature_dim, classes)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        nn.init.normal_(self.head.weight, std=0.001)
        nn.init.zeros_(self.head.bias)

    def features(self, x: Tensor) -> Tensor:
        """The cells of the last map of every frame, in the order (t, h, w): (B, T * h * w, 512)."""
        batch = x.shape[0]
        frames = self.data_bn(x[:, :2].transpose(1, 2).flatten(0, 1))
        found = self.pool(self.base_model["bn1"](self.base_model["conv1"](frames)).relu())
        for i in range(1, 1 + len(_WIDTHS)):
            found = self.base_model[f"layer{i}"](found)
        cells: Tensor = found.flatten(2).transpose(1, 2)
        return cells.reshape(batch, -1, self.feature_dim)

    def classify(self, features: Tensor) -> Tensor:
        """Logits of the mean over cells and frames, which is the mean of the frames' logits."""
        logits: Tensor = self.head(self.dropout(features.mean(1)))
        return logits

    def depth_of(self, name: str) -> int:
        """See `VideoNetwork`."""
        block = re.match(r"base_model\.layer(\d)\.(\d)\.", name)
        if block is not None:
            return 2 * int(block[1]) - 1 + int(block[2])
        return self.depth + 1 if name.startswith("head.") else 0


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with batch norm, added to their input, which a 1x1 convolution adapts where width or size change."""

    def __init__(self, width_in: int, width: int, *, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width_in, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        adapted = nn.Sequential(nn.Conv2d(width_in, width, 1, stride, bias=False), nn.BatchNorm2d(width))
        self.downsample = adapted if stride > 1 or width_in != width else None

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, width_in, H, W). Returns (B, width, H / stride, W / stride)."""
        kept = x if self.downsample is None else self.downsample(x)
        out: Tensor = (self.bn2(self.conv2(self.bn1(self.conv1(x)).relu())) + kept).relu()
        return out


def _stage(number: int) -> nn.Sequential:
    """The two blocks of stage `number`, from 1."""
    width = _WIDTHS[number - 1]
    first = BasicBlock(_WIDTHS[max(number - 2, 0)], width, stride=1 if number == 1 else 2)
    return nn.Sequential(first, BasicBlock(width, width, stride=1))


def from_coviar(name: str) -> str | None:
    """The name of a weight in the authors' files, without their prefix `module.`."""
    return f"head.{name.removeprefix('base_model.fc.')}" if name.startswith("base_model.fc.") else name


def from_resnet(name: str) -> str | None:
    """The name of a weight of torchvision's ResNet-18 of images; None for its first and its last layer, which start anew."""
    return None if name.startswith(("conv1.", "fc.")) else f"base_model.{name}"


_FORMATS: Final = (
    WeightsFormat("CoViAR", "base_model.layer1.0.conv1.weight", from_coviar),
    WeightsFormat(
        "ResNet-18 of images", "layer1.0.conv1.weight", from_resnet, fresh=r"(head|data_bn|base_model\.conv1)\..*"
    ),
)


def build_coviar_motion(options: NetworkOptions) -> CoviarMotion:
    """See `NetworkBuilder`. Clips may have any number of frames and any size."""
    check_no_stochastic_depth("a ResNet", options.drop_path)
    return CoviarMotion(**options.given("classes", "labels", "dropout"))


ENTRIES: Final = (
    NetworkEntry(
        name="coviar-motion",
        title="CoViAR, motion stream",
        build=build_coviar_motion,
        formats=_FORMATS,
        reads="motion",
        classes=101,
        class_names=None,
        frames=3,
        stride=1,
        size=224,
        views=(8, 3),  # 24 frames; the authors test 25
        sampling="sparse",
        parameters=11_225_193,
        gmacs=5.3,
        recipe="coviar-motion",
        stochastic_depth=False,
        licence="",
        source="https://github.com/chaoyuaw/pytorch-coviar",
        paper="Wu et al. 2018",
    ),
)
