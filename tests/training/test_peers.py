"""Which process of a run has ended: seen on the same machine, left in the store for the others."""

import os
import subprocess
import sys
from dataclasses import replace

import pytest
from torch.distributed import TCPStore

from mgm.training import peers as module
from mgm.training.peers import Ended, Peers, ProcessPlace

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="sees processes in /proc")


@pytest.fixture
def store(monkeypatch):
    """A store as a launcher has it."""
    made = TCPStore("127.0.0.1", 0, None, is_master=True)
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", str(made.port))
    monkeypatch.setattr(module, "_WAIT_SECONDS", 0.5)
    return made


@pytest.fixture
def gone():
    """A process that has ended, and whose number its parent still keeps."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    yield ProcessPlace(process.pid, ProcessPlace.own().machine)
    process.wait()


def group(*places, name="a"):
    """The processes as each of them sees them."""
    return [Peers(places, rank, name) for rank in range(len(places))]


def test_a_process_of_this_machine_is_gone(store, gone):
    own = ProcessPlace.own()
    elsewhere = replace(own, machine=("another", "machine"))
    first, _, far, last = group(own, gone, elsewhere, own)
    assert far.ended() is None  # it sees no process but itself
    assert first.ended() == Ended((1,))
    assert far.ended() == last.ended() == Ended((1,))


def test_the_first_reason_counts(store, gone):
    own = ProcessPlace.own()
    first, second, last = group(own, own, gone)
    second.leave("disk: is full")
    first.leave("a later one")
    assert first.ended() == last.ended() == Ended((1,), "disk: is full")
    assert group(own, own, name="b")[0].ended() is None  # another group has its own


def test_without_a_store(gone, monkeypatch):
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    monkeypatch.setattr(module, "_WAIT_SECONDS", 0.2)
    own = ProcessPlace.own()
    first, _, last = group(own, gone, gone)
    last.leave("is lost")
    assert first.ended() == Ended((1, 2))
    assert group(own, own)[0].ended() is None


def test_numbers_of_another_container_mean_nothing(gone, monkeypatch):
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    monkeypatch.setattr(module, "_WAIT_SECONDS", 0.2)
    assert group(ProcessPlace.own(), replace(gone, machine=("this", "container")))[0].ended() is None
