"""Files of weights are recognised by their content, and no code in them is run."""

import argparse
import json
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from mgm.errors import ModelError
from mgm.models import load_huggingface
from mgm.models.convert import read_weights
from tests.errors import raises
from tests.models.convert.transformers_peer import autoencoder_peer
from tests.models.reference import random_state, tuned_shapes

STATE = random_state(tuned_shapes(dim=32, depth=1, classes=3))


def same(state):
    assert set(state) == set(STATE)
    assert all(torch.equal(state[key], STATE[key]) for key in STATE)


@pytest.mark.parametrize(
    "wrap",
    [
        dict,
        lambda state: {
            "model": state,
            "optimizer": {"state": {}},
            "epoch": 3,
            "args": argparse.Namespace(num_frames=8),
        },
        lambda state: {"module": state, "args": None},  # DeepSpeed
        lambda state: {"state_dict": state, "meta": {"epoch": 3, "dataset_meta": {"classes": ["a"]}}},  # mmengine
        lambda state: {"model_state": state, "epoch": 3, "cfg": "TRAIN: x"},  # MAE-ST
        lambda state: {"model": {f"module.{key}": value for key, value in state.items()}},
        lambda state: {"model": {f"_orig_mod.{key}": value for key, value in state.items()}},
        lambda state: {"model": {f"_orig_mod.module.{key}": value for key, value in state.items()}},
        lambda state: {"model": {f"module._orig_mod.{key}": value for key, value in state.items()}},
        lambda state: {"state_dict": {f"model._orig_mod.{key}": value for key, value in state.items()}},  # Lightning
    ],
)
@pytest.mark.parametrize("zipped", [True, False])
def test_state_dicts_in_files_of_training_programs(tmp_path, wrap, zipped):
    file = tmp_path / "weights.anything"
    torch.save(wrap(STATE), file, _use_new_zipfile_serialization=zipped)
    found = read_weights(file)
    same(found.state)
    assert found.arguments in ({}, {"num_frames": 8})


def test_safetensors_are_recognised_by_their_bytes(tmp_path):
    save_file(STATE, tmp_path / "weights.pth", metadata={"format": "pt"})
    found = read_weights(tmp_path / "weights.pth")
    same(found.state)
    assert found.metadata == {"format": "pt"}


def test_arguments_are_data(tmp_path):
    """A Namespace is read; a Namespace that holds an object of code is not."""
    torch.save(
        {"model": STATE, "args": argparse.Namespace(side=224, nested=argparse.Namespace(a=1))}, tmp_path / "a.pth"
    )
    assert read_weights(tmp_path / "a.pth").arguments["side"] == 224
    torch.save({"model": STATE, "args": argparse.Namespace(out=Path("x"))}, tmp_path / "b.pth")
    with raises(ModelError, "unsupported", subject=tmp_path / "b.pth"):
        read_weights(tmp_path / "b.pth")


