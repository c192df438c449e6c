"""The profiles of `mgm prepare`, and the line in each file that names its profile."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mgm.errors import VideoError
from mgm.video.container.metadata import LONGEST_STRIDE

PROFILE_VERSION = 1
"""Increased when a profile makes other files than before: files of another version are made again."""

_STRIDES = (2, 4, LONGEST_STRIDE)


@dataclass(frozen=True, slots=True)
class Profile:
    """How a video is encoded: always H.264, 8 bit, 4:2:0, in an MP4 without sound.

    Attributes:
        name: "motion", "compat" or "strided"; see `PROFILES`.
        short_side: of the result in pixels, even; smaller sources keep theirs; 0 keeps every source's.
        gop: maximum number of frames between two keyframes.
        crf: x264's constant rate factor, 1 (large) to 51 (ugly); other encoders have a knob like it.
        preset: x264's.
        stride: every `stride`-th frame is a reference and no other is; None: every frame is, or the encoder chooses.
        chained: a P-picture refers to the reference before it alone, and without a stride there are no B-pictures.
        fast: tuned to decode fast (no deblocking filter, no CABAC), for larger files.
        x264: further settings of x264, `name=value` joined by colons.
        encoder: a name of `mgm.video.transcode.encoders.ENCODERS`.
    """

    name: str
    short_side: int
    gop: int
    crf: int = 23
    preset: str = "medium"
    stride: int | None = None
    chained: bool = True
    fast: bool = True
    x264: str = ""
    encoder: str = "software"

    @property
    def b_frames(self) -> int | None:
        """Number of B-pictures before each P-picture; None: the encoder chooses."""
        return (self.stride or 1) - 1 if self.chained else None


PROFILES = {
    # Reads fastest and every vector spans one frame; larger than `compat`.
    "motion": Profile("motion", short_side=256, gop=32),
    # What every player and library expects of an H.264 file.
    "compat": Profile("compat", short_side=0, gop=250, chained=False, fast=False),
    # Every stride-th frame decodes without the others, and its vectors span one sampling step. Undivided blocks agree better with
    # dense flow than divided ones, intra or not; a longer search agrees worse: experiments/strided.
    "strided": Profile("strided", short_side=256, gop=32, stride=4, x264="partitions=none"),
}


def make_profile(
    name: str,
    *,
    stride: int | None = None,
    short_side: int | None = None,
    gop: int | None = None,
    crf: int | None = None,
) -> Profile:
    """A named profile, with some of its settings changed.

    Raises:
        VideoError: unknown profile, or a setting that it cannot have.
    """
    if name not in PROFILES:
        raise VideoError(f"profile {name!r}", "unknown", f"one of {', '.join(PROFILES)}", reason="unknown_name")
    profile = PROFILES[name]
    if stride is not None and profile.stride is None:
        raise _bad_setting(profile, "stride", stride, "none: only 'strided' has one", "leave it out")
    profile = replace(
        profile,
        stride=profile.stride if stride is None else stride,
        short_side=profile.short_side if short_side is None else short_side,
        gop=profile.gop if gop is None else gop,
        crf=profile.crf if crf is None else crf,
    )
    _check(profile)
    return profile


def _check(profile: Profile) -> None:
    side, gop, stride = profile.short_side, profile.gop, profile.stride
    if side < 0 or side % 2:
        raise _bad_setting(profile, "short side", side, "an even number, or 0 to keep the source's")
    if not 1 <= profile.crf <= 51:
        raise _bad_setting(profile, "crf", profile.crf, "1 to 51", "23 is usual")
    if stride is None:
        if gop < 2:
            raise _bad_setting(profile, "gop", gop, "2 or more: keyframes have no motion vectors")
        return
    if stride not in _STRIDES:
        raise _bad_setting(profile, "stride", stride, f"one of {', '.join(map(str, _STRIDES))}")
    if gop % stride or gop < 2 * stride:
        advice = f"try {max(round(gop / stride), 2) * stride}"
        raise _bad_setting(profile, "gop", gop, f"a multiple of the stride, {2 * stride} or more", advice)


def _bad_setting(profile: Profile, setting: str, value: int, expected: str, advice: str = "") -> VideoError:
    return VideoError(f"profile {profile.name}", f"{setting} is {value}", expected, advice, reason="invalid_value")


def describe_profile(profile: Profile) -> str:
    """One line with all settings of a profile; `transcode_video` writes it into the file's metadata as "comment". For example
    "mgm profile=strided stride=4 gop=32 crf=23 short_side=256 preset=medium version=1"; `encoder=nvenc` instead of x264's preset if
    another encoder made the file.
    """
    software = profile.encoder == "software"
    settings = {
        "profile": profile.name,
        "stride": profile.stride,
        "gop": profile.gop,
        "crf": profile.crf,
        "short_side": profile.short_side,
        "preset": profile.preset if software else None,
        "encoder": None if software else profile.encoder,
        "version": PROFILE_VERSION,
    }
    return " ".join(["mgm", *(f"{key}={value}" for key, value in settings.items() if value is not None)])
