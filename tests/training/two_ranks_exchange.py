"""One of two processes that exchange objects: torchrun starts it for test_exchange.py, with a folder for what each received."""

import json
import os
import sys
from pathlib import Path

import torch

from mgm.errors import DataError
from mgm.training.devices import make_fabric
from mgm.training.exchange import Exchange


class UnsendableError(Exception):
    """It cannot be made from its message alone."""

    def __init__(self, path, line):
        super().__init__(f"{path}:{line}")


def fail(error):
    raise error


def main() -> None:
    exchange = Exchange(make_fabric("32-true"))
    found, rank = [], exchange.rank

    def note(call):
        try:
            found.append(call())
        except Exception as error:
            found.append([type(error).__name__, str(error)])

    note(lambda: exchange.gather(lambda: 10 + rank))
    note(lambda: exchange.from_first(lambda: {"made by": rank}))
    note(lambda: exchange.on_first(lambda: rank + 5))
    wrong = DataError("list.txt", "no videos", reason="empty")
    note(lambda: exchange.gather(lambda: fail(wrong) if rank == 1 else 1))
    note(lambda: exchange.from_first(lambda: fail(wrong)))
    note(lambda: exchange.on_first(lambda: fail(UnsendableError("a", 1))))
    rows = torch.arange(6.0).view(3, 2)
    if exchange.is_first:
        found.append(exchange.receive(torch.empty(3, 2), rank=1).tolist())
    else:
        exchange.send_to_first(rows)
    note(lambda: exchange.gather(lambda: "after errors"))
    if exchange.is_first:
        note(lambda: exchange.gather(lambda: "without the other"))
    (Path(sys.argv[1]) / f"rank{rank}.json").write_text(json.dumps(found))
    os._exit(0)  # as a process that is killed: it closes nothing by itself


if __name__ == "__main__":
    main()
