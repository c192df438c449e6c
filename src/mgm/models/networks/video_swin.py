"""Video Swin-B as a classifier (Liu et al. 2022), the network of BEVT (Wang et al. 2022), and the readers of their weights."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Final

import torch.nn.functional as F
from torch import Tensor, nn

from mgm.models.networks.entry import NetworkEntry, NetworkOptions
from mgm.models.networks.image_start import State, averaged, check_image
from mgm.models.networks.network import VideoNetwork
from mgm.models.networks.swin import SwinBackbone, SwinSpec, offsets
from mgm.models.networks.weights import ALL_BUT_HEAD, WeightsFormat, load_renamed, same_name
from mgm.models.patches import MEAN, STD

_TABLE: Final = "relative_position_bias_table"
_FRAMES: Final = 32
_SIZE: Final = 224


class VideoSwin(VideoNetwork):
    """The backbone, the mean of the last map's cells, dropout, a linear layer.

    Args:
        spec: shapes.
        dropout: rate before the head.
        drop_path: rate of stochastic depth of the last block.
    """

    def __init__(
        self,
        spec: SwinSpec,
        *,
        classes: int,
        labels: Sequence[str] | None = None,
        frames: int | None = None,
        size: int | None = None,
        dropout: float = 0.5,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__(classes=classes, labels=labels, mean=MEAN, std=STD, frames=frames, size=size)
        self.backbone = SwinBackbone(spec, drop_path=drop_path)
        self.feature_dim = spec.widths[-1]
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(self.feature_dim, classes)
        nn.init.trunc_normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)
        self.depth = sum(spec.depths) + len(spec.depths) - 1

    def features(self, x: Tensor) -> Tensor:
        """The cells of the last map after the final norm; see `VideoNetwork.features`."""
        last: Tensor = self.backbone.norm(self.backbone.stages(self.backbone.embed(x))[-1])
        return last.flatten(1, 3)

    def classify(self, features: Tensor) -> Tensor:
        """See `VideoNetwork.classify`."""
        logits: Tensor = self.head(self.dropout(features.mean(1)))
        return logits

    def depth_of(self, name: str) -> int:
        """Blocks and mergings count in their order, the final norm as the last block: BEVT's fine-tuning on K400."""
        parts = name.split(".")
        if parts[:2] == ["backbone", "patch_embed"]:
            return 0
        if parts[:2] == ["backbone", "norm"]:
            return self.depth
        if parts[:2] != ["backbone", "layers"]:
            return self.depth + 1
        stage, depths = int(parts[2]), self.backbone.spec.depths
        before = sum(depths[:stage]) + stage  # each stage before this one has a merging
        return before + 1 + (depths[stage] if parts[3] == "downsample" else int(parts[4]))

    def fit(self, name: str, value: Tensor) -> Tensor:
        """A bias table of windows of another length, interpolated to this network's, as BEVT's fine-tuning does."""
        window = self.backbone.spec.window
        if not name.endswith(_TABLE) or len(value) == offsets(window) or value.ndim != 2:
            return value
        across = (2 * window[1] - 1) * (2 * window[2] - 1)
        steps, rest = divmod(len(value), across)
        if rest or steps % 2 == 0:
            return value  # windows of another height or width: reported as misshapen
        table = value.T.reshape(1, value.shape[1], steps, 2 * window[1] - 1, 2 * window[2] - 1)
        size = [2 * side - 1 for side in window]
        return (
            F.interpolate(table.float(), size=size, mode="trilinear").view(value.shape[1], -1).T.to(value).contiguous()
        )


def rename_classifier(name: str) -> str | None:
    """The name of a weight in files of mmaction2 and of BEVT's fine-tuning; None for the index of offsets, which is computed."""
    if name.endswith("relative_position_index"):
        return None
    return name.replace("cls_head.fc_cls.", "head.") if name.startswith("cls_head.fc_cls.") else name


_OTHER_PARTS: Final = (
    "cls_head.",
    *(
        f"backbone.{part}"
        for part in ("mask_token", "patch_embed_2d.", "lm_down.", "lm_down_st.", "fpn.", "fpn_s.", "fpn_t.")
    ),
)


