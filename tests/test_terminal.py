"""The progress of long work: lines without a terminal, a bar on one."""

import io
import time

import pytest
from rich.console import Console

from mgm import terminal
from mgm.terminal import Activity, byte_size, note


def test_without_a_terminal_there_is_a_line_at_the_start_and_one_now_and_then(monkeypatch, capsys):
    monkeypatch.setattr(terminal, "PLAIN_SECONDS", 0.01)
    lines = []
    with Activity("packing videos", 4) as activity:
        lines += capsys.readouterr().err.splitlines()
        activity.advance("a.mp4")
        while len(lines) < 3:
            time.sleep(0.01)
            lines += capsys.readouterr().err.splitlines()
    assert lines[0] == "mgm: packing videos, 0 of 4"
    assert lines[-1].startswith("mgm: packing videos, 1 of 4")
    capsys.readouterr()
    time.sleep(0.05)
    assert capsys.readouterr() == ("", ""), "it ended"


def test_the_inner_of_two_activities_is_shown(monkeypatch, capsys):
    monkeypatch.setattr(terminal, "PLAIN_SECONDS", 0.01)
    with Activity("outer"):
        with Activity("inner"):
            capsys.readouterr()
            time.sleep(0.1)
            assert "outer" not in capsys.readouterr().err
        time.sleep(0.1)
        assert "mgm: outer\n" in capsys.readouterr().err


def test_a_size_that_is_found_later_starts_the_count(capsys):
    activity = Activity("scanning videos")
    activity.reach(90, 100)
    with activity:
        pass
    assert capsys.readouterr().err == "mgm: scanning videos, 90 of 100\n"


def test_on_a_terminal_there_is_one_bar(monkeypatch):
    screen = io.StringIO()
    monkeypatch.setattr(
        terminal, "Terminal", lambda stderr: Console(file=screen, force_terminal=True, width=100, color_system=None)
    )
    with Activity("outer") as outer, Activity("training", 10) as inner:
        outer.rename("renamed")
        inner.reach(3, detail="loss 0.5")
    assert "training" in screen.getvalue()
    assert "3 of 10, loss 0.5" in screen.getvalue()
    assert "renamed" in screen.getvalue(), "shown again when the inner one ended"


@pytest.mark.parametrize("active", [True, False])
def test_one_rank_speaks_for_all(monkeypatch, capsys, active):
    monkeypatch.setenv("RANK", "1" if active else "0")
    note("a note") if active else None
    with Activity("training", active=active) as activity:
        activity.advance()
    assert capsys.readouterr() == ("", "")


def test_sizes_have_the_unit_that_suits_them():
    assert [byte_size(count) for count in (0, 1023, 36_864, 19.7 * 2**20, 1.06 * 2**30, 3e15)] == [
        "0 B",
        "1023 B",
        "36.0 KiB",
        "19.7 MiB",
        "1.1 GiB",
        "2,728.5 TiB",
    ]
