"""CoViAR's motion stream: its ResNet-18 compared with transformers', and its files."""

import re

import pytest
import torch

from mgm.errors import ModelError
from mgm.models.networks.coviar import CoviarMotion, from_coviar
from mgm.models.networks.weights import classes_of, load_renamed
from tests.errors import raises

transformers = pytest.importorskip("transformers")


def randomised(network):
    """Weights and statistics of batch norm that are not those of the start."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if name.endswith("running_var"):
                value.copy_(torch.rand(value.shape, generator=generator) + 0.5)
            elif value.is_floating_point() and value.ndim == 1:
                value.add_(torch.randn(value.shape, generator=generator) * 0.1)
    torch.nn.init.normal_(network.head.weight, std=0.1)
    return network.eval()


def peer_name(name):
    """The name in transformers' ResNet of a weight of `base_model`."""
    convolution = {"conv1": "layer.0.convolution", "bn1": "layer.0.normalization"}
    convolution |= {"conv2": "layer.1.convolution", "bn2": "layer.1.normalization"}
    convolution |= {"downsample.0": "shortcut.convolution", "downsample.1": "shortcut.normalization"}
    stem = re.fullmatch(r"base_model\.(conv|bn)1\.(\w+)", name)
    if stem is not None:
        return f"resnet.embedder.embedder.{'convolution' if stem[1] == 'conv' else 'normalization'}.{stem[2]}"
    block = re.fullmatch(r"base_model\.layer(\d)\.(\d)\.(.+)\.(\w+)", name)
    return f"resnet.encoder.stages.{int(block[1]) - 1}.layers.{block[2]}.{convolution[block[3]]}.{block[4]}"


def test_its_resnet_is_that_of_transformers():
    ours = randomised(CoviarMotion(classes=7))
    config = transformers.ResNetConfig(
        num_channels=2, hidden_sizes=[64, 128, 256, 512], depths=[2, 2, 2, 2], layer_type="basic", num_labels=7
    )
    theirs = transformers.ResNetForImageClassification(config).eval()
    state = {peer_name(name): value for name, value in ours.state_dict().items() if name.startswith("base_model.")}
    state |= {"classifier.1.weight": ours.head.weight, "classifier.1.bias": ours.head.bias}
    theirs.load_state_dict(state)
    video = torch.randint(0, 256, (2, 3, 2, 64, 64), dtype=torch.uint8)
    with torch.no_grad():
        frames = ours.data_bn((video[:, :2] / 255 - 0.5).transpose(1, 2).flatten(0, 1))
        expected = theirs(frames).logits.view(2, 2, 7).mean(1)  # the mean of the frames' scores
        found = ours(video)
    assert expected.std() > 0.05
    assert (found - expected).abs().max() <= 1e-5


def test_the_third_channel_is_not_read():
    network = randomised(CoviarMotion(classes=3))
    video = torch.randint(0, 256, (1, 3, 2, 32, 32), dtype=torch.uint8)
    other = video.clone()
    other[:, 2] = 0
    assert torch.equal(network(video), network(other))


def authors_state(classes=7):
    """A state dict under the authors' names, without `module.`: random weights."""
    state = CoviarMotion(classes=classes).state_dict()
    return {name.replace("head.", "base_model.fc."): torch.randn(value.shape) for name, value in state.items()}


def test_files_of_the_authors_are_read():
    state = authors_state()
    assert {"data_bn.weight", "base_model.conv1.weight", "base_model.layer2.0.downsample.1.running_var"} <= set(state)
    network = CoviarMotion(classes=classes_of(state, from_coviar))
    load_renamed(network, state, from_coviar)
    assert torch.equal(network.head.weight, state["base_model.fc.weight"])
    assert torch.equal(network.base_model["conv1"].weight, state["base_model.conv1.weight"])


@pytest.mark.parametrize("name", ["data_bn.bias", "base_model.layer4.1.conv2.weight"])
def test_wrong_weights_are_named(name):
    state = authors_state()
    for wrong, reason in (
        ({key: value for key, value in state.items() if key != name}, "mismatch"),
        (state | {f"{name}.extra": torch.zeros(1)}, "mismatch"),
        (state | {name: torch.zeros(2, 2)}, "invalid_shape"),
    ):
        with raises(ModelError, reason) as caught:
            load_renamed(CoviarMotion(classes=7), wrong, from_coviar)
        assert name in caught.value.found
