"""RAFT-small, optical flow by a recurrent network (Teed & Deng, ECCV 2020), and an estimator of motion for `mgm.read_clip`.

Optional: `mgm.video` does not import it.

The weights are the user's: `raft-small.pth` of the authors' release, or torchvision's `raft_small_C_T_V1` and `_V2`,
which contain the same network with other names of layers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Final, Literal

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mgm.errors import ModelError
from mgm.files.safetensors_file import read_safetensors
from mgm.files.torch_file import read_torch

LEVELS: Final = 4
"""Levels of the correlation pyramid (Section 3.2)."""
RADIUS: Final = 3
"""Radius of a look-up in cells of each level (Section 3.2)."""

_STRIDE: Final = 8  # pixels per cell of the features
_FEATURES, _HIDDEN, _CONTEXT = 128, 96, 64
_TAPS: Final = LEVELS * (2 * RADIUS + 1) ** 2
_SMALLEST: Final = _STRIDE * 2 ** (LEVELS - 1)  # below it the coarsest level has no cell
_FILES: Final = "raft-small.pth of the authors or raft_small_C_T_V1 or _V2 of torchvision"


class Raft(nn.Module):
    """RAFT-small: 990,162 parameters, named as in the authors' `raft-small.pth`.

    Features at 1/8 of the resolution are correlated all with all. A convolutional GRU looks up correlations at the places
    to which the flow points, and refines the flow, which is then enlarged bilinearly.
    The correlations of two pictures take about (H W / 64)^2 x 5.3 bytes: 10 MB at 340 x 256, 1.1 GB at 1280 x 720.
    """

    def __init__(self) -> None:
        super().__init__()
        self.fnet = _Features(_FEATURES, normalised=True)
        self.cnet = _Features(_HIDDEN + _CONTEXT, normalised=False)
        self.update_block = _Update()

    def forward(self, first: Tensor, second: Tensor, *, iterations: int = 12) -> Tensor:
        """The displacement (dx, dy) in pixels from `first` to `second` of the content at each pixel of `first`.

        Args:
            first, second: (B, 3, H, W) RGB, uint8 or floating point, 0 to 255. Any size; sides are padded to multiples of 8 and to
                64 at least, by repeating the border.

        Returns:
            float32 (B, 2, H, W).

        Raises:
            ModelError: the shapes do not fit or `iterations` is below 1.
        """
        *_, flow = self._refine(first, second, iterations)
        return _enlarge(flow, first)

    def predictions(self, first: Tensor, second: Tensor, *, iterations: int = 12) -> list[Tensor]:
        """`forward`'s flow after each iteration, for a loss over the sequence (Section 3.4, Eq. 7)."""
        return [_enlarge(flow, first) for flow in self._refine(first, second, iterations)]

    def _refine(self, first: Tensor, second: Tensor, iterations: int) -> Iterator[Tensor]:
        """(B, 2, h, w) after each iteration, in cells of the padded features."""
        if first.ndim != 4 or first.shape[1] != 3 or first.shape != second.shape:
            shapes = f"{tuple(first.shape)} and {tuple(second.shape)}"
            raise ModelError("raft", f"found pictures {shapes}", "(B, 3, H, W) twice", reason="invalid_shape")
        _check_iterations(iterations)
        one, two = _prepare(first), _prepare(second)
        pyramid = Correlation(*self.fnet(torch.cat([one, two])).chunk(2))
        hidden, context = self.cnet(one).split([_HIDDEN, _CONTEXT], dim=1)
        hidden, context = hidden.tanh(), context.relu()
        here = _cell_coordinates(hidden)
        flow = torch.zeros_like(here)
        for _ in range(iterations):
            # As in the authors' code, gradients flow to earlier iterations through the GRU only.
            flow = flow.detach()
            hidden, step = self.update_block(hidden, context, pyramid(here + flow), flow)
            flow = flow + step
            yield flow


