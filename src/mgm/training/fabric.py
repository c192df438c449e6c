"""Lightning Fabric, imported without torchmetrics, which it imports only to compare a version.

torchmetrics imports transformers and SciPy where they are installed: a third of the start of every command that trains or tests.
Fabric needs it in `SpikeDetection` alone, which nothing here uses.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def _absent(package: str) -> Iterator[None]:
    """As if a package were not installed; one that is imported already stays."""
    if package in sys.modules:
        yield
        return
    sys.modules[package] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[package]


with _absent("torchmetrics"):
    from lightning_fabric import Fabric as Fabric
    from lightning_fabric.plugins.environments import LightningEnvironment as LightningEnvironment
    from lightning_fabric.strategies import ModelParallelStrategy as ModelParallelStrategy
