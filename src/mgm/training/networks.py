"""Networks of the catalog as a recipe describes them: new, from weights of their authors, or from a run for other classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path

from torch import nn

from mgm.errors import ModelError
from mgm.models.convert import read_weights
from mgm.models.networks.catalog import NETWORKS
from mgm.models.networks.class_names import list_class_names
from mgm.models.networks.entry import NetworkEntry, NetworkOptions
from mgm.models.networks.mvit import MViT
from mgm.models.networks.network import CatalogBuild, VideoNetwork
from mgm.models.networks.swin import SwinBackbone
from mgm.models.networks.video_swin import VideoSwin, take_backbone
from mgm.models.networks.weights import ALL_BUT_HEAD, WeightsFormat, classes_of, load_renamed
from mgm.models.state_dict import load_state
from mgm.training.config import Config


def entry_of(config: Config) -> NetworkEntry:
    """The entry of the network of a configuration, which must have one."""
    assert config.model.network is not None
    return NETWORKS[config.model.network]


def build_network(
    config: Config, *, classes: int, labels: Sequence[str] | None = None, training: bool = False
) -> VideoNetwork:
    """The network of a configuration for its clips, with random weights. training: with the rates of `config.finetune`."""
    dropout, drop_path = (config.finetune.dropout, config.finetune.drop_path) if training else (None, None)
    frames, size = config.data.frames, config.data.size
    entry = entry_of(config)
    network = entry.build(
        NetworkOptions(classes=classes, labels=labels, frames=frames, size=size, dropout=dropout, drop_path=drop_path)
    )
    network.catalog_build = CatalogBuild(entry.name, frames, size)
    return network


def network_to_train(config: Config, labels: Sequence[str], start: VideoNetwork | None) -> VideoNetwork:
    """The network that a run trains, with a new head.

    Args:
        start: a network whose other weights it takes; it stays as it is. None: random weights.

    Raises:
        ModelError: the weights do not fit the clips of the configuration.
    """
    if start is None:
        network = build_network(config, classes=len(labels), labels=labels, training=True)
    else:
        network = build_network(config, classes=start.classes, training=True)
        load_state(network, start.state_dict())
        network.replace_head(len(labels), labels)
    return network


def network_rates(network: VideoNetwork, *, decay: float, body: float = 1.0) -> Callable[[str], float]:
    """Learning-rate multiplier by parameter name, decay^(depth + 1 - layer), times `body` below the head; the head's is 1."""

    def rate(name: str) -> float:
        """The multiplier of a parameter."""
        below = network.depth + 1 - network.depth_of(name)
        in_head = below == 0 if network.depth else name.startswith("head.")
        return float(decay**below) * (1.0 if in_head else body)

    return rate


def read_network(
    path: str | Path, config: Config, *, labels: Sequence[str] | None = None, to_train: bool = False
) -> VideoNetwork:
    """The network of a configuration with weights of its authors, in evaluation mode.

    Args:
        to_train: its head is not used or is replaced, so that weights of a pretraining without classes are accepted too.
        labels: names of its classes; None: those of the published weights, where their number is that of the weights.

    Raises:
        ModelError: the file is of another network, or does not fit.
    """
    entry = entry_of(config)
    state = read_weights(path).state
    try:
        found = _format_of(state.keys(), entry)
        rename = found.rename
        if found.pretrained and not to_train:
            raise ModelError(
                "state dict", f"found {found.name}, without classes", "a classifier", "fine-tune it", reason="mismatch"
            )
        classes = 1 if found.pretrained else classes_of(state, rename)
        known = None if entry.class_names is None else list_class_names(entry.class_names)
        names = labels or (known if known is not None and len(known) == classes else None)
        network = build_network(config, classes=classes, labels=names)
        load_renamed(network, state, rename, fresh=found.fresh, inflate=found.inflate)
    except ModelError as error:
        raise error.within(path) from error
    return network.eval()


def network_with_backbone(pretrained: nn.Module, config: Config) -> VideoNetwork:
    """The network of a configuration with the backbone that a run with `model.replacement` has pretrained, in evaluation mode.

    Raises:
        ModelError: it is that of another network.
    """
    network = build_network(config, classes=1)
    if isinstance(pretrained, SwinBackbone) and isinstance(network, VideoSwin):
        take_backbone(network, pretrained)
    elif isinstance(pretrained, MViT) and isinstance(network, MViT):
        load_renamed(network, pretrained.state_dict(), lambda name: name, fresh=ALL_BUT_HEAD)
    else:
        found = f"found a {type(pretrained).__name__}"
        raise ModelError("encoder", found, f"the backbone of {config.model.network}", reason="mismatch")
    return network.eval()


def _format_of(keys: AbstractSet[str], entry: NetworkEntry) -> WeightsFormat:
    for one in entry.formats:
        if one.key in keys:
            return one
    shown = ", ".join(sorted(keys)[:4])
    expected = "; ".join(f"{one.name} ({one.key})" for one in entry.formats) or "no weights: none are published"
    raise ModelError("state dict", f"found the keys {shown}", f"those of {entry.title}: {expected}", reason="mismatch")
