"""With a run: what its model reconstructs of a clip and attends to, and a map of the videos by its embeddings. Needs torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from mgm.data.clips.sampling import middle_start
from mgm.data.items import evenly_spaced
from mgm.data.loading.patch_motion import patch_motion
from mgm.data.loading.tensors import to_frames, to_video
from mgm.errors import ConfigError, MgmError, ModelError
from mgm.explore.controls import checked_options
from mgm.explore.library import Video
from mgm.explore.pictures import jpeg, json_number, stack_frames
from mgm.explore.projection import project, projections
from mgm.explore.reading import ClipReader
from mgm.explore.request import (
    CAMERAS,
    DEFAULT_MASK,
    READINGS,
    SOURCES,
    ClipRequest,
    MaskRequest,
    TokenSizes,
    read_integer,
    read_mask_request,
)
from mgm.masks import list_masks, mask_rng
from mgm.models import Encoder, MaskedAutoencoder
from mgm.show.attention import AttentionSettings, attention_weights
from mgm.training.checkpoint import open_autoencoder, open_encoder
from mgm.training.config import Config
from mgm.video import Clip

MOST_POINTS = 200
"""Videos on the map, evenly spaced over the list."""
_FULL = 0.99
"""Share of the tokens that are darker than full brightness in the picture of attention."""


class RunPanels:
    """The model of a run, for one thread at a time.

    Attributes:
        clips, mask: as the run has them, for the page to begin with.
        tokens: the model's.
    """

    def __init__(
        self,
        run: str | Path,
        encoder: Encoder,
        autoencoder: MaskedAutoencoder | None,
        clips: ClipRequest,
        mask: Mapping[str, Any],
    ) -> None:
        self.clips, self.mask = clips, mask
        self.tokens = TokenSizes(clips.size, encoder.spec.patch, encoder.spec.tubelet)
        self._run, self._encoder, self._autoencoder = Path(run), encoder.eval(), autoencoder
        if autoencoder is not None:
            autoencoder.eval()
        self._lock = Lock()
        self._features: dict[str, npt.NDArray[np.float32]] = {}
        self._errors: dict[str, float | None] = {}

    def about(self) -> dict[str, Any]:
        """What the page offers for the model."""
        spec = self._encoder.spec
        size = spec.size if isinstance(spec.size, str) else f"{spec.encoder.dim} wide"
        return {
            "name": self._run.name,
            "model": f"{spec.backbone} {size}, clips of {spec.frames} frames of {self.clips.size} px",
            "layers": len(self._encoder.blocks),
            "heads": spec.encoder.heads,
            "reconstructs": self._autoencoder is not None,
            "projections": list(projections()),
        }

    def describe(
        self, clip: Clip, rule: MaskRequest, *, seed: int, start: int, asked: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Reconstruction under the mask, its loss, and the attention of a token of the whole clip.

        Args:
            asked: `layer`, `head` (without: the mean) and `query` [t, h, w] (without: the centre), as the page sends them.

        Raises:
            MgmError: the mask or the clip does not fit the model, or the layer, head or token does not exist.
        """
        spec = self._encoder.spec
        layer = read_integer(asked, "layer", len(self._encoder.blocks) - 1, low=0, high=len(self._encoder.blocks) - 1)
        head = None if asked.get("head") is None else read_integer(asked, "head", 0, low=0, high=spec.encoder.heads - 1)
        settings = AttentionSettings(query=_token(asked.get("query")), block=layer, head=head)
        with self._lock:
            weights, query = attention_weights(self._encoder, clip.frames, settings)
            picture, loss = self._reconstruct(clip, rule, seed=seed, start=start)
        bright = max(float(np.quantile(weights, _FULL)), 1e-12)
        return {
            "reconstruction": picture,
            "loss": loss,
            "attention": {
                "weights": np.round(np.minimum(weights / bright, 1), 3).ravel().tolist(),
                "query": list(query),
                "tokens": list(weights.shape),
            },
        }

    def _reconstruct(self, clip: Clip, rule: MaskRequest, *, seed: int, start: int) -> tuple[str | None, float | None]:
        model = self._autoencoder
        if model is None:
            return None, None
        grid = self._encoder.spec.grid
        guide = clip.motion if rule.rule.uses_motion else None
        mask = rule.rule.draw(grid, rule.ratio, guide, mask_rng(seed, 0, start, 0))
        hidden, video = torch.from_numpy(mask.masked)[None], to_video(clip.frames)[None]
        motion = None
        if model.reads_motion and clip.motion is not None:
            motion = torch.from_numpy(patch_motion(clip.motion, grid[1:]))[None]
        with torch.no_grad():
            loss = (
                float(model(video, hidden, motion=motion).loss)
                if motion is not None or not model.reads_motion
                else None
            )
            try:
                predicted = to_frames(model.reconstruct(video, hidden)[0])
            except ModelError:  # none of its targets has pixels
                return None, loss
        return jpeg(stack_frames(predicted)), None if loss is None else json_number(loss)

    def map(self, videos: Sequence[Video], reader: ClipReader, method: object = "pca") -> dict[str, Any]:
        """The videos in a plane by their embeddings, both axes from 0 to 1; see `mgm.explore.projection` for the methods.

        Raises:
            ConfigError: the method is unknown. ModelError: fewer than three videos can be read.
        """
        chosen = evenly_spaced(videos, MOST_POINTS)
        shown, features, pictures = [], [], []
        for video in chosen:
            try:
                summary = reader.summary(video)
                features.append(self._embed(video, summary.frames, reader))
            except MgmError:
                continue
            shown.append(video)
            pictures.append(summary.thumbnail)
        if len(shown) < 3:
            found = f"{len(shown)} videos that can be read"
            raise ModelError(
                "the map", found, "three or more", "start mgm explore with a folder", reason="missing_value"
            )
        places = project(np.stack(features), method)
        points = [
            {"id": v.id, "name": v.name, "x": round(float(x), 4), "y": round(float(y), 4), "thumbnail": jpeg(picture)}
            for v, (x, y), picture in zip(shown, places.plane, pictures, strict=True)
        ]
        return {"points": points, "explained": places.explained, "left_out": len(videos) - len(shown)}

    def error(self, video: Video, reader: ClipReader) -> float | None:
        """The loss on the clip in the middle of a video under the run's mask; None if the run has no decoder, or its target cannot
        be measured.

        Raises:
            MgmError: the video cannot be read.
        """
        if video.path not in self._errors:
            wanted = self._middle(reader.summary(video).frames)
            rule = read_mask_request(dict(self.mask))
            clip = reader.clip(video, replace(self.clips, start=wanted.start))
            with self._lock:
                self._errors[video.path] = self._reconstruct(clip, rule, seed=0, start=wanted.start)[1]
        return self._errors[video.path]

    def _middle(self, frames: int) -> ClipRequest:
        """The clip in the middle of a video of so many frames, without a choice of its motion."""
        start = middle_start(frames, frames=self.clips.frames, stride=self.clips.stride)
        return ClipRequest(start, self.clips.frames, self.clips.stride, self.clips.size)

    def _embed(self, video: Video, frames: int, reader: ClipReader) -> npt.NDArray[np.float32]:
        """The mean token of the clip in the middle of a video, float32 (dim,)."""
        if video.path not in self._features:
            clip = to_video(reader.clip(video, self._middle(frames)).frames)[None]
            with self._lock, torch.no_grad():
                self._features[video.path] = self._encoder(clip)[0].float().mean(0).numpy()
        return self._features[video.path]


