"""Two processes of which one ends in the middle of a run: the other ends with its name and reason."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from mgm.data.annotations import load_set
from mgm.training import load_checkpoint
from tests.errors import check_message
from tests.training.test_ranks import SCRIPT, TOGETHER, together

SETTINGS = ("pretrain.checkpoint_every=1",)


@pytest.fixture
def root(tiny_set, tmp_path):
    """The videos of the tiny set."""
    folder = tmp_path / "videos"
    folder.mkdir()
    for number, item in enumerate(load_set(tiny_set).train):
        (folder / f"{number:02d}.mp4").write_bytes(Path(item.path).read_bytes())
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rank", "how", "reason", "message"),
    [
        (1, "killed", None, "lost-killed"),
        (0, "killed", None, None),
        (0, "refused", "cannot_write", "lost-with-an-error"),
        (1, "failed", "crashed", "lost-with-a-fault"),
    ],
)
def test_a_process_that_ends_in_a_step_ends_the_other_with_its_reason(root, tmp_path, rank, how, reason, message):
    """The other waits for it in a collective operation, whose error is the backend's. The run continues as if nothing had been."""
    out = tmp_path / "run"
    subprocess.run(
        [*TOGETHER, str(SCRIPT), str(root), str(out), "0", "6", *SETTINGS],
        check=False,
        timeout=120,
        env=os.environ | {"ENDED": f"{rank} 3 {how}"},
    )
    own = out / f"rank{rank}.json"  # one that is killed leaves none
    assert (json.loads(own.read_text())["reason"] if own.exists() else None) == reason
    other = json.loads((out / f"rank{1 - rank}.json").read_text())
    assert (other["reason"], other["subject"]) == ("crashed", str(out))
    if message is not None:
        check_message(message, other["error"].replace(str(out), "OUT"))
    assert 1 <= load_checkpoint(out)["position"]["step"] <= 4
    continued = together(root, out, *SETTINGS, share=0, steps=6)
    whole = together(root, tmp_path / "whole", *SETTINGS, share=0, steps=6)
    assert [report["losses"] for report in continued] == [report["losses"] for report in whole]
