"""Other projects' implementations of the same networks, asked for their output in a process of their own.

torchvision does not load beside a torch of another build, and lightning_fabric and torchmetrics crash where it is half
installed: peers live in an environment of their own, `.venv-peers` (`make test-peers`), which sees the packages of the
development environment behind its own. A test never imports a peer. It names a file of this folder and passes tensors:

    theirs = ask("torchvision_mvit", state=network.state_dict(), video=video)["logits"]

The file has one function, `answer(inputs) -> outputs`, dicts of what `torch.save` can write; it imports the peer inside.
Mark such a test `@pytest.mark.peers`. It is skipped, with the reason, where the environment or the peer is absent.
"""

import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch

FOLDER = Path(__file__).parent
TIMEOUT_SECONDS = 300


def peers_python() -> Path:
    """The interpreter of the peers' environment: MGM_PEERS_PYTHON, else that of `.venv-peers` beside the repository's `tests`."""
    beside = FOLDER.parents[1] / ".venv-peers" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    return Path(os.environ.get("MGM_PEERS_PYTHON", beside))


def ask(peer: str, **inputs: Any) -> dict[str, Any]:
    """The outputs of `answer` in `tests/peers/{peer}.py`. Skips the test where the environment or a package is absent."""
    python = peers_python()
    if not python.is_file():
        pytest.skip(f"no environment of peers: {python} does not exist; run 'make test-peers'")
    with tempfile.TemporaryDirectory() as folder:
        asked, answered = Path(folder) / "inputs.pt", Path(folder) / "outputs.pt"
        torch.save(inputs, asked)
        command = [python, FOLDER / "serve.py", FOLDER / f"{peer}.py", asked, answered]
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS)
        assert done.returncode == 0, done.stderr
        outputs: dict[str, Any] = torch.load(answered, weights_only=True)
    if "absent" in outputs:
        pytest.skip(f"the environment of peers has no package {outputs['absent']!r}; run 'make test-peers'")
    return outputs
