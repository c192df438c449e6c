from dataclasses import replace

from mgm.data.fingerprint import describe_change, fingerprint
from mgm.data.items import VideoItem

ITEMS = tuple(VideoItem(f"/videos/{name}.mp4", label) for label, name in enumerate("abc"))


def test_the_folder_may_move():
    moved = tuple(replace(item, path=f"/other{item.path}") for item in ITEMS)
    assert describe_change(fingerprint(ITEMS), moved) is None


def test_every_change_of_an_item_is_found():
    before = fingerprint(ITEMS)
    for change in ({"path": "/videos/d.mp4"}, {"label": 7}, {"start": 3}, {"end": 9}):
        assert describe_change(before, (replace(ITEMS[0], **change), *ITEMS[1:])) is not None
    assert describe_change(before, ITEMS[::-1]) is not None
    assert describe_change(before, ITEMS[:2]) is not None
