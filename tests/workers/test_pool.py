"""Processes that read, and what becomes of a run when they hang, die or raise."""

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import mgm.workers.array_transfer
from mgm.errors import DataError, ModelError, VideoError
from mgm.workers.pool import MOST_DEATHS_IN_A_ROW, WorkerPool
from mgm.workers.process import report_progress
from tests.errors import raises


def name(index):
    return f"video-{index}.mp4"


def run(read, tasks, *, workers=2, timeout=30.0):
    """(results, incidents) of a pool; no process of it is left."""
    others = multiprocessing.active_children()  # of fixtures of a whole session
    with WorkerPool(read, workers=workers, timeout_seconds=timeout, name=name) as pool:
        found = list(pool.in_order(tasks))
    assert set(multiprocessing.active_children()) <= set(others)
    return found, pool.incidents


def square(task, begin):
    begin(task)
    time.sleep(0.02 * (task % 3))
    return os.getpid(), task * task


def test_results_come_in_order_from_several_processes():
    found, incidents = run(square, range(20), workers=3)
    assert [value for _, value in found] == [i * i for i in range(20)]
    assert len({pid for pid, _ in found}) > 1
    assert os.getpid() not in {pid for pid, _ in found}
    assert incidents == []
    assert run(square, []) == ([], [])


def process_of(task, begin):
    begin(task)
    time.sleep(0.5)
    return os.getpid()


def test_few_tasks_are_shared_among_all_processes():
    assert len(set(run(process_of, range(3), workers=3)[0])) == 3


def arrays(task, begin):
    video = torch.arange(2 * 3 * 4 * 5 * 6).view(2, 4, 5, 6, 3).to(torch.uint8).permute(0, 4, 1, 2, 3)
    return {"video": video, "strided": video[:, :, ::2], "scalar": torch.tensor(1.5), "empty": torch.empty(0),
            "mask": np.arange(6).reshape(2, 3).T, "same": [task, None]}  # fmt: skip


@pytest.mark.parametrize("shared", [True, False])
def test_tensors_and_arrays_arrive_as_they_were(shared, monkeypatch):
    monkeypatch.setattr(mgm.workers.array_transfer, "SHARED", shared and mgm.workers.array_transfer.SHARED)
    expected = arrays(0, None)
    for number, found in enumerate(run(arrays, range(3))[0]):
        assert found["same"] == [number, None]
        np.testing.assert_array_equal(found["mask"], expected["mask"])
        for key in ("video", "strided", "scalar", "empty"):
            assert found[key].dtype == expected[key].dtype
            assert torch.equal(found[key], expected[key])
        assert found["video"].stride() == expected["video"].stride()  # channels stay last
        found["video"][:] = 0


@pytest.mark.skipif(not mgm.workers.array_transfer.SHARED, reason="results travel through a pipe here")
def test_results_take_no_room_in_dev_shm():
    """In a container it has 64 MB."""
    results = run(arrays, range(3))[0]
    maps = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
    shared = [line for line in maps if "mgm-batch" in line]
    assert len(results) == 3
    assert shared
    assert not any("/dev/shm/" in line for line in shared)


def test_memory_of_results_is_given_back():
    def big(task, begin):
        return torch.full((4 << 20,), task, dtype=torch.uint8)

    def mapped():
        return sum("mgm-batch" in line for line in Path("/proc/self/maps").read_text().splitlines())

    gc.collect()
    others = mapped()  # the explorer's reader, a fixture of the whole session, keeps its clips: it is made to
    with WorkerPool(big, workers=1, timeout_seconds=30, name=name) as pool:
        for number, result in enumerate(pool.in_order(range(12))):
            assert int(result[0]) == int(result[-1]) == number
            if mgm.workers.array_transfer.SHARED:
                assert mapped() <= others + 6  # this one, and those that are read ahead
        del result
    assert mapped() <= others


class Troubled:
    """Reads numbers; some videos hang, kill their process, or do so only once."""

    def __init__(self, folder, *, hang=(), kill=(), once=()):
        self.folder, self.hang, self.kill, self.once = folder, hang, kill, once

    def __call__(self, task, begin):
        found = []
        for index in task:
            try:
                begin(index)
                found.append(self.read(index))
            except VideoError as error:
                found.append((error.reason, error.subject, error.found))
        return found

    def read(self, index):
        mark = self.folder / str(index)
        if index in self.hang:
            fifo = self.folder / f"fifo-{os.getpid()}"
            os.mkfifo(fifo)
            fifo.open("rb")  # waits in the kernel for a writer that never comes
        if index in self.kill or (index in self.once and not mark.exists()):
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return index


def batched(count, size=4):
    return [list(range(i, i + size)) for i in range(0, count, size)]


def test_a_read_that_hangs_costs_its_video(tmp_path):
    found, incidents = run(Troubled(tmp_path, hang=[5, 22]), batched(32), timeout=0.4)
    values = [v for batch in found for v in batch]
    assert [i for i, v in enumerate(values) if v != i] == [5, 22]
    for index in (5, 22):
        assert values[index][:2] == ("timed_out", f"video-{index}.mp4")
    assert incidents == []  # the errors of the videos report it


