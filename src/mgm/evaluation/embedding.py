"""The features of a set of videos, for other programs: npz, safetensors or parquet, with the place of each view."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import torch

from mgm.data.clips.source import ClipSource
from mgm.data.items import VideoSet
from mgm.data.loading.views import ViewPlaces, ViewSet
from mgm.errors import FileError
from mgm.evaluation.feature_cache import feature_key
from mgm.evaluation.feature_journal import FeatureJournal
from mgm.evaluation.pooling import TokenPooling, feature_shape
from mgm.evaluation.probing import evaluation_views, video_progress
from mgm.evaluation.ranks import Ranks
from mgm.evaluation.run import ReadableSet, open_readable
from mgm.evaluation.views import Features, encode_views
from mgm.files.atomic import atomic_write
from mgm.files.parquet import ROWS_PER_GROUP, import_parquet
from mgm.models.tokens import check_block, token_shape
from mgm.printable import plural
from mgm.terminal import byte_size
from mgm.training.checkpoint import open_features
from mgm.training.config import Config
from mgm.training.run import reading_workers
from mgm.training.shared_set import shared_set
from mgm.version import VERSION

EMBEDDING_SUFFIXES = (".npz", ".safetensors", ".parquet")


@dataclass(frozen=True, slots=True, eq=False)
class Embeddings:
    """The features of V views, in the order of their videos: the training videos first, then the test videos.

    Attributes:
        features: float32 (V, dim), or (V, N, dim) without pooling.
        path: of the video of each view.
        split: of each view, "train" or "test"; "train" for a set without labels.
        label: int64 (V,), index into `classes`; -1 without a label.
        classes: names of the labels; empty without labels.
        places: the frames, times and crop of each view.
        about: the model, the layer, the pooling and the clips that the features come from.
        unreadable: path -> message, of videos that could not be read; they have no views.
    """

    features: npt.NDArray[np.float32]
    path: tuple[str, ...]
    split: tuple[str, ...]
    label: npt.NDArray[np.int64]
    classes: tuple[str, ...]
    places: ViewPlaces
    about: dict[str, Any]
    unreadable: dict[str, str]

    def __repr__(self) -> str:
        shape = " x ".join(map(str, self.features.shape[1:]))
        return f"Embeddings({len(self.features)} views of {len(set(self.path))} videos, {shape} numbers each)"

    def save(self, path: str | Path) -> None:
        """Write the features with the place and label of each view; docs/guide.md describes the three formats.

        Raises:
            FileError: another suffix, or the file cannot be written.
        """
        path = Path(path)
        check_embedding_suffix(path)
        write = {".npz": _write_npz, ".safetensors": _write_safetensors, ".parquet": _write_parquet}[path.suffix]
        with atomic_write(path) as file:
            write(file, self)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """The numbers: name -> array with one row per view."""
        return {
            "features": self.features,
            "label": self.label,
            "frame_indices": self.places.frame_indices,
            "pts_seconds": self.places.pts_seconds,
            "crop": self.places.crop,
        }


def embed(
    run: str | Path,
    data: str | Path | VideoSet,
    *,
    layer: int | None = None,
    pooling: TokenPooling = "mean",
    overrides: tuple[str, ...] = (),
    recipe: str | Path | None = None,
    source: ClipSource | None = None,
    keep: str | Path | None = None,
    progress: Callable[[str], None] | None = None,
    announce: Callable[[str], None] | None = None,
) -> Embeddings:
    """The features of every video of a set, with or without labels, from `probe.temporal_views` x `probe.spatial_views` views each.

    Under torchrun the ranks share the videos, and the first one returns the features: on the others the result has no views.

    Args:
        run: the folder of a run, or external weights (see `mgm.load_encoder`); with the override `model.network=NAME` those of a
            network of `mgm models`.
        data: a set, see `load_set`.
        layer: number of a block, from 0, or from -1 backwards, whose output is taken without the final norm; None: the last block
            and the norm.
        pooling: of the tokens of a view, see `mgm.evaluation.pooling.pool_tokens`; "none" keeps them all.
        keep: a folder of this call alone, in which the features of finished videos are kept, and from which the same call continues
            after a stop; delete it when the result is written. Videos behind URLs or in a `source` are not kept.
        overrides, recipe, progress: as in `mgm.probe`.
        announce: called with the size of the result before any video is encoded.

    Raises:
        MgmError: the run or the layer does not exist, or no video can be read.
    """
    encoder, config = open_features(run, overrides, recipe=recipe)
    check_block(encoder, layer)
    given = shared_set(data)
    readable = open_readable(given, given.items, config, source, show_progress=progress is not None)
    views = evaluation_views(readable.videos.items, config, readable.source, config.sampler(config.probe.sampling))
    tokens, dim, _ = token_shape(encoder, frames=config.data.frames, size=config.data.size)
    shape = feature_shape(tokens, dim, pooling)
    if announce is not None:
        announce(_size_of(views, shape))
    ranks = Ranks(config.probe.precision)
    key = None if keep is None else ranks.from_first(lambda: feature_key(encoder, views, pooling, ranks, layer))
    found = encode_views(
        encoder,
        views,
        block=layer,
        pooling=pooling,
        journal=None if keep is None or key is None else FeatureJournal(Path(keep) / key),
        ranks=ranks,
        workers=reading_workers(config, readable.source),
        timeout=config.data.read_timeout,
        progress=video_progress(progress, "encoding", len(views)),
    )
    if found is None:
        found = _without_videos(shape, config.data.frames)
    return _of_views(found, readable, _about(run, config, layer, pooling, shape))


def _of_views(found: Features, readable: ReadableSet, about: dict[str, Any]) -> Embeddings:
    """The features with the name, split and label of the video of each view."""
    assert found.places is not None
    owner, videos = found.owner.tolist(), readable.videos
    paths = [videos.items.paths[index] for index in found.index]
    splits = ["train" if index < len(videos.train) else "test" for index in found.index]
    return Embeddings(
        features=found.pooled.numpy(),
        path=tuple(paths[video] for video in owner),
        split=tuple(splits[video] for video in owner),
        label=found.label[found.owner].numpy(),
        classes=videos.classes,
        places=found.places,
        about=about,
        unreadable={**readable.unreadable, **found.unreadable},
    )


def _size_of(views: ViewSet, shape: tuple[int, ...]) -> str:
    """The size of the result in words."""
    size = len(views) * views.most * int(np.prod(shape)) * 4
    return (
        f"{plural(len(views), 'video')}, at most {plural(views.most, 'view')} of {' x '.join(map(str, shape))} numbers each: "
        f"up to {byte_size(size)}, in memory until they are written"
    )


def _about(
    run: str | Path, config: Config, layer: int | None, pooling: TokenPooling, shape: tuple[int, ...]
) -> dict[str, Any]:
    """What the features are, as it is written beside them."""
    return {
        "model": str(run),
        "layer": layer,
        "pooling": pooling,
        "shape": list(shape),
        "clip": {"frames": config.data.frames, "stride": config.data.stride, "size": config.data.size},
        "sampling": config.probe.sampling,
        "mgm": VERSION,
    }


def _without_videos(shape: tuple[int, ...], frames: int) -> Features:
    """The features on a rank that is not the first."""
    none = torch.empty(0, dtype=torch.int64)
    places = ViewPlaces(np.empty((0, frames), np.int64), np.empty((0, frames)), np.empty(0, np.int64))
    return Features(torch.empty(0, *shape), none, none, none, places=places)


def check_embedding_suffix(path: Path) -> None:
    """Raise FileError for a suffix that is not one of `EMBEDDING_SUFFIXES`, and if the package that writes it is missing."""
    if path.suffix not in EMBEDDING_SUFFIXES:
        raise FileError.wrong_suffix(path, EMBEDDING_SUFFIXES)
    if path.suffix == ".parquet":
        import_parquet()


def _write_npz(file: BinaryIO, found: Embeddings) -> None:
    texts = {"path": np.array(found.path), "split": np.array(found.split), "classes": np.array(found.classes, np.str_)}
    content: dict[str, Any] = {"about": np.array(json.dumps(found.about)), **found.arrays(), **texts}
    np.savez(file, **content)


def _write_safetensors(file: BinaryIO, found: Embeddings) -> None:
    from safetensors.numpy import save

    texts = {"path": found.path, "split": found.split, "classes": found.classes, "about": found.about}
    arrays = {name: np.ascontiguousarray(array) for name, array in found.arrays().items()}
    file.write(save(arrays, metadata={name: json.dumps(value) for name, value in texts.items()}))


def _write_parquet(file: BinaryIO, found: Embeddings) -> None:
    arrow, parquet = import_parquet()
    vector = arrow.list_(arrow.float32())
    columns = {"path": arrow.string(), "split": arrow.string(), "label": arrow.int64(), "class": arrow.string()}
    columns |= {"crop": arrow.int64(), "first_frame": arrow.int64(), "last_frame": arrow.int64()}
    columns |= {"begin_seconds": arrow.float64(), "end_seconds": arrow.float64()}
    columns |= {"features": vector if found.features.ndim == 2 else arrow.list_(vector)}
    schema = arrow.schema(list(columns.items()), metadata={"mgm": json.dumps(found.about)})
    with parquet.ParquetWriter(file, schema) as writer:
        for rows in _row_groups(found):
            writer.write_table(arrow.Table.from_pylist(rows, schema))


def _row_groups(found: Embeddings) -> Iterator[list[dict[str, Any]]]:
    frames, times = found.places.frame_indices, found.places.pts_seconds
    for first in range(0, len(found.path), ROWS_PER_GROUP):
        yield [
            {
                "path": found.path[i],
                "split": found.split[i],
                "label": int(found.label[i]),
                "class": found.classes[found.label[i]] if found.label[i] >= 0 else None,
                "crop": int(found.places.crop[i]),
                "first_frame": int(frames[i].min()),
                "last_frame": int(frames[i].max()),
                "begin_seconds": float(times[i].min()),
                "end_seconds": float(times[i].max()),
                "features": found.features[i].tolist(),
            }
            for i in range(first, min(first + ROWS_PER_GROUP, len(found.path)))
        ]
