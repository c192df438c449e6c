"""The whole path from bytes to loss, against recorded losses: a refactoring changes none of them."""

import numpy as np
import pytest

from mgm.data.annotations import load_set
from mgm.training.pretrain import pretrain
from mgm.video.transcode.write import write_video

# The test prints its losses. Record new ones only with a reason for the change of the arithmetic.
GOLDEN = (1.0679992, 1.0568776, 1.0520737, 1.0441215, 1.0328441)


@pytest.fixture(scope="module")
def blocks(tmp_path_factory):
    """Eight videos of tiles that move over tiles, computed in integers: the same pixels on every machine."""
    root = tmp_path_factory.mktemp("blocks")
    rng = np.random.default_rng(0)
    for number in range(8):
        ground, sprite = (
            np.kron(rng.integers(40, 216, (side, side, 1)), np.ones((4, 4, 3), np.int64)).astype(np.uint8)
            for side in (16, 6)
        )
        place, velocity = rng.integers(0, 40, 2), rng.integers(-3, 4, 2) * 2

        def frames(ground=ground, sprite=sprite, place=place, velocity=velocity):
            for t in range(8):
                frame = ground.copy()
                y, x = ((place + t * velocity) % 40).tolist()
                frame[y : y + 24, x : x + 24] = sprite
                yield frame

        write_video(root / f"{number}.mp4", frames(), fps=12)
    return load_set(root)


def losses(blocks, config, out):
    return pretrain(blocks, config, out=out, show_progress=False).history.losses


def test_the_first_losses_are_those_on_record(blocks, small, tmp_path):
    config = small("pretrain.steps=5", "pretrain.base_lr=0.2", "data.memory_side=32", "data.stride=2", "data.flip=true")
    first = losses(blocks, config, tmp_path / "first")
    assert losses(blocks, config, tmp_path / "second") == first
    print("GOLDEN =", tuple(round(loss, 7) for loss in first))
    assert first == pytest.approx(list(GOLDEN), rel=1e-3)
