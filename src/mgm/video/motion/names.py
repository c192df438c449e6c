"""Names by which callers choose how motion is read. Without numpy: the list of commands and the settings have them too."""

from __future__ import annotations

from typing import Literal

MotionSource = Literal["codec", "flow", "difference", "raft"]
"""Where a field comes from: `MotionField.source`."""
EstimatorName = Literal["flow", "difference", "raft"]
"""The sources that are measured on pictures."""
PixelFormat = Literal["gray", "rgb24"]
"""Of the pictures that an estimator compares."""
MotionName = Literal["codec", "flow", "difference", "auto", "raft"]
"""Motion that a reader accepts by name; "auto" is "codec" if the stream has vectors, else "flow"; "raft" is stored motion."""
Reading = Literal["clean", "references", "raw"]
"""Which vectors are used, and how: see `mgm.read_clip`."""
Policy = Literal["window_sum", "sampled", "window_max"]
"""How the displacements of several frames become one: see `aggregate_windows`."""
CameraModel = Literal["none", "median", "affine"]
"""Estimator of the camera motion that is subtracted."""