class Correlation:
    """All-pairs correlations of two feature maps, at four resolutions of the second (Section 3.2).

    Args:
        first, second: (B, D, h, w); h and w are 8 or more.
    """

    def __init__(self, first: Tensor, second: Tensor) -> None:
        batch, depth, height, width = first.shape
        level = torch.einsum("bdn,bdm->bnm", first.flatten(2), second.flatten(2)) / depth**0.5
        level = level.reshape(batch * height * width, 1, height, width)
        self.levels = [level]
        for _ in range(LEVELS - 1):
            level = F.avg_pool2d(level, 2)
            self.levels.append(level)

    def __call__(self, centres: Tensor) -> Tensor:
        """Correlations around one point per cell of the first map, bilinear, zero outside.

        Args:
            centres: (B, 2, h, w), (x, y) in cells of the second map.

        Returns:
            (B, 4 x 49, h, w): by level, then dx, then dy in cells of that level, from -3 to 3.
        """
        batch, _, height, width = centres.shape
        offsets = torch.arange(-RADIUS, RADIUS + 1, device=centres.device, dtype=centres.dtype)
        window = torch.stack(torch.meshgrid(offsets, offsets, indexing="ij"), dim=-1)
        points = centres.permute(0, 2, 3, 1).reshape(-1, 1, 1, 2)
        taps = []
        for power, level in enumerate(self.levels):
            sides = torch.tensor([level.shape[3], level.shape[2]], device=centres.device, dtype=centres.dtype)
            # Relative to the borders, not to the centres of the outer cells, which would divide by zero in a map of one cell.
            grid = (2 * (points / 2**power + window) + 1) / sides - 1
            found = F.grid_sample(level, grid, align_corners=False)
            taps.append(found.reshape(batch, height, width, -1))
        return torch.cat(taps, dim=-1).permute(0, 3, 1, 2)


def load_raft(path: str | Path) -> Raft:
    """RAFT-small with the weights of a file, in evaluation mode on the CPU. Code in the file is not run.

    Args:
        path: a state dict as .safetensors or as torch.save writes it, with the authors' names (with or without "module.") or
            torchvision's. Both releases take pixels as 2 x / 255 - 1.

    Raises:
        ModelError: about the path: the file cannot be read or does not fit.
    """
    state = {_our_name(key): value for key, value in _read(Path(path)).items()}
    with torch.device("meta"):  # draws no random numbers, which keeps the caller's random state
        model = Raft()
    shapes = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    missing, unexpected = sorted(shapes.keys() - state.keys()), sorted(state.keys() - shapes.keys())
    if missing or unexpected:
        raise ModelError(
            path,
            f"found {len(missing)} of {len(shapes)} keys missing ({', '.join(missing[:3])}) and "
            f"{len(unexpected)} unexpected ({', '.join(unexpected[:3])})",
            f"the weights of RAFT-small: {_FILES}",
            reason="mismatch",
        )
    wrong = [f"{key} {tuple(state[key].shape)} for {shapes[key]}" for key in shapes if state[key].shape != shapes[key]]
    if wrong:
        found = f"found {len(wrong)} of {len(shapes)} shapes that do not fit ({', '.join(wrong[:3])})"
        raise ModelError(path, found, f"the weights of RAFT-small: {_FILES}", reason="mismatch")
    model.load_state_dict({key: value.float() for key, value in state.items()}, assign=True)
    return model.eval()


