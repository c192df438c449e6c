"""torch.compile: with masks split ahead, one graph for all masks and, from the second on, for all batch sizes."""

import pytest
import torch
from torch._dynamo.utils import counters

from mgm.models import Classifier, Encoder
from tests.models.clips import random_video
from tests.models.combinations import build, draw, spec_of


@pytest.fixture(autouse=True)
def fresh():
    torch.compiler.reset()
    counters.clear()
    yield
    torch.compiler.reset()


def graphs():
    return counters["stats"]["unique_graphs"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backbone", "attention", "decoder"), [("vit", "joint", "self"), ("timesformer", "divided", "cross")]
)
def test_training_is_one_graph(backbone, attention, decoder):
    spec = spec_of(backbone, attention, decoder)
    model, video = build(spec), random_video(spec)
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    for name in ("mgm", "tube"):
        mask = draw(name, spec)[1]
        loss = compiled(video, model.split(mask)).loss
        loss.backward()
        torch.testing.assert_close(loss, model(video, mask).loss, rtol=1e-5, atol=0)
    assert graphs() == 1
    for times in (2, 3):
        compiled(video.repeat(times, 1, 1, 1, 1), model.split(mask.repeat(times, 1, 1, 1))).loss.backward()
    assert graphs() == 2


@pytest.mark.slow
def test_numbers_of_tokens_to_reconstruct_make_no_graphs_of_their_own():
    spec = spec_of("vit", "joint", "self")
    model, video, (_, mask) = build(spec), random_video(spec), draw("mgm", spec)
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    numbers, made = [], []
    for seed in range(6):
        decode = torch.rand(mask.shape, generator=torch.Generator().manual_seed(seed)) < 0.5
        split = model.split(mask, decode)
        torch.testing.assert_close(compiled(video, split).loss, model(video, mask, decode).loss, rtol=1e-5, atol=0)
        numbers.append(split.hidden.shape[1])
        made.append(graphs())
    assert len(set(numbers)) > 3
    assert made[2:] == [made[2]] * 4, (numbers, made)


def test_classifying_is_one_graph():
    spec = spec_of("vit", "joint", "self")
    model, video = Classifier(Encoder(spec), 5, dropout=0.5, drop_path=0.2), random_video(spec)
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    for _ in range(2):
        compiled(video).sum().backward()
    assert graphs() == 1
