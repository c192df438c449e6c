from pathlib import Path

import pytest
import torch

from tests.peers import FOLDER, ask


@pytest.mark.peers
def test_the_peers_run_beside_the_torch_of_the_tests() -> None:
    versions = ask("versions")
    pinned = (FOLDER / "requirements.txt").read_text()
    assert versions["torch"] == torch.__version__
    assert f"torchvision=={versions['torchvision'].split('+')[0]}" in pinned
    assert f"pytorchvideo=={versions['pytorchvideo']}" in pinned
    assert versions["dall_e"] == 8192


def test_a_test_without_the_environment_is_skipped_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MGM_PEERS_PYTHON", str(tmp_path / "python"))
    with pytest.raises(pytest.skip.Exception, match="make test-peers"):
        ask("versions")
