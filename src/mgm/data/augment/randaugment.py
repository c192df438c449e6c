"""RandAugment (Cubuk et al., 2020) for clips: a few random operations, the same for all frames."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from mgm.data.augment import colour, warp
from mgm.data.augment.warp import Interpolation
from mgm.errors import ConfigError

_LARGEST_MAGNITUDE = 10.0
"""The magnitude at which an operation is strongest."""

Apply = Callable[[Tensor, float, Interpolation], Tensor]


@dataclass(frozen=True, slots=True)
class Operation:
    """One kind of change, stronger with the magnitude ("increasing", timm's `inc1`).

    Attributes:
        value: computes the operation's parameter from the strength in 0..1 and a random sign.
        apply: changes a clip, uint8 (3, T, H, W), by that parameter.
    """

    value: Callable[[float, int], float]
    apply: Apply


def _plain(function: Callable[[Tensor], Tensor]) -> Operation:
    return Operation(lambda strength, sign: 0.0, lambda clip, value, interpolation: function(clip))


def _by_level(function: Callable[[Tensor, int], Tensor], value: Callable[[float], int]) -> Operation:
    return Operation(
        lambda strength, sign: value(strength), lambda clip, value, interpolation: function(clip, int(value))
    )


def _enhance(function: Callable[[Tensor, float], Tensor]) -> Operation:
    return Operation(
        lambda strength, sign: max(1 + sign * 0.9 * strength, 0.1),
        lambda clip, value, interpolation: function(clip, value),
    )


def _move(function: Callable[..., Tensor], most: float) -> Operation:
    return Operation(
        lambda strength, sign: sign * most * strength,
        lambda clip, value, interpolation: function(clip, value, interpolation=interpolation),
    )


OPERATIONS: dict[str, Operation] = {
    "autocontrast": _plain(colour.autocontrast),
    "equalize": _plain(colour.equalize),
    "invert": _plain(colour.invert),
    "rotate": _move(warp.rotate, 30.0),  # degrees
    "posterize": _by_level(colour.posterize, lambda strength: max(4 - int(4 * strength), 1)),  # bits kept
    "solarize": _by_level(colour.solarize, lambda strength: 256 - int(256 * strength)),  # levels from here on
    "solarize_add": _by_level(colour.solarize_add, lambda strength: int(110 * strength)),
    "saturation": _enhance(colour.saturation),
    "contrast": _enhance(colour.contrast),
    "brightness": _enhance(colour.brightness),
    "sharpness": _enhance(colour.sharpness),
    "shear_x": _move(warp.shear_x, 0.3),
    "shear_y": _move(warp.shear_y, 0.3),
    "translate_x": _move(warp.translate_x, 0.45),  # shares of the side
    "translate_y": _move(warp.translate_y, 0.45),
}
"""The fifteen operations that timm's RandAugment draws from, and the parameter of each at a given strength."""

DrawnOperation = tuple[str, float]
"""(name of the operation, its parameter)."""


@dataclass(frozen=True, slots=True)
class RandAugment:
    """Draws `count` operations with replacement; each is applied with a probability of one half.

    Attributes:
        magnitude: 0 to 10.
        count: number of operations drawn.
        spread: standard deviation of the magnitude, which is drawn again for each operation and clipped to 0 to 10. Infinite: the
            magnitude is uniform from 0 to `magnitude`.
        probability: probability that a drawn operation is applied.
        interpolation: interpolation of rotated, sheared and shifted frames.

    The reference changes whole frames, then crops; here the crop is decoded and then changed, as in timm's training on images. It
    costs less, and the grey that is shifted in is a share of the crop, not of the frame.
    """

    magnitude: float = 7.0
    count: int = 4
    spread: float = 0.5
    probability: float = 0.5
    interpolation: Interpolation = "bicubic"

    def draw(self, rng: np.random.Generator) -> tuple[DrawnOperation, ...]:
        """Draw the operations of one clip."""
        names = list(OPERATIONS)
        drawn = []
        for number in rng.integers(len(names), size=self.count).tolist():
            applied = rng.random() < self.probability
            magnitude = self._magnitude(rng)
            sign = 1 if rng.random() < 0.5 else -1
            if applied:
                strength = min(max(magnitude, 0.0), _LARGEST_MAGNITUDE) / _LARGEST_MAGNITUDE
                drawn.append((names[number], OPERATIONS[names[number]].value(strength, sign)))
        return tuple(drawn)

    def _magnitude(self, rng: np.random.Generator) -> float:
        if math.isinf(self.spread):
            return float(rng.uniform(0, self.magnitude))
        return float(rng.normal(self.magnitude, self.spread))

    def apply(self, clip: Tensor, drawn: tuple[DrawnOperation, ...]) -> Tensor:
        """Apply drawn operations to uint8 (3, T, H, W), on any device; returns a new clip unless none was drawn."""
        clip = clip.contiguous()  # planar: the operations treat channels one by one
        for name, value in drawn:
            clip = OPERATIONS[name].apply(clip, value, self.interpolation)
        return clip


_FIELD_OF_LETTER = {"m": "magnitude", "n": "count", "mstd": "spread", "p": "probability"}
_UNIFORM = 100.0
"""In timm's form, magnitudes are drawn uniformly if `mstd` is above this."""


def parse_randaugment(text: str) -> RandAugment:
    """Parse timm's short form, such as "rand-m7-n4-mstd0.5-inc1": magnitude 7, 4 operations, spread .5, the increasing set. `p`
    is the probability of an operation, and with an `mstd` above 100 magnitudes are uniform from 0 to `m`.

    Defaults are timm's: m10, n2, mstd0, p0.5. "rand-m9-mstd0.5-inc1", timm's usual one, has two operations.

    Raises:
        ConfigError: any other text; timm's other set of operations (without `inc1`) and its weights are not supported.
    """
    head, *parts = text.split("-")
    values: dict[str, float] = {}
    increasing = False
    for part in parts:
        match = re.fullmatch(r"([a-z]+)(\d+(?:\.\d+)?)", part)
        if match is not None and part == "inc1":
            increasing = True
        elif match is not None and match[1] in _FIELD_OF_LETTER and _FIELD_OF_LETTER[match[1]] not in values:
            values[_FIELD_OF_LETTER[match[1]]] = float(match[2])
        else:
            increasing = False
            break
    count, spread = values.pop("count", 2.0), values.pop("spread", 0.0)
    drawn = RandAugment(
        values.get("magnitude", _LARGEST_MAGNITUDE),
        int(count),
        math.inf if spread > _UNIFORM else spread,
        values.get("probability", 0.5),
    )
    fits = drawn.magnitude <= _LARGEST_MAGNITUDE and drawn.probability <= 1 and drawn.count == count
    if head != "rand" or not increasing or not fits:
        raise ConfigError(
            "randaugment",
            f"found {text!r}",
            "a form such as 'rand-m7-n4-mstd0.5-inc1'",
            "m: magnitude up to 10 (default 10), n: number of operations (2), mstd: its spread (0; above 100: uniform), "
            "p: probability of each operation (0.5), inc1: always, operations that grow with the magnitude",
            reason="invalid_value",
        )
    return drawn
