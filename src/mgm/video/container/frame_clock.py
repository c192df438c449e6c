"""The times of frames that are counted as they leave the decoder."""

from __future__ import annotations

from dataclasses import dataclass

from mgm.video.container.stream import OpenVideo


@dataclass(slots=True)
class FrameClock:
    """Presentation times of the frames of a video, called for each of them from the first on in display order. They never descend.

    A frame has the time of its packet. One without a time, such as the short pictures of a programme stream that share one, comes
    the usual interval after the frame before. So does one with a time before that of the frame before: the clock of a joined
    recording starts again, and of two frames in a packet, as in old AVI files, the first has the time of the second.
    """

    video: OpenVideo
    count: int = 0
    last: float | None = None

    def __call__(self, own: int | None) -> float:
        """The time of the next frame in seconds; NaN: the stream has neither times nor a rate.

        Args:
            own: the presentation time of its packet in the stream's time base; None: it has none.
        """
        number, self.count = self.count, self.count + 1
        if not self.video.timed:
            return self.video.seconds(number, None)
        if own is None or (self.last is not None and own < self.last):
            self.last = (self.last or 0.0) + self.video.usual_interval
        else:
            self.last = float(own)
        return self.last * self.video.time_base
