"""Networks of the catalog at reduced size: fine-tuned and evaluated on real clips, through their recipes."""

from dataclasses import replace
from functools import partial

import pytest

import mgm
from mgm.data.annotations import load_set
from mgm.evaluation.multi_view import evaluate
from mgm.models.networks.catalog import NETWORKS
from mgm.models.networks.motionformer import Motionformer, MotionformerSpec
from mgm.models.networks.timesformer import TimeSformer, TimeSformerSpec
from mgm.models.networks.vidtr import VidTr, VidTrSpec

pytestmark = [pytest.mark.real, pytest.mark.slow]


def small(network, spec, options):
    """A `NetworkBuilder` of two blocks of width 48."""
    return network(replace(spec, **options.given("frames", "size")), **options.given("classes", "labels", "dropout"))


SHAPE = {"dim": 48, "depth": 2, "heads": 3}
SMALL = {
    "timesformer": partial(small, TimeSformer, TimeSformerSpec(**SHAPE)),
    "motionformer": partial(small, Motionformer, MotionformerSpec(**SHAPE)),
    "vidtr-l": partial(small, VidTr, VidTrSpec(4, hidden=96, **SHAPE)),
}
RECIPES = {
    "supervised-timesformer-k400": "timesformer",
    "supervised-motionformer-k400": "motionformer",
    "supervised-vidtr-l-k400": "vidtr-l",
    "coviar-motion": "coviar-motion",
}


@pytest.mark.parametrize("recipe", RECIPES)
def test_it_fine_tunes_and_evaluates(recipe, shared_data, tmp_path, monkeypatch):
    name = RECIPES[recipe]
    if name in SMALL:
        monkeypatch.setitem(NETWORKS, name, replace(NETWORKS[name], build=SMALL[name]))
    whole = load_set(shared_data / "surv_fights")
    videos = replace(whole, train=whole.train[::10], test=whole.test[::6])
    length = ["finetune.epochs=null", "finetune.steps=4", "finetune.batch=4", "finetune.warmup=1"]
    clips = ["data.frames=4", "data.size=32", "data.workers=0", "data.stride=2"]
    config = mgm.load_config(recipe, [*clips, *length, "probe.temporal_views=2", "probe.spatial_views=1"])
    mgm.finetune(None, videos, config, out=tmp_path / "run", show_progress=False)
    result = evaluate(tmp_path / "run", videos).result
    assert result.videos.judged == len(videos.test)
    assert result.protocol.get("input") == ("motion" if name == "coviar-motion" else None)
    assert 0 <= result.metric("top-1").value <= 1
