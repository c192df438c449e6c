"""What processes exchange arrives, an error of one is raised on all, and the end of one is an error of the others."""

import json
import subprocess
from pathlib import Path

import pytest

from mgm.errors import DataError
from mgm.training.devices import make_fabric
from mgm.training.exchange import Exchange
from tests.training.test_ranks import TOGETHER

SCRIPT = Path(__file__).with_name("two_ranks_exchange.py")


def test_a_process_alone():
    exchange = Exchange(make_fabric("32-true"))
    assert exchange.gather(lambda: 3) == [3]
    assert exchange.from_first(lambda: 4) == exchange.on_first(lambda: 4) == 4
    with pytest.raises(ZeroDivisionError):
        exchange.from_first(lambda: 1 / 0)


@pytest.mark.slow
def test_two_processes(tmp_path):
    subprocess.run([*TOGETHER, str(SCRIPT), str(tmp_path)], check=True, timeout=120)
    first, second = (json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in (0, 1))
    lost, _ = first.pop()
    assert lost == "DataError"
    wrong = ["DataError", str(DataError("list.txt", "no videos", reason="empty"))]
    assert first[:2] == second[:2] == [[10, 11], {"made by": 0}]
    assert (first.pop(2), second.pop(2)) == (5, None)
    assert first[2:4] == second[2:4] == [wrong, wrong]
    assert first[4] == second[4] == ["RuntimeError", "UnsendableError: a:1"]
    assert first.pop(5) == [[0, 1], [2, 3], [4, 5]]
    assert first[5:] == second[5:] == [["after errors"] * 2]
