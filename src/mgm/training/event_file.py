"""Curves for TensorBoard, in its event files.

Its own writer works in a thread: an error there, such as a full disk, ends in a traceback on the terminal, and events wait there
for two minutes. Here events are in memory until they are flushed.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any


class EventFile:
    """A new event file in a folder, which is made if missing; earlier files show the steps before `first_step`.

    Raises:
        OSError: the folder cannot be made.
    """

    def __init__(self, folder: Path, first_step: int) -> None:
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog  # imports slowly
        from tensorboard.summary.writer.record_writer import RecordWriter

        folder.mkdir(exist_ok=True)
        self.path = folder / f"events.out.tfevents.{time.time_ns() // 10**9}.{socket.gethostname()}.{os.getpid()}"
        self._event = Event
        self._buffer = BytesIO()
        self._records = RecordWriter(self._buffer)
        self._add(file_version="brain.Event:2")
        self._add(step=first_step, session_log=SessionLog(status=SessionLog.START))

    def add(self, step: int, scalars: Mapping[str, float]) -> None:
        """Add the values of a step."""
        self._add(step=step, summary={"value": [{"tag": tag, "simple_value": x} for tag, x in scalars.items()]})

    def add_picture(self, step: int, tag: str, png: bytes, size: tuple[int, int]) -> None:
        """Add a PNG of (width, height) pixels."""
        image = {"width": size[0], "height": size[1], "colorspace": 3, "encoded_image_string": png}
        self._add(step=step, summary={"value": [{"tag": tag, "image": image}]})

    def flush(self) -> None:
        """Append the events to the file.

        Raises:
            OSError: it cannot be written.
        """
        events = self._buffer.getvalue()
        self._buffer.seek(0)
        self._buffer.truncate()
        with self.path.open("ab") as file:
            file.write(events)

    def _add(self, **fields: Any) -> None:
        self._records.write(self._event(wall_time=time.time(), **fields).SerializeToString())
