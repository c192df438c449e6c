"""Numbers in the SVG stay inside it, and mean what the data mean."""

import math
import re
from xml.etree import ElementTree

import pytest

from mgm.show.report.charts import curve_svg, interval_svg
from mgm.show.report.elements import Curve, CurveChart, Estimate, IntervalChart, IntervalRow

_SIZES = [(860, 340), (340, 260)]


def _numbers_inside(svg: str) -> ElementTree.Element:
    root = ElementTree.fromstring(svg)
    _, _, width, height = (float(v) for v in root.attrib["viewBox"].split())
    for node in root.iter():
        for key in ("x", "x1", "x2", "cx"):
            assert 0 <= float(node.get(key, 0)) <= width, ElementTree.tostring(node)
        for key in ("y", "y1", "y2", "cy"):
            assert 0 <= float(node.get(key, 0)) <= height, ElementTree.tostring(node)
        for point in node.get("points", "").split():
            x, y = (float(v) for v in point.split(","))
            assert 0 <= x <= width
            assert 0 <= y <= height
        if node.tag == "text":
            _words_inside(node, width)
    return root


def _words_inside(node: ElementTree.Element, width: float) -> None:
    long, x = 6.2 * len(node.text or ""), float(node.attrib["x"])
    before = {"start": 0.0, "middle": 0.5, "end": 1.0}[node.attrib["text-anchor"]]
    assert x - before * long >= -2, node.text
    assert x + (1 - before) * long <= width + 2, node.text


def _curve(label: str, count: int = 500, drop: float = 0.3) -> Curve:
    return Curve(label, tuple(range(count)), tuple(1 - drop * k / count for k in range(count)))


@pytest.mark.parametrize(("width", "height"), _SIZES)
@pytest.mark.parametrize("labels", [["mgm"], ["mgm", "tube"], ["mgm", "tube", "random", "smm", "frame"]])
def test_curves_stay_inside(width, height, labels):
    curves = tuple(_curve(label, drop=0.3 + 0.001 * k) for k, label in enumerate(labels))
    root = _numbers_inside(curve_svg(CurveChart(curves, "loss", "a & b"), width=width, height=height))
    assert root.attrib["aria-label"] == "a & b"
    if len(labels) <= 2:
        assert sum(node.get("class") == "hit" for node in root.iter()) == 60


@pytest.mark.parametrize("values", [(0.5,), (0.5, 0.5, 0.5), (0.9, math.nan, 0.7), (math.inf, 1e9, 1e-9), (1.0, -1.0)])
def test_odd_curves_are_drawn(values):
    curve = Curve("odd", tuple(range(len(values))), values)
    svg = curve_svg(CurveChart((curve,), "loss", ""), width=860, height=340)
    _numbers_inside(svg)
    assert "nan" not in svg
    assert "inf" not in svg


def test_a_curve_without_a_finite_value_has_a_note():
    curve = Curve("gone", (0, 1), (math.nan, math.nan))
    assert "no finite value" in curve_svg(CurveChart((curve,), "loss", ""), width=340, height=260)


def test_both_ends_are_labelled():
    svg = curve_svg(CurveChart((Curve("mgm", (0, 10, 20), (0.99, 0.8, 0.712)),), "loss", ""), width=860, height=340)
    assert ">0.99<" in svg
    assert ">0.712<" in svg


def test_a_gap_breaks_the_raw_curve():
    values = [1 - k / 100 for k in range(40)]
    values[20] = math.nan
    svg = curve_svg(CurveChart((Curve("a", tuple(range(40)), tuple(values)),), "loss", ""), width=860, height=340)
    assert len(re.findall(r'class="raw', svg)) == 2


def test_curves_of_unequal_lengths_are_refused():
    with pytest.raises(ValueError, match="'a': 2 steps and 1 values"):
        Curve("a", (0, 1), (0.5,))


@pytest.mark.parametrize(("width", "_height"), _SIZES)
@pytest.mark.parametrize("reference", [None, ("chance", 0.0025), ("chance", 0.5), ("chance", 1.0)])
def test_intervals_stay_inside(width, _height, reference):
    rows = (
        IntervalRow("attentive", (Estimate(0.97, 0.93, 1.0), Estimate(0.02, 0.0, 0.05))),
        IntervalRow("k-NN", (Estimate(0.5, 0.0, 1.0), None)),
    )
    chart = IntervalChart(("pretrained", "untrained"), rows, "", "top-1 accuracy", reference)
    _numbers_inside(interval_svg(chart, width=width))


def test_a_better_score_stands_further_right():
    rows = (IntervalRow("a", (Estimate(0.8, 0.7, 0.9), Estimate(0.2, 0.1, 0.3))),)
    root = ElementTree.fromstring(interval_svg(IntervalChart(("p", "u"), rows, "", "top-1"), width=860))
    dots = [float(node.attrib["cx"]) for node in root.iter() if node.tag == "circle" and node.get("r") == "5.5"]
    low, high = min(dots), max(dots)
    # The axis runs to 100%: the dots lie at a fifth and at four fifths of it.
    axis = next(node for node in root.iter() if node.get("class") == "axis")
    start, end = float(axis.attrib["x1"]), float(axis.attrib["x2"])
    assert (high - low) / (end - start) == pytest.approx(0.6, rel=0.2)
    assert dots[0] == high
