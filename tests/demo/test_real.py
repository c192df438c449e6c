"""The demo on real clips, short: that it runs unattended from files to report."""

import os
from pathlib import Path

import pytest

from mgm.demo import run_demo

SHARED = Path(os.environ.get("MGM_SHARED_DATA", Path(__file__).parents[2].parent / "shared" / "data"))


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.skipif(not (SHARED / "surv_fights").is_dir(), reason=f"no real clips at {SHARED}; set MGM_SHARED_DATA")
def test_the_demo_on_real_clips(tmp_path):
    result = run_demo(
        SHARED / "surv_fights", out=tmp_path, overrides=("pretrain.steps=5", "pretrain.warmup=1", "probe.steps=20")
    )
    assert result.metrics["files"]["found"] == 300
    assert result.metrics["videos"]["classes"] == ["fight", "noFight"]
    assert result.metrics["masks"]["mgm"]["motion hidden"] > result.metrics["masks"]["tube"]["motion hidden"]
    assert len(list((tmp_path / "previews").glob("*.png"))) == 10
