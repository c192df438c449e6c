"""The built-in recipes against the sources that they name: the paper, VideoMAE's scripts and paper, V2's, MAE-ST's, MViT's."""

from dataclasses import replace
from functools import cache

import pytest
import torch

from mgm.models import Classifier, Encoder, MaskedAutoencoder, ModelSpec
from mgm.models.replacement import MaskedPredictor
from mgm.training.networks import build_network
from mgm.training.recipe import load_config
from mgm.training.recipe_file import list_recipes, read_recipe
from tests.training.test_recipes_of_video_vits import VIDEO_VITS

# Table 1 and section 4.2 of the paper; VideoMAE's pretrain.sh, and the appendix of its paper for HMDB51; section 4.5.
# size, mask, ratio, epochs, batch, base_lr, stride, flip
PRETRAINED = {
    "mgm-vits-k400": ("S", "mgm", 0.75, 800, 1024, 1.5e-4, 4, True),
    "mgm-vitb-k400": ("B", "mgm", 0.75, 800, 1024, 1.5e-4, 4, True),
    "mgm-vitl-k400": ("L", "mgm", 0.75, 800, 512, 1.5e-4, 4, True),
    "mgm-vith-k400": ("H", "mgm", 0.75, 800, 1024, 1.5e-4, 4, True),
    "mgm-vits-ssv2": ("S", "mgm", 0.75, 800, 1024, 1.5e-4, 2, False),
    "mgm-vitb-ssv2": ("B", "mgm", 0.75, 800, 1024, 1.5e-4, 2, False),
    "mgm-vitl-ssv2": ("L", "mgm", 0.75, 800, 512, 1.5e-4, 2, False),
    "mgm-vitb-ucf101": ("B", "mgm", 0.75, 3200, 192, 3e-4, 4, True),
    "mgm-vitb-hmdb51": ("B", "mgm", 0.75, 4800, 192, 3e-4, 2, True),
    "mgm-vitb-diving48": ("B", "mgm", 0.75, 2000, 192, 3e-4, 4, True),
    "mgm-literal-vitb-k400": ("B", "mgm", 0.75, 800, 1024, 1.5e-4, 4, True),
    "mgm-literal-vitb-ssv2": ("B", "mgm", 0.75, 800, 1024, 1.5e-4, 2, False),
    "ablation-vitb-ssv2": ("B", "mgm", 0.75, 200, 1024, 1.5e-4, 2, False),
    "videomae-vits-k400": ("S", "tube", 0.9, 1600, 1024, 1.5e-4, 4, False),
    "videomae-vitb-k400": ("B", "tube", 0.9, 800, 2048, 1.5e-4, 4, False),
    "videomae-vitl-k400": ("L", "tube", 0.9, 1600, 512, 1.5e-4, 4, False),
    "videomae-vith-k400": ("H", "tube", 0.9, 1600, 1024, 1.5e-4, 4, False),
    "videomae-vits-ssv2": ("S", "tube", 0.9, 2400, 1024, 1.5e-4, 2, False),
    "videomae-vitb-ssv2": ("B", "tube", 0.9, 800, 2048, 1.5e-4, 2, False),
    "videomae-vitb-ucf101": ("B", "tube", 0.75, 3200, 192, 3e-4, 4, False),
    "videomae-vitb-hmdb51": ("B", "tube", 0.75, 4800, 192, 3e-4, 2, False),
    "videomae-v2-vitb-k400": ("B", "tube", 0.9, 200, 1024, 1e-3, 4, False),
    "videomae-v2-vitb-ssv2": ("B", "tube", 0.9, 200, 1024, 1e-3, 2, False),
    "maest-vitb-k400": ("B", "random", 0.9, 200, 512, 1.6e-3, 4, True),
    "videomae-vitl-ssv2": ("L", "tube", 0.9, 2400, 512, 1.5e-4, 2, False),
    # MME's script and code, MVD's script and code; MotionMAE and MAM2 have no code.
    "m3video-vitb-k400": ("B", "tube", 0.7, 1600, 1024, 1.5e-4, 4, False),
    "m3video-vitb-ssv2": ("B", "tube", 0.7, 400, 1024, 1.5e-4, 2, False),
    "motionmae-vitb-k400": ("B", "tube", 0.9, 1600, 1024, 1.5e-4, 4, False),
    "motionmae-vitb-ssv2": ("B", "tube", 0.9, 2400, 1024, 1.5e-4, 2, False),
    "mam2-vitb-ssv2": ("B", "tube", 0.9, 1200, 1024, 1.5e-4, 2, False),
    "mvd-vitb-k400": ("B", "tube", 0.9, 400, 1024, 1.5e-4, 4, False),
    "omnimae-vitb": ("B", "random", 0.9, 800, 512, 2e-4, 2, False),
    "single-gpu": ("B", "mgm", 0.75, 800, 192, 3e-4, 4, True),
}
REPEATS = {"mgm-literal-vitb-k400": 2, "mgm-literal-vitb-ssv2": 2, "videomae-v2-vitb-k400": 4, "videomae-v2-vitb-ssv2": 4,
           "maest-vitb-k400": 4, "omnimae-vitb": 4, "single-gpu": 2}  # fmt: skip

