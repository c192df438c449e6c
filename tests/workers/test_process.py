"""The marker of a worker process: its item, and the time of its last progress."""

import multiprocessing
import time

from mgm.workers.process import Marker, report_progress


def test_a_marker_names_the_item_and_the_seconds_since_its_progress():
    marker = Marker(multiprocessing.get_context())
    assert marker.read() is None
    marker.begin(7)
    time.sleep(0.05)
    item, seconds = marker.read()
    assert item == 7
    assert seconds >= 0.05
    marker.advance()
    assert marker.read()[1] < seconds
    marker.end()
    assert marker.read() is None


def test_progress_outside_of_a_worker_is_ignored():
    marker = Marker(multiprocessing.get_context())
    marker.begin(7)
    time.sleep(0.01)
    report_progress()
    assert marker.read()[1] >= 0.01, "advanced an item that this thread does not know"
