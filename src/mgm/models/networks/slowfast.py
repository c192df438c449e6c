"""SlowFast (Feichtenhofer et al. 2019): a ResNet on few frames, a narrow one on many, joined after each stage.

pytorchvideo builds it too, but without non-local blocks. It is the peer of the tests.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mgm.errors import ModelError
from mgm.models.networks.entry import NetworkEntry, NetworkOptions
from mgm.models.networks.network import PIXEL_MEAN, PIXEL_STD, VideoNetwork, check_no_stochastic_depth
from mgm.models.networks.slowfast_names import FORMATS

# Kinetics configurations of the authors; the fast pathway has one eighth of the channels.
STEM = 64
INNER, OUTER = (64, 128, 256, 512), (256, 512, 1024, 2048)
SLOW_KERNELS, FAST_KERNELS = (1, 1, 3, 3), (3, 3, 3, 3)
NARROWER = 8
FUSED = 2  # a lateral connection has twice the channels of its fast input


@dataclass(frozen=True)
class SlowFastSpec:
    """Sizes of a SlowFast.

    Attributes:
        depths: bottlenecks of the four stages.
        temporal: the first blocks of each stage with the temporal kernel of the stage; the others have 1.
        nonlocal_after: blocks of the slow pathway's third stage that a non-local block follows; indices from 0.
        ratio: frames of the fast pathway, which sees the whole clip, for each frame of the slow pathway.
        fusion_kernel: frames of a lateral connection's kernel.
        window: side of the head's pooling, in cells of 32 px.
        width: channels of the slow stem; the others follow in proportion.
    """

    depths: tuple[int, int, int, int]
    nonlocal_after: tuple[int, ...] = ()
    temporal: tuple[int, int, int, int] = (3, 4, 6, 3)
    ratio: int = 4
    fusion_kernel: int = 5
    window: int = 7
    width: int = STEM

    @property
    def pathways(self) -> tuple[int, int]:
        """Channels of the slow and the fast stem."""
        return self.width, self.width // NARROWER

    @property
    def feature_dim(self) -> int:
        """Channels of both pathways' last maps."""
        return sum(OUTER[-1] * width // STEM for width in self.pathways)


class SlowFast(VideoNetwork):
    """Two pathways with lateral connections; their means over time and windows of the map are classified together.

    `features` are these means, (B, n, slow + fast), a token for each window: one at the size of training, 2 x 2 at
    256 px. `classify` averages the windows' probabilities, as the authors' head does.

    Args:
        frames: of a clip; None: any multiple of the spec's ratio, at least twice that.
        dropout: before the head.

    Raises:
        ModelError: other frames.
    """

    def __init__(
        self,
        spec: SlowFastSpec,
        *,
        classes: int,
        labels: Sequence[str] | None = None,
        mean: float | Sequence[float] = PIXEL_MEAN,
        std: float | Sequence[float] = PIXEL_STD,
        frames: int | None = None,
        dropout: float = 0.5,
    ) -> None:
        super().__init__(classes=classes, labels=labels, mean=mean, std=std, frames=frames)
        if frames is not None:
            _check_frames(frames, spec.ratio)
        self.spec = spec
        self.feature_dim = spec.feature_dim
        slow, fast = spec.pathways
        self.slow_stem = ConvNorm(3, slow, (1, 7, 7), (1, 2, 2))
        self.fast_stem = ConvNorm(3, fast, (5, 7, 7), (1, 2, 2))
        self.slow, self.fast, self.laterals = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for stage, depth in enumerate(spec.depths):
            fused = FUSED * fast
            self.laterals.append(ConvNorm(fast, fused, (spec.fusion_kernel, 1, 1), (spec.ratio, 1, 1)))
            channels = [OUTER[stage] * width // STEM for width in spec.pathways]
            for blocks, width, dim, kernel in (
                (self.slow, spec.pathways[0], slow + fused, SLOW_KERNELS[stage]),
                (self.fast, spec.pathways[1], fast, FAST_KERNELS[stage]),
            ):
                blocks.append(
                    _stage(dim, width, stage, [kernel if i < spec.temporal[stage] else 1 for i in range(depth)])
                )
            slow, fast = channels
        third = OUTER[2] * spec.pathways[0] // STEM
        self.nonlocals = nn.ModuleDict({str(index): NonLocal(third) for index in spec.nonlocal_after})
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(self.feature_dim, classes)
        self._initialise()

    def features(self, x: Tensor) -> Tensor:
        """x: (B, 3, T, H, W), normalised; T a multiple of the ratio of the pathways. Returns (B, windows, slow + fast)."""
        slow, fast = self.maps(x)
        side = min(self.spec.window, slow.shape[3]), min(self.spec.window, slow.shape[4])
        means = [F.avg_pool3d(cells, (cells.shape[2], *side), stride=1) for cells in (slow, fast)]
        return torch.cat(means, dim=1).flatten(2).transpose(1, 2)

    def maps(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The last maps of the slow and the fast pathway, (B, C, t, h, w)."""
        slow, fast = x[:, :, self._slow_frames(x)], x
        slow, fast = (
            F.max_pool3d(F.relu(stem(frames)), (1, 3, 3), (1, 2, 2), (0, 1, 1))
            for stem, frames in ((self.slow_stem, slow), (self.fast_stem, fast))
        )
        for stage, (slow_blocks, fast_blocks, lateral) in enumerate(
            zip(self.slow, self.fast, self.laterals, strict=True)
        ):
            slow = torch.cat((slow, F.relu(lateral(fast))), dim=1)
            fast = fast_blocks(fast)
            for index, block in enumerate(slow_blocks.children()):
                slow = block(slow)
                if stage == 2 and str(index) in self.nonlocals:
                    slow = self.nonlocals[str(index)](slow)
        return slow, fast

    def classify(self, features: Tensor) -> Tensor:
        """Logits (B, classes); of several windows the logarithm of their mean probability."""
        logits: Tensor = self.head(self.dropout(features))
        if logits.shape[1] == 1:
            return logits[:, 0]
        return logits.log_softmax(dim=-1).logsumexp(dim=1) - math.log(logits.shape[1])

    def _slow_frames(self, x: Tensor) -> Tensor:
        """The frames of the slow pathway: evenly from the first to the last, rounded down, as the authors take them."""
        frames, ratio = x.shape[2], self.spec.ratio
        _check_frames(frames, ratio)
        last = frames // ratio - 1
        return torch.arange(last + 1, device=x.device) * (frames - 1) // last

    def _initialise(self) -> None:
        """He et al. 2015 for convolutions; the last norm of each residual branch starts at 0 (Goyal et al. 2017)."""
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, Bottleneck):
                nn.init.zeros_(module.c.norm.weight)
            elif isinstance(module, NonLocal):
                nn.init.zeros_(module.norm.weight)
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)


class ConvNorm(nn.Module):
    """Convolution without a bias, padded to keep the size at stride 1, then batch normalisation."""

    def __init__(
        self, dim: int, out: int, kernel: tuple[int, int, int], stride: tuple[int, int, int] = (1, 1, 1)
    ) -> None:
        super().__init__()
        t, h, w = (side // 2 for side in kernel)
        self.conv = nn.Conv3d(dim, out, kernel, stride, (t, h, w), bias=False)
        self.norm = nn.BatchNorm3d(out)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, dim, T, H, W). Returns (B, out, t, h, w)."""
        normed: Tensor = self.norm(self.conv(x))
        return normed


class Bottleneck(nn.Module):
    """relu(x + c(relu(b(relu(a(x)))))): a sees `temporal` frames, b 3 x 3 cells and has the stride, c widens."""

    def __init__(self, dim: int, inner: int, out: int, *, temporal: int, stride: int) -> None:
        super().__init__()
        self.shortcut = ConvNorm(dim, out, (1, 1, 1), (1, stride, stride)) if dim != out or stride > 1 else None
        self.a = ConvNorm(dim, inner, (temporal, 1, 1))
        self.b = ConvNorm(inner, inner, (1, 3, 3), (1, stride, stride))
        self.c = ConvNorm(inner, out, (1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, dim, T, H, W). Returns (B, out, T, h, w)."""
        kept = x if self.shortcut is None else self.shortcut(x)
        return F.relu(kept + self.c(F.relu(self.b(F.relu(self.a(x))))))


class NonLocal(nn.Module):
    """A non-local block (Wang et al. 2018), "dot product": x + norm(out(theta phi^T / positions g)).

    phi and g see the maximum over 2 x 2 cells of a frame.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        inner = dim // 2
        self.theta, self.phi, self.g = (nn.Conv3d(dim, inner, 1) for _ in range(3))
        self.out = nn.Conv3d(inner, dim, 1)
        self.norm = nn.BatchNorm3d(dim)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, dim, T, H, W). Returns the same shape."""
        pooled = F.max_pool3d(x, (1, 2, 2))
        theta, phi, g = self.theta(x).flatten(2), self.phi(pooled).flatten(2), self.g(pooled).flatten(2)
        # (B, positions, seen)
        scores = theta.transpose(1, 2) @ phi / phi.shape[2]
        mixed = (scores @ g.transpose(1, 2)).transpose(1, 2).reshape(*g.shape[:2], *x.shape[2:])
        added: Tensor = self.norm(self.out(mixed))
        return x + added


def _stage(dim: int, width: int, stage: int, kernels: Sequence[int]) -> nn.Sequential:
    """The bottlenecks of one stage of a pathway. dim: channels of its input. width: channels of the pathway's stem."""
    inner, out = (channels[stage] * width // STEM for channels in (INNER, OUTER))
    return nn.Sequential(
        *(
            Bottleneck(
                dim if index == 0 else out, inner, out, temporal=kernel, stride=2 if index == 0 and stage > 0 else 1
            )
            for index, kernel in enumerate(kernels)
        )
    )


def _check_frames(frames: int, ratio: int) -> None:
    if frames % ratio or frames < 2 * ratio:
        raise ModelError(
            "frames",
            f"found {frames}",
            f"a multiple of {ratio}, at least {2 * ratio}",
            f"the slow pathway sees one frame of {ratio}",
            reason="invalid_value",
        )


def build_slowfast(spec: SlowFastSpec, options: NetworkOptions) -> SlowFast:
    """See `NetworkBuilder`. Any `size` will do: the network is convolutional, and trains at 224 px what it tests at 256."""
    check_no_stochastic_depth("SlowFast", options.drop_path)
    return SlowFast(spec, **options.given("classes", "labels", "frames", "dropout"))


R50: Final = (3, 4, 6, 3)
R101: Final = (3, 4, 23, 3)
CODE: Final = "https://github.com/facebookresearch/SlowFast"
ZOO: Final = "https://github.com/facebookresearch/pytorchvideo/blob/main/docs/source/model_zoo.md"


def _entry(spec: SlowFastSpec, **facts: Any) -> NetworkEntry:
    """An entry; by default a network of Kinetics-400, tested in 10 x 3 views at 256 px, whose weights are public."""
    common: dict[str, Any] = {
        "classes": 400, "class_names": "kinetics400", "stride": 2, "size": 256, "views": (10, 3), "sampling": "dense",
        "stochastic_depth": False, "layer_decay": False, "recipe": "supervised-slowfast-r101-k400",
        "licence": "Apache-2.0", "source": CODE, "paper": "Feichtenhofer et al. 2019",
    }  # fmt: skip
    return NetworkEntry(build=partial(build_slowfast, spec), formats=FORMATS, **common | facts)


# The numbers of a name are frames of the slow pathway and their distance. "101_50_50": temporal kernels as in a ResNet-50.
ENTRIES: Final = (
    _entry(
        SlowFastSpec(R50, fusion_kernel=7),
        name="slowfast-r50-8x8", title="SlowFast 8x8, R50", frames=32, parameters=34_566_488, gmacs=65.7,
    ),
    _entry(
        SlowFastSpec(R101),
        name="slowfast-r101-8x8", title="SlowFast 8x8, R101_50_50", frames=32, parameters=53_774_808, gmacs=106.5,
        licence="",
    ),
    _entry(
        SlowFastSpec(R101, temporal=R101),
        name="slowfast-r101-8x8-temporal", title="SlowFast 8x8, R101 with all temporal kernels", frames=32,
        parameters=62_826_968, gmacs=125.9, source=ZOO,
    ),
    _entry(
        SlowFastSpec(R101),
        name="slowfast-r101-16x8", title="SlowFast 16x8, R101_50_50", frames=64, parameters=53_774_808, gmacs=213.0,
        source=ZOO,
    ),
    _entry(
        SlowFastSpec(R101, nonlocal_after=(6, 13, 20)),
        name="slowfast-r101-16x8-nl", title="SlowFast 16x8, R101_50_50 + NL", frames=64, parameters=60_080_088,
        gmacs=242.0, licence="", recipe="supervised-slowfast-r101-nl-k400",
    ),
    _entry(
        SlowFastSpec(R50, fusion_kernel=7),
        name="slowfast-r50-16x8-ssv2", title="SlowFast 16x8, R50, of Something-Something V2", frames=64,
        classes=174, class_names="ssv2", views=(1, 1), sampling="sparse", parameters=34_045_558, gmacs=131.4,
        recipe="supervised-slowfast-r101-ssv2",
    ),
)  # fmt: skip
