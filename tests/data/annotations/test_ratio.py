"""Pictures beside videos at a stated share."""

from collections import Counter

import pytest

from mgm.data.annotations import VideoItem, load_set
from mgm.data.annotations.resolve import mix_pictures
from mgm.errors import DataError
from tests.data.annotations.files import touch, write
from tests.errors import raises

VIDEOS = tuple(VideoItem(f"{i}.mp4", i % 2) for i in range(30))
PICTURES = tuple(VideoItem(f"{i}.jpg") for i in range(50))


@pytest.mark.parametrize("ratio", [0.1, 0.25, 0.5, 0.625, 0.8, 0.99])
def test_the_share_is_the_stated_one(ratio):
    mixed = mix_pictures(VIDEOS, PICTURES, ratio)
    count = Counter(item.path.endswith(".jpg") for item in mixed)
    assert count[True] / len(mixed) == pytest.approx(ratio, abs=0.5 / min(count.values()))
    times = Counter(mixed)
    assert set(times) == {*VIDEOS, *PICTURES}
    for kind in (VIDEOS, PICTURES):  # none of a kind is shown more than once more than another
        assert max(times[i] for i in kind) - min(times[i] for i in kind) <= 1
    assert min(max(times[i] for i in kind) for kind in (VIDEOS, PICTURES)) == 1


def test_without_a_ratio_everything_comes_once():
    assert mix_pictures(VIDEOS, PICTURES, None) == VIDEOS + PICTURES


def test_pictures_beside_a_labelled_set(tmp_path):
    """They are for pretraining: unlabelled, and never for judging."""
    touch(tmp_path / "v", *(f"train/{c}/{i}.mp4" for c in "ab" for i in range(3)), "test/a/9.mp4", "test/b/9.mp4")
    touch(tmp_path / "p", "cat/1.jpg", "dog/2.PNG", "dog/notes.txt")
    found = load_set(f"data={tmp_path}/v,images={tmp_path}/p,ratio=.5")
    assert found.classes == ("a", "b")
    assert Counter(i.label is None for i in found.train) == {False: 6, True: 6}
    assert len(found.test) == 2
    write(tmp_path / "pictures.txt", "p/cat/1.jpg 3", "p/dog/2.PNG 3", "p/gone.jpg 3")
    listed = load_set(f"data={tmp_path}/v,images={tmp_path}/pictures.txt")
    assert [i.label for i in listed.train[6:]] == [None, None]
    assert any("1 of 3 listed files" in note for note in listed.notes)


def test_folders_of_pictures_alone(tmp_path):
    """Still pictures are static clips with the labels of their folders; numbered without a gap they are frames of videos."""
    touch(tmp_path / "p", "cat/tom.jpg", "cat/tim.jpg", "dog/rex.jpg", "dog/max.jpg")
    found = load_set(tmp_path / "p")
    assert (found.classes, len(found.items)) == (("cat", "dog"), 4)
    frames = [f"{c}/v{v}/img_{i:05d}.jpg" for c in ("hop", "run") for v in range(3) for i in range(9)]
    touch(tmp_path / "f", *frames)
    found = load_set(tmp_path / "f")
    assert (found.classes, len(found.items)) == (("hop", "run"), 6)
    assert len(load_set(f"data={tmp_path}/f,format=pictures").items) == 54
    touch(tmp_path / "f", "run/extra/rex.jpg")
    with raises(DataError, "conflict", subject=tmp_path / "f", message="annotations-frames-or-pictures"):
        load_set(tmp_path / "f")
    assert len(load_set(f"images={tmp_path}/p").train) == 4
    with raises(DataError, "not_found", message="annotations-no-pictures"):
        load_set(f"images={touch(tmp_path / 'e', 'x.txt')}")
