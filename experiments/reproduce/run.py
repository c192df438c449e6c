"""Expected time of the paper's runs on 1, 8 and 64 GPUs, from their computation: nothing is trained.

    python experiments/reproduce/run.py --teraflops 60

A step takes three times its forward pass, at two operations per multiply-accumulate. GPUs scale without loss here, and reading
keeps up with them; `mgm bench data` measures whether it does.
"""

from __future__ import annotations

import argparse

from mgm.evaluation.paper import SETS
from mgm.machine import versions
from mgm.models.cost import autoencoder_multiply_accumulates, encoder_multiply_accumulates
from mgm.training import load_config

# Training videos of the published lists; of the first split where they are numbered.
TRAIN = {"k400": 240_436, "ssv2": 168_913, "ucf101": 9_537, "hmdb51": 3_570, "diving48": 15_027}
PRETRAIN = (
    ("mgm-vitb-ssv2", "ssv2"),
    ("mgm-vitb-k400", "k400"),
    ("videomae-vitb-ssv2", "ssv2"),
    ("videomae-vitb-k400", "k400"),
    ("ablation-vitb-ssv2", "ssv2"),
)
FINETUNE = (
    ("mgm-vitb-ssv2", "ssv2"),
    ("mgm-vitb-k400", "k400"),
    ("finetune-vitb-ucf101", "ucf101"),
    ("finetune-vitb-hmdb51", "hmdb51"),
    ("finetune-vitb-diving48", "diving48"),
)
GPUS = (1, 8, 64)


def pretraining(recipe: str, name: str) -> float:
    """Operations of a whole pretraining."""
    config = load_config(recipe)
    spec, epochs = config.model_spec(), config.pretrain.epochs
    each = autoencoder_multiply_accumulates(spec, spec.tokens - config.mask_rule().hidden)
    return 6 * each * epochs * TRAIN[name] * config.repeats("pretrain")


def finetuning(recipe: str, name: str) -> float:
    """Operations of a whole fine-tuning."""
    config = load_config(recipe)
    each = encoder_multiply_accumulates(config.model_spec())
    return 6 * each * config.finetune.epochs * TRAIN[name] * config.repeats("finetune")


def testing(recipe: str, name: str) -> float:
    """Operations of the multi-view evaluation."""
    config = load_config(recipe)
    views = config.probe.temporal_views * config.probe.spatial_views
    return 2 * encoder_multiply_accumulates(config.model_spec()) * SETS[name].test * views


def row(label: str, operations: float, rate: float) -> str:
    """A row of the table in Markdown."""
    hours = [operations / rate / gpus / 3600 for gpus in GPUS]
    return f"| {label} | {operations / 1e18:.2g} | {' | '.join(map(_time, hours))} |"


def _time(hours: float) -> str:
    if hours >= 48:
        return f"{hours / 24:.1f} days"
    return f"{hours:.1f} h" if hours >= 1 else f"{max(hours * 60, 1):.0f} min"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--teraflops", type=float, default=60, help="operations per second of one GPU in training, in 1e12"
    )
    rate = parser.parse_args().teraflops * 1e12
    print(", ".join(f"{name} {version}" for name, version in versions()))
    print(f"| run | operations, 1e18 | {' | '.join(f'{n} GPU' + 's' * (n > 1) for n in GPUS)} |")
    print("|---|---|---|---|---|")
    for recipe, name in PRETRAIN:
        print(row(f"pretraining, `{recipe}`", pretraining(recipe, name), rate))
    for recipe, name in FINETUNE:
        print(row(f"fine-tuning, `{recipe}` on {SETS[name].name}", finetuning(recipe, name), rate))
    for recipe, name in FINETUNE:
        print(row(f"testing on {SETS[name].name}", testing(recipe, name), rate))


if __name__ == "__main__":
    main()
