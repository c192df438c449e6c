"""Charts: points at their values, axes with round values, units and keys."""

import pytest

from mgm.show.chart import Panel, Series, draw_charts
from mgm.show.drawing.shapes import Lines


def test_points_are_at_their_values_with_their_intervals():
    line = Series("a", ((0, 10), (1, 20)), 0, intervals=((8, 12), (15, 25)))
    made = draw_charts([Panel("p", "epochs", "top-1 (%)", (line,), x_ticks=(0, 1), notes=("small",))], title="t")
    assert {"t", "p", "epochs", "top-1 (%)", "a", "small", "0", "1", "10", "20"} <= set(made.words)
    marks = [s for s in made.shapes if isinstance(s, Lines) and s.fill is not None]
    centres = [
        (sum(x for x, _ in s.points) / len(s.points), sum(y for _, y in s.points) / len(s.points)) for s in marks
    ]
    (x0, y0), (x1, y1), _key = centres
    assert x0 < x1
    assert y0 > y1  # 20 is above 10
    places = {w.text: w.y for w in made.shapes if hasattr(w, "text")}
    assert y0 - y1 == pytest.approx(places["10"] - places["20"], abs=0.01)
    assert all(
        0 <= x <= made.width and 0 <= y <= made.height for s in made.shapes if isinstance(s, Lines) for x, y in s.points
    )


def test_panels_stand_side_by_side():
    panel = Panel("p", "x", "y", (Series("a", ((1, 1),), 0, "square"), Series("b", ((2, 3),), 1, "cross", hollow=True)))
    one, two = draw_charts([panel], title="t"), draw_charts([panel, panel], title="t", ground="dark")
    assert two.width > one.width + 400
    assert two.height == one.height
    assert two.words.count("p") == 2


@pytest.mark.parametrize("value", [0.75, 1.6, 0])
def test_a_single_value_is_named_on_its_axis(value):
    made = draw_charts([Panel("p", "mask ratio", "y", (Series("a", ((value, 3),), 0),))], title="t")
    assert f"{value:g}" in made.words
