"""Colours of even brightness: Oklab in cylindrical coordinates to sRGB (Ottosson, 2020).

In HSV a yellow is far brighter than a blue, so that one direction of motion would look faster than another.
"""

import numpy as np
import numpy.typing as npt

_TO_LMS = np.array(
    [
        [1.0, 0.3963377774, 0.2158037573],
        [1.0, -0.1055613458, -0.0638541728],
        [1.0, -0.0894841775, -1.2914855480],
    ]
)
_TO_LINEAR_RGB = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)


def lch_to_rgb(
    lightness: npt.NDArray[np.floating], chroma: npt.NDArray[np.floating], hue: npt.NDArray[np.floating]
) -> npt.NDArray[np.uint8]:
    """Arrays of one shape (...) to uint8 (..., 3). lightness 0 to 1, chroma from 0 (grey) to about .3, hue in radians.

    Colours outside sRGB are clipped channel by channel.
    """
    lab = np.stack([lightness, chroma * np.cos(hue), chroma * np.sin(hue)], axis=-1)
    linear = np.clip((lab @ _TO_LMS.T) ** 3 @ _TO_LINEAR_RGB.T, 0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    rgb: npt.NDArray[np.uint8] = np.round(encoded * 255).astype(np.uint8)
    return rgb
