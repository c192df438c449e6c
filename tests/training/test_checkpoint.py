import json
import os
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from mgm.errors import FileError, ModelError
from mgm.models import Classifier, Encoder, MaskedAutoencoder, ModelSpec, to_huggingface
from mgm.models.sizes import Size, Stack
from mgm.training.checkpoint import load_autoencoder, load_checkpoint, load_classifier, load_encoder
from mgm.training.checkpoint_folder import write_checkpoint
from tests.errors import raises
from tests.training.helpers import save

SPEC = ModelSpec("debug", patch=8, frames=4, resolution=32)
VIDEO = torch.randint(0, 256, (2, *SPEC.video_shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def autoencoder(tmp_path):
    model = MaskedAutoencoder(SPEC, target="pixels")
    content = {"kind": "autoencoder", "spec": SPEC.to_dict(), "target": "pixels", "model": model.state_dict()}
    return model.eval(), save(tmp_path / "pretrained", content)


@pytest.fixture
def classifier(tmp_path):
    model = Classifier(Encoder(SPEC), 3, head_scale=1)
    content = {
        "kind": "classifier",
        "spec": model.encoder.spec.to_dict(),
        "classes": ["a", "b", "c"],
        "model": model.state_dict(),
    }
    return model.eval(), save(tmp_path / "tuned", content)


def test_an_autoencoder_loads_again(autoencoder):
    model, path = autoencoder
    run = path.parents[1]
    for place in (path, run, str(run)):
        again = load_autoencoder(place)
        assert not again.training
        assert type(again.target) is type(model.target)
        assert torch.equal(load_encoder(place)(VIDEO), model.encoder(VIDEO))
    states = model.state_dict(), again.state_dict()
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0] | states[1])


def test_a_classifier_loads_again(classifier):
    model, path = classifier
    again, classes = load_classifier(path.parents[1])
    assert classes == ("a", "b", "c")
    assert torch.equal(again(VIDEO), model(VIDEO))
    assert torch.equal(load_encoder(path)(VIDEO), model.encoder(VIDEO))


@pytest.mark.parametrize("classes", [None, 3])
def test_a_folder_of_hugging_face(tmp_path, classes):
    model = MaskedAutoencoder(SPEC) if classes is None else Classifier(Encoder(SPEC), classes)
    config, state = to_huggingface(model)
    (tmp_path / "config.json").write_text(json.dumps(config))
    save_file({key: value.contiguous() for key, value in state.items()}, tmp_path / "model.safetensors")
    encoder = load_encoder(tmp_path)
    assert not encoder.training
    assert torch.equal(encoder(VIDEO), model.eval().encoder(VIDEO))


def test_one_kind_is_not_the_other(autoencoder, classifier):
    with raises(ModelError, "mismatch", message="checkpoint-not-a-classifier"):
        load_classifier(autoencoder[1])
    with raises(ModelError, "mismatch", message="checkpoint-not-an-autoencoder"):
        load_autoencoder(classifier[1])