# Targets but normalised pixels, by the first word of the recipe's name.
TARGETS = {
    "maest": "one-frame",
    "m3video": {"hog-m3video": 54, "trajectory": 16},
    "motionmae": {"normalised-pixels": 1, "frame-difference": 10},
    "mam2": {"vqgan-codes": 1, "frame-difference": 10},
    "mvd": {"video-teacher": 1, "image-teacher": 1},
}

# VideoMAE's finetune.sh; the appendix of its paper for HMDB51 and for L on Something-Something; UCF101's settings where the paper
# gives none.
# epochs, batch, repeats, base_lr, layer_decay, drop_path, dropout, min_lr, stride, sampling, flip, temporal views
K400_S = (150, 384, 2, 5e-4, 0.75, 0.1, 0, 1e-6, 4, "dense", True, 5)
K400_B = (75, 384, 2, 5e-4, 0.75, 0.1, 0, 1e-6, 4, "dense", True, 5)
K400_800 = (100, 512, 1, 1e-3, 0.75, 0.1, 0, 1e-6, 4, "dense", True, 5)
K400_L = (35, 128, 2, 2e-3, 0.75, 0.1, 0, 1e-6, 4, "dense", True, 5)
K400_H = (50, 512, 2, 1e-3, 0.75, 0.2, 0.5, 1e-5, 4, "dense", True, 5)
SSV2_S = (40, 384, 2, 1e-3, 0.7, 0.1, 0, 1e-6, 2, "sparse", False, 2)
SSV2_B = (30, 384, 2, 5e-4, 0.75, 0.1, 0, 1e-6, 2, "sparse", False, 2)
SSV2_800 = (50, 512, 1, 5e-4, 0.75, 0.1, 0, 1e-6, 2, "sparse", False, 2)
SSV2_L = (30, 512, 2, 5e-4, 0.75, 0.2, 0.5, 1e-6, 2, "sparse", False, 2)
UCF101 = (100, 128, 2, 5e-4, 0.7, 0.2, 0.5, 1e-5, 4, "dense", True, 5)
HMDB51 = (50, 128, 2, 1e-3, 0.7, 0.2, 0.5, 1e-6, 2, "dense", True, 5)
DIVING48 = (100, 128, 2, 5e-4, 0.7, 0.2, 0.5, 1e-6, 4, "dense", True, 5)
# Table 1 of the paper: "repeated augmentation = 2".
MGM_K400 = (*K400_800[:2], 2, *K400_800[3:10], "auto", 5)
MGM_SSV2 = (*SSV2_800[:2], 2, *SSV2_800[3:])
FINETUNED = {
    "finetune-vits-k400": K400_S,
    "finetune-vitb-k400": K400_B,
    "finetune-vitb-k400-800": K400_800,
    "finetune-vitl-k400": K400_L,
    "finetune-vith-k400": K400_H,
    "finetune-vits-ssv2": SSV2_S,
    "finetune-vitb-ssv2": SSV2_B,
    "finetune-vitb-ssv2-800": SSV2_800,
    "finetune-vitl-ssv2": SSV2_L,
    "finetune-vitb-ucf101": UCF101,
    "finetune-vitb-hmdb51": HMDB51,
    "finetune-vitb-diving48": DIVING48,
    "finetune-vitb-ucf-hmdb": UCF101,
    "mgm-vits-k400": K400_S,
    "mgm-vitb-k400": MGM_K400,
    "mgm-vitl-k400": K400_L,
    "mgm-vith-k400": K400_H,
    "mgm-vits-ssv2": SSV2_S,
    "mgm-vitb-ssv2": MGM_SSV2,
    "mgm-vitl-ssv2": SSV2_L,
    "mgm-vitb-ucf101": UCF101,
    "mgm-vitb-hmdb51": HMDB51,
    "mgm-vitb-diving48": DIVING48,
    "mgm-literal-vitb-k400": MGM_K400,
    "mgm-literal-vitb-ssv2": MGM_SSV2,
    "ablation-vitb-ssv2": SSV2_800,
    "videomae-vits-k400": K400_S,
    "videomae-vitb-k400": K400_800,
    "videomae-vitl-k400": K400_L,
    "videomae-vith-k400": K400_H,
    "videomae-vits-ssv2": SSV2_S,
    "videomae-vitb-ssv2": SSV2_800,
    "videomae-vitb-ucf101": UCF101,
    "videomae-vitb-hmdb51": HMDB51,
    "videomae-v2-vitb-k400": (90, 512, 2, 7e-4, *K400_800[4:]),
    "videomae-v2-vitb-ssv2": (25, 256, 2, 2e-3, 0.65, *SSV2_800[5:]),
    "maest-vitb-k400": (75, 512, 1, 1e-3, 0.65, 0.1, 0.3, *K400_800[7:11], 7),
    "videomae-vitl-ssv2": SSV2_L,
    "m3video-vitb-k400": (75, 384, 2, 1e-3, *K400_B[4:11], 7),
    "m3video-vitb-ssv2": SSV2_B,
    "motionmae-vitb-k400": K400_B,
    "motionmae-vitb-ssv2": SSV2_B,
    "mam2-vitb-ssv2": SSV2_B,
    "mvd-vitb-k400": K400_B,
    "omnimae-vitb": (100, *SSV2_800[1:11], 5),
    "single-gpu": UCF101,
}

