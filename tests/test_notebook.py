"""Clips, motion fields and masks print their shapes and show themselves as pictures."""

import subprocess
import sys
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

import mgm
from mgm.data.synthetic.known_motion import make_translation
from mgm.errors import ConfigError, MaskError
from mgm.training.results import Interval, Metric, Result, SetRecord, VideosRecord
from tests.errors import raises


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("notebook") / "a.mp4"
    make_translation(path, velocity=(3, -2), frames=32, size=(64, 96))
    return mgm.read_clip(path, frames=8, stride=2, size=(64, 96))


@pytest.fixture(scope="module")
def mask(clip):
    return mgm.make_mask("mgm", grid=(4, 4, 6), ratio=0.5, motion=clip.motion, rng=np.random.default_rng(0))


def test_values_print_shapes_and_units(clip, mask):
    assert "frames uint8 (8, 64, 96, 3)" in repr(clip)
    assert "8 x 8 x 12 cells" in repr(clip)
    assert "px" in repr(clip.motion)
    assert repr(mask).startswith("TokenMask(4 x 4 x 6 tokens, 12 of 24 hidden per step, ratio 0.50")
    assert max(len(repr(value)) for value in (clip.motion, mask)) < 200


def test_results_print_in_one_line(tiny_set):
    found = mgm.load_set(str(tiny_set))
    assert repr(found).startswith(f"VideoSet({tiny_set}: 16 training and 16 test videos, 8 classes; ")
    scanned = mgm.scan_videos(tiny_set / "test", processes=1)
    assert repr(scanned) == "ScanReport(16 files: 16 readable, 16 with motion vectors, 0 with problems)"


def test_a_notebook_shows_a_picture(clip, mask):
    for value in (clip, clip.motion, mask):
        with Image.open(BytesIO(value._repr_png_())) as picture:
            assert picture.format == "PNG"
            assert picture.width > picture.height


def test_a_mask_is_drawn_over_its_clip(clip, mask):
    shown = np.asarray(mask.show(clip, columns=4))
    alone = np.asarray(mask.show(columns=4))
    assert shown.shape[0] > alone.shape[0]  # a row of frames above the mask
    with raises(MaskError, "mismatch", message="mask-shown-over-another-clip"):
        mgm.make_mask("tube", grid=(3, 4, 6), ratio=0.5, rng=np.random.default_rng(0)).show(clip)


def test_a_clip_is_shown_with_any_number_of_masks(clip, mask):
    other = mgm.make_mask("tube", grid=(4, 4, 6), ratio=0.5, rng=np.random.default_rng(0))
    heights = [mgm.show(clip, *masks).height for masks in ((), (mask,), (mask, other))]
    assert heights[2] - heights[1] == heights[1] - heights[0] > 50
    named = np.asarray(mgm.show(clip, mgm=mask, tube=other))
    assert named.shape[0] == heights[2]
    assert np.asarray(mgm.show(mask, columns=2)).shape == np.asarray(mask.show(columns=2)).shape
    assert mgm.show(clip.motion).size == clip.motion.show().size


def test_what_cannot_be_shown_is_an_error(clip, mask):
    with raises(ConfigError, "invalid_type", message="show-no-picture"):
        mgm.show(3)
    with raises(ConfigError, "invalid_type", message="show-masks-without-a-clip"):
        mgm.show(clip.motion, mask)
    with raises(ConfigError, "not_found"):
        mgm.show("absent")


def test_show_is_the_package_of_pictures_too():
    code = "import mgm; mgm.show; import mgm.show.style; assert mgm.show.style.EDGE and callable(mgm.show)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_result_is_a_table():
    interval = Interval(low=0.25, high=0.75, method="Wilson")
    metric = Metric(name="top-1 <of 4>", value=0.5, count=16, intervals=(interval,))
    videos = SetRecord(name="set", train=1, test=16, classes=2, split="", checksum="")
    result = Result(kind="probe", set=videos, videos=VideosRecord(expected=16, judged=14), metrics=(metric,))
    html = result._repr_html_()
    assert "<caption>probe on set, incomplete (14 of 16)</caption>" in html
    assert "<td>top-1 &lt;of 4&gt;</td><td>50.0%</td><td>25.0% to 75.0%, Wilson</td><td>16</td>" in html


def test_without_pillow_the_error_names_the_packages():
    code = (
        "import sys\n"
        "sys.modules['PIL'] = None\n"
        "import mgm, numpy as np\n"
        "mask = mgm.make_mask('tube', grid=(2, 4, 4), ratio=0.5, rng=np.random.default_rng(0))\n"
        "assert mask._repr_png_() is None\n"
        "try:\n"
        "    mask.show()\n"
        "except ModuleNotFoundError as error:\n"
        "    assert '[show]' in str(error), error\n"
        "else:\n"
        "    raise AssertionError('no error')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
