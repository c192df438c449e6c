"""The motion vectors of the stream tell the classes of the synthetic set, which differ in motion alone."""

from pathlib import Path

import pytest

from mgm.data.annotations import load_set
from mgm.data.clips.source import FileSource
from mgm.data.synthetic.labelled import HEADINGS, make_dataset
from mgm.evaluation.raw_motion import probe_raw_motion
from mgm.training import load_config


@pytest.fixture(scope="module")
def headings(tmp_path_factory):
    root = tmp_path_factory.mktemp("headings") / "set"
    make_dataset(root, HEADINGS, train=80, test=40, frames=9, size=96, pan=0)
    return root


def test_the_vectors_tell_the_headings(headings):
    scores = probe_raw_motion(load_set(headings), load_config("debug"), FileSource())
    assert set(scores.hits) == {"linear probe", "20-NN"}
    for hits in scores.hits.values():
        assert len(hits) == 40
        assert hits.mean() > 0.8


def test_an_unreadable_video_is_named_and_left_out(headings):
    videos = load_set(headings)
    broken = Path(videos.test[3].path)
    content = broken.read_bytes()
    try:
        broken.write_bytes(content[:100])
        scores = probe_raw_motion(videos, load_config("debug"), FileSource())
    finally:
        broken.write_bytes(content)
    assert list(scores.unreadable) == [str(broken)]
    assert scores.tested == tuple(i for i in range(40) if i != 3)
