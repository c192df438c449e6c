"""Figures 4 and 5 of a video: their rows, and the settings of their recipe."""

import pytest

from mgm.data.synthetic.known_motion import make_translation
from mgm.show.paper_figures.clip import PAPER_MASKS, figure_4, figure_5
from mgm.show.preview_settings import settings_of
from mgm.training import load_config
from tests.evaluation.conftest import SMALL, config, pretrained_run  # noqa: F401


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return str(make_translation(tmp_path_factory.mktemp("v") / "a.mp4", velocity=(2, 1), frames=12, size=(48, 64)))


def test_the_settings_are_those_of_the_recipe():
    changed = ["data.camera=median", "mask.ratio=0.5", "mask.options={boundary: grow}", "data.reading=raw", "seed=3"]
    made = settings_of(load_config("debug", [*SMALL, *changed]), ("mgm", "tube"))
    assert (made.frames, made.size, made.ratio, made.camera, made.reading, made.seed) == (
        4,
        32,
        0.5,
        "median",
        "raw",
        3,
    )
    assert made.options == {"mgm": {"boundary": "grow"}}
    assert made.masks == ("mgm", "tube")


def test_figure_4_has_the_masks_of_the_paper(video):
    made = figure_4(video, load_config("debug", SMALL), columns=2)
    assert set(PAPER_MASKS.values()) <= set(made.words)
    assert len(made.pictures) == 7 * 2


def test_figure_5_has_four_rows(video, pretrained_run, config):  # noqa: F811
    made = figure_5(video, pretrained_run, config, columns=2)
    assert {"a) frames", "b) mgm mask", "c) motion", "d) attention"} <= set(made.words)
    assert len(made.pictures) == 4 * 2 + 1
    without = figure_5(video, None, config, columns=2, ground="dark")
    assert "d) attention" not in without.words
