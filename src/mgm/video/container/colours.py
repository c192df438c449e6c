"""Colour tags that FFmpeg's converter refuses, replaced by the nearest that it accepts: players show such videos."""

from __future__ import annotations

import av.error
import av.filter
import av.video.frame

_UNSPECIFIED = 2
_YCGCO = 8
_ACCEPTED_MATRICES = frozenset({0, 1, _UNSPECIFIED, 4, 5, 6, 7, 9})
# Matrices that are derived from the primaries, whose numbers are those of the matrices made of them.
_FROM_PRIMARIES = frozenset({12, 13})
# BT.2020 with constant luminance, ICtCp and IPT: of the same wide-gamut sources.
_NEAREST_MATRIX = {10: 9, 14: 9, 15: 9}
# Logarithmic ones: the converter inverts every transfer, although it needs none here.
_REFUSED_TRANSFERS = frozenset({9, 10})


def convertible(picture: av.video.frame.VideoFrame) -> av.video.frame.VideoFrame:
    """A decoded picture with a matrix and a transfer (numbers of ISO 23091-2) that can be converted.

    A matrix without a relative is read as unspecified, which FFmpeg takes for BT.601.
    """
    matrix = picture.colorspace
    if matrix == _YCGCO:
        picture = _from_ycgco(picture)
    elif matrix not in _ACCEPTED_MATRICES:
        nearest = picture.color_primaries if matrix in _FROM_PRIMARIES else _NEAREST_MATRIX.get(matrix, _UNSPECIFIED)
        picture.colorspace = nearest if nearest in _ACCEPTED_MATRICES else _UNSPECIFIED
    if picture.color_trc in _REFUSED_TRANSFERS:
        picture.color_trc = _UNSPECIFIED
    return picture


def _from_ycgco(picture: av.video.frame.VideoFrame) -> av.video.frame.VideoFrame:
    """The picture in BT.709, with all of its side data. YCgCo has no near relative: it is converted, where a filter can."""
    graph = av.filter.Graph()
    graph.threads = 1
    source = graph.add(
        "buffer",
        video_size=f"{picture.width}x{picture.height}",
        pix_fmt=picture.format.name,
        time_base="1/1000",  # the filter ignores times
        colorspace=str(_YCGCO),
        range=str(int(picture.color_range)),
    )
    convert = graph.add("colorspace", "all=bt709:iall=bt709:ispace=ycgco:fast=1")
    try:
        graph.link_nodes(source, convert, graph.add("buffersink")).configure()
        graph.push(picture)
        converted = graph.pull()
    except av.error.FFmpegError:  # odd sides, or a rare pixel format
        picture.colorspace = _UNSPECIFIED
        return picture
    assert isinstance(converted, av.video.frame.VideoFrame)
    return converted
