"""Signals during training: Ctrl-C waits for the end of a step, a request to end for a checkpoint."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from mgm.training import load_checkpoint
from mgm.training.log import StepLog
from mgm.training.signals import STOPPED_STATUS, noted_requests, uninterrupted
from tests.training.helpers import read_log, same_weights

REQUESTS = [signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP]


@pytest.mark.parametrize("request_to_end", REQUESTS)
def test_a_request_to_end_saves_the_step(run, small, monkeypatch, capsys, request_to_end):
    config = small()
    whole = run(config, "whole")
    write = StepLog.write

    def asked(self, record):
        if record.step == 2:
            os.kill(os.getpid(), request_to_end)
        write(self, record)

    with monkeypatch.context() as patch:
        patch.setattr(StepLog, "write", asked)
        with pytest.raises(SystemExit) as ended:
            run(config)
    out = whole.out.parent / "run"
    step = load_checkpoint(out)["position"]["step"]
    assert ended.value.code == STOPPED_STATUS
    assert step in (3, 4)
    assert len(read_log(out)) == step
    assert f"{request_to_end.name}: saved after step {step} of 6" in capsys.readouterr().out
    assert signal.getsignal(request_to_end) is signal.SIG_DFL
    resumed = run(config, resume=True)
    assert resumed.history.losses == whole.history.losses
    assert same_weights(resumed.model, whole.model)


def test_a_request_during_the_last_step_ends_too(run, small, monkeypatch):
    write = StepLog.write

    def asked(self, record):
        os.kill(os.getpid(), signal.SIGTERM)
        write(self, record)

    monkeypatch.setattr(StepLog, "write", asked)
    with pytest.raises(SystemExit):
        run(small("pretrain.steps=1"))


def test_a_second_request_ends_the_process_at_once():
    code = (
        "import os, signal; from mgm.training.signals import noted_requests\n"
        "with noted_requests() as noted:\n"
        "    os.kill(os.getpid(), signal.SIGHUP); print(noted, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGTERM); print('alive')\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.stdout == "['SIGHUP']\n"
    assert ended.returncode == -signal.SIGTERM


def test_ignored_signals_and_those_with_a_handler_are_left_alone():
    """Under nohup, and in programs that follow a signal themselves."""
    seen = []
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN), signal.signal(signal.SIGUSR1, lambda *_: seen.append(True))
    try:
        with noted_requests() as noted:
            for number in (signal.SIGHUP, signal.SIGUSR1):
                os.kill(os.getpid(), number)
        assert noted == []
        assert seen == [True]
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        for number, handler in zip((signal.SIGHUP, signal.SIGUSR1), before, strict=True):
            signal.signal(number, handler)


def test_an_interrupt_waits_for_the_end_of_the_block():
    done = []
    with pytest.raises(KeyboardInterrupt), uninterrupted():  # noqa: PT012
        os.kill(os.getpid(), signal.SIGINT)
        done.append("rest of the step")
    assert done
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("block", [uninterrupted, noted_requests])
def test_errors_pass_and_other_threads_are_let_be(block):
    with pytest.raises(ValueError, match="inside"), block():
        raise ValueError("inside")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    entered = []

    def enter():
        with block():
            entered.append(True)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert entered
