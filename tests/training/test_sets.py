"""From an annotation file to an evaluated model, and videos and still pictures in one run."""

import json

import numpy as np
import pytest
from PIL import Image

from mgm.data.annotations import load_set
from mgm.errors import DataError
from mgm.evaluation.multi_view import evaluate
from mgm.training.finetune import finetune
from mgm.training.pretrain import pretrain
from tests.errors import raises


@pytest.fixture
def one_list(tiny_set, tmp_path):
    """Every clip of the tiny set in one list, in the format of VideoMAE."""
    found = load_set(tiny_set)
    lines = [f"{item.path} {item.label}" for item in found.items]
    (tmp_path / "all.csv").write_text("\n".join(lines))
    return tmp_path / "all.csv"


@pytest.mark.filterwarnings("ignore:.* class left has test videos and none for training")  # it has few
def test_finetune_and_evaluate_with_one_list(one_list, tmp_path, small):
    config = small("probe.temporal_views=1")
    trained = finetune(None, one_list, config, out=tmp_path / "run", show_progress=False)
    assert len(trained.history.losses) == 6
    whole = load_set(one_list)
    assert len(whole.train) > len(whole.test) > 0
    result = evaluate(tmp_path / "run", one_list).result
    assert (len(result.details["classes"]), result.metric("top-1").count) == (len(whole.classes), len(whole.test))
    # some of the run's classes, in another order, are evaluated by their names
    kept = [i for i in whole.test if whole.classes[i.label] != whole.classes[0]]
    names = sorted({whole.classes[i.label] for i in kept})
    (tmp_path / "names.txt").write_text("\n".join(names))
    (tmp_path / "test.csv").write_text("\n".join(f"{i.path} {names.index(whole.classes[i.label])}" for i in kept))
    part = evaluate(tmp_path / "run", f"test={tmp_path}/test.csv,classes={tmp_path}/names.txt")
    assert part.result.metric("top-1").count == len(kept)


def test_videos_and_pictures_pretrain_together(tiny_set, tmp_path, small):
    rng = np.random.default_rng(0)
    for number in range(3):
        Image.fromarray(rng.integers(0, 256, (40, 50, 3), np.uint8)).save(tmp_path / f"{number}.jpg")
    spec = f"data={tiny_set},images={tmp_path},ratio=0.5"
    found = load_set(spec)
    assert sum(i.path.endswith(".jpg") for i in found.train) == len(found.train) // 2 == 16
    config = small("pretrain.batch=8", "pretrain.steps=8", "data.motion=auto")
    for memory in (False, True):
        out = tmp_path / f"run-{memory}"
        trained = pretrain(spec, small(f"data.memory={memory}", *_same(config)), out=out, show_progress=False)
        assert np.isfinite(trained.history.losses).all()
        lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
        shares = [line["fallback"] for line in lines if "fallback" in line]
        assert 0.3 < np.mean(shares) < 0.7  # half of the clips are still, and their masks fall back
        assert trained.history.bad == {}


def _same(config):
    return f"pretrain.batch={config.pretrain.batch}", f"pretrain.steps={config.pretrain.steps}", "data.motion=auto"


def test_empty_splits_and_missing_labels(one_list, tiny_set, tmp_path, small):
    test = one_list.rename(tmp_path / "test.csv")
    with raises(DataError, "missing_value", message="pretrain-no-videos"):
        pretrain(test, small(), out=tmp_path / "run", show_progress=False)
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    with raises(DataError, "missing_value"):
        finetune(None, f"data={tiny_set},images={tmp_path}/a.png", small(), out=tmp_path / "run", show_progress=False)
