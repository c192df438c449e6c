"""Pieces of work on the threads of a CPU."""

import subprocess
import sys

import pytest

from mgm.models.accelerate.threads import for_each


def test_an_error_of_a_thread_is_raised(threads):
    def work(piece):
        if piece == 3:
            raise ValueError("piece 3")

    with pytest.raises(ValueError, match="piece 3"):
        for_each(work, 5)


@pytest.mark.slow
def test_threads_leave_the_number_of_threads_and_do_not_outlive_a_fork(tmp_path):
    script = """
import multiprocessing, torch
from mgm.models.accelerate.threads import for_each
def go():
    done = torch.zeros(8)
    for_each(lambda i: done[i].add_(1), 8)
    assert done.eq(1).all()
torch.set_num_threads(2)
go()
assert torch.get_num_threads() == 2
child = multiprocessing.get_context("fork").Process(target=go)
child.start(); child.join(60)
assert child.exitcode == 0, child.exitcode
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)


def test_threads_are_started_once_and_leave_later_threads_alone():
    script = """
import threading, torch
from mgm.models.accelerate.threads import for_each
def number_of_a_new_thread():
    found = []
    thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    thread.start(); thread.join()
    return found
torch.set_num_threads(3)
assert number_of_a_new_thread() == [3]
names = set()
for count in (8, 2, 8, 2, 3):
    for_each(lambda i: names.add(threading.current_thread().name), count)
assert len(names) <= 3, names
assert number_of_a_new_thread() == [3]
numbers = []
for_each(lambda i: numbers.append(torch.get_num_threads()), 6)
assert set(numbers) == {1}, numbers
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)
