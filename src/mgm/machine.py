"""Machine and versions, printed by every report and benchmark."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path

import av

from mgm.printable import plural
from mgm.version import VERSION

# Dense matrix products in 16 bits, in TFLOP/s, from NVIDIA's data sheets. The first name that a device's name contains counts.
_PEAKS = {
    "B200": 2250,
    "H200": 989,
    "H100 PCIe": 756,
    "H100": 989,
    "L40S": 362,
    "L4": 121,
    "A100": 312,
    "A10G": 70,
    "A10": 125,
    "V100": 125,
    "T4": 65,
    "RTX 4090": 165,
    "RTX 3090": 71,
}


def peak_flops(device: str) -> float | None:
    """Operations per second of a GPU in 16 bits, by its name; None if it is not in the table."""
    words = f" {device.replace('-', ' ')} "
    return next((peak * 1e12 for name, peak in _PEAKS.items() if f" {name} " in words), None)


def machine() -> str:
    """One line: processor, cores that this process may use, memory, accelerator."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    parts = [_processor(), plural(cores, "core")]
    if hasattr(os, "sysconf"):
        parts.append(f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB memory")
    device = _accelerator()
    return ", ".join([*parts, device] if device else parts)


def free_memory() -> int | None:
    """Bytes of main memory that this process can still use, within the limit of its control group; None if unknown."""
    info = Path("/proc/meminfo")
    if not info.exists():
        return None
    values = dict(line.split(":", 1) for line in info.read_text(encoding="ascii").splitlines())
    if "MemAvailable" not in values:
        return None
    free = int(values["MemAvailable"].split()[0]) * 1024
    group = Path("/sys/fs/cgroup")
    try:
        limit, used = ((group / name).read_text(encoding="ascii").strip() for name in ("memory.max", "memory.current"))
    except OSError:  # no control group of version 2
        return free
    return min(free, int(limit) - int(used)) if limit.isdigit() else free


def versions() -> tuple[tuple[str, str], ...]:
    """(name, version) of the packages that figures depend on."""
    libraries = "/".join(".".join(map(str, v)) for k, v in av.library_versions.items() if k == "libavcodec")
    found = [("mgm", VERSION), ("Python", platform.python_version()), ("FFmpeg libavcodec", libraries)]
    for name in ("av", "numpy", "numba", "torch", "lightning-fabric"):
        try:
            found.append((name, metadata.version(name)))
        except metadata.PackageNotFoundError:  # the base package comes without the training ones
            continue
    return tuple(found)


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _accelerator() -> str | None:
    try:
        import torch
    except ModuleNotFoundError:
        return None
    return torch.cuda.get_device_name() if torch.cuda.is_available() else None