def test_a_video_that_hung_is_not_waited_for_again(tmp_path):
    began = time.perf_counter()
    found, _ = run(Troubled(tmp_path, hang=[1]), [[1, i] for i in range(10, 40)], timeout=0.5)
    assert {batch[0][:2] for batch in found} == {("timed_out", "video-1.mp4")}
    assert [batch[1] for batch in found] == list(range(10, 40))
    assert time.perf_counter() - began < 0.5 * 15  # not 30 times


def test_a_killed_process_is_replaced_and_nothing_is_lost(tmp_path):
    found, incidents = run(Troubled(tmp_path, once=[9, 18]), batched(32))
    assert [v for batch in found for v in batch] == list(range(32))
    assert len(incidents) == 2
    for index, line in zip((9, 18), sorted(incidents, key=lambda line: "video-18" in line), strict=True):
        assert "SIGKILL" in line
        assert f"video-{index}.mp4" in line


def test_a_video_that_kills_is_given_up(tmp_path):
    found, incidents = run(Troubled(tmp_path, kill=[6]), batched(16))
    values = [v for batch in found for v in batch]
    assert [i for i, v in enumerate(values) if v != i] == [6]
    assert values[6][:2] == ("crashed", "video-6.mp4")
    assert len(incidents) == 2


def test_results_as_they_are_completed(tmp_path):
    """Whatever killed a process runs again alone, after everything else; any number of items may be bad."""
    kill, once, hang = range(10, 40, 2), [3, 41], [5]
    read = Troubled(tmp_path, hang=hang, kill=kill, once=once)
    with WorkerPool(read, workers=2, timeout_seconds=2, name=name) as pool:
        found = list(pool.as_completed([[i] for i in range(48)]))
    assert sorted(task for task, _ in found) == [[i] for i in range(48)]
    reasons = {task[0]: value[0] for task, (value,) in found if not isinstance(value, int)}
    assert reasons == {**dict.fromkeys(kill, "crashed"), **dict.fromkeys(hang, "timed_out")}
    assert {task[0] for task, _ in found[-len(kill) - len(once) :]} == {*kill, *once}


def steps(task, begin):
    begin(task)
    for _ in range(8):
        time.sleep(0.1)
        report_progress()
    return task


def test_the_time_limit_is_that_of_a_step_that_is_reported():
    assert run(steps, range(3), timeout=0.5) == ([0, 1, 2], [])


def die(task, begin):
    os._exit(3)


def test_processes_that_always_die_stop_the_run():
    with raises(DataError, "too_many_failures", message="workers-die-in-a-row") as caught:
        run(die, range(4))
    assert caught.value.found.startswith(f"{2 * MOST_DEATHS_IN_A_ROW + 1} ")


class Late:
    """The first process to come never gets to a video."""

    def __init__(self, folder):
        self.mark = folder / "stuck"

    def __call__(self, task, begin):
        try:
            self.mark.touch(exist_ok=False)
        except FileExistsError:
            begin(task)
        else:
            time.sleep(1000)
        return task


def test_a_process_that_comes_to_no_video_is_replaced(tmp_path, monkeypatch):
    monkeypatch.setattr("mgm.workers.pool.START_SECONDS", 0.5)
    found, incidents = run(Late(tmp_path), range(6), timeout=0.5)
    assert found == list(range(6))
    assert len(incidents) == 1


def refuse(task, begin):
    if task == 3:
        raise ModelError("three", "found", "two", reason="invalid_value")
    if task == 4:
        raise KeyError("four")
    if task == 5:
        raise MemoryError
    return task


def test_errors_arrive_as_they_were_raised():
    with WorkerPool(refuse, workers=2, timeout_seconds=30, name=name) as pool:
        results = pool.in_order([1, 2, 3])
        assert [next(results), next(results)] == [1, 2]
        with raises(ModelError, "invalid_value", subject="three"):
            next(results)
    with pytest.raises(RuntimeError, match=r"(?s)in refuse.*KeyError: 'four'"):
        run(refuse, [4])
    with raises(DataError, "crashed", message="worker-out-of-memory"):
        run(refuse, [5])


SCRIPT = """
import multiprocessing, time
from mgm.workers.pool import WorkerPool
def read(task, begin):
    begin(task)
    time.sleep(task)
    return task
with WorkerPool(read, workers=2, timeout_seconds=1000, name=str) as pool:
    print(*[child.pid for child in multiprocessing.active_children()], flush=True)
    list(pool.in_order([0, 1000, 1000]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_no_process_outlives_a_killed_run():
    with subprocess.Popen([sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, text=True) as parent:
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        time.sleep(0.3)
        parent.kill()
    for _ in range(100):
        left = [pid for pid in pids if Path(f"/proc/{pid}").exists()]
        if not left:
            return
        time.sleep(0.1)
    raise AssertionError(f"still running: {left}")


FIRST = """
import multiprocessing, os, signal, time
from mgm.workers.process import shielded
if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    for _ in range(2):  # the first one starts the resource tracker, too
        process = context.Process(target=time.sleep, args=(0.0,))
        with shielded(context):
            process.start()
        os.kill(process.pid, signal.SIGINT)  # it imports now
        process.join(60)
        print(process.exitcode)
"""


def test_an_interrupt_does_not_reach_a_process_that_starts(tmp_path):
    (tmp_path / "first.py").write_text(FIRST, encoding="utf-8")
    done = subprocess.run([sys.executable, tmp_path / "first.py"], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "0"]
