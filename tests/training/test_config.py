import pytest
import torch

from mgm.errors import ConfigError
from mgm.masks import build_mask
from mgm.models import Classifier, Encoder, MaskedAutoencoder, ModelSpec
from mgm.training.config import Config, list_recipes, load_config, override, parse_config


@pytest.fixture
def recipe(tmp_path):
    def write(text):
        path = tmp_path / "mine.yaml"
        path.write_text(text)
        return path

    return write


@pytest.mark.parametrize("name", list_recipes())
def test_every_recipe_builds_its_models(name):
    config = load_config(name)
    with torch.device("meta"):
        model = MaskedAutoencoder(config.model_spec(), target=config.model.target)
        Classifier(Encoder(config.model_spec()), 10, drop_path=config.finetune.drop_path)
    assert sum(p.numel() for p in model.parameters()) > 0
    rule = config.mask_rule()
    assert rule.grid == model.spec.grid
    assert rule.mask.count(rule.grid, rule.ratio) > 0


@pytest.mark.parametrize("name", list_recipes())
def test_saving_and_loading_changes_nothing(name, tmp_path):
    config = load_config(name, ["mask.name=mgm", "mask.options={top_k: 3}"])
    config.save(tmp_path / "config.yaml")
    assert load_config(tmp_path / "config.yaml") == config
    assert parse_config(config.model_dump(mode="json"), "checkpoint") == config


def test_defaults_are_a_configuration():
    config = Config()
    assert config.model_spec() == ModelSpec("B")
    assert config.finetune.betas == (0.9, 0.999)
    # The same ones apply where a recipe names the section and leaves the key out.
    assert parse_config({"finetune": {"epochs": 3}}, "x").finetune.betas == (0.9, 0.999)
    settings = config.clip_settings(motion=True)
    assert (settings.frames, settings.stride, settings.size, settings.motion) == (16, 4, 224, "auto")
    assert config.clip_settings(motion=False).motion is None


def test_the_mask_of_a_recipe_is_built_with_its_options():
    config = load_config("debug", ["mask.options={top_k: 3}"])
    assert config.mask_rule().mask == build_mask("mgm", top_k=3)


def test_all_errors_come_in_one_message(recipe):
    path = recipe("data: {frame: 8}\npretrain: {steps: 5, base_lrr: 1}\nmodle: {}\nmask: {ratio: 2}\nseed: -1\n")
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    message = str(caught.value)
    assert f"{path}: 5 wrong settings:" in message
    assert "data.frame: no such key; did you mean data.frames?" in message
    assert "pretrain.base_lrr: no such key; did you mean pretrain.base_lr?" in message
    assert "modle: no such key; did you mean model?" in message
    assert "mask.ratio: found 2, expected less than 1" in message
    assert "seed: found -1, expected greater than or equal to 0" in message


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["pretrain.stepz=3"], "pretrain.stepz: no such key; did you mean pretrain.steps?"),
        (["data.zzz=3"], "data.zzz: no such key; expected one of frames, stride"),
        (["pretrain.steps"], "expected key=value"),
        (["=3"], "expected key=value"),
        (["data.size.deep=3"], "size is a value, not a section"),
        (["data.frames=[1"], "not valid YAML"),
        (["data.frames=many"], "data.frames: found 'many', expected a whole number"),
        (["data.frames=7"], "7 frames cannot be cut into tubelets of 2; take 8"),
        (["data.size=50"], "50 x 50 pixels cannot be cut into patches of 8"),
        (["mask.name=mgn"], "did you mean 'mgm'"),
        (["mask.options={topk: 3}"], "did you mean 'top_k'"),
        (["data.motion=null"], "mask mgm follows motion, but data.motion is null"),
        (
            ["data.motion=null", "mask.name=tube", "mask.decoder.name=mgm"],
            "mask.decoder mgm follows motion, but data.motion is",
        ),
        (["pretrain.steps=null"], "pretrain: give either epochs or steps"),
        (["pretrain.steps=3", "pretrain.epochs=3"], "pretrain: give either epochs or steps"),
        (["pretrain.base_lr=.nan"], "pretrain.base_lr"),
    ],
)
def test_overrides_that_do_not_fit(overrides, words):
    with pytest.raises(ConfigError, match=words):
        load_config("debug", overrides)