# MVIT_B_16x4_CONV of PySlowFast, whose 1e-4 for each 16 clips is 1.6e-3 for 256; and its settings for Something-Something.
SUPERVISED = {
    "supervised-vitb-k400": (200, 256, 2, 1.6e-3, 1.0, 0.2, 0.5, 1.6e-5, 4, "dense", True, 5),
    "supervised-vitb-ssv2": (100, 256, 1, 2.4e-2, 1.0, 0.4, 0.5, 1.6e-5, 2, "sparse", False, 2),
}

# Networks that are not a ViT, from configurations of PySlowFast: SLOWFAST_8x8_R50 and SSv2/SLOWFAST_16x8_R50, whose learning
# rates are for 64 and 16 clips; MVITv2_S_16x4, MVITv2_B_32x3 and SSv2/MVITv2_B_32x3, for 16.
# network, frames, stride, optimiser, epochs, warmup, base_lr, weight_decay, clip_grad, repeats, drop_path, sampling, views
OF_NETWORKS = {
    "supervised-slowfast-r101-k400": (
        "slowfast-r101-8x8", 32, 2, "sgd", 196, 34, 0.4, 1e-4, None, 1, 0, "dense", (10, 3),
    ),
    "supervised-slowfast-r101-nl-k400": (
        "slowfast-r101-16x8-nl", 64, 2, "sgd", 196, 34, 0.4, 1e-4, None, 1, 0, "dense", (10, 3),
    ),
    "supervised-slowfast-r101-ssv2": (
        "slowfast-r101-8x8", 32, 2, "sgd", 22, 0.19, 0.48, 1e-6, None, 1, 0, "sparse", (1, 3),
    ),
    "supervised-mvitv1-b-k400": ("mvitv1-b-64x3", 64, 3, "adamw", 200, 30, 1.6e-3, 0.05, 1.0, 2, 0.2, "dense", (3, 3)),
    "supervised-mvitv1-b-ssv2": ("mvitv1-b-64x3", 64, 3, "sgd", 100, 3, 2.4e-2, 1e-4, None, 1, 0.4, "sparse", (1, 3)),
    "supervised-mvitv2-s-k400": ("mvitv2-s-16x4", 16, 4, "adamw", 200, 30, 1.6e-3, 0.05, 1.0, 2, 0.2, "dense", (5, 1)),
    "supervised-mvitv2-b-k400": ("mvitv2-b-32x3", 32, 3, "adamw", 200, 30, 1.6e-3, 0.05, 1.0, 2, 0.3, "dense", (5, 1)),
    "supervised-mvitv2-b-ssv2": ("mvitv2-b-32x3", 32, 3, "sgd", 100, 3, 2.4e-2, 1e-4, None, 1, 0.4, "sparse", (1, 3)),
    "supervised-mvitv2-s-ssv2": (
        "mvitv2-s-16x4-ssv2", 16, 4, "sgd", 100, 3, 4e-2, 1e-4, None, 1, 0.4, "sparse", (1, 3),
    ),
}  # fmt: skip

