"""Sheets, strips and animations: the sizes, the moments, the bytes."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from mgm.show.filmstrip import animate, encode_image, filmstrip, motion_legend, pick_moments, strip


def _open(data: bytes) -> Image.Image:
    return Image.open(BytesIO(data))


def test_moments_are_spread_and_include_both_ends():
    assert pick_moments(16, 4).tolist() == [0, 5, 10, 15]
    assert pick_moments(3, 8).tolist() == [0, 1, 2]
    assert pick_moments(16, 1).tolist() == [0]


@pytest.mark.parametrize(("form", "name"), [("png", "PNG"), ("webp", "WEBP")])
def test_images_decode_to_their_size(make_clip, form, name):
    frame = make_clip(frames=1)[0]
    picture = _open(encode_image(frame, form=form))
    assert picture.format == name
    assert picture.size == (84, 56)
    if form == "png":
        np.testing.assert_array_equal(np.asarray(picture), frame)


def test_a_sheet_has_a_row_a_clip_and_a_column_a_moment(make_clip):
    clip = make_clip()
    white = np.full_like(clip, 255)
    one = filmstrip([("frames", clip)], columns=4, cell_height=56)
    two = filmstrip([("frames", clip), ("mask", white)], columns=4, cell_height=56)
    assert two.shape[0] - one.shape[0] == 56 + 4
    assert (two == 255).all(axis=-1).sum() >= 4 * 56 * 84
    wider = filmstrip([("frames", clip)], columns=5, cell_height=56)
    assert wider.shape[1] - one.shape[1] == 84 + 4
    timed = filmstrip([("frames", clip)], columns=4, cell_height=56, times=np.arange(8) / 8)
    assert timed.shape[0] > one.shape[0]


def test_a_note_stands_below_the_name_of_its_row(make_clip):
    clip = make_clip()
    plain = filmstrip([("a", clip), ("b", clip)], columns=2, cell_height=56)
    noted = filmstrip([("a", clip), ("b", clip)], columns=2, cell_height=56, notes={"b": "dark: hidden"})
    frames, row_b = 2 * 84 + 4 + 14, 14 + 56 + 4
    np.testing.assert_array_equal(noted[:, -frames:], plain[:, -frames:])
    without = plain.shape[1] - frames
    np.testing.assert_array_equal(noted[:row_b, :without], plain[:row_b, :without])
    assert (noted[row_b:, without:-frames] < 200).any()


def test_frames_of_a_sheet_are_the_frames_of_the_clip(make_clip):
    clip = make_clip()
    sheet = filmstrip([("a", clip)], columns=2, cell_height=56)
    right = sheet.shape[1] - 14
    np.testing.assert_array_equal(sheet[14:70, right - 84 : right], clip[7])
    np.testing.assert_array_equal(sheet[14:70, right - 172 : right - 88], clip[0])


def test_a_strip_keeps_its_words_as_words(make_clip):
    clip = make_clip()
    made = strip([("frames", clip), ("motion", clip)], columns=4, cell_height=28, times=np.arange(8) * 0.5, caption="c")
    assert [row.label for row in made.rows] == ["frames", "motion"]
    assert made.moments == ("0.00 s", "1.00 s", "2.50 s", "3.50 s")
    picture = _open(made.rows[0].image)
    assert picture.size == (4 * 42 + 3 * 4, 28)
    assert np.asarray(picture.convert("RGBA"))[:, 42:46, 3].max() == 0


def test_an_animation_moves_and_has_its_still(make_clip):
    clip = make_clip()
    made = animate([("frames", clip), ("mask", clip[::-1].copy())], alt="two squares", fps=10, height=56)
    moving, still = _open(made.image), _open(made.still)
    assert moving.n_frames == 8
    assert moving.size == still.size == (2 * 84 + 8, 56)
    assert made.panels == ("frames", "mask")


def test_an_animation_gives_way_until_it_fits():
    noise = np.random.default_rng(0).integers(0, 256, (6, 96, 128, 3), dtype=np.uint8)
    made = animate([("noise", noise)], alt="noise", height=96, limit=30_000)
    assert len(made.image) <= 30_000
    assert _open(made.image).size[1] < 96


def test_a_single_frame_can_be_animated(make_clip):
    assert _open(animate([("one", make_clip(frames=1))], alt="one", height=28).image).size == (42, 28)


def test_rows_that_do_not_fit_together_are_refused(make_clip):
    with pytest.raises(ValueError, match="no rows"):
        filmstrip([])
    with pytest.raises(ValueError, match="'b': 6"):
        strip([("a", make_clip()), ("b", make_clip(frames=6))])
    with pytest.raises(ValueError, match="3 times given for clips of 8 frames"):
        strip([("a", make_clip())], times=np.arange(3))


def test_the_legend_contains_its_scale():
    legend = motion_legend(7.25)
    assert "7.2 px" in legend.text
    assert _open(legend.image).mode == "RGBA"