def open_panels(run: str | Path) -> RunPanels:
    """The panels of a run.

    Raises:
        MgmError: the run cannot be opened.
    """
    autoencoder: MaskedAutoencoder | None = None
    try:
        autoencoder, config = open_autoencoder(run)
        encoder = autoencoder.encoder
    except ModelError as error:
        if error.reason != "mismatch":
            raise
        encoder, config = open_encoder(run)
    data, spec = config.data, encoder.spec
    clips = ClipRequest(
        frames=spec.frames,
        stride=data.stride,
        size=spec.resolution if isinstance(spec.resolution, int) else spec.resolution[0],
        motion=data.motion if data.motion in SOURCES else "auto",
        reading=data.reading if data.reading in READINGS else "clean",
        camera=data.camera if data.camera in CAMERAS else "none",
    )
    return RunPanels(run, encoder, autoencoder, clips, _mask_of(config))


def _mask_of(config: Config) -> dict[str, Any]:
    """The run's mask, with the options that the page can show."""
    if config.mask.name not in list_masks():
        return {**DEFAULT_MASK, "ratio": config.mask.ratio}
    options: dict[str, object] = {}
    for name, value in config.mask.options.items():
        try:
            options |= checked_options(config.mask.name, {name: value})
        except ConfigError:
            continue
    return {"name": config.mask.name, "ratio": config.mask.ratio, "options": options}


def _token(given: object) -> tuple[int, int, int] | None:
    """The token that the page asks for; its range is checked with the model's grid."""
    if given is None:
        return None
    if isinstance(given, list) and len(given) == 3 and all(isinstance(place, int) for place in given):
        t, y, x = given
        return t, y, x
    raise ConfigError("query", f"found {str(given)[:40]!r}", "three numbers t, h, w", reason="invalid_type")
