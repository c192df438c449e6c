"""Masks for other data sets: the same in any worker, different in each epoch, ready for Hugging Face."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import mgm
from mgm.errors import DataError, MaskError
from mgm.video import MotionField
from tests.errors import raises

GRID = (4, 6, 6)


class Moving:
    """A user's data set: small clips, each with a field of its own."""

    def __init__(self, count: int = 12) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Mapping[str, Any]:
        vectors = np.random.default_rng(index).normal(size=(8, 12, 12, 2)).astype(np.float32)
        field = MotionField(vectors, np.ones(vectors.shape[:3], np.bool_), "codec", (96, 96))
        return {"pixel_values": torch.full((8, 3, 2, 2), float(index)), "motion": field}


def read(masked: mgm.MaskedClips, **options: Any) -> dict[int, torch.Tensor]:
    """{index: mask} of one pass over a loader."""
    found = {}
    for batch in DataLoader(masked, batch_size=3, **options):
        assert set(batch) == {"pixel_values", "bool_masked_pos"}
        for pixels, mask in zip(batch["pixel_values"], batch["bool_masked_pos"], strict=True):
            found[int(pixels.flatten()[0])] = mask
    return found


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # three workers on two cores are meant
@pytest.mark.parametrize("workers", [1, 3])
def test_masks_do_not_depend_on_workers_or_order(workers: int) -> None:
    masked = mgm.MaskedClips(Moving(), "mgm", grid=GRID, ratio=0.75, seed=3)
    assert repr(masked) == "MaskedClips(12 clips, mgm, 4 x 6 x 6 tokens, 75% hidden, 'bool_masked_pos')"
    alone = read(masked)
    together = read(masked, shuffle=True, num_workers=workers)

    assert set(alone) == set(together) == set(range(12))
    for index, mask in alone.items():
        assert mask.dtype == torch.bool
        assert mask.sum() == 4 * 27
        assert torch.equal(mask, together[index])


@pytest.mark.filterwarnings("ignore:This DataLoader will create 2 worker processes")  # on one core
def test_workers_that_live_on_see_the_next_epoch() -> None:
    masked = mgm.MaskedClips(Moving(), "mgm", grid=GRID, ratio=0.75)
    loader = DataLoader(masked, batch_size=12, num_workers=2, persistent_workers=True)
    (first,) = loader
    masked.set_epoch(1)
    (second,) = loader
    masked.set_epoch(0)
    (again,) = loader

    assert not torch.equal(first["bool_masked_pos"], second["bool_masked_pos"])
    assert torch.equal(first["bool_masked_pos"], again["bool_masked_pos"])


@pytest.mark.filterwarnings("ignore:This DataLoader will create 2 worker processes")  # on one core
@pytest.mark.parametrize("workers", [0, 2])
def test_a_ratio_schedule_reaches_workers_that_live_on(workers: int) -> None:
    masked = mgm.MaskedClips(Moving(), "mgm", grid=GRID, ratio=0.5)
    loader = DataLoader(masked, batch_size=3, num_workers=workers, persistent_workers=workers > 0)
    epochs = 3
    for epoch in range(epochs):
        masked.set_epoch(epoch)
        masked.set_ratio(0.5 + 0.25 * epoch / (epochs - 1))
        hidden = torch.cat([batch["bool_masked_pos"].sum(1) for batch in loader])
        assert hidden.tolist() == [4 * (18, 22, 27)[epoch]] * 12
    again = mgm.MaskedClips(Moving(), "mgm", grid=GRID, ratio=0.75)
    again.set_epoch(2)
    assert torch.equal(again[5]["bool_masked_pos"], masked[5]["bool_masked_pos"])


def test_an_impossible_ratio_leaves_the_one_before() -> None:
    masked = mgm.MaskedClips(Moving(), "mgm", grid=GRID, ratio=0.5)
    for ratio in (0.0, 1.0, 0.001, float("nan")):
        with pytest.raises(MaskError):
            masked.set_ratio(ratio)
    assert masked.ratio == 0.5
    with pytest.raises(MaskError):
        mgm.MaskedClips(Moving(), "mgm", grid=(0, 6, 6), ratio=0.5)


def test_a_mask_is_that_of_its_four_numbers() -> None:
    clips = Moving()
    masked = mgm.MaskedClips(clips, "mgm", grid=GRID, ratio=0.75, seed=5, start="motion")
    masked.set_epoch(2)
    expected = mgm.make_mask(
        "mgm", grid=GRID, ratio=0.75, motion=clips[7]["motion"], rng=mgm.mask_rng(5, 2, 7, 0), start="motion"
    )

    assert np.array_equal(masked[7]["bool_masked_pos"].numpy(), expected.flat)


def test_a_built_mask_another_key_and_no_motion() -> None:
    class Still(Moving):
        def __getitem__(self, index: int) -> Mapping[str, Any]:
            return {"video": torch.zeros(1)}

    masked = mgm.MaskedClips(Still(2), mgm.masks.build_mask("tube"), grid=GRID, ratio=0.5, key="mask")

    assert set(masked[0]) == {"video", "mask"}
    assert len(list(masked)) == 2


def test_a_data_set_without_dictionaries_or_motion() -> None:
    class Tuples(Moving):
        def __getitem__(self, index: int) -> Any:
            return torch.zeros(1), 0

    class NoMotion(Moving):
        def __getitem__(self, index: int) -> Mapping[str, Any]:
            return {"video": torch.zeros(1)}

    with raises(DataError, "invalid_type", message="masking-not-a-dictionary"):
        mgm.MaskedClips(Tuples(), "tube", grid=GRID, ratio=0.5)[1]
    with raises(DataError, "missing_value", message="masking-without-motion"):
        mgm.MaskedClips(NoMotion(), "mgm", grid=GRID, ratio=0.5)[0]
    with pytest.raises(MaskError):
        mgm.MaskedClips(Moving(), "mgm", grid=GRID, ratio=1.5)


def test_collate_masks() -> None:
    masks = [mgm.make_mask("tube", grid=GRID, ratio=0.75, rng=np.random.default_rng(i)) for i in range(3)]
    batch = mgm.data.collate_masks(masks)

    assert batch.shape == (3, *GRID)
    assert np.array_equal(batch.numpy(), np.stack([mask.masked for mask in masks]))
    assert torch.equal(mgm.data.collate_masks(masks, flat=True), batch.flatten(1))


def test_masks_that_do_not_fit_together() -> None:
    one = mgm.make_mask("tube", grid=GRID, ratio=0.75, rng=np.random.default_rng(0))
    fewer = mgm.make_mask("tube", grid=GRID, ratio=0.5, rng=np.random.default_rng(0))
    with raises(MaskError, "mismatch", message="masking-counts-differ"):
        mgm.data.collate_masks([one, fewer])
    with raises(MaskError, "missing_value", message="masking-empty"):
        mgm.data.collate_masks([])
