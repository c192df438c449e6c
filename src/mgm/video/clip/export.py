"""The motion of a whole video in files that numpy and zarr read, written as it is read."""

from __future__ import annotations

import json
import shutil
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mgm.errors import VideoError
from mgm.files.atomic import put_in_place, refuse_to_replace, scratch_folder
from mgm.files.json_text import read_json
from mgm.version import VERSION as MGM_VERSION
from mgm.video.clip.whole_video import MotionTotals, motion_chunks
from mgm.video.motion.field import CELL_PIXELS, MotionField
from mgm.video.motion.names import CameraModel, Policy, Reading

_SUFFIXES = (".npz", ".npy", ".zarr")

Attributes = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Export:
    """The result of `export_motion`: its files, that of the vectors first, and the totals of their field."""

    files: tuple[Path, ...]
    totals: MotionTotals


def export_motion(
    video: str | Path,
    out: str | Path,
    *,
    stride: int = 1,
    policy: Policy = "window_sum",
    reading: Reading = "clean",
    camera: CameraModel = "none",
) -> Export:
    """Write the motion of a whole video to a file that appears when it is complete; memory stays constant for any length.

    The suffix of `out` chooses the form:

    - `.npz`: for `np.load`; compressed; its entry "attributes" is a JSON text. Until it is complete, the arrays are uncompressed
      beside it, in a hidden folder.
    - `.npy`: the vectors alone, for `np.load(out, mmap_mode="r")`; `NAME.valid.npy` beside it, all else in `NAME.npy.json`.
    - `.zarr`: a zarr group of format 3 in chunks of 32 frames; the attributes are its own.

    Arrays: `vectors` float32 (T, gh, gw, 2), (dx, dy) in pixels of the coded frame per sampling step, turned upright; `valid`
    bool (T, gh, gw), False where a neighbour in time was held; `pts` float64 (T,), seconds; `index` int64 (T,), frame numbers.
    Attributes: video, source, extent, cell, stride, policy, reading, camera, mgm.

    Args:
        stride: frames 0, stride, 2 stride, ... to the end are taken.
        policy, reading, camera: see `mgm.read_clip`.

    Raises:
        VideoError: see `motion_chunks`; another suffix; no package zarr; `out` exists and is not an export.
        FileError: `out` cannot be written, or is the video itself.
    """
    out = Path(out)
    if out.suffix not in _SUFFIXES:
        raise VideoError.wrong_suffix(out, _SUFFIXES)
    refuse_to_replace(out, video)
    _check_ours(out)
    totals = MotionTotals()
    pts: list[npt.NDArray[np.float64]] = []
    index: list[npt.NDArray[np.int64]] = []
    with scratch_folder(out) as folder:
        write = _Zarr(folder) if out.suffix == ".zarr" else _Arrays(folder)
        for chunk in motion_chunks(video, stride=stride, policy=policy, reading=reading, camera=camera):
            totals.add(chunk.motion)
            pts.append(chunk.pts_seconds)
            index.append(chunk.frame_indices)
            write.append(chunk.motion)
        attributes = {
            "video": Path(video).name,
            "source": totals.source,
            "extent": list(totals.extent),
            "cell": CELL_PIXELS,
            "stride": stride,
            "policy": policy,
            "reading": reading,
            "camera": camera,
            "mgm": MGM_VERSION,
        }
        return Export(write.finish(out, np.concatenate(pts), np.concatenate(index), attributes), totals)


