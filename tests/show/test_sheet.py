"""Contact sheets: rows, columns, words and keys, and what is drawn over the frames."""

from dataclasses import replace

import numpy as np
import pytest

from mgm.show.drawing.shapes import Lines, Words
from mgm.show.sheet import EDGE_KEY, HIDDEN_KEY, SheetRow, draw_sheet, fixed_scale, outlines, pick_columns, region
from mgm.show.style import BOX, EDGE, QUERY
from mgm.video import MotionField


def field(vectors):
    vectors = np.asarray(vectors, np.float32)
    size = (vectors.shape[1] * 8, vectors.shape[2] * 8)
    return MotionField(vectors, np.ones(vectors.shape[:3], np.bool_), "codec", size)


def test_every_sheet_tells_what_it_shows(make_clip):
    clip = make_clip()
    moving = np.zeros((8, 7, 10, 2))
    moving[..., 0] = 3
    masked = np.zeros((4, 7, 10), np.bool_)
    masked[:, 2:6, 2:7] = True
    rows = [
        SheetRow("frames", clip),
        SheetRow("motion", clip, arrows=field(moving)),
        SheetRow("encoder", clip, ("a note",), outline=masked),
    ]
    made = draw_sheet(
        rows, title="mgm, 75% hidden", facts=["a.mp4"], times=np.arange(8) / 4, columns=4, keys=[HIDDEN_KEY]
    )
    wanted = ["mgm, 75% hidden", "a.mp4", "frames", "motion", "encoder", "a note", "0.00 s", "1.75 s"]
    assert set(wanted) <= set(made.words)
    assert {HIDDEN_KEY.words, EDGE_KEY.words} <= set(made.words)
    assert any("6 px per step" in words for words in made.words)  # a tenth of 56 px
    assert len(made.pictures) == 3 * 4 + 1  # and the colour wheel
    assert all(picture.x >= 0 and picture.x + picture.width <= made.width for picture in made.pictures)
    assert max(picture.y + picture.height for picture in made.pictures) <= made.height


def test_without_motion_there_is_no_wheel(make_clip):
    made = draw_sheet([SheetRow("frames", make_clip())], title="t", columns=3)
    assert len(made.pictures) == 3
    assert made.words == ["t", "frames"]


@pytest.mark.parametrize("times", [None, np.arange(8) / 4])
@pytest.mark.parametrize("number", [0, 1])
def test_the_name_of_the_last_pictures_is_below_the_lowest(make_clip, number, times):
    rows = [SheetRow("frames", make_clip()), SheetRow("encoder", make_clip())]
    rows[number] = replace(rows[number], end=np.zeros((2, 2, 3), np.uint8))
    made = draw_sheet(rows, title="t", times=times, columns=2, end_name="visibility")
    (picture,) = [picture for picture in made.pictures if picture.pixels.shape == (2, 2, 3)]
    (name,) = [shape for shape in made.shapes if isinstance(shape, Words) and shape.text == "visibility"]
    assert 0 < name.y - (picture.y + picture.height) < 20
    assert name.y < made.height


def test_the_scale_is_the_same_for_every_clip():
    assert fixed_scale((240, 426)) == 24
    assert fixed_scale((480, 854)) == 48
    assert fixed_scale((4, 4)) == 1


def test_arrows_point_where_the_content_goes(make_clip):
    moving = np.zeros((8, 8, 8, 2))
    moving[:, :, 4:] = (0, -6)  # the right half goes up
    made = draw_sheet([SheetRow("motion", make_clip(), arrows=field(moving))], title="t", columns=1)
    shafts = [s for s in made.shapes if isinstance(s, Lines) and s.fill is None]
    (cell, _) = made.pictures
    assert shafts
    for shaft in shafts:
        (x0, y0), (x1, y1) = shaft.points
        assert x0 == pytest.approx(x1)
        assert y1 < y0
        assert x0 > cell.x + cell.width / 2


def test_boxes_and_the_query_token_are_at_their_places(make_clip):
    clip = make_clip()
    boxes = [np.array([[21.0, 14.0, 63.0, 28.0]])] * 8
    made = draw_sheet(
        [SheetRow("frames", clip, boxes=boxes, token=((4, 7, 10), (2, 3, 5)))], title="t", columns=8, cell_height=56
    )
    frames = made.pictures
    lines = [s for s in made.shapes if isinstance(s, Lines) and s.fill is None]
    boxed = [s for s in lines if s.colour == BOX][:8]
    assert boxed[0].points[0] == pytest.approx((frames[0].x + 21, frames[0].y + 14))
    marked = [s for s in lines if s.colour == QUERY][:2]
    assert marked[0].points[0] == pytest.approx((frames[4].x + 42, frames[4].y + 24))  # frames 4 and 5 are step 2
    assert marked[1].points[0][0] == pytest.approx(frames[5].x + 42)


def test_the_outline_is_that_of_the_region(make_clip):
    masked = np.zeros((14, 14), np.bool_)
    masked[4:9, 3:10] = True
    scattered = masked.copy()
    scattered[12, 12] = scattered[1, 5] = True
    scattered[6, 9] = False
    assert region(masked).tolist() == masked.tolist()
    assert not region(scattered)[12, 12]
    assert not region(scattered)[1, 5]
    assert set(outlines(masked)) == {
        ((3 / 14, 4 / 14), (10 / 14, 4 / 14)),
        ((3 / 14, 9 / 14), (10 / 14, 9 / 14)),
        ((3 / 14, 4 / 14), (3 / 14, 9 / 14)),
        ((10 / 14, 4 / 14), (10 / 14, 9 / 14)),
    }
    corner = np.zeros((14, 14), np.bool_)
    corner[:3, :5] = True
    assert region(corner).tolist() == corner.tolist()  # open at the border
    assert len(outlines(corner)) == 2
    made = draw_sheet([SheetRow("mask", make_clip(), outline=masked[None])], title="t", columns=2)
    assert sum(isinstance(s, Lines) and s.colour == EDGE for s in made.shapes) == 2 * 4 + 1  # and the key


def test_columns_include_both_ends():
    assert pick_columns(16, 4).tolist() == [0, 5, 10, 15]
    assert pick_columns(16, 1).tolist() == [8]
    assert pick_columns(3, 8).tolist() == [0, 1, 2]