def rename_pretrained(name: str) -> str | None:
    """The same in files of BEVT's pretraining; None also for its decoder, its embedding of pictures and its scores of codes."""
    return None if name.startswith(_OTHER_PARTS) else rename_classifier(name)


def take_backbone(network: VideoSwin, pretrained: SwinBackbone) -> None:
    """Give a classifier the weights of a pretrained backbone, whose windows may be shorter.

    Raises:
        ModelError: a backbone of other sizes.
    """
    state = {f"backbone.{key}": value for key, value in pretrained.state_dict().items()}
    load_renamed(network, state, rename_classifier, fresh=ALL_BUT_HEAD)


def build_video_swin(spec: SwinSpec, rate: float, options: NetworkOptions) -> VideoSwin:
    """See `NetworkBuilder`. rate: of stochastic depth by default."""
    own = {"frames": _FRAMES, "size": _SIZE, "drop_path": rate}
    return VideoSwin(spec, **own | options.given("classes", "labels", "frames", "size", "dropout", "drop_path"))


_MMCV: Final = WeightsFormat("mmaction2 or BEVT", "backbone.layers.0.blocks.0.attn.qkv.weight", rename_classifier)

_BEVT: Final = WeightsFormat("BEVT's pretraining", "backbone.mask_token", rename_pretrained, fresh=ALL_BUT_HEAD)


def inflate_swin(network: nn.Module, state: State) -> dict[str, Tensor]:
    """Swin of images as Video Swin's authors start from it.

    The patch embedding is averaged over its frames. A table of biases is the same for every distance in time; for windows of
    another side it is first interpolated.
    """
    assert isinstance(network, VideoSwin)
    check_image(state, "patch_embed.proj.weight")
    spec = network.backbone.spec
    sides = [2 * side - 1 for side in spec.window]
    found: dict[str, Tensor] = {}
    for name, value in state.items():
        if name.startswith("head.") or name.endswith(("relative_position_index", "attn_mask")):
            continue
        if name == "patch_embed.proj.weight":
            value = averaged(value, spec.patch[0])
        elif name.endswith(_TABLE) and value.ndim == 2:
            side = round(len(value) ** 0.5)
            if side**2 == len(value) and side != sides[1]:
                grid = value.T.reshape(1, -1, side, side).float()
                value = F.interpolate(grid, size=sides[1:], mode="bicubic").flatten(2)[0].T.to(value)
            value = value.repeat(sides[0], 1)
        found[f"backbone.{name}"] = value
    return found


_IMAGES: Final = WeightsFormat(
    "Swin of images", "layers.0.blocks.0.attn.qkv.weight", same_name, fresh=ALL_BUT_HEAD, inflate=inflate_swin
)

_K400: Final = NetworkEntry(
    name="video-swin-b-k400",
    title="Video Swin-B, window 8x7x7; BEVT's network",
    build=partial(build_video_swin, SwinSpec(), 0.3),
    formats=(_BEVT, _MMCV, _IMAGES),
    classes=400,
    class_names="kinetics400",
    frames=_FRAMES,
    stride=2,
    size=_SIZE,
    views=(4, 3),
    sampling="dense",
    parameters=88_048_984,
    gmacs=281.3,
    recipe="finetune-swinb-k400",
    licence="Apache-2.0",
    source="https://github.com/SwinTransformer/Video-Swin-Transformer",
    paper="Liu et al. 2022; Wang et al. 2022",
)

ENTRIES: Final = (
    _K400,
    replace(
        _K400,
        name="video-swin-b-ssv2",
        title="Video Swin-B, window 16x7x7; BEVT's network",
        build=partial(build_video_swin, SwinSpec(window=(16, 7, 7)), 0.4),
        classes=174,
        class_names="ssv2",
        views=(1, 3),
        sampling="sparse",
        parameters=88_834_038,
        gmacs=320.4,
        recipe="finetune-swinb-ssv2",
    ),
)
