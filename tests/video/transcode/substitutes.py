"""Encoders that stand in for one of hardware."""

from collections.abc import Callable

import pytest

from mgm.video.transcode.encoders import ENCODERS, VideoEncoder
from mgm.video.transcode.profiles import Profile

X264 = ENCODERS["software"].options


def x264_with(params: str) -> Callable[[Profile], dict[str, str]]:
    """The options of the software encoder, then other parameters of x264, of which the last one counts."""

    def options(profile: Profile) -> dict[str, str]:
        given = X264(profile)
        return {**given, "x264-params": f"{given['x264-params']}:{params}"}

    return options


def substitute(
    monkeypatch: pytest.MonkeyPatch,
    options: Callable[[Profile], dict[str, str]] = X264,
    *,
    name: str = "nvenc",
    codec: str = "libx264",
    pixel_format: str = "nv12",
    upload: str | None = None,
) -> None:
    """Put another encoder of FFmpeg behind a name, on the way that an encoder of hardware takes."""
    monkeypatch.setitem(ENCODERS, name, VideoEncoder(name, codec, options, pixel_format, upload, needs="a GPU"))
