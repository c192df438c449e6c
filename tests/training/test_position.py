import os
import signal
import threading

import pytest
import torch

from mgm.training.position import Position, uninterrupted

CPU = torch.device("cpu")


def test_a_position_brings_the_random_state_back():
    with torch.random.fork_rng(devices=[]):
        position = Position.from_dict(Position.now(3, 1, CPU).to_dict())
        first = torch.rand(4)
        position.restore(CPU)
        assert torch.equal(first, torch.rand(4))
    assert (position.step, position.failed) == (3, 1)


def test_an_interrupt_waits_for_the_end_of_the_block():
    done = []
    with pytest.raises(KeyboardInterrupt), uninterrupted():  # noqa: PT012
        os.kill(os.getpid(), signal.SIGINT)
        done.append("rest of the step")
    assert done
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_errors_pass_and_other_threads_are_let_be():
    with pytest.raises(ValueError, match="inside"), uninterrupted():
        raise ValueError("inside")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    entered = []

    def enter():
        with uninterrupted():
            entered.append(True)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert entered
