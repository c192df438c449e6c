"""The shortcuts that make reading a clip fast. Where one fails, the clip is read again without it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Shortcut = Literal["seek", "keyframe_flags", "packet_times", "profile", "sidecar", "vectors"]


@dataclass(frozen=True, slots=True)
class Shortcuts:
    """The shortcuts that have not failed yet, for one clip or for all clips of a file.

    Attributes:
        seek: enter the file at the keyframe before the clip. Otherwise: read from the start of a new opening. MPEG programme
            streams, for example, land anywhere after a seek.
        keyframe_flags: decoding is exact from every packet that the container marks as a keyframe. Otherwise: read from the start.
            AVI without an index of its own marks every packet.
        packet_times: every packet is one frame, shown at the packet's time. Otherwise: count frames as they leave the decoder.
        profile: a file that `mgm prepare` made for strides has references on the grid of that stride alone. Otherwise: read the
            vectors of every frame. Metadata survives a cut or a second encoding, the grid does not.
        sidecar: the stored motion belongs to the video. Otherwise: read the vectors of the stream.
        vectors: a codec that exports motion vectors has some in this file. Otherwise, under `motion="auto"`: measure optical flow.
            A stream of keyframes alone has none.
    """

    seek: bool = True
    keyframe_flags: bool = True
    packet_times: bool = True
    profile: bool = True
    sidecar: bool = True
    vectors: bool = True

    @property
    def may_seek(self) -> bool:
        """Whether a read may enter the file elsewhere than at its start."""
        return self.seek and self.keyframe_flags and self.packet_times

    def without(self, shortcut: Shortcut) -> Shortcuts:
        """All but one, which must be among them: no shortcut fails twice."""
        assert getattr(self, shortcut), f"shortcut {shortcut} failed twice"
        return replace(self, **{shortcut: False})


class ShortcutFailedError(Exception):
    """A shortcut does not work; the clip must be read again without it.

    Attributes:
        shortcut: the one that failed.
        lasting: it fails for every clip of the file.
    """

    def __init__(self, shortcut: Shortcut, *, lasting: bool) -> None:
        self.shortcut: Shortcut = shortcut
        self.lasting = lasting
        super().__init__(shortcut)


class UncountableError(ShortcutFailedError):
    """The frames of a stream cannot be counted by its packets, only as they leave the decoder."""

    def __init__(self) -> None:
        super().__init__("packet_times", lasting=True)
