"""The built-in recipes against the sources that they name: the paper, VideoMAE's scripts and paper, MViT's configuration."""

from importlib import resources

import pytest
import torch
import yaml

from mgm.models import Classifier, Encoder, MaskedAutoencoder
from mgm.training.config import Config
from mgm.training.recipe import load_config
from mgm.training.recipe_file import list_recipes

# Table 1 and section 4.2 of the paper; VideoMAE's pretrain.sh of 800 epochs; section 4.5.
# mask, ratio, epochs, batch, stride, flip
PRETRAINED = {
    "mgm-vitb-k400": ("mgm", 0.75, 800, 1024, 4, True),
    "mgm-vitb-ssv2": ("mgm", 0.75, 800, 1024, 2, False),
    "videomae-vitb-k400": ("tube", 0.9, 800, 2048, 4, False),
    "videomae-vitb-ssv2": ("tube", 0.9, 800, 2048, 2, False),
    "ablation-vitb-ssv2": ("mgm", 0.75, 200, 1024, 2, False),
}

# VideoMAE's finetune.sh; the appendix of its paper for HMDB51; UCF101's settings where the paper gives none.
# epochs, batch, repeats, base_lr, layer_decay, drop_path, dropout, min_lr, stride, sampling, flip, temporal views
K400_800 = (100, 512, 1, 1e-3, 0.75, 0.1, 0, 1e-6, 4, "dense", True, 5)
SSV2_800 = (50, 512, 1, 5e-4, 0.75, 0.1, 0, 1e-6, 2, "sparse", False, 2)
FINETUNED = {
    "finetune-vitb-k400": (75, 384, 2, 5e-4, 0.75, 0.1, 0, 1e-6, 4, "dense", True, 5),
    "finetune-vitb-k400-800": K400_800,
    "finetune-vitb-ssv2": (30, 384, 2, 5e-4, 0.75, 0.1, 0, 1e-6, 2, "sparse", False, 2),
    "finetune-vitb-ssv2-800": SSV2_800,
    "finetune-vitb-ucf101": (100, 128, 2, 5e-4, 0.7, 0.2, 0.5, 1e-5, 4, "dense", True, 5),
    "finetune-vitb-hmdb51": (50, 128, 2, 1e-3, 0.7, 0.2, 0.5, 1e-6, 2, "dense", True, 5),
    "finetune-vitb-diving48": (100, 128, 2, 5e-4, 0.7, 0.2, 0.5, 1e-6, 4, "dense", True, 5),
    "finetune-vitb-ucf-hmdb": (100, 128, 2, 5e-4, 0.7, 0.2, 0.5, 1e-5, 4, "dense", True, 5),
    "finetune-vits-k400": (150, 384, 2, 5e-4, 0.75, 0.1, 0, 1e-6, 4, "dense", True, 5),
    "finetune-vits-ssv2": (40, 384, 2, 1e-3, 0.7, 0.1, 0, 1e-6, 2, "sparse", False, 2),
    # Table 1 of the paper: "repeated augmentation = 2".
    "mgm-vitb-k400": (*K400_800[:2], 2, *K400_800[3:10], "auto", 5),
    "mgm-vitb-ssv2": (*SSV2_800[:2], 2, *SSV2_800[3:]),
    "videomae-vitb-k400": K400_800,
    "videomae-vitb-ssv2": SSV2_800,
    "ablation-vitb-ssv2": SSV2_800,
}

# MVIT_B_16x4_CONV of PySlowFast. 1e-4 for each 16 clips is 1.6e-3 for 256.
SUPERVISED = {"supervised-vitb-k400": (200, 256, 2, 1.6e-3, 1.0, 0.2, 0.5, 1.6e-5, 4, "dense", True, 5)}

RECIPES = [name for name in list_recipes() if name != "debug"]


def text(name: str) -> str:
    return (resources.files("mgm") / "recipes" / f"{name}.yaml").read_text(encoding="utf-8")


def test_every_recipe_has_its_facts():
    assert {*PRETRAINED, *FINETUNED, *SUPERVISED} == set(RECIPES)


@pytest.mark.parametrize("name", PRETRAINED)
def test_pretraining(name):
    config = load_config(name)
    p, data = config.pretrain, config.data
    found = (config.mask.name, config.mask.ratio, p.epochs, p.batch, data.stride, data.flip)
    assert found == PRETRAINED[name]
    assert (p.base_lr, p.min_lr, p.warmup, p.betas, p.weight_decay) == (1.5e-4, 1e-5, 40, (0.9, 0.95), 0.05)
    assert (p.clip_grad, config.repeats("pretrain"), data.crop) == (None, 1, "multiscale")
    assert (config.model.target, config.mask.options, config.mask.decoder) == ("normalised-pixels", {}, None)
    if config.mask.name == "mgm":
        assert (data.policy, data.reading, data.camera) == ("sampled", "clean", "none")


@pytest.mark.parametrize("name", [*FINETUNED, *SUPERVISED])
def test_fine_tuning(name):
    config = load_config(name)
    f = config.finetune
    numbers = (
        f.epochs,
        f.batch,
        config.repeats("finetune"),
        f.base_lr,
        f.layer_decay,
        f.drop_path,
        f.dropout,
        f.min_lr,
    )
    found = (*numbers, config.data.stride, f.sampling, f.flip, config.probe.temporal_views)
    assert found == (FINETUNED | SUPERVISED)[name]
    assert (f.betas, f.weight_decay) == ((0.9, 0.999), 0.05)
    assert (f.crop, f.randaugment, f.erasing) == ("random_resized", "rand-m7-n4-mstd0.5-inc1", 0.25)
    assert (f.mixup, f.cutmix, f.mixup_prob, f.switch_prob, f.label_smoothing) == (0.8, 1.0, 1.0, 0.5, 0.1)
    assert (config.data.frames, config.data.size, config.probe.spatial_views) == (16, 224, 3)
    assert (f.warmup, f.clip_grad, f.sampling_rule) == (
        (30, 1.0, "exact") if name in SUPERVISED else (5, None, "reference")
    )


@pytest.mark.parametrize("name", list_recipes())
def test_it_builds_its_models(name):
    config = load_config(name)
    with torch.device("meta"):
        model = MaskedAutoencoder(config.model_spec(), target=config.model.target)
        Classifier(Encoder(config.model_spec()), 10, drop_path=config.finetune.drop_path)
    assert sum(p.numel() for p in model.parameters()) > 0
    assert config.model.size == {"vitb": "B", "vits": "S"}.get(name.partition("-")[2][:4], "tiny")
    rule = config.mask_rule()
    assert rule.grid == model.spec.grid
    assert rule.mask.count(rule.grid, rule.ratio) > 0


@pytest.mark.parametrize("name", RECIPES)
def test_it_names_its_source_and_its_keys_exist(name):
    comment = " ".join(line.removeprefix("# ") for line in text(name).splitlines() if line.startswith("# "))
    assert any(source in comment for source in ("section 4", "Table", "script", "appendix"))
    for section, values in yaml.safe_load(text(name)).items():
        assert set(values) <= set(type(getattr(Config(), section)).model_fields)


def test_the_overrides_that_comments_name_are_settings():
    for name in RECIPES:
        comment = " ".join(line for line in text(name).splitlines() if line.startswith("#"))
        settings = [word.strip(".,;:)") for word in comment.split() if "=" in word]
        load_config(name, settings)