class _Arrays:
    """Vectors and validity as two growing .npy files, the source of `.npy` and `.npz`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0
        self._shape: tuple[int, ...] = ()

    def append(self, motion: MotionField) -> None:
        """Add frames."""
        if self._count == 0:
            self._shape = motion.vectors.shape[1:]
            self._write_headers()
        for name, array in (("vectors", motion.vectors), ("valid", motion.valid)):
            with (self._folder / f"{name}.npy").open("ab") as file:
                file.write(np.ascontiguousarray(array).data)
        self._count += len(motion.valid)

    def finish(
        self, out: Path, pts: npt.NDArray[np.float64], index: npt.NDArray[np.int64], attributes: Attributes
    ) -> tuple[Path, ...]:
        """Move the files to their names; returns them, that of the vectors first."""
        self._write_headers()
        if out.suffix == ".npz":
            put_in_place(self._zip(pts, index, attributes), out)
            return (out,)
        valid, rest = out.with_suffix(".valid.npy"), out.with_suffix(".npy.json")
        described = {**attributes, "pts": [None if np.isnan(t) else t for t in pts.tolist()], "index": index.tolist()}
        (self._folder / "rest.json").write_text(json.dumps(described), encoding="utf-8")
        # The vectors come last: if they exist, so does everything.
        for name, place in (("rest.json", rest), ("valid.npy", valid), ("vectors.npy", out)):
            put_in_place(self._folder / name, place)
        return out, valid, rest

    def _write_headers(self) -> None:
        """The first 128 bytes of each file. They have room for any number of frames, so that they can be rewritten."""
        for name, kind, shape in (("vectors", "<f4", self._shape), ("valid", "|b1", self._shape[:-1])):
            path = self._folder / f"{name}.npy"
            described = repr({"descr": kind, "fortran_order": False, "shape": (self._count, *shape)})
            with path.open("r+b" if path.exists() else "wb") as file:
                file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", 118) + described.ljust(117).encode() + b"\n")

    def _zip(self, pts: npt.NDArray[np.float64], index: npt.NDArray[np.int64], attributes: Attributes) -> Path:
        np.save(self._folder / "pts.npy", pts)
        np.save(self._folder / "index.npy", index)
        np.save(self._folder / "attributes.npy", np.array(json.dumps(attributes)))
        path = self._folder / "whole.npz"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in ("vectors", "valid", "pts", "index", "attributes"):
                member = zipfile.ZipInfo(f"{name}.npy")  # without the time of day: the same motion gives the same bytes
                member.compress_type = zipfile.ZIP_DEFLATED
                with (
                    (self._folder / f"{name}.npy").open("rb") as source,
                    archive.open(member, "w", force_zip64=True) as to,
                ):
                    shutil.copyfileobj(source, to, 1 << 20)
        return path


class _Zarr:
    """A growing zarr group."""

    def __init__(self, folder: Path) -> None:
        try:
            import zarr
        except ModuleNotFoundError as error:
            raise VideoError.missing_package("a .zarr file", "zarr", extra="zarr") from error
        self._folder = folder
        self._group = zarr.create_group(folder / "group", zarr_format=3)

    def append(self, motion: MotionField) -> None:
        """Add frames."""
        for name, array in (("vectors", motion.vectors), ("valid", motion.valid)):
            if name not in self._group:
                shape, chunks = (0, *array.shape[1:]), (32, *array.shape[1:])
                self._group.create_array(name, shape=shape, chunks=chunks, dtype=array.dtype)
            self._group[name].append(array)

    def finish(
        self, out: Path, pts: npt.NDArray[np.float64], index: npt.NDArray[np.int64], attributes: Attributes
    ) -> tuple[Path, ...]:
        """Move the group to its name; returns its folder."""
        self._group.create_array("pts", data=pts)
        self._group.create_array("index", data=index)
        self._group.attrs.update(attributes)
        put_in_place(self._folder / "group", out)
        return (out,)


def _check_ours(out: Path) -> None:
    """Raise VideoError if several files, or a folder, would replace something other than an earlier export."""
    try:
        if out.suffix == ".zarr" and out.exists():
            described = read_json((out / "zarr.json").read_text(encoding="utf-8"))["attributes"]
        elif out.suffix == ".npy" and out.with_suffix(".npy.json").exists():
            described = read_json(out.with_suffix(".npy.json").read_text(encoding="utf-8"))
        else:
            return
        ours = "mgm" in described and "cell" in described
    except (OSError, ValueError, KeyError, TypeError):
        ours = False
    if not ours:
        raise VideoError(
            out,
            "exists and is not a motion field of mgm",
            "a free name or an earlier export",
            "move it away",
            reason="exists",
        )
