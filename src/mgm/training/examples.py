"""Pictures of the same few clips at chosen steps of a pretraining: frames, motion, mask and reconstruction."""

from __future__ import annotations

from dataclasses import dataclass, replace
from io import BytesIO

import numpy as np
import numpy.typing as npt
import torch

from mgm.data.loading.dataset import ClipSet, Sample
from mgm.data.loading.tensors import to_frames
from mgm.files.atomic import atomic_write
from mgm.models import MaskedAutoencoder
from mgm.notebook import draw
from mgm.training.folder import PICTURES
from mgm.training.log import StepLog
from mgm.training.method import TrainingMethod
from mgm.training.run import TrainingRun, is_sharded

_CLIPS = 3


@dataclass(frozen=True, slots=True, eq=False)
class ExamplePictures:
    """The clips, as the run's first epoch draws them, and where their pictures go."""

    run: TrainingRun
    log: StepLog
    samples: tuple[Sample, ...]

    @classmethod
    def of(cls, run: TrainingRun, method: TrainingMethod, log: StepLog) -> ExamplePictures | None:
        """None if the run asks for no pictures or cannot have any: a classifier, a target without pixels, a model that is sharded.

        Raises:
            DataError: no clip can be read.
        """
        model = method.module
        wanted = run.config.log.pictures and run.fabric.is_global_zero and not is_sharded(run.config, run.optim)
        if not wanted or not isinstance(model, MaskedAutoencoder) or not model.objective.has_picture:
            return None
        clips, rule = run.clips, run.clips.transform.rule
        if rule is not None and clips.settings.motion is not None:  # read with the clips, to be drawn
            transform = replace(clips.transform, rule=replace(rule, keep_motion=True))
            clips = ClipSet(clips.items, clips.source, clips.settings, transform, seed=clips.seed)
        keys = run.order.keys(0)[:_CLIPS]
        return cls(run, log, tuple(clips[key] for key in keys))

    def write(self, step: int, model: torch.nn.Module) -> None:
        """Write the picture after a number of steps, if it is a chosen one, into the folder and to TensorBoard.

        Raises:
            FileError: it cannot be written.
        """
        if step not in self.run.config.log.pictures:
            return
        assert isinstance(model, MaskedAutoencoder)
        training = model.training
        model.eval()
        with self.run.fabric.autocast():
            predicted = [self._reconstruct(model, sample) for sample in self.samples]
        model.train(training)
        sheet = draw(
            "examples_sheet",
            [(to_frames(s.video), s.motion, s.mask, p) for s, p in zip(self.samples, predicted, strict=True)],
        )
        buffer = BytesIO()
        sheet.save(buffer, "PNG")
        folder = self.run.out / PICTURES
        folder.mkdir(exist_ok=True)
        with atomic_write(folder / f"step-{step:08}.png") as file:
            file.write(buffer.getvalue())
        self.log.add_picture(step, buffer.getvalue(), sheet.size)

    def _reconstruct(self, model: MaskedAutoencoder, sample: Sample) -> npt.NDArray[np.uint8]:
        assert sample.mask is not None
        video = sample.video[None].to(self.run.fabric.device)
        return to_frames(model.reconstruct(video, torch.from_numpy(sample.mask)[None])[0])
