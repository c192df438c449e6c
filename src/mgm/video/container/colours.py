"""Colour tags that FFmpeg's converter refuses, replaced by the nearest that it accepts: players show such videos."""

from __future__ import annotations

import av.video.frame

_UNSPECIFIED = 2
_ACCEPTED_MATRICES = frozenset({0, 1, _UNSPECIFIED, 4, 5, 6, 7, 9})
# Matrices that are derived from the primaries, whose numbers are those of the matrices made of them.
_FROM_PRIMARIES = frozenset({12, 13})
# BT.2020 with constant luminance, ICtCp and IPT: of the same wide-gamut sources.
_NEAREST_MATRIX = {10: 9, 14: 9, 15: 9}
# Logarithmic ones: the converter inverts every transfer, although it needs none here.
_REFUSED_TRANSFERS = frozenset({9, 10})


def make_convertible(picture: av.video.frame.VideoFrame) -> None:
    """Replace a decoded picture's matrix and transfer (numbers of ISO 23091-2) that cannot be converted.

    A matrix without a relative is read as unspecified, which FFmpeg takes for BT.601.
    """
    matrix = picture.colorspace
    if matrix not in _ACCEPTED_MATRICES:
        nearest = picture.color_primaries if matrix in _FROM_PRIMARIES else _NEAREST_MATRIX.get(matrix, _UNSPECIFIED)
        picture.colorspace = nearest if nearest in _ACCEPTED_MATRICES else _UNSPECIFIED
    if picture.color_trc in _REFUSED_TRANSFERS:
        picture.color_trc = _UNSPECIFIED
