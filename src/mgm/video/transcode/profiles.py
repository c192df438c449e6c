"""The kinds of file that `prepare` makes, and the line in each file that says how it was made."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mgm.errors import VideoError

VERSION = 1
"""Goes up when the same profile makes other files than before: what was prepared with another version is made again."""

STRIDES = (2, 4, 8)


@dataclass(frozen=True, slots=True)
class Profile:
    """How a video is encoded: always H.264, 8 bit, 4:2:0, in an MP4 without sound.

    Attributes:
        name: "motion", "compat" or "strided"; see `PROFILES`.
        short_side: of the result in pixels, even; smaller sources keep theirs; 0 keeps every source's.
        gop: most frames between two key pictures.
        crf: x264's constant rate factor, 1 (large) to 51 (ugly).
        preset: x264's.
        stride: every `stride`-th frame is a reference and no other is; None: references as the encoder likes.
        fast: tuned to decode fast (no deblocking filter, no CABAC), for larger files.
        x264: further settings of x264, `name=value` joined by colons.
    """

    name: str
    short_side: int
    gop: int
    crf: int = 23
    preset: str = "medium"
    stride: int | None = None
    fast: bool = True
    x264: str = ""

    @property
    def options(self) -> dict[str, str]:
        """Options of FFmpeg's `libx264`."""
        # cpu-independent: otherwise x264's macroblock tree gives the same frames other bytes from run to run.
        params = ["cpu-independent=1", f"keyint={self.gop}"]
        if self.stride is not None:
            params += [f"min-keyint={self.gop}", f"bframes={self.stride - 1}", "scenecut=0", "b-adapt=0"]
            params += ["b-pyramid=none", "ref=1", "open-gop=1"]
        if self.x264:
            params.append(self.x264)
        options = {"crf": str(self.crf), "preset": self.preset, "x264-params": ":".join(params)}
        return {**options, "tune": "fastdecode"} if self.fast else options


PROFILES = {
    # Reads fastest and every vector spans one frame; larger than `compat`.
    "motion": Profile("motion", short_side=256, gop=32, x264="bframes=0:ref=1"),
    # What every player and library expects of an H.264 file.
    "compat": Profile("compat", short_side=0, gop=250, fast=False),
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
        VideoError: no such profile, or a setting it cannot have.
    """
    if name not in PROFILES:
        raise VideoError(f"profile {name!r}: expected one of {', '.join(PROFILES)}")
    profile = PROFILES[name]
    if stride is not None and profile.stride is None:
        raise VideoError(f"profile {name}: stride is {stride}, expected none: only 'strided' has one; leave it out")
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
        raise VideoError(
            f"profile {profile.name}: short side is {side}, expected an even number, or 0 to keep the source's"
        )
    if not 1 <= profile.crf <= 51:
        raise VideoError(f"profile {profile.name}: crf is {profile.crf}, expected 1 to 51; 23 is usual")
    if stride is None:
        if gop < 2:
            raise VideoError(
                f"profile {profile.name}: gop is {gop}, expected 2 or more: key pictures carry no motion vectors"
            )
        return
    if stride not in STRIDES:
        raise VideoError(f"profile {profile.name}: stride is {stride}, expected one of {', '.join(map(str, STRIDES))}")
    if gop % stride or gop < 2 * stride:
        raise VideoError(
            f"profile {profile.name}: gop is {gop}, expected a multiple of the stride, {2 * stride} or more: "
            f"try {max(round(gop / stride), 2) * stride}"
        )


def describe(profile: Profile) -> str:
    """One line that tells two profiles apart; `transcode` writes it into the file's metadata as "comment". For example
    "mgm profile=strided stride=4 gop=32 crf=23 short_side=256 preset=medium version=1".
    """
    settings = {
        "profile": profile.name,
        "stride": profile.stride,
        "gop": profile.gop,
        "crf": profile.crf,
        "short_side": profile.short_side,
        "preset": profile.preset,
        "version": VERSION,
    }
    return " ".join(["mgm", *(f"{key}={value}" for key, value in settings.items() if value is not None)])
