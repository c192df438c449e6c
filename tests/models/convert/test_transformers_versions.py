"""The comparisons with transformers, with another release of it than the installed one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[2]
OTHER = os.environ.get("MGM_TRANSFORMERS")
REASON = (
    "MGM_TRANSFORMERS names no folder; pip install --no-deps --target FOLDER transformers==4.57.6 'huggingface_hub<1' "
    "'tokenizers<0.23' requests urllib3 certifi charset-normalizer idna"
)


@pytest.mark.slow
@pytest.mark.skipif(not OTHER, reason=REASON)
def test_another_release_of_transformers_agrees():
    places = [str(Path(OTHER).absolute()), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, places))}
    code = "import transformers; print(transformers.__file__, transformers.__version__)"
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.startswith(places[0]), found.stdout
    files = [TESTS / "models" / "convert" / "test_huggingface.py", TESTS / "training" / "export"]
    command = [sys.executable, "-m", "pytest", "-q", "-m", "not slow", "-p", "no:cacheprovider", *files]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=TESTS.parent)
    assert done.returncode == 0, f"{found.stdout}{done.stdout[-3000:]}"
    assert "skipped" not in done.stdout
