"""`mgm.spans`: spans add up per name, nest, and cost nothing without a stopwatch."""

import threading
import time

import pytest

from mgm.spans import Stopwatch, span


def busy(seconds: float) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def test_nested_spans_do_not_count_twice() -> None:
    watch = Stopwatch()
    with watch.running():
        with span("outer"):
            busy(0.02)
            with span("inner"):
                busy(0.03)
        busy(0.01)

    assert watch.seconds["inner"] == pytest.approx(0.03, abs=0.01)
    assert watch.seconds["outer"] == pytest.approx(0.02, abs=0.01)
    assert watch.seconds["other"] == pytest.approx(0.01, abs=0.01)
    assert watch.calls == {"outer": 1, "inner": 1}


def test_a_span_ends_with_an_error() -> None:
    watch = Stopwatch()
    with watch.running():
        with pytest.raises(ValueError, match="x"), span("fails"):
            raise ValueError("x")
        busy(0.02)

    assert watch.seconds["fails"] < 0.01 < watch.seconds["other"]


def test_other_threads_and_later_spans_are_not_counted() -> None:
    watch = Stopwatch()

    def elsewhere() -> None:
        with span("elsewhere"):
            busy(0.01)

    with watch.running():
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
    with span("later"):
        pass

    assert set(watch.calls) == set()
