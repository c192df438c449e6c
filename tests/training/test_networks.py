"""Networks of the catalog in fine-tuning: their settings, a run, its checkpoints, and a start from weights."""

import math

import pytest
import torch

from mgm.errors import ConfigError, ModelError
from mgm.models import Encoder
from mgm.models.networks.catalog import NETWORKS
from mgm.models.networks.entry import NetworkOptions
from mgm.training import export_model, load_classifier, load_config, load_encoder, load_pretrained
from mgm.training.checkpoint_folder import WEIGHTS_FILE
from mgm.training.finetune import Finetuning, finetune
from mgm.training.networks import network_rates, network_to_train, read_network
from mgm.training.recipe import config_for_network, default_recipe
from tests.errors import raises
from tests.models.networks.small import SMALL, authors_names
from tests.training.helpers import newest, raising, same_weights

NETWORK = ("model.network=small", "finetune.layer_decay=1")


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setitem(NETWORKS, "small", SMALL)


@pytest.fixture
def tune(videos, memory, tmp_path):
    def go(start, config, out="tuned", **options):
        return finetune(start, videos, config, out=tmp_path / out, source=memory, show_progress=False, **options)

    return go


def test_a_network_brings_its_clips_and_views():
    config = load_config("debug", ["data.stride=1", "model.network=small"])
    assert (config.data.frames, config.data.stride, config.data.size) == (4, 1, 32)
    assert (config.probe.temporal_views, config.probe.spatial_views) == (2, 1)
    assert load_config("debug", ["model.network=small", "data.frames=8"]).data.frames == 8


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_every_network_starts_by_its_name(name):
    """By the option --model alone, and also with the recipe of a transformer."""
    chosen, entry = [f"model.network={name}"], NETWORKS[name]
    for recipe in (default_recipe(chosen), "supervised-vitb-k400", "finetune-vitb-ssv2", "debug"):
        config = load_config(recipe, chosen)
        assert (config.data.input, config.data.frames, config.data.stride) == (entry.reads, entry.frames, entry.stride)
        assert (config.finetune.sampling, config.probe.temporal_views) == (entry.sampling, entry.views[0])
    with torch.device("meta"):
        network = network_to_train(load_config(default_recipe(chosen), chosen), [str(i) for i in range(10)], None)
    assert network.head.out_features == 10


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_the_recipe_of_a_network_is_of_a_network(name):
    """Of itself, or of another size of it; its clips are then those of the catalog."""
    own = load_config(NETWORKS[name].recipe).model.network
    assert NETWORKS[own].formats == NETWORKS[name].formats


@pytest.mark.parametrize(
    ("setting", "subject"),
    [("finetune.drop_path=0.1", "finetune.drop_path"), ("finetune.layer_decay=0.75", "finetune.layer_decay")],
)
def test_rates_that_a_network_has_not_are_refused_where_asked_for(setting, subject):
    with raises(ConfigError, "conflict", subject=f"debug: {subject}", message=f"network-without-{subject[9:]}"):
        load_config("debug", ["model.network=slowfast-r50-8x8", setting])


def test_a_recipe_of_the_network_keeps_its_own_clips():
    """A run of dense clips continues with the sparse ones of the recipe."""
    own = load_config("supervised-mvitv2-b-k400", ["data.size=64"])
    config = config_for_network(own, "supervised-mvitv2-b-ssv2", [])
    assert (own.finetune.sampling, config.finetune.sampling, config.data.size) == ("dense", "sparse", 64)


def test_the_body_may_learn_more_slowly_than_the_head(small, videos):
    network = network_to_train(small("model.network=small"), videos.classes, None)
    rate = network_rates(network, decay=0.5, body=0.1)
    assert (rate("head.bias"), rate("blocks.1.bias"), rate("stem.weight")) == (
        1,
        pytest.approx(0.05),
        pytest.approx(0.0125),
    )
    slowfast = load_config("debug", ["model.network=slowfast-r50-8x8"])
    with torch.device("meta"):
        rate = network_rates(network_to_train(slowfast, ["a"], None), decay=1, body=0.1)
    assert (rate("head.weight"), rate("slow_stem.conv.weight")) == (1, 0.1)


def test_its_clips_need_no_whole_patches():
    assert load_config("debug", ["model.network=small", "data.size=40", "data.frames=5"]).data.size == 40


@pytest.mark.parametrize(
    ("setting", "reason", "subject"),
    [
        ("model.network=smal", "unknown_name", "debug: model.network"),
        ("finetune.pooling=attentive", "conflict", "debug: finetune.pooling"),
        ("model.checkpointing=true", "conflict", "debug: model.checkpointing"),
        ("finetune.strategy=fsdp", "conflict", "debug: finetune.strategy"),
        ("finetune.micro_batch=1", "conflict", "debug: finetune.micro_batch"),
    ],
)
def test_settings_that_a_network_has_not(setting, reason, subject):
    with raises(ConfigError, reason, subject=subject):
        load_config("debug", ["model.network=small", "finetune.repeats=2", setting])


def test_the_loss_falls(tune, small):
    settings = ("finetune.steps=60", "finetune.batch=16", "finetune.warmup=4", "finetune.crop=centre")
    losses = tune(None, small(*NETWORK, *settings, "finetune.base_lr=0.1")).history.losses
    assert sum(losses[-5:]) / 5 < 0.8 * sum(losses[:5]) / 5


