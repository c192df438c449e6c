"""A whole video through a masked autoencoder: frames, the tokens that the encoder sees, and the reconstruction, side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from mgm.data.clips.source import ClipView, FileSource
from mgm.data.clips.transform import centre_crop
from mgm.data.loading.dataset import MaskRule
from mgm.data.loading.patch_motion import patch_motion
from mgm.data.loading.tensors import to_frames, to_video
from mgm.files.atomic import refuse_to_replace
from mgm.masks import mask_rng
from mgm.models import MaskedAutoencoder
from mgm.show.figures import RgbFrames, reconstruction
from mgm.show.panels import clip_rate, panels
from mgm.training.checkpoint import open_autoencoder
from mgm.training.config import Config
from mgm.training.devices import make_fabric
from mgm.video.clip.plan import clip_frames
from mgm.video.transcode.write import write_video


@dataclass(frozen=True, slots=True)
class ReconstructionReport:
    """What was written.

    Attributes:
        out: the video.
        clips, frames: number of clips of the model, and of the frames that are shown.
        error: mean loss of the clips, the mean squared error of the target on the hidden tokens.
    """

    out: Path
    clips: int
    frames: int
    error: float


@dataclass(frozen=True, slots=True)
class _Clip:
    """The panels of the frames that no earlier clip has shown, the loss, and the presentation times of all frames."""

    rows: list[tuple[str, RgbFrames]]
    loss: float
    pts_seconds: npt.NDArray[np.float64]


def reconstruct(
    run: str | Path,
    video: str | Path,
    out: str | Path,
    *,
    overrides: tuple[str, ...] = (),
    recipe: str | Path | None = None,
    progress: Callable[[str], None] | None = None,
) -> ReconstructionReport:
    """Hide tokens of a video as in pretraining, and write an .mp4 of its frames, the visible tokens and the reconstruction.

    The video is read in clips of the model, one after the other; the last one ends with the video. A hidden patch of the target
    normalised-pixels has the mean and deviation of the true one, which the model does not predict.

    Args:
        run: the folder of `mgm pretrain`, or an external autoencoder (see `mgm.load_pretrained`).
        overrides: `key=value` settings, for example `mask.name=tube` or `mask.ratio=0.9`.
        recipe, progress: as in `mgm.probe`.

    Raises:
        ModelError: no autoencoder, or none of its targets has pixels. VideoError: the video cannot be read.
        FileError, DataError: `out` cannot be written or has another suffix.
    """
    model, config = open_autoencoder(run, overrides, recipe=recipe)
    refuse_to_replace(Path(out), video)
    device = make_fabric("32-true").device
    clips = _clips(model.to(device), str(video), config, device, progress)
    first = next(clips)
    losses: list[float] = []

    def frames() -> Iterator[RgbFrames]:
        """The pictures of all clips, whose losses are noted."""
        for clip in chain([first], clips):
            losses.append(clip.loss)
            yield from panels(clip.rows)

    count = write_video(out, frames(), fps=clip_rate(first.pts_seconds), options={"crf": 20, "preset": "veryfast"})
    return ReconstructionReport(Path(out), len(losses), count, float(np.mean(losses)))


def _clips(
    model: MaskedAutoencoder,
    video: str,
    config: Config,
    device: torch.device,
    progress: Callable[[str], None] | None,
) -> Iterator[_Clip]:
    rule, source = config.mask_rule(), FileSource()
    settings = config.clip_settings(motion=rule.uses_motion)
    info = source.info(video)
    geometry = centre_crop(info.height, info.width, size=settings.size)
    length = settings.frames * settings.stride
    last = max(info.frames - (settings.frames - 1) * settings.stride - 1, 0)
    starts = [*range(0, last, length), last]
    shown = -1
    for number, start in enumerate(starts):
        if progress is not None:
            progress(f"reconstructing clip {number + 1:,} of {len(starts):,}")
        view = source.clip(video, start, geometry, settings)
        index = clip_frames(info.frames, start=start, frames=settings.frames, stride=settings.stride)
        fresh = np.flatnonzero(np.diff(index, prepend=-1) > 0)  # a short video repeats its last frame
        fresh = fresh[index[fresh] > shown]
        shown = int(index[-1])
        rows, loss = _reconstruct(model, view, rule, mask_seed=(config.seed, number), device=device)
        yield _Clip([(name, clip[fresh]) for name, clip in rows], loss, view.pts_seconds)


@torch.no_grad()
def _reconstruct(
    model: MaskedAutoencoder, view: ClipView, rule: MaskRule, *, mask_seed: tuple[int, int], device: torch.device
) -> tuple[list[tuple[str, RgbFrames]], float]:
    """The labelled rows of a clip, and the loss on its hidden tokens."""
    seed, number = mask_seed
    mask = rule.mask.draw(rule.grid, rule.ratio, view.motion, mask_rng(seed, 0, number, 0))
    hidden = torch.from_numpy(mask.masked)[None]
    clip = to_video(view.frames)[None].to(device)
    motion = None
    if rule.keep_motion and view.motion is not None:
        motion = torch.from_numpy(patch_motion(view.motion, rule.motion_grid))[None].to(device)
    predicted = to_frames(model.reconstruct(clip, hidden)[0])
    loss = float(model(clip, hidden, motion=motion).loss)
    return reconstruction(view.frames, predicted, mask.masked), loss