# Networks after a pretraining: BEVT's configurations of fine-tuning, and PySlowFast's k400_MVITv2_S_16x4_FT of MaskFeat, whose
# rates are for 16 clips.
# network, frames, stride, epochs, warmup, batch, base_lr, weight_decay, clip_grad, layer_decay, body_lr, drop_path, dropout, ema,
# sampling, views
TUNED_NETWORKS = {
    "finetune-swinb-k400": (
        "video-swin-b-k400", 32, 2, 60, 2.5, 256, 3e-4, 1e-3, 40, 0.9, 1, 0.3, 0.5, None, "dense", (4, 3),
    ),
    "finetune-swinb-ssv2": (
        "video-swin-b-ssv2", 32, 2, 60, 2.5, 512, 2.5e-4, 0.05, None, 1, 0.1, 0.4, 0.5, 0.9998, "sparse", (1, 3),
    ),
    "finetune-mvits-k400": (
        "maskfeat-mvitv2-s-16x4", 16, 4, 100, 20, 256, 9.6e-3, 0.05, 5, 0.75, 1, 0.1, 0, None, "dense", (5, 1),
    ),
}  # fmt: skip

# The appendix of VideoMAE's paper and MAE's; the attentive probes of V-JEPA and V-JEPA 2.
# heads, depth, learning rates, weight decays, batch, temporal views
PROBES = {
    "probe-linear": (("linear-sgd", "linear-lars", "linear-adamw"), 1, None, None, 64, 5),
    "probe-vjepa": (("attentive",), 1, 1e-3, 0.01, 256, 8),
    "probe-vjepa2": (("attentive",), 4, (5e-3, 3e-3, 1e-3, 3e-4, 1e-4), (0.01, 0.1, 0.4, 0.8), 256, 8),
    "probe-vjepa2-vitl": (("attentive",), 4, (5e-3, 3e-3, 1e-3, 3e-4, 1e-4), (0.01, 0.1, 0.4, 0.8), 256, 2),
}

# PySlowFast's k400_MVITv2_S_16x4_MaskFeat_PT, whose rates are of 32 clips; BEVT's configuration of Kinetics-400, of 512.
# network, size, target, mask, ratio, epochs, warm-up, batch, base_lr, min_lr, largest norm, drop path, stride
REPLACING = {
    "maskfeat-mvits-k400": ("mvit", "S", "hog-maskfeat", "cube", 0.4, 300, 10, 512, 8e-4, 8e-6, 0.02, 0, 4),
    "maskfeat-vitb-k400": ("vit", "B", "hog-maskfeat", "cube", 0.4, 300, 10, 512, 8e-4, 8e-6, 0.02, 0, 4),
    "bevt-swinb-k400": ("swin", "B", "dvae-codes", "beit-block", 0.5, 150, 10, 512, 2.5e-4, 0, 3, 0.3, 8),
}

# Where a value comes from; every comment of a value names one of these.
SOURCES = ("MGM section", "MGM Table", "VideoMAE's script", "VideoMAE's paper", "VideoMAE's code", "V2's script", "MAE-ST's code",
           "M3Video's script", "M3Video's code", "MVD's script", "MVD's code", "MotionMAE's abstract", "MAM2's abstract",
           "MViT's configuration", "MViT's paper", "SlowFast's configuration", "SlowFast's paper", "V-JEPA's code",
           "V-JEPA 2's code", "MaskFeat's configuration", "BEVT's configuration", "OmniMAE's configuration",
           "TimeSformer's configuration", "Motionformer's configuration", "VidTr's configuration", "CoViAR's code",
           "CoViAR's paper", "decided here")  # fmt: skip

OWN = {"debug", "laptop", "mgm-plus"}
"""Recipes that follow no source."""

RECIPES = [name for name in list_recipes() if name not in OWN]


def test_every_recipe_has_its_facts():
    known = {*PRETRAINED, *FINETUNED, *SUPERVISED, *OF_NETWORKS, *TUNED_NETWORKS, *PROBES, *REPLACING, *VIDEO_VITS}
    assert known == set(RECIPES)


