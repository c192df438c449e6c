"""Projection of embeddings on a map: by their two main components, or by their neighbours (UMAP, if umap-learn is installed)."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final

import numpy as np
import numpy.typing as npt

from mgm.errors import ConfigError

FeatureArray = npt.NDArray[np.float32]

_NEIGHBOURS: Final = 15
"""Of a video; umap-learn's default."""


@dataclass(frozen=True, slots=True)
class Projection:
    """Where embeddings lie on a map.

    Attributes:
        plane: float64 (n, 2) from 0 to 1.
        explained: shares of the variance that the two axes explain; None where the axes have no meaning.
    """

    plane: npt.NDArray[np.float64]
    explained: tuple[float, float] | None


def principal_components(features: FeatureArray) -> Projection:
    """Features (n, dim) in the plane of their first two principal components."""
    centred = features.astype(np.float64) - features.mean(axis=0)
    left, values, _ = np.linalg.svd(centred, full_matrices=False)
    total = float((values**2).sum()) or 1.0
    first, second = (round(float(value**2) / total, 4) for value in values[:2])
    return Projection(_fill_square(left[:, :2] * values[:2]), (first, second))


def neighbourhoods(features: FeatureArray) -> Projection:
    """Features (n, dim) in a plane in which neighbours stay neighbours (UMAP, McInnes et al. 2018), the same at every call.

    It begins with the principal components: where videos are few, its spectral start has no solution.
    """
    # umap-learn warns that TensorFlow is missing, and that a seed costs threads.
    with warnings.catch_warnings(action="ignore"):
        from umap import UMAP

        count = len(features)
        fit = UMAP(n_neighbors=min(_NEIGHBOURS, count - 1), init="pca", random_state=0, n_jobs=1)
        return Projection(_fill_square(fit.fit_transform(features).astype(np.float64)), None)


def projections() -> dict[str, Callable[[FeatureArray], Projection]]:
    """The ways to place embeddings that are installed."""
    found: dict[str, Callable[[FeatureArray], Projection]] = {"pca": principal_components}
    return found | ({"umap": neighbourhoods} if find_spec("umap") is not None else {})


def project(features: FeatureArray, method: object) -> Projection:
    """Projection of features (n, dim), n from 3.

    Raises:
        ConfigError: `method` is not installed, or unknown.
    """
    known = projections()
    if not isinstance(method, str) or method not in known:
        raise ConfigError("method", f"found {str(method)[:40]!r}", f"one of {', '.join(known)}", reason="unknown_name")
    return known[method](features)


def _fill_square(plane: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Both axes from 0 to 1. An axis that is nothing but rounding is .5."""
    extent = np.ptp(plane, axis=0)
    varies = extent > 1e-6 * extent.max()
    filled: npt.NDArray[np.float64] = np.where(varies, (plane - plane.min(axis=0)) / np.where(varies, extent, 1), 0.5)
    return filled