def test_its_checkpoint_is_the_network(tune, small, videos, tmp_path):
    trained = tune(None, small(*NETWORK)).model
    loaded, classes = load_classifier(tmp_path / "tuned")
    assert classes == videos.classes == loaded.labels
    assert same_weights(loaded, trained)
    clips = torch.randint(0, 256, (2, 3, 4, 32, 32), dtype=torch.uint8)
    assert torch.equal(loaded(clips), trained.eval()(clips))
    assert loaded.norm.running_mean.abs().sum() > 0
    single = load_pretrained(newest(tmp_path / "tuned") / WEIGHTS_FILE)
    assert torch.equal(single(clips), loaded(clips))
    assert single.labels == videos.classes


def test_the_moving_average_has_the_statistics_of_batch_norm(tune, small, tmp_path):
    tune(None, small(*NETWORK, "finetune.ema=0.9"))
    assert load_pretrained(tmp_path / "tuned").norm.running_mean.abs().sum() > 0


@pytest.mark.parametrize("clip", [25, 26])
def test_a_stopped_run_resumes_exactly(tune, small, memory, videos, tmp_path, clip):
    """Also if the first half of an unfinished step has changed the statistics of batch norm."""
    settings = ("finetune.steps=8", "finetune.checkpoint_every=4", "finetune.dropout=0.3", "finetune.micro_batch=2")
    config = small(*NETWORK, *settings)
    whole = tune(None, config, "whole")
    stopped = raising(memory, KeyboardInterrupt, at=clip)
    with pytest.raises(KeyboardInterrupt):
        finetune(None, videos, config, out=tmp_path / "parts", source=stopped, show_progress=False)
    again = tune(None, config, "parts", resume="auto")
    assert again.history.losses == whole.history.losses
    assert same_weights(again.model, whole.model)


def test_a_skipped_step_leaves_the_statistics_of_batch_norm(tune, small, monkeypatch):
    step, number = Finetuning.step, 0

    def overflowing(method, module, batch):
        nonlocal number
        number += 1
        if number != 3:
            return step(method, module, batch)
        overflow = method.module.norm.register_forward_pre_hook(lambda _, inputs: (inputs[0] * math.inf,))
        result = step(method, module, batch)
        overflow.remove()
        assert method.module.norm.running_mean.isnan().any()
        return result

    monkeypatch.setattr(Finetuning, "step", overflowing)
    result = tune(None, small(*NETWORK, "finetune.micro_batch=null"))
    assert number == 6
    assert math.isnan(result.history.losses[2])
    assert all(value.isfinite().all() for value in result.model.state_dict().values())
    assert result.model.norm.num_batches_tracked == 5


def test_another_network_is_another_run(tune, small, monkeypatch):
    monkeypatch.setitem(NETWORKS, "other", SMALL)
    tune(None, small(*NETWORK))
    with raises(ConfigError, "mismatch"):
        tune(None, small("model.network=other", "finetune.layer_decay=1"), resume="auto")


def test_starts_from_a_run_with_a_new_head(tune, small, tmp_path):
    first = tune(None, small(*NETWORK), "first").model
    still = small(*NETWORK, "finetune.base_lr=1e-30", "finetune.weight_decay=0")
    second = tune(tmp_path / "first", still, "second").model
    assert torch.equal(second.stem.weight, first.stem.weight)
    assert not torch.equal(second.head.weight, first.head.weight)


def test_starts_from_weights_of_the_authors(tune, small, tmp_path, videos):
    torch.manual_seed(5)
    theirs = SMALL.build(NetworkOptions(classes=7, frames=4, size=32))
    torch.save({"model_state": authors_names(theirs.state_dict()), "epoch": 3}, tmp_path / "theirs.pyth")
    still = small(*NETWORK, "finetune.base_lr=1e-30", "finetune.weight_decay=0")
    found = tune(tmp_path / "theirs.pyth", still).model
    assert torch.equal(found.blocks[0].weight, theirs.blocks[0].weight)
    assert found.head.out_features == len(videos.classes)
    assert theirs.head.out_features == 7


def test_weights_of_another_program_are_refused(small, tmp_path):
    torch.save({"model_state": {"layer.weight": torch.zeros(3)}}, tmp_path / "theirs.pyth")
    with raises(ModelError, "mismatch", subject=f"{tmp_path / 'theirs.pyth'}: state dict") as caught:
        read_network(tmp_path / "theirs.pyth", small(*NETWORK))
    assert "layer.weight" in caught.value.found
    assert "net.conv1.weight" in caught.value.expected


def test_layer_decay_follows_the_layers(small, videos):
    config = small("model.network=small", "finetune.layer_decay=0.5")
    model = network_to_train(config, videos.classes, None)
    optimiser = Finetuning(model, config, videos.classes, flip=False, augment=None).build_optimiser(1.0)
    rates = {id(p): group["lr"] for group in optimiser.param_groups for p in group["params"]}
    found = {name: rates[id(p)] for name, p in model.named_parameters()}
    assert (found["stem.weight"], found["blocks.0.weight"], found["blocks.1.bias"], found["head.weight"]) == (
        0.125,
        0.25,
        0.5,
        1,
    )


def test_a_network_and_an_encoder_are_told_apart(tune, small, tmp_path):
    config = small()
    encoder = Encoder(config.model_spec())
    with raises(ModelError, "mismatch", subject="encoder"):
        tune(encoder, small(*NETWORK))
    with raises(ModelError, "mismatch", subject="encoder"):
        tune(SMALL.build(NetworkOptions(classes=3)), config, "other")
    tune(None, small(*NETWORK), "network")
    with raises(ModelError, "mismatch", subject=tmp_path / "network"):
        load_encoder(tmp_path / "network")
    with raises(ModelError, "unsupported", subject="to"):
        export_model(tmp_path / "network", to="hf", out=tmp_path / "out")