@pytest.mark.parametrize("name", PRETRAINED)
def test_pretraining(name):
    config = load_config(name)
    p, data = config.pretrain, config.data
    found = (
        config.model.size,
        config.mask.name,
        config.mask.ratio,
        p.epochs,
        p.batch,
        p.base_lr,
        data.stride,
        data.flip,
    )
    assert found == PRETRAINED[name]
    assert (p.betas, p.weight_decay, p.optimiser) == ((0.9, 0.95), 0.05, "adamw")
    least = {"maest": 0.0, "mvd": 1e-4}.get(name.partition("-")[0], 1e-5)
    assert (p.min_lr, p.clip_grad) == (least, 0.02 if name.startswith("maest") else None)
    assert p.warmup == (20 if "-v2-" in name else 40)
    assert (config.repeats("pretrain"), data.crop) == (REPEATS.get(name, 1), "multiscale")
    assert config.model.target == TARGETS.get(name.partition("-")[0], "normalised-pixels")
    assert config.mask.options == {}
    second = config.mask.decoder
    assert (second and (second.name, second.ratio)) == (("running-cell", 0.5) if "-v2-" in name else None)
    literal = ("sampled", "raw", "none") if "literal" in name else ("window_sum", "clean", "none")
    assert (data.policy, data.reading, data.camera) == literal


@pytest.mark.parametrize("name", [*FINETUNED, *SUPERVISED])
def test_fine_tuning(name):
    config = load_config(name)
    f = config.finetune
    rates = (f.base_lr, f.layer_decay, f.drop_path, f.dropout, f.min_lr)
    numbers = (f.epochs, f.batch, config.repeats("finetune"), *rates)
    found = (*numbers, config.data.stride, f.sampling, f.flip, config.probe.temporal_views)
    assert found == (FINETUNED | SUPERVISED)[name]
    sgd = name == "supervised-vitb-ssv2"
    assert (f.betas, f.weight_decay, f.optimiser) == ((0.9, 0.999), 1e-4 if sgd else 0.05, "sgd" if sgd else "adamw")
    assert (f.crop, f.randaugment, f.erasing) == ("random_resized", "rand-m7-n4-mstd0.5-inc1", 0.25)
    assert (f.mixup, f.cutmix, f.mixup_prob, f.switch_prob, f.label_smoothing) == (0.8, 1.0, 1.0, 0.5, 0.1)
    assert (config.data.frames, config.data.size, config.probe.spatial_views) == (16, 224, 3)
    mvit = (3, None, "exact") if sgd else (30, 1.0, "exact")
    assert (f.warmup, f.clip_grad, f.sampling_rule) == (mvit if name in SUPERVISED else (5, None, "reference"))


@pytest.mark.parametrize("name", REPLACING)
def test_pretraining_with_replaced_tokens(name):
    config = load_config(name)
    m, p, data = config.model, config.pretrain, config.data
    length = (p.epochs, p.warmup, p.batch, p.base_lr, p.min_lr, p.clip_grad)
    found = (m.replacement, m.size, m.target, config.mask.name, config.mask.ratio, *length, m.drop_path, data.stride)
    assert found == REPLACING[name]
    assert (p.betas, p.weight_decay, p.optimiser, config.repeats("pretrain")) == ((0.9, 0.999), 0.05, "adamw", 1)
    assert (data.frames, data.size, data.crop, data.flip, data.motion) == (16, 224, "multiscale", True, None)
    assert config.mask.options == {}


@pytest.mark.parametrize("name", OF_NETWORKS)
def test_fine_tuning_of_networks(name):
    config = load_config(name)
    f, data = config.finetune, config.data
    numbers = (f.optimiser, f.epochs, f.warmup, f.base_lr, f.weight_decay, f.clip_grad, config.repeats("finetune"))
    views = config.probe.temporal_views, config.probe.spatial_views
    found = (config.model.network, data.frames, data.stride, *numbers, f.drop_path, f.sampling, views)
    assert found == OF_NETWORKS[name]
    assert (data.size, f.batch, f.dropout, f.layer_decay, f.sampling_rule) == (224, 256, 0.5, 1.0, "exact")
    assert f.flip is not name.endswith("ssv2")
    assert f.min_lr == (0 if "slowfast" in name else 1.6e-5)
    strong = (f.randaugment, f.erasing, f.mixup, f.cutmix, f.label_smoothing)
    mvit = ("rand-m7-n4-mstd0.5-inc1", 0.25, 0.8, 1.0, 0.1)
    assert (f.crop, *strong) == (("multiscale", None, 0, 0, 0, 0) if "slowfast" in name else ("random_resized", *mvit))