def test_overrides():
    config = load_config("debug", ["pretrain.base_lr=1e-3", "mask.name=tube", "data.motion=null", "seed=5"])
    assert (config.pretrain.base_lr, config.mask.name, config.data.motion, config.seed) == (1e-3, "tube", None, 5)
    assert override(config, ["data.stride=2"]).data.stride == 2
    assert override(config, []) == config


@pytest.mark.parametrize("reverse", [False, True])
def test_a_length_in_the_other_unit_replaces_the_length(recipe, reverse):
    path = recipe("pretrain: {epochs: 800, warmup: 40}\nfinetune: {steps: 100, warmup: 10}\n")
    config = load_config(path, ["pretrain.steps=200", "finetune.steps=50"])
    # A warm-up of 40 epochs is none of 40 steps; one in the same unit stays.
    assert (config.pretrain.epochs, config.pretrain.steps, config.pretrain.warmup) == (None, 200, 0)
    assert (config.finetune.steps, config.finetune.warmup) == (50, 10)
    given = ["pretrain.steps=200", "pretrain.warmup=20", "finetune.epochs=2"]
    config = load_config(path, given[::-1] if reverse else given)
    assert (config.pretrain.steps, config.pretrain.warmup) == (200, 20)
    assert (config.finetune.epochs, config.finetune.steps) == (2, None)


def test_numbers_as_yaml_1_1_does_not_read_them(recipe):
    path = recipe("pretrain: {steps: 1e2, base_lr: 1e-3, betas: [9e-1, 0.95]}\n")
    optim = load_config(path).pretrain
    assert (optim.steps, optim.base_lr, optim.betas) == (100, 1e-3, (0.9, 0.95))


def test_recipes_that_are_not_there(recipe, tmp_path):
    with pytest.raises(ConfigError, match=r"debog: no recipe of that name.*did you mean debug\?"):
        load_config("debog")
    with pytest.raises(ConfigError, match="no such recipe file"):
        load_config(tmp_path / "other.yaml")
    with pytest.raises(ConfigError, match="found nothing, expected sections"):
        load_config(recipe(""))
    with pytest.raises(ConfigError, match="no valid recipe: line 1, column 6"):
        load_config(recipe("a: [1"))


# epochs, batch, base_lr, layer_decay, drop_path, dropout, min_lr of recipes.md 1.3; stride, sampling, flip, views of 1.5
FINETUNED = {
    "k400": (75, 384, 5e-4, 0.75, 0.1, 0, 1e-6, 4, "dense", True, 5),
    "ssv2": (30, 384, 5e-4, 0.75, 0.1, 0, 1e-6, 2, "sparse", False, 2),
    "ucf101": (100, 128, 5e-4, 0.7, 0.2, 0.5, 1e-5, 4, "dense", True, 5),
    "hmdb51": (50, 128, 1e-3, 0.7, 0.2, 0.5, 1e-6, 2, "dense", True, 10),
    "diving48": (100, 128, 5e-4, 0.7, 0.2, 0.5, 1e-6, 4, "sparse", True, 5),
}


@pytest.mark.parametrize("name", FINETUNED)
def test_fine_tuning_recipes_are_those_of_the_reference(name):
    config = load_config(f"finetune-vitb-{name}")
    f = config.finetune
    numbers = (f.epochs, f.batch, f.base_lr, f.layer_decay, f.drop_path, f.dropout, f.min_lr)
    assert (*numbers, config.data.stride, f.sampling, f.flip, config.probe.temporal_views) == FINETUNED[name]
    assert (f.warmup, f.betas, f.weight_decay, f.clip_grad) == (5, (0.9, 0.999), 0.05, None)
    assert (f.crop, f.randaugment, f.erasing) == ("random_resized", "rand-m7-n4-mstd0.5-inc1", 0.25)
    assert (f.mixup, f.cutmix, f.mixup_prob, f.switch_prob, f.label_smoothing) == (0.8, 1.0, 1.0, 0.5, 0.1)
    assert (config.data.repeats, config.data.frames, config.data.size, config.model.size) == (2, 16, 224, "B")
    assert config.probe.spatial_views == 3


def test_a_wrong_form_of_randaugment_is_named():
    with pytest.raises(ConfigError, match=r"finetune.randaugment: .*expected for example 'rand-m7-n4"):
        load_config("debug", ["finetune.randaugment=augmix-m3"])