class Trap:
    """Touches a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("where", ["args", "model", "namespace"])
@pytest.mark.parametrize("write", [torch.save, lambda content, path: path.write_bytes(pickle.dumps(content))])
def test_code_is_refused(tmp_path, write, where):
    sprung = tmp_path / "sprung"
    content = {"model": dict(STATE), "args": None}
    if where == "namespace":
        content["args"] = argparse.Namespace(trap=Trap(sprung))
    else:
        content[where] = Trap(sprung)
    write(content, tmp_path / "trap.pth")
    with pytest.raises(ModelError) as caught:
        read_weights(tmp_path / "trap.pth")
    assert caught.value.reason in ("unsupported", "malformed")
    assert caught.value.subject == str(tmp_path / "trap.pth")
    assert not sprung.exists()


@pytest.mark.parametrize("how", ["sharded", "bin", "sharded bin", "file"])
def test_folders_of_every_kind(tmp_path, how):
    theirs, _ = autoencoder_peer()
    theirs.save_pretrained(tmp_path, **({"max_shard_size": "40KB"} if how == "sharded" else {}))
    expected = load_huggingface(tmp_path).state_dict()
    if "bin" in how:
        (tmp_path / "model.safetensors").unlink()
        state = theirs.state_dict()
        if how == "bin":
            torch.save(state, tmp_path / "pytorch_model.bin")
        else:
            names = {key: f"pytorch_model-{i % 2}.bin" for i, key in enumerate(state)}
            for name in set(names.values()):
                torch.save({key: state[key] for key in names if names[key] == name}, tmp_path / name)
            (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": names}))
    elif how == "sharded":
        assert len(list(tmp_path.glob("model-*.safetensors"))) > 1
    place = tmp_path / "model.safetensors" if how == "file" else tmp_path
    again = load_huggingface(place).state_dict()
    assert all(torch.equal(again[key], expected[key]) for key in expected)


def test_an_index_with_other_files(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    index = tmp_path / "model.safetensors.index.json"
    for text, reason in [
        ('{"weight_map": {"a": "../secret.safetensors"}}', "not_found"),
        ('{"weight_map": {"a": "absent.safetensors"}}', "not_found"),
        ('{"weight_map": []}', "malformed"),
        ("[1]", "malformed"),
        ("{", "malformed"),
    ]:
        index.write_text(text)
        with raises(ModelError, reason, subject=index):
            read_weights(tmp_path)
    save_file({"b": torch.zeros(1)}, tmp_path / "one.safetensors")
    index.write_text('{"weight_map": {"a": "one.safetensors"}}')
    with raises(ModelError, "malformed", subject=tmp_path):
        read_weights(tmp_path)


def test_damaged_files_are_model_errors(tmp_path):
    file = tmp_path / "weights"
    save_file(STATE, file)
    whole = file.read_bytes()
    torch.save(STATE, file)
    pieces = [whole[: len(whole) * i // 4] for i in range(1, 4)] + [file.read_bytes()[: 3000 * i] for i in range(1, 4)]
    for piece in [*pieces, b"", b"text", b"\x00" * 8 + b"{", b"\xff" * 8 + b"{"]:
        file.write_bytes(piece)
        with raises(ModelError, "malformed" if piece else "empty", subject=file):
            read_weights(file)


@pytest.mark.parametrize(
    ("content", "reason", "message"),
    [
        (b"", "empty", "empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 9\n", "malformed", "git-lfs"),
        (b"<!DOCTYPE html><html>", "malformed", "web-page"),
    ],
)
def test_files_that_are_often_downloaded_instead_of_weights(tmp_path, content, reason, message):
    file = tmp_path / "model.safetensors"
    file.write_bytes(content)
    for place in (file, tmp_path):
        with raises(ModelError, reason, subject=file, message=f"checkpoint-{message}"):
            read_weights(place)


def test_tensors_without_plain_values_are_refused(tmp_path):
    odd = {"sparse": torch.eye(3).to_sparse(), "meta": torch.empty(3, device="meta")}
    for name, value in odd.items():
        torch.save(STATE | {name: value}, tmp_path / "weights.pth")
        with raises(ModelError, "unsupported", subject=tmp_path / "weights.pth"):
            read_weights(tmp_path / "weights.pth")


def test_tensors_of_a_gpu_come_to_the_cpu(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:3")
    for zipped in (True, False):
        torch.save({"model": STATE}, tmp_path / "weights.pth", _use_new_zipfile_serialization=zipped)
        assert b"cuda:3" in (tmp_path / "weights.pth").read_bytes()
        same(read_weights(tmp_path / "weights.pth").state)


@pytest.mark.parametrize("graph", ["model.pt2", "model.onnx"])
def test_an_exported_graph_has_no_weights(tmp_path, graph):
    (tmp_path / graph).write_bytes(b"graph")
    with raises(ModelError, "unsupported", subject=tmp_path):
        read_weights(tmp_path)


def test_a_name_of_the_hub_gets_advice(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with raises(ModelError, "not_found", message="checkpoint-hub-name"):
        read_weights("MCG-NJU/videomae-base")
    (tmp_path / "runs").mkdir()
    for path in ("runs/a", "elsewhere/last.pt", "/no/where", "a", "../a/b"):
        with raises(ModelError, "not_found", subject=path):
            read_weights(path)
