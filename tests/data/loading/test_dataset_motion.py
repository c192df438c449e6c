import numpy as np
import pytest

from mgm.data.loading.patch_motion import patch_motion
from mgm.video import MotionField


def field(vectors, extent):
    vectors = np.asarray(vectors, np.float32)
    return MotionField(vectors, np.ones(vectors.shape[:3], bool), "codec", extent)


def pixel_by_pixel(vectors, extent, grid):
    """Spread the cells over the pixels of the region, then average over the pixels of each patch."""
    pixels = vectors.repeat(8, 1).repeat(8, 2)[:, : extent[0], : extent[1]]
    t, (h, w) = len(vectors), grid
    return pixels.reshape(t, h, extent[0] // h, w, extent[1] // w, 2).mean((2, 4))


@pytest.mark.parametrize(
    ("extent", "grid"), [((32, 48), (2, 3)), ((36, 60), (3, 5)), ((36, 60), (9, 4)), ((4, 6), (2, 3))]
)
def test_patches_average_the_pixels_that_they_cover(extent, grid):
    cells = [-(-side // 8) for side in extent]
    vectors = np.random.default_rng(0).normal(size=(3, *cells, 2)).astype(np.float32)
    pooled = patch_motion(field(vectors, extent), grid)
    assert pooled.dtype == np.float32
    np.testing.assert_allclose(pooled, pixel_by_pixel(vectors, extent, grid), rtol=1e-5, atol=1e-6)


def test_a_uniform_motion_stays_what_it_is():
    pooled = patch_motion(field(np.broadcast_to((3.0, -2.0), (2, 5, 7, 2)), (37, 50)), (4, 4))
    np.testing.assert_allclose(pooled, np.broadcast_to((3.0, -2.0), (2, 4, 4, 2)), rtol=1e-6)
