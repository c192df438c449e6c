"""What a page asks for: a clip and a mask over it. All of it comes from a browser and is checked here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar, get_args

from mgm.errors import ConfigError
from mgm.explore.controls import checked_options
from mgm.masks import Mask, build_mask, list_masks
from mgm.video.motion.names import CameraModel, Reading

Source = Literal["auto", "codec", "flow", "difference"]
SOURCES: tuple[Source, ...] = get_args(Source)
READINGS: tuple[Reading, ...] = ("clean", "raw")
CAMERAS: tuple[CameraModel, ...] = get_args(CameraModel)

ChoiceT = TypeVar("ChoiceT", bound=str)

DEFAULT_MASK: Mapping[str, Any] = {"name": "mgm", "ratio": 0.75, "options": {}}
"""The mask that the page begins with unless a run has its own."""

MOST_FRAMES = 64
MOST_STRIDE = 32
_MOST_NUMBER = 2**31 - 1


@dataclass(frozen=True, slots=True)
class TokenSizes:
    """Pixels of a clip and of a token, and frames of a token. A run has its own."""

    size: int = 224
    patch: int = 16
    tubelet: int = 2

    def grid(self, frames: int) -> tuple[int, int, int]:
        """Tokens (t, h, w) of a clip of so many frames; ConfigError if they do not divide into tubelets."""
        if frames % self.tubelet:
            raise invalid_value("frames", frames, f"a multiple of the {self.tubelet} frames of a token")
        side = self.size // self.patch
        return frames // self.tubelet, side, side


@dataclass(frozen=True, slots=True)
class ClipRequest:
    """A clip of a video; the fields are those of `mgm.read_clip`. It is also the key of the clip in memory."""

    start: int = 0
    frames: int = 16
    stride: int = 4
    size: int = 224
    motion: Source = "auto"
    reading: Reading = "clean"
    camera: CameraModel = "none"


@dataclass(frozen=True, slots=True)
class MaskRequest:
    """A mask: its rule, the share of hidden tokens, and the options that differ from the rule's own."""

    rule: Mask
    ratio: float
    options: Mapping[str, object]


def read_clip_request(given: object, tokens: TokenSizes, *, fixed: ClipRequest | None = None) -> ClipRequest:
    """The clip that a page asks for.

    Args:
        fixed: the clips of a run, whose frames and stride cannot be chosen.

    Raises:
        ConfigError: a value is out of range or unknown.
    """
    asked = as_mapping("clip", given)
    plain = ClipRequest(size=tokens.size)
    request = ClipRequest(
        start=read_integer(asked, "start", plain.start, low=0, high=_MOST_NUMBER),
        frames=read_integer(asked, "frames", plain.frames, low=tokens.tubelet, high=MOST_FRAMES),
        stride=read_integer(asked, "stride", plain.stride, low=1, high=MOST_STRIDE),
        size=tokens.size,
        motion=read_choice(asked, "motion", SOURCES, plain.motion),
        reading=read_choice(asked, "reading", READINGS, plain.reading),
        camera=read_choice(asked, "camera", CAMERAS, plain.camera),
    )
    if fixed is not None:
        request = replace(request, frames=fixed.frames, stride=fixed.stride)
    tokens.grid(request.frames)
    return request


def neighbours(request: ClipRequest, tokens: TokenSizes, *, fixed: bool) -> list[ClipRequest]:
    """The clips that one step of a control would ask for, the likely ones first.

    Args:
        fixed: frames and stride cannot be chosen.
    """
    found = [replace(request, camera=camera) for camera in CAMERAS]
    found += [replace(request, reading=reading) for reading in READINGS]
    found += [replace(request, motion=source) for source in SOURCES if source != "flow"]
    found += [replace(request, start=request.start + step) for step in (4 * request.stride, 1)]
    if not fixed:
        strides = (request.stride - 1, request.stride + 1)
        found += [replace(request, stride=stride) for stride in strides if 1 <= stride <= MOST_STRIDE]
        counts = (request.frames - tokens.tubelet, request.frames + tokens.tubelet)
        found += [replace(request, frames=frames) for frames in counts if 0 < frames <= MOST_FRAMES]
    found.append(replace(request, motion="flow"))  # takes longest
    return [other for other in found if other != request]


def read_mask_request(given: object) -> MaskRequest:
    """The mask that a page asks for: one of the catalog. `package.module:Class`, which would import code, is refused.

    Raises:
        ConfigError, MaskError: an unknown name, or a value out of range.
    """
    asked = as_mapping("mask", given)
    name = read_choice(asked, "name", list_masks(), DEFAULT_MASK["name"])
    ratio = asked.get("ratio", DEFAULT_MASK["ratio"])
    if isinstance(ratio, bool) or not isinstance(ratio, int | float):
        raise invalid_value("ratio", ratio, "a number between 0 and 1")
    options = checked_options(name, as_mapping("options", asked.get("options", {})))
    return MaskRequest(build_mask(name, **options), float(ratio), options)


def as_mapping(name: str, given: object) -> Mapping[str, Any]:
    """An object of JSON; ConfigError for anything else."""
    if not isinstance(given, dict):
        raise invalid_value(name, given, "an object")
    return given


def read_integer(asked: Mapping[str, Any], name: str, default: int, *, low: int, high: int) -> int:
    """An integer in [low, high]; ConfigError for anything else."""
    value = asked.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise invalid_value(name, value, f"an integer from {low} to {high}")
    return value


def read_choice(asked: Mapping[str, Any], name: str, choices: tuple[ChoiceT, ...], default: ChoiceT) -> ChoiceT:
    """One of the choices; ConfigError for anything else."""
    value = asked.get(name, default)
    for choice in choices:
        if value == choice:
            return choice
    raise invalid_value(name, value, f"one of {', '.join(choices)}")


def read_seed(asked: Mapping[str, Any]) -> int:
    """The seed of the masks."""
    return read_integer(asked, "seed", 0, low=0, high=_MOST_NUMBER)


def invalid_value(name: str, found: object, expected: str) -> ConfigError:
    """The error of a value of a request that is not as expected."""
    return ConfigError(name, f"found {str(found)[:80]!r}", expected, reason="invalid_value")
