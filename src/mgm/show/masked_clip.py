"""A clip of a video as a run hides it, and its reconstruction by a model of that run."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from mgm.data.clips.sampling import middle_start
from mgm.data.clips.source import ClipSource
from mgm.data.clips.transform import centre_crop
from mgm.data.items import VideoItem, part_length
from mgm.data.loading.tensors import to_frames, to_video
from mgm.masks import TokenMask, mask_rng
from mgm.models import MaskedAutoencoder
from mgm.show.figures import RgbFrames
from mgm.training.config import Config
from mgm.video import MotionField


@dataclass(frozen=True, slots=True, eq=False)
class MaskedClip:
    """Frames uint8 (T, H, W, 3), their motion, if it was read, and the tokens that are hidden."""

    frames: RgbFrames
    motion: MotionField | None
    mask: TokenMask

    def reconstruct(self, model: MaskedAutoencoder) -> RgbFrames:
        """The clip as the model predicts it, uint8 (T, H, W, 3); only the hidden tokens mean anything.

        Raises:
            ModelError: none of the model's targets has pixels.
        """
        return to_frames(model.reconstruct(to_video(self.frames)[None], torch.from_numpy(self.mask.masked)[None])[0])


def read_masked_clip(
    item: VideoItem, source: ClipSource, config: Config, *, number: int, motion: bool = True
) -> MaskedClip:
    """The clip in the middle of a video, cropped to its centre, under the mask of a configuration.

    Args:
        number: of the clip; with `config.seed` it is the seed of the mask.
        motion: False: only read the motion if the mask follows it.

    Raises:
        VideoError: the video cannot be read.
    """
    rule = config.mask_rule()
    settings = config.clip_settings(motion=motion or rule.uses_motion)
    info = source.info(item.path)
    length = part_length(item, info)
    start = item.start + middle_start(length, frames=settings.frames, stride=settings.stride)
    crop = centre_crop(info.height, info.width, size=settings.size)
    view = source.clip(item.path, start, crop, settings)
    mask = rule.mask.draw(rule.grid, rule.ratio, view.motion, mask_rng(config.seed, 0, number, 0))
    return MaskedClip(view.frames, view.motion, mask)