@dataclass(frozen=True)
class RaftEstimator:
    """Motion between two pictures by RAFT-small; a `mgm.video.motion.estimators.MotionEstimator`.

    Attributes:
        weights: a file for `load_raft`. None: fixed random weights, for measuring time; the motion is meaningless.
        iterations: refinements per pair (Section 3.3). The authors trained with 12.
        device: of the network: "cpu", "cuda", "cuda:1".
        name, pixel_format, shrink, in_pixels: takes RGB of the full coded size, returns pixels of it.

    Raises ModelError if the weights do not fit, `iterations` is below 1, or torch cannot use the device.
    """

    weights: str | Path | None
    iterations: int = 12
    device: str = "cpu"
    name: ClassVar[Literal["raft"]] = "raft"
    pixel_format: ClassVar[Literal["rgb24"]] = "rgb24"
    shrink: ClassVar[int] = 1
    in_pixels: ClassVar[bool] = True
    network: Raft = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check_iterations(self.iterations)
        model = _random() if self.weights is None else load_raft(self.weights)
        try:
            model = model.to(self.device)
        except (RuntimeError, AssertionError) as error:  # torch built without CUDA raises AssertionError
            raise ModelError(
                "device",
                f"found {self.device!r} ({str(error).splitlines()[0]})",
                "a device that torch can use here, such as 'cpu'",
                reason="unsupported",
            ) from error
        object.__setattr__(self, "network", model.requires_grad_(False))

    def between(self, before: npt.NDArray[np.uint8], after: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """The displacement (dx, dy) in pixels, x right and y down, from `before` to `after`.

        Args:
            before, after: uint8 (h, w, 3) RGB.

        Returns:
            float32 (h, w, 2), at each pixel of `after` the motion of its content since `before`, as in codecs. Equal pictures give
            equal results.

        Raises:
            ModelError: other pictures.
        """
        for picture in (before, after):
            if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or picture.shape != before.shape:
                raise ModelError(
                    "raft",
                    f"found pictures {before.dtype} {before.shape} and {after.dtype} {after.shape}",
                    "two uint8 (h, w, 3) of one size",
                    reason="invalid_shape",
                )
        with torch.inference_mode():
            pair = torch.from_numpy(np.stack([after, before])).to(self.device).permute(0, 3, 1, 2)
            back = self.network(pair[:1], pair[1:], iterations=self.iterations)[0]
        motion: npt.NDArray[np.float32] = (-back).permute(1, 2, 0).contiguous().cpu().numpy()
        return motion


class _Features(nn.Module):
    """Pictures to features at 1/8 of the resolution: (B, 3, H, W) in [-1, 1] to (B, channels, H/8, W/8)."""

    def __init__(self, channels: int, *, normalised: bool) -> None:
        super().__init__()
        self.normalised = normalised
        self.conv1 = nn.Conv2d(3, 32, 7, stride=2, padding=3)
        self.layer1 = nn.Sequential(_Bottleneck(32, 32, normalised), _Bottleneck(32, 32, normalised))
        self.layer2 = nn.Sequential(_Bottleneck(32, 64, normalised), _Bottleneck(64, 64, normalised))
        self.layer3 = nn.Sequential(_Bottleneck(64, 96, normalised), _Bottleneck(96, 96, normalised))
        self.conv2 = nn.Conv2d(96, channels, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, picture: Tensor) -> Tensor:
        x = _normal(self.conv1(picture), self.normalised).relu()
        features: Tensor = self.conv2(self.layer3(self.layer2(self.layer1(x))))
        return features


class _Bottleneck(nn.Module):
    """A residual block through a quarter of the channels; it halves the resolution if it increases their number."""

    def __init__(self, given: int, channels: int, normalised: bool) -> None:
        super().__init__()
        self.normalised = normalised
        narrow, stride = channels // 4, 1 if given == channels else 2
        self.conv1 = nn.Conv2d(given, narrow, 1)
        self.conv2 = nn.Conv2d(narrow, narrow, 3, stride=stride, padding=1)
        self.conv3 = nn.Conv2d(narrow, channels, 1)
        # A list of one layer: the releases name it downsample.0.
        self.downsample = nn.Sequential(nn.Conv2d(given, channels, 1, stride=stride)) if stride == 2 else None

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for layer in (self.conv1, self.conv2, self.conv3):
            y = _normal(layer(y), self.normalised).relu()
        if self.downsample is not None:
            x = _normal(self.downsample(x), self.normalised)
        return (x + y).relu()


class _Update(nn.Module):
    """One refinement (Section 3.3): the GRU's new state, and the step of the flow in cells."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = _MotionEncoder()
        self.gru = _Gru(_HIDDEN, _CONTEXT + 82)
        self.flow_head = nn.ModuleDict(
            {"conv1": nn.Conv2d(_HIDDEN, 128, 3, padding=1), "conv2": nn.Conv2d(128, 2, 3, padding=1)}
        )

    def forward(self, hidden: Tensor, context: Tensor, taps: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.gru(hidden, torch.cat([context, self.encoder(taps, flow)], dim=1))
        return hidden, self.flow_head["conv2"](self.flow_head["conv1"](hidden).relu())


class _MotionEncoder(nn.Module):
    """Correlations and flow to (B, 82, h, w); the last two channels are the flow itself."""

    def __init__(self) -> None:
        super().__init__()
        self.convc1 = nn.Conv2d(_TAPS, 96, 1)
        self.convf1 = nn.Conv2d(2, 64, 7, padding=3)
        self.convf2 = nn.Conv2d(64, 32, 3, padding=1)
        self.conv = nn.Conv2d(128, 80, 3, padding=1)

    def forward(self, taps: Tensor, flow: Tensor) -> Tensor:
        seen = self.convc1(taps).relu()
        moved = self.convf2(self.convf1(flow).relu()).relu()
        return torch.cat([self.conv(torch.cat([seen, moved], dim=1)).relu(), flow], dim=1)


class _Gru(nn.Module):
    """A gated recurrent unit whose layers are convolutions (Section 3.3, Eq. 3 to 6)."""

    def __init__(self, hidden: int, given: int) -> None:
        super().__init__()
        self.convz = nn.Conv2d(hidden + given, hidden, 3, padding=1)
        self.convr = nn.Conv2d(hidden + given, hidden, 3, padding=1)
        self.convq = nn.Conv2d(hidden + given, hidden, 3, padding=1)

    def forward(self, hidden: Tensor, given: Tensor) -> Tensor:
        both = torch.cat([hidden, given], dim=1)
        update, reset = self.convz(both).sigmoid(), self.convr(both).sigmoid()
        proposal = self.convq(torch.cat([reset * hidden, given], dim=1)).tanh()
        return torch.lerp(hidden, proposal, update)


def _normal(x: Tensor, normalised: bool) -> Tensor:
    return F.instance_norm(x) if normalised else x


def _padding(size: int) -> tuple[int, int]:
    """Pixels before and after one side of a picture."""
    more = max(_SMALLEST, -(-size // _STRIDE) * _STRIDE) - size
    return more // 2, more - more // 2


def _prepare(picture: Tensor) -> Tensor:
    """The picture padded to a size that the network accepts, in [-1, 1]."""
    height, width = picture.shape[-2:]
    return F.pad(picture.float() / 127.5 - 1, (*_padding(width), *_padding(height)), mode="replicate")


def _enlarge(flow: Tensor, picture: Tensor) -> Tensor:
    """Flow in cells -> flow in pixels, of the size of the picture."""
    full = _STRIDE * F.interpolate(flow, scale_factor=_STRIDE, mode="bilinear", align_corners=True)
    height, width = picture.shape[-2:]
    top, left = _padding(height)[0], _padding(width)[0]
    return full[..., top : top + height, left : left + width]


def _cell_coordinates(like: Tensor) -> Tensor:
    """(B, 2, h, w): the (x, y) of each cell."""
    batch, _, height, width = like.shape
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([x, y]).to(like).expand(batch, 2, height, width)


def _torchvision_layers() -> dict[str, str]:
    """{torchvision's name of a layer: the authors' name}."""
    names = {"motion_encoder.conv.0": "encoder.conv", "motion_encoder.convcorr1.0": "encoder.convc1"}
    names |= {f"motion_encoder.convflow{i}.0": f"encoder.convf{i}" for i in (1, 2)}
    names |= {f"recurrent_block.convgru1.conv{gate}": f"gru.conv{gate}" for gate in "zrq"}
    names = {f"update_block.{theirs}": f"update_block.{ours}" for theirs, ours in names.items()}
    for theirs, ours in (("feature_encoder", "fnet"), ("context_encoder", "cnet")):
        names |= {f"{theirs}.convnormrelu.0": f"{ours}.conv1", f"{theirs}.conv": f"{ours}.conv2"}
        for block in (f"layer{i}.{j}" for i in (1, 2, 3) for j in (0, 1)):
            names |= {f"{theirs}.{block}.convnormrelu{i}.0": f"{ours}.{block}.conv{i}" for i in (1, 2, 3)}
            names[f"{theirs}.{block}.downsample.0"] = f"{ours}.{block}.downsample.0"
    return names


_TORCHVISION: Final[Mapping[str, str]] = _torchvision_layers()


def _our_name(key: str) -> str:
    layer, dot, kind = key.removeprefix("module.").rpartition(".")
    return f"{_TORCHVISION.get(layer, layer)}{dot}{kind}"


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise ModelError(path, "does not exist", f"the weights of RAFT-small: {_FILES}", reason="not_found")
    content = read_safetensors(path) if path.suffix == ".safetensors" else read_torch(path)
    if not isinstance(content, Mapping):
        raise _not_tensors(path, type(content).__name__)
    wrong = [str(key) for key, value in content.items() if not (isinstance(key, str) and isinstance(value, Tensor))]
    if wrong:
        raise _not_tensors(path, ", ".join(wrong[:3]))
    return dict(content)


def _not_tensors(path: Path, found: str) -> ModelError:
    return ModelError(path, f"found {found}", f"tensors by name of layer: {_FILES}", reason="malformed")


def _check_iterations(iterations: int) -> None:
    if iterations < 1:
        raise ModelError("iterations", f"found {iterations}", "at least 1", reason="invalid_value")


def _random() -> Raft:
    """Fixed random weights; the caller's random state is kept."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        return Raft().eval()
