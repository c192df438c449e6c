"""Work that survives the death of the processes that do it."""

import multiprocessing
import os
import signal
from pathlib import Path

from mgm.errors import VideoError
from mgm.workers.map_files import map_files


def squared(number: int) -> int:
    if number in (3, 17):
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def test_an_item_that_kills_its_process_costs_only_itself():
    done = dict(map_files(squared, range(24), processes=2, on_death=lambda number, error: -1))
    assert done == {n: -1 if n in (3, 17) else n * n for n in range(24)}


def demanding(number: int) -> int:
    if number == 3:
        raise MemoryError
    return number


def test_an_item_without_memory_costs_only_itself():
    def failed(number: int, error: VideoError) -> str:
        return error.reason

    done = dict(map_files(demanding, range(5), processes=2, on_death=failed))
    assert done == {0: 0, 1: 1, 2: 2, 3: "crashed", 4: 4}


def test_items_are_taken_as_they_are_needed():
    """A list of 100,000 files is not handed out at once."""
    taken: list[int] = []

    def items():
        for number in range(4, 1000):
            taken.append(number)
            yield number

    results = map_files(abs, items(), processes=2, on_death=lambda number, error: -1)
    next(results)
    assert len(taken) < 40
    results.close()


def slow(path: Path) -> int:
    path.touch()
    return os.getpid()


def test_workers_killed_from_outside_cost_nothing(tmp_path: Path):
    found = []
    for item, _ in map_files(
        slow, [tmp_path / str(i) for i in range(20)], processes=2, on_death=lambda path, error: -1
    ):
        found.append(item.name)
        if len(found) == 1:
            for worker in multiprocessing.active_children():
                worker.kill()
    assert sorted(found) == sorted(map(str, range(20)))
