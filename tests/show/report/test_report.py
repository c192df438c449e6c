"""The page: whole without any of its parts, well-formed, self-contained, and safe with any file name."""

import base64
import re
import subprocess
import sys
from dataclasses import fields, replace
from html.parser import HTMLParser
from io import BytesIO
from typing import get_args

import numpy as np
import pytest
from PIL import Image

from mgm.evaluation.metrics import Verdict
from mgm.show.filmstrip import animate, encode_image, motion_legend, strip
from mgm.show.report.elements import Cell, Code, Column, Curve, Estimate, PageSection, Picture, Table, Text
from mgm.show.report.facts import (
    DataFacts,
    Headline,
    MaskFacts,
    MaskRow,
    ProbeFacts,
    ProbeResult,
    RunFacts,
)
from mgm.show.report.html import anchors
from mgm.show.report.report import Report, render_report, write_report

_EVIL = '<script>alert("1")</script>&amp;\'\u202e\x1b[2J.mp4'
_VOID = {"meta", "img", "input", "br", "link", "hr", "wbr"}


class _Checker(HTMLParser):
    """Refuses unbalanced tags, collects tags, ids and links."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.without_alt = 0

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        given = dict(attrs)
        self.links += [
            given[key] or "" for key in ("src", "href", "srcset", "data", "action", "poster") if key in given
        ]
        self.ids += [given["id"]] if "id" in given else []
        self.without_alt += tag == "img" and "alt" not in given
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, tag


def _check(html: str) -> _Checker:
    checker = _Checker()
    checker.feed(html)
    checker.close()
    assert checker.open == []
    assert checker.without_alt == 0
    assert len(set(checker.ids)) == len(checker.ids)
    for link in checker.links:
        assert link.startswith(("data:image/", "#")), link[:60]
        assert not link.startswith("#") or link[1:] in checker.ids
    assert "@import" not in html
    assert not re.search(r"https?:|url\(", html)
    assert "script" not in checker.tags
    return checker


@pytest.fixture
def full(make_clip) -> Report:
    clip = make_clip()
    legend = motion_legend(4.0)
    probe = ProbeResult(
        "attentive", (Estimate(0.82, 0.79, 0.85), Estimate(0.13, 0.1, 0.16)), Estimate(0.69, 0.65, 0.73), "gain"
    )
    return Report(
        title="A run",
        summary="It works.",
        tone="good",
        made="mgm 0.1.0",
        headlines=(Headline("82%", "attentive probe", "chance 12.5%"),),
        preview=animate([("frames", clip), ("mask", clip)], alt="a clip", height=28, legend=legend),
        sections=(
            PageSection(
                "Clips", (strip([("frames", clip)], times=np.arange(8.0), legend=legend), Text("a\n\nb")), "lead"
            ),
            PageSection("Clips", (Picture(encode_image(clip[0]), "one frame", "caption"), Code("mgm demo"))),
        ),
        masks=MaskFacts((MaskRow("mgm", 0.91, 0.88, 0.7, 3), MaskRow("tube", 0.75, 0.75, 1.0, None)), 0.75, 20, 160),
        losses=(Curve("mgm", (0, 1, 2), (1.0, 0.9, 0.8)),),
        loss_note="falls",
        probes=ProbeFacts(("pretrained", "untrained"), (probe,), chance=0.125, clips=512, classes=8, note="how"),
        appendix=(PageSection("More", (Text("more"),)),),
        data=DataFacts(3, 2, 1, "/videos", ("x.mp4: broken; copy it again",), (("codec", "H.264"),)),
        run=RunFacts(
            "2 cores", (("torch", "2.11"),), 0, (("scan", 1.5), ("pretrain", 158.0)), "mgm demo", (("a", "b"),)
        ),
        notes=("One seed.",),
    )


def test_a_full_page_is_well_formed_and_self_contained(full, tmp_path):
    write_report(tmp_path / "new" / "report.html", full)
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["report.html"]
    html = (tmp_path / "new" / "report.html").read_text(encoding="utf-8")
    checker = _check(html)
    assert checker.tags.count("h1") == 1
    assert checker.tags.count("section") == 9
    for words in (
        "82%",
        "attentive",
        "gain",
        "91.0%",
        "of 160 steps",
        "2 min 38 s",
        "x.mp4",
        "One seed.",
        "A run",
    ):
        assert words in html


@pytest.mark.parametrize("name", [f.name for f in fields(Report) if f.name not in ("title", "summary")])
def test_every_part_may_be_absent(full, name):
    default = next(f.default for f in fields(Report) if f.name == name)
    _check(render_report(replace(full, **{name: default})))


def test_title_and_summary_are_enough():
    checker = _check(render_report(Report(title="T", summary="S")))
    assert "section" not in checker.tags
    assert "nav" not in checker.tags


def test_nothing_that_a_file_can_be_called_escapes(full):
    evil = Report(
        title=_EVIL,
        summary=_EVIL,
        made=_EVIL,
        headlines=(Headline(_EVIL, _EVIL, _EVIL),),
        preview=replace(full.preview, alt=_EVIL, caption=_EVIL, panels=(_EVIL,)),
        sections=(
            PageSection(_EVIL, (Text(_EVIL), Code(_EVIL), Picture(full.preview.still, _EVIL, _EVIL)), _EVIL),
            PageSection("t", (Table((Column(_EVIL, _EVIL), Column("b")), ((_EVIL, Cell(_EVIL)),), _EVIL, _EVIL),)),
        ),
        masks=MaskFacts((MaskRow(_EVIL, None, None, None, None),), 0.75, 1, subject=_EVIL),
        losses=(Curve(_EVIL, (0, 1), (1.0, 0.5)), Curve("b", (0, 1), (1.0, 0.5))),
        loss_note=_EVIL,
        probes=ProbeFacts((_EVIL,), (ProbeResult(_EVIL, (Estimate(0.5, 0.4, 0.6),)),), _EVIL, lead=_EVIL, note=_EVIL),
        data=DataFacts(1, 0, 1, _EVIL, (_EVIL,), ((_EVIL, _EVIL),)),
        run=RunFacts(_EVIL, ((_EVIL, _EVIL),), 1, ((_EVIL, 1.0),), _EVIL, ((_EVIL, _EVIL),)),
        notes=(_EVIL,),
    )
    html = render_report(evil)
    _check(html)
    assert "<script" not in html
    assert not {"\u202e", "\x1b"} & set(html)
    assert "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;amp;" in html


def test_pictures_decode_to_the_size_on_the_page(full):
    found = re.findall(r'src="data:image/(\w+);base64,([^"]+)" width="(\d+)" height="(\d+)"', render_report(full))
    assert len(found) >= 5
    for form, data, width, height in found:
        with Image.open(BytesIO(base64.b64decode(data))) as picture:
            assert picture.size == (int(width), int(height))
            assert picture.format.lower() == form


def test_refuses_bytes_that_are_not_a_picture():
    with pytest.raises(ValueError, match=r"picture 'alt'.*encode_image"):
        render_report(Report("T", "S", preview=Picture(b"no picture", "alt")))


def test_a_row_of_the_wrong_length_is_refused():
    table = Table((Column("a"), Column("b")), (("x",),), caption="t")
    with pytest.raises(ValueError, match="table 't': 1 cells under 2 columns"):
        render_report(Report("T", "S", sections=(PageSection("s", (table,)),)))


def test_a_failed_write_leaves_the_old_page(full, tmp_path):
    page = tmp_path / "report.html"
    write_report(page, full)
    before = page.read_bytes()
    with pytest.raises(ValueError):
        write_report(page, replace(full, preview=Picture(b"", "alt")))
    assert page.read_bytes() == before


@pytest.mark.parametrize("words", get_args(Verdict))
def test_the_verdict_is_the_given_one(words):
    """Also where the interval alone excludes 0: the sign test has a say, too."""
    estimates = (Estimate(0.5, 0.45, 0.55), Estimate(0.7, 0.65, 0.75))
    result = ProbeResult("linear", estimates, Estimate(-0.2, -0.3, -0.1), words)
    html = render_report(Report("T", "S", probes=ProbeFacts(("pretrained", "untrained"), (result,), chance=0.125)))
    assert re.findall(r'class="badge \w+">([^<]+)<', html) == [words]


def test_without_labels_the_section_contains_the_reason():
    html = render_report(Report("T", "S", probes=ProbeFacts(absent="No probe: the folder has no labels.")))
    assert "the folder has no labels" in html
    assert "<svg" not in html


def test_without_boxes_the_mask_table_has_a_note():
    html = render_report(Report("T", "S", masks=MaskFacts((MaskRow("mgm", None, 0.9, 0.7, 0),), 0.75, 1)))
    assert "no boxes" in html
    assert "same 1 clip." in html


def test_a_long_list_of_failures_is_cut_and_counted():
    failures = tuple(f"f{k}.mp4: broken; leave it out" for k in range(70))
    html = render_report(Report("T", "S", data=DataFacts(70, 0, 70, failures=failures)))
    assert "f49.mp4" in html
    assert "f50.mp4" not in html
    assert "And 20 more." in html


def test_anchors_are_unique():
    assert anchors(["A & B", "a b", "!", "a-b-2", "A B"]) == ["a-b", "a-b-2", "section", "a-b-2-2", "a-b-3"]


def test_the_page_loads_no_torch():
    code = "import sys, mgm.show.report.report, mgm.show.filmstrip; assert not {'torch'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