def test_files_that_are_not_checkpoints(tmp_path):
    for path in (tmp_path, tmp_path / "nowhere.pt"):
        with raises(ModelError, "not_found", subject=path):
            load_checkpoint(path)
        with raises(ModelError, "not_found", subject=path):
            load_encoder(path)
    torch.save({"model": {}}, tmp_path / "other.pt")
    with raises(ModelError, "malformed", subject=tmp_path / "other.pt"):
        load_encoder(tmp_path / "other.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    with raises(ModelError, "malformed", subject=tmp_path / "list.pt"):
        load_encoder(tmp_path / "list.pt")
    with raises(ModelError, "malformed", subject=tmp_path / "list.pt"):
        load_checkpoint(tmp_path / "list.pt")


def test_damaged_files_are_model_errors(tmp_path, autoencoder):
    whole = (autoencoder[1] / "state.pt").read_bytes()
    rng = np.random.default_rng(0)
    path = tmp_path / "damaged.pt"
    pieces = [b"", b"hello", b"a longer line of text\n", b"PK\x03\x04", pickle.dumps({"format": "x"}), b"\x80\x02(l"]
    pieces += [rng.bytes(50) for _ in range(20)] + [b"\x80\x02" + rng.bytes(50) for _ in range(20)]
    pieces += [whole[: len(whole) * i // 8] for i in range(1, 8)]
    for piece in pieces:
        path.write_bytes(piece)
        with pytest.raises(ModelError) as caught:
            load_checkpoint(path)
        assert str(path) in caught.value.line


@pytest.mark.parametrize(
    ("key", "value"),
    [("model", "absent"), *((key, value) for key in ("kind", "spec", "target") for value in (None, 3, "absent"))],
)
def test_a_checkpoint_without_the_description_of_its_model(tmp_path, autoencoder, key, value):
    content = load_checkpoint(autoencoder[1])
    content = {name: content[name] for name in content if name != key} | ({} if value == "absent" else {key: value})
    save(tmp_path, {name: content[name] for name in content if name != "format"})
    if key == "kind" and value != "absent":
        return  # any but a classifier is an autoencoder
    for load in (load_encoder, load_autoencoder):
        with pytest.raises(ModelError) as caught:
            load(tmp_path)
        assert caught.value.subject.startswith(str(tmp_path))


HUGE = 10**9
STACKS = {"encoder": {"dim": 32, "depth": 2, "heads": 2}, "decoder": {"dim": 16, "depth": 1, "heads": 2}}


def with_stack(part, **changed):
    return {"size": STACKS | {part: STACKS[part] | changed}}


@pytest.mark.parametrize(
    "changed",
    [
        {"decoder_depth": HUGE},
        {"decoder_dim": 8 * HUGE},
        {"frames": 2 * HUGE},
        {"resolution": [8, 8 * HUGE]},
        {"patch": HUGE, "resolution": HUGE},
        {"tubelet": HUGE, "frames": HUGE},
        with_stack("encoder", depth=HUGE),
        with_stack("encoder", dim=HUGE),
        with_stack("encoder", hidden=HUGE),
        with_stack("decoder", hidden=HUGE),
        {"position_grid": [HUGE, 1, 1]},
        {"position": "learned-separable", "frames": 2 * HUGE},
    ],
)
def test_an_absurd_specification_is_refused_before_the_model_is_built(tmp_path, autoencoder, monkeypatch, changed):
    content = load_checkpoint(autoencoder[1])
    content.pop("format")
    save(tmp_path, content | {"spec": content["spec"] | changed})
    monkeypatch.setattr("mgm.training.checkpoint.MaskedAutoencoder", lambda *_, **__: pytest.fail("built"))
    with pytest.raises(ModelError) as caught:
        load_encoder(tmp_path)
    assert caught.value.reason in ("mismatch", "unsupported")
    assert caught.value.subject == f"{tmp_path}: model specification"


def test_an_absurd_teacher_or_number_of_classes(tmp_path, autoencoder, classifier):
    teacher = ModelSpec(Size(Stack(HUGE, 1, 1), Stack(16, 1, 1)), patch=8, frames=4, resolution=32).to_dict()
    for (_, path), changed in ((autoencoder, {"teacher": teacher}), (classifier, {"classes": ["x"] * 10_000})):
        content = load_checkpoint(path)
        content.pop("format")
        save(tmp_path, content | changed)
        with raises(ModelError, "mismatch", subject=f"{tmp_path}: model specification"):
            load_encoder(tmp_path)


def test_weights_of_a_run_are_whole_and_finite(tmp_path, autoencoder):
    content = load_checkpoint(autoencoder[1])
    content.pop("format")
    state = content["model"]
    save(tmp_path, content | {"model": {k: state[k] for k in state if k != "mask_token"}})
    with raises(ModelError, "mismatch", subject=f"{tmp_path}: state dict"):
        load_encoder(tmp_path)
    save(tmp_path, content | {"model": state | {"mask_token": torch.full((1, 1, 16), torch.nan)}})
    with raises(ModelError, "diverged", subject=f"{tmp_path}: state dict"):
        load_encoder(tmp_path)


def test_paths_that_are_not_files(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    for place in (tmp_path / "pipe", tmp_path / "loop", "a" * 5000, "nul\0", tmp_path / "loop" / "deeper"):
        with pytest.raises(ModelError) as caught:
            load_encoder(place)
        assert caught.value.reason in ("not_found", "unreadable")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may enter every folder")
def test_a_folder_that_may_not_be_entered(tmp_path, autoencoder):
    autoencoder[1].parent.chmod(0)
    try:
        for place in (autoencoder[1], autoencoder[1].parent):
            with pytest.raises(ModelError) as caught:
                load_encoder(place)
            assert caught.value.reason in ("not_found", "unreadable")
    finally:
        autoencoder[1].parent.chmod(0o700)


class Trap:
    """Touches a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("write", [torch.save, lambda content, path: path.write_bytes(pickle.dumps(content))])
def test_a_file_that_would_run_code_is_refused(tmp_path, write):
    sprung = tmp_path / "sprung"
    write({"format": "mgm-checkpoint-1", "kind": "autoencoder", "model": Trap(sprung)}, tmp_path / "trap.pt")
    with pytest.raises(ModelError) as caught:
        load_encoder(tmp_path / "trap.pt")
    assert caught.value.reason in ("unsupported", "malformed")
    assert not sprung.exists()


@pytest.mark.parametrize("error", [OSError(28, "the disk is full"), RuntimeError("the disk is full")])
def test_a_save_that_fails_leaves_the_last_one_intact(tmp_path, monkeypatch, error):
    first = save(tmp_path, {"step": 1})

    def half(content, file):
        file.write(b"half of")
        raise error

    second = first.with_name("step-00000002")
    monkeypatch.setattr(torch, "save", half)
    with raises(FileError, "cannot_write", subject=second, message="checkpoint-cannot-write"):
        write_checkpoint(second, {"step": 2}, {})
    assert load_checkpoint(tmp_path)["step"] == 1
    assert list(first.parent.iterdir()) == [first]


@pytest.mark.skipif(sys.platform == "win32", reason="no limit of a file's size")
def test_the_error_of_a_full_disk_is_that_of_the_system(tmp_path):
    """torch has one of its own, about a position in its archive."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        with raises(FileError, "cannot_write", message="checkpoint-no-room"):
            save(tmp_path, {"rest": [torch.zeros(10_000) for _ in range(4)]})
        with raises(FileError, "cannot_write"):
            save(tmp_path, {"model": {"weights": torch.zeros(40_000)}})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list((tmp_path / "checkpoints").iterdir()) == []
