from mgm.data.items import VideoItem
from mgm.evaluation.holdout import held_out


def videos(*names):
    return [VideoItem(name, ord(name[0]) - ord("a")) for name in names]


def test_every_fifth_video_of_each_class():
    items = videos(*(f"a/{i}.mp4" for i in range(11)), *(f"b/{i}.mp4" for i in range(5)))
    assert [item.path for item, held in zip(items, held_out(items), strict=True) if held] == [
        "a/4.mp4",
        "a/9.mp4",
        "b/4.mp4",
    ]


def test_clips_of_one_source_and_parts_of_one_file_stay_together():
    items = videos(*(f"a/v_x_g{i:02}_c{c}.mp4" for i in range(6) for c in (1, 2)))
    held = [item.path for item, chosen in zip(items, held_out(items), strict=True) if chosen]
    assert held == ["a/v_x_g04_c1.mp4", "a/v_x_g04_c2.mp4"]
    parts = [VideoItem("a/long.mp4", 0, start, start + 9) for start in range(0, 90, 9)]
    assert not held_out(parts).any()  # one source: all of it is needed to train


def test_a_small_set_holds_out_one_video_of_each_class():
    items = videos("a/0.mp4", "a/1.mp4", "b/0.mp4")
    assert held_out(items).tolist() == [False, True, False]


def test_every_class_keeps_a_video_to_train_on():
    """A source of two classes, which is all that one of them has."""
    items = [*videos(*(f"a/g{i:02}_.mp4" for i in range(5))), VideoItem("b/g04_.mp4", 1)]
    assert not held_out(items).any()