@pytest.mark.parametrize("name", TUNED_NETWORKS)
def test_fine_tuning_after_a_pretraining(name):
    config = load_config(name)
    f, data, probe = config.finetune, config.data, config.probe
    length = (f.epochs, f.warmup, f.batch, f.base_lr, f.weight_decay, f.clip_grad)
    rates = (f.layer_decay, f.body_lr, f.drop_path, f.dropout, f.ema)
    views = (probe.temporal_views, probe.spatial_views)
    found = (config.model.network, data.frames, data.stride, *length, *rates, f.sampling, views)
    assert found == TUNED_NETWORKS[name]
    assert (f.optimiser, f.betas, f.sampling_rule, f.crop) == ("adamw", (0.9, 0.999), "exact", "random_resized")


@pytest.mark.parametrize("name", PROBES)
def test_probes(name):
    config = load_config(name)
    p = config.probe
    rates = (p.lr, p.weight_decay) if "attentive" in p.heads else (None, None)
    assert (p.heads, p.depth, *rates, p.batch, p.temporal_views) == PROBES[name]
    size = 256 if config.model.network else 224
    assert (config.data.frames, config.data.stride, config.data.size, p.spatial_views, p.shots) == (16, 4, size, 3, ())


@cache
def parameters(spec: ModelSpec, targets: tuple[str, ...], replacement: str | None) -> int:
    """Parameters of the pretrained model; a classifier of mgm's encoder is built too. Many recipes have the same models."""
    target, codes = dict.fromkeys(targets, 1.0), 8192 if any("codes" in name for name in targets) else None
    with torch.device("meta"):
        if replacement is not None:
            model = MaskedPredictor(spec, trunk=replacement, target=target, tokenizer=codes)
        else:
            teacher = spec if {"teacher", "video-teacher"} & set(targets) else None
            pictures = replace(spec, frames=1, tubelet=1, decoders=None) if "image-teacher" in targets else None
            model = MaskedAutoencoder(spec, target=target, teacher=teacher, image_teacher=pictures, tokenizer=codes)
        Classifier(Encoder(spec), 10, drop_path=0.1)
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("name", list_recipes())
def test_it_builds_its_models(name):
    config = load_config(name)
    if config.model.network is not None:
        with torch.device("meta"):
            assert build_network(config, classes=10).classes == 10
        return
    assert parameters(config.model_spec(), config.model.target_names, config.model.replacement) > 0
    named = [part.removeprefix("vit").upper() for part in name.split("-") if part.startswith("vit")]
    assert not named or config.model.size == named[0]
    rule = config.mask_rule()
    assert rule.grid == config.model_spec().grid
    assert rule.mask.count(rule.grid, rule.ratio) > 0


@pytest.mark.parametrize("name", ["debug", *RECIPES])
def test_every_value_has_a_source(name):
    read = read_recipe(name)
    assert len(read.about) > 40
    for key, origin in read.origins.items():
        assert any(source in origin.comment for source in SOURCES), f"{'.'.join(key)} in {origin.recipe}"


@pytest.mark.parametrize("name", FINETUNED)
def test_fine_tuning_after_pretraining_is_that_of_a_recipe(name):
    """Of the same size and set, but for what the paper and the scripts change."""
    allowed = {"repeats", "flip", "epochs", "batch", "base_lr", "layer_decay", "dropout"}
    own = load_config(name).finetune.model_dump()
    recipes = [n for n in RECIPES if n.startswith("finetune-")]
    differing = [{k for k, v in load_config(n).finetune.model_dump().items() if v != own[k]} for n in recipes]
    assert min(differing, key=len) <= allowed


def test_the_overrides_that_comments_name_are_settings():
    overridden = 0
    for name in RECIPES:
        read = read_recipe(name)
        comments = " ".join([read.about, *(origin.comment for origin in read.origins.values())])
        settings = [word.strip(".,;:)'") for word in comments.split() if "=" in word]
        load_config(name, settings)
        overridden += len(settings)
    assert overridden > 10


PREFIXES = (
    "mgm-",
    "finetune-",
    "videomae-",
    "supervised-",
    "maest-",
    "probe-",
    "m3video-",
    "motionmae-",
    "mam2-",
    "mvd-",
)


def test_the_recipes_that_comments_name_exist():
    known = {*list_recipes()}
    for name in known:
        words = [word.strip(".,;:)'") for word in read_recipe(name).about.split()]
        named = {word for word in words if word.startswith(PREFIXES)}
        assert named <= known, name
