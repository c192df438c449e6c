"""The encoder of a run: what FFmpeg contains, what opens on this machine, and what keeps the profile, found out by a trial."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import av
import av.codec.codec
import numpy as np
import numpy.typing as npt

from mgm.errors import VideoError
from mgm.video.transcode.encode import transcode_video
from mgm.video.transcode.encoders import AUTO, ENCODERS, VideoEncoder, find_encoder
from mgm.video.transcode.profiles import PROFILES, Profile
from mgm.video.transcode.write import write_video

_HARDWARE = tuple(name for name in ENCODERS if name != "software")
_MOST_SESSIONS = 4
"""Videos that are encoded at a time unless the user asks for more: some GPUs refuse more than a few, and few keep them busy."""
_TRIAL_SIDE = 256
"""Pixels; encoders of hardware refuse small pictures, some below 145."""
_TRIAL_GOP = 16
_TRIAL_FRAMES = 2 * _TRIAL_GOP + 3


@dataclass(frozen=True, slots=True)
class EncoderChoice:
    """The encoder of a run.

    Attributes:
        name: of `ENCODERS`.
        refused: why not, by name, for the encoders that "auto" tried before.
    """

    name: str
    refused: Mapping[str, VideoError] = field(default_factory=dict)

    @property
    def processes(self) -> int:
        """Number of videos to encode at a time, if the user does not choose one."""
        cores = os.cpu_count() or 1
        return cores if self.name == "software" else min(cores, _MOST_SESSIONS)

    def __str__(self) -> str:
        return _line(ENCODERS[self.name].codec, self.refused)


def choose_encoder(wanted: str, profile: Profile) -> EncoderChoice:
    """The encoder of a name; for "auto" the first of hardware that keeps the profile on this machine, else the software encoder.

    Raises:
        VideoError: unknown name; or FFmpeg does not contain the encoder, it fails on this machine, or it does not keep the profile.
    """
    if wanted == "software":
        if not _contained(ENCODERS[wanted]):
            raise _missing(ENCODERS[wanted], "install PyAV from its wheel (pip install av)")
        return EncoderChoice(wanted)
    if wanted == AUTO:
        refused: dict[str, VideoError] = {}
        for name in _HARDWARE:
            if (error := try_encoder(name, profile)) is None:
                return EncoderChoice(name, refused)
            refused[name] = error
        return EncoderChoice(choose_encoder("software", profile).name, refused)
    if (error := try_encoder(wanted, profile)) is not None:
        raise error
    return EncoderChoice(wanted)


def try_encoder(name: str, profile: Profile) -> VideoError | None:
    """Why an encoder cannot make files of a profile on this machine; None: it can. Found once per process.

    A few frames are encoded with the options of the profile, in groups of 16, and the file is checked as that of a video.

    Raises:
        VideoError: unknown name.
    """
    return _try(find_encoder(name), replace(profile, encoder=name, gop=_TRIAL_GOP, short_side=0))


def describe_encoders() -> str:
    """One line: the H.264 encoders that work here, those that do not, with FFmpeg's reason, and those that it does not contain."""
    tried = {name: try_encoder(name, PROFILES["motion"]) for name in ENCODERS}
    works = [ENCODERS[name].codec for name, error in tried.items() if error is None]
    return _line(", ".join(works) or "none", {name: error for name, error in tried.items() if error is not None})


def _line(works: str, refused: Mapping[str, VideoError]) -> str:
    contained = [error.found for name, error in refused.items() if _contained(ENCODERS[name])]
    lacking = [ENCODERS[name].codec for name in refused if not _contained(ENCODERS[name])]
    return "; ".join([works, *contained, *([f"not in this FFmpeg: {', '.join(lacking)}"] if lacking else [])])


@cache
def _try(encoder: VideoEncoder, profile: Profile) -> VideoError | None:
    if not _contained(encoder):
        return _missing(encoder, "choose --encoder auto or software, or install a PyAV whose FFmpeg has it")
    subject = _subject(encoder)
    with tempfile.TemporaryDirectory(prefix="mgm-") as folder:
        source, target = Path(folder, "source.mkv"), Path(folder, "target.mp4")
        write_video(source, _moving_frames(), fps=25, codec="ffv1")
        try:
            transcode_video(source, target, profile)
        except VideoError as error:
            if error.reason == "mismatch":
                advice = "choose another profile, or --encoder auto or software"
                return VideoError(subject, error.found, error.expected, advice, reason="mismatch")
            return VideoError(
                subject, error.found, encoder.needs, "choose --encoder auto or software", reason=error.reason
            )
    return None


def _contained(encoder: VideoEncoder) -> bool:
    """Whether FFmpeg has been built with an encoder."""
    try:
        av.Codec(encoder.codec, "w")
    except av.codec.codec.UnknownCodecError:
        return False
    return True


def _missing(encoder: VideoEncoder, advice: str) -> VideoError:
    """The error of an encoder that FFmpeg does not contain."""
    others = [other.name for other in ENCODERS.values() if _contained(other)]
    found = f"FFmpeg {av.ffmpeg_version_info} of PyAV {av.__version__} has no {encoder.codec}"
    expected = f"one of {', '.join(others)}" if others else ""
    return VideoError(_subject(encoder), found, expected, advice, reason="unsupported")


def _subject(encoder: VideoEncoder) -> str:
    return f"encoder {encoder.name}"


def _moving_frames() -> Iterator[npt.NDArray[np.uint8]]:
    """A texture that moves, so that predicted pictures have vectors."""
    texture = np.random.default_rng(0).integers(0, 256, (_TRIAL_SIDE // 8, _TRIAL_SIDE // 8, 3), np.uint8)
    texture = texture.repeat(8, 0).repeat(8, 1)
    return (np.roll(texture, (2 * number, 3 * number), (0, 1)) for number in range(_TRIAL_FRAMES))
