"""The parts of scale.py that several processes work on together: a list, features, predictions."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mgm.evaluation.feature_journal import SeenGroup
    from mgm.evaluation.prediction_journal import PredictedGroup
    from mgm.evaluation.ranks import Ranks

SEED, CLASSES, WIDTH = 0, 400, 768
SAMPLE_SECONDS = 0.5


def shared_memory(process: int) -> float:
    """Memory of a process in MB; of what several have in common, its share."""
    text = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii")
    return int(text.partition("Pss:")[2].split()[0]) / 1024


def spend_together(name: str, count: int, work: Callable[[Ranks], object]) -> None:
    """Run a function in every process and print one row of all."""
    from mgm.evaluation.ranks import Ranks

    ranks = Ranks()
    members = ranks.gather(os.getpid)
    sums = [sum(map(shared_memory, members))]
    done = threading.Event()

    def sample() -> None:
        while not done.wait(SAMPLE_SECONDS):
            sums.append(sum(map(shared_memory, members)))

    sampler = threading.Thread(target=sample, daemon=True)
    if ranks.is_first:
        sampler.start()
    ranks.gather(lambda: None)
    began = time.process_time()
    kept = work(ranks)
    seconds = ranks.gather(lambda: time.process_time() - began)
    if ranks.is_first:
        done.set()
        sampler.join()
        after = sum(map(shared_memory, members))
        print(
            f"{name:28s} {count:10,} {sum(seconds):9.2f} s, {ranks.count} processes: {sums[0]:6.0f} MB before, "
            f"{max(*sums, after):6.0f} peak, {after:6.0f} after",
            flush=True,
        )
    ranks.gather(lambda: None)  # until the memory is read
    del kept


def list_each(count: int, given: Path) -> None:
    """A list that every process reads."""
    from mgm.data.annotations import load_set

    spend_together("list, read by each", count, lambda ranks: load_set(_listed(given)))


def list_once(count: int, given: Path) -> None:
    """A list that one process reads."""
    from mgm.training.shared_set import shared_set

    spend_together("list, read once", count, lambda ranks: shared_set(_listed(given)))


def _listed(folder: Path) -> str:
    return f"train={folder}/train.csv,root={folder}/videos"


def _groups(count: int, ranks: Ranks) -> Iterator[SeenGroup]:
    """The groups of 16 videos that a rank has seen."""
    import numpy as np
    import torch

    from mgm.data.loading.views import ViewPlaces
    from mgm.evaluation.feature_journal import SeenGroup, SeenVideo

    torch.manual_seed(SEED)
    for first in range(16 * ranks.rank, count, 16 * ranks.count):
        features = torch.randn(16, WIDTH)
        places = ViewPlaces(np.zeros((1, 16), np.int64), np.zeros((1, 16)), np.zeros(1, np.int64))
        numbers = range(first, min(first + 16, count))
        yield SeenGroup(
            [
                SeenVideo(number, number % CLASSES, torch.tensor([number]), (features[number - first, None],), places)
                for number in numbers
            ],
            {},
        )


def features_each(count: int, folder: Path) -> None:
    """Features gathered as objects on every rank, which was done until then."""
    from dataclasses import replace

    import torch

    def work(ranks: Ranks) -> object:
        mine = [
            replace(video, outputs=tuple(output.clone() for output in video.outputs))
            for group in _groups(count, ranks)
            for video in group.videos
        ]
        found = [video for part in ranks.gather(lambda: mine) for video in part]
        found.sort(key=lambda video: video.index)
        return torch.cat([video.outputs[0] for video in found])

    spend_together("features, as objects", count, work)


def features_first(count: int, folder: Path) -> None:
    """Features in blocks, joined on the first rank."""
    from mgm.evaluation.feature_blocks import FeatureBlocks

    def work(ranks: Ranks) -> object:
        blocks = FeatureBlocks()
        for group in _groups(count, ranks):
            blocks.add(group)
        return blocks.join(ranks, count)

    spend_together("features, in blocks", count, work)


def _predicted(count: int, ranks: Ranks) -> Iterator[PredictedGroup]:
    """The predictions of the groups of 16 videos that a rank has judged."""
    import numpy as np

    from mgm.evaluation.prediction_journal import PredictedGroup, VideoPrediction

    rng = np.random.default_rng(SEED)
    for first in range(16 * ranks.rank, count, 16 * ranks.count):
        numbers = range(first, min(first + 16, count))
        yield PredictedGroup(
            tuple(VideoPrediction(n, n % CLASSES, 15, rng.random(CLASSES), (0.0, 10.0)) for n in numbers), {}
        )


def predictions_each(count: int, folder: Path) -> None:
    """Predictions gathered as objects on every rank, which was done until then."""
    import numpy as np

    def work(ranks: Ranks) -> object:
        mine = list(_predicted(count, ranks))
        videos = [video for part in ranks.gather(lambda: mine) for group in part for video in group.videos]
        videos.sort(key=lambda video: video.index)
        return np.stack([video.probability for video in videos])

    spend_together("predictions, as objects", count, work)


def predictions_first(count: int, folder: Path) -> None:
    """Predictions in blocks, joined on the first rank."""
    from mgm.evaluation.prediction_blocks import PredictionBlocks

    def work(ranks: Ranks) -> object:
        blocks = PredictionBlocks()
        for group in _predicted(count, ranks):
            blocks.add(group)
        return blocks.join(ranks, count)

    spend_together("predictions, in blocks", count, work)


TOGETHER = {
    "list": (list_each, list_once),
    "features": (features_each, features_first),
    "predictions": (predictions_each, predictions_first),
}
