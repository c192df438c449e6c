"""One of two processes that load sets together: torchrun starts it for test_shared_set.py.

Arguments: a folder for what each rank found, and the temporary one; "machines", to act as two machines with a process each; then
the sets that both load. A part of a set's name in braces, such as {1-0}, differs between the ranks.
"""

import json
import os
import re
import sys
import tempfile
from pathlib import Path

import torch

from mgm.data.annotations import load_set
from mgm.errors import MgmError
from mgm.training import shared_set as module


def main() -> None:
    report, tempfile.tempdir, *sets = sys.argv[1:]
    torch.set_num_threads(1)
    rank = int(os.environ["RANK"])
    if sets[0] == "machines":
        os.environ |= {"LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1", "GROUP_RANK": str(rank)}
        sets = sets[1:]
    read, result = [], []

    def watched(given):
        read.append(given)
        return load_set(given)

    module.load_set = watched
    if os.environ.get("BLIND") == str(rank):  # the file cannot be opened here
        module.map_arrays = lambda path, places: Path("/nonexistent").read_bytes()
    if "FULL" in os.environ:
        module.write_arrays = lambda path, arrays: Path("/dev/full").write_bytes(bytes(2**20))
    for given in sets:
        own = re.sub(r"\{(.*?)-(.*?)\}", lambda choice: choice[rank + 1], given)
        try:
            found = module.shared_set(own)
            items = [[item.path, item.label, item.start, item.end] for item in found.items]
            about = [found.root, len(found.train), found.classes, found.split_rule, found.notes, found.missing]
            result.append({"items": items, "about": about})
        except MgmError as error:
            result.append({"error": type(error).__name__, "reason": error.reason, "subject": error.subject})
    (Path(report) / f"rank{rank}.json").write_text(json.dumps({"read": read, "result": result}))


if __name__ == "__main__":
    main()
