"""Exported folders: complete, what other programs load from them, and what stands in the way of writing one."""

import json
import shutil
from dataclasses import replace

import pytest
import torch

from mgm.errors import ModelError
from mgm.models import Classifier, Encoder, MaskedAutoencoder, ModelSpec
from mgm.training import export_model, finetune, load_encoder, load_pretrained, pretrain
from models.clips import normalised, random_mask, random_video
from models.reference import maest_shapes, pretrained_shapes, random_state

# transformers' norm before a head has an epsilon of its own.
SPEC = ModelSpec("debug", patch=8, frames=4, resolution=32, head_norm_eps=1e-5)
VIDEO = random_video(SPEC)


def make(kind):
    torch.manual_seed(0)
    model = {
        "autoencoder": lambda: MaskedAutoencoder(SPEC),
        "classifier": lambda: Classifier(Encoder(SPEC), 3, labels=["left", "right", "up"]),
        "encoder": lambda: Encoder(SPEC),
    }[kind]()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return model.eval()


def result(model):
    """Tokens, logits, or the loss."""
    with torch.no_grad():
        if isinstance(model, MaskedAutoencoder):
            return model(VIDEO, random_mask(SPEC, hidden=24)).loss
        return model(VIDEO)


def close(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-5 * expected.abs().max().item())


@pytest.mark.parametrize("kind", ["autoencoder", "classifier", "encoder"])
@pytest.mark.parametrize("to", ["hf", "videomae", "safetensors"])
def test_what_is_written_is_read_again(tmp_path, kind, to):
    model = make(kind)
    folder = export_model(model, to=to, out=tmp_path / "out")
    names = {"hf": {"config.json", "preprocessor_config.json", "model.safetensors"}, "videomae": {"model.pth"}}
    assert {f.name for f in folder.iterdir()} == names.get(to, {"model.safetensors"}) | {"README.md", "mgm.json"}
    assert [f.name for f in tmp_path.iterdir()] == ["out"]
    clips = {} if to != "videomae" else {"frames": 4, "resolution": 32}
    load = load_encoder if kind == "encoder" else load_pretrained
    again = load(folder, **clips)
    assert type(again) is type(model)
    first, second = model.state_dict(), again.state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first | second)
    close(result(again), result(model))
    if kind == "classifier" and to != "videomae":
        assert again.labels == ("left", "right", "up")


@pytest.mark.parametrize("kind", ["autoencoder", "classifier", "encoder"])
def test_transformers_loads_the_folder_and_agrees(tmp_path, kind):
    transformers = pytest.importorskip("transformers")
    from models.test_convert import installed_bias_names

    model = make(kind)
    folder = export_model(model, to="hf", out=tmp_path / "out", bias_names=installed_bias_names())
    config = json.loads((folder / "config.json").read_text())
    peer = getattr(transformers, config["architectures"][0])
    theirs, info = peer.from_pretrained(folder, output_loading_info=True)
    assert not any(info[name] for name in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    pixels = normalised(VIDEO).transpose(1, 2)
    with torch.no_grad():
        if kind == "autoencoder":
            actual = theirs.eval()(pixels, bool_masked_pos=random_mask(SPEC, hidden=24).flatten(1)).loss
        elif kind == "classifier":
            actual = theirs.eval()(pixels).logits
            assert theirs.config.id2label == {0: "left", 1: "right", 2: "up"}
        else:
            actual = theirs.eval()(pixels).last_hidden_state
    close(actual, result(model))


@pytest.mark.filterwarnings("ignore")  # of a missing torchvision
def test_the_processor_of_the_folder_normalises_as_the_encoder(tmp_path):
    transformers = pytest.importorskip("transformers")
    folder = export_model(make("encoder"), to="hf", out=tmp_path / "out")
    processor = transformers.VideoMAEImageProcessor.from_pretrained(folder)
    frames = [frame.permute(1, 2, 0).numpy() for frame in VIDEO[0].transpose(0, 1)]
    pixels = processor(frames, return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(pixels, normalised(VIDEO[:1]).transpose(1, 2), rtol=0, atol=1e-5)


@pytest.mark.filterwarnings("ignore:The given buffer is not writable")  # PyTorch 2.11, of its own reading
@pytest.mark.parametrize(("kind", "video"), [("classifier", "uint8"), ("encoder", "float32")])
def test_a_graph_runs_without_the_package_for_any_batch(tmp_path, kind, video):
    model = make(kind)
    folder = export_model(model, to="torch-export", out=tmp_path / "out", video=video)
    graph = torch.export.load(folder / "model.pt2").module()
    clips = torch.cat((VIDEO, VIDEO.flip(0), VIDEO[:1]))
    for batch in (clips, clips[:1]):
        close(graph(batch if video == "uint8" else normalised(batch)), model(batch).detach())


@pytest.mark.parametrize(("kind", "video"), [("classifier", "uint8"), ("encoder", "float32")])
def test_onnx_computes_the_same(tmp_path, kind, video):
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    model = make(kind)
    folder = export_model(model, to="onnx", out=tmp_path / "out", video=video)
    session = runtime.InferenceSession(folder / "model.onnx")
    clips = torch.cat((VIDEO, VIDEO[:1]))
    given = clips if video == "uint8" else normalised(clips)
    (actual,) = session.run([{"classifier": "logits", "encoder": "tokens"}[kind]], {"video": given.numpy()})
    close(torch.from_numpy(actual), model(clips).detach())


def test_a_run_is_exported_with_what_is_known_of_it(tmp_path, small, videos, memory):
    settings = ("mask.name=tube", "model.position=sincos-1d", "model.patch_init=conv")
    run = pretrain(videos, small(*settings), out=tmp_path / "a", source=memory, show_progress=False).out
    card = (export_model(run, to="hf", out=tmp_path / "hf", data="moving shapes") / "README.md").read_text()
    assert "Data: moving shapes." in card
    assert "mask `tube`, ratio 0.75; motion auto; target normalised-pixels" in card
    assert "6 steps of 4 clips, stored at step 6" in card
    assert "VideoMAEForPreTraining.from_pretrained" in card
    tuned = finetune(run, videos, small(*settings), out=tmp_path / "b", source=memory, show_progress=False).out
    evaluation = {"top1": {"top1": 0.5, "low": 0.25, "high": 0.75, "videos": 16}}
    (tuned / "evaluation.json").write_text(json.dumps(evaluation))
    folder = export_model(tuned, to="hf", out=tmp_path / "hf-b")
    card = (folder / "README.md").read_text()
    assert "* top-1 50.0%, 95% interval 25.0% to 75.0%, on 16 test videos" in card
    assert json.loads((folder / "config.json").read_text())["id2label"]["0"] == videos.classes[0]
    assert load_pretrained(folder).labels == videos.classes
    # An export is a starting point as the run was.
    assert torch.equal(load_encoder(folder)(VIDEO), load_encoder(tuned)(VIDEO))


def test_one_foreign_format_becomes_another(tmp_path):
    state = random_state(pretrained_shapes(dim=32, depth=2, width=16, layers=1))
    torch.save({"model": state}, tmp_path / "official.pth")
    there = export_model(tmp_path / "official.pth", to="hf", out=tmp_path / "hf", frames=4, resolution=32)
    back = export_model(there, to="videomae", out=tmp_path / "back")
    again = torch.load(back / "model.pth", weights_only=True)["model"]
    assert set(again) == set(state)
    assert all(torch.equal(again[key], state[key]) for key in state)
    assert "Settings are not known" in (there / "README.md").read_text()
    encoder = export_model(there, to="videomae", out=tmp_path / "encoder", part="encoder")
    assert all(k.startswith("encoder.") for k in torch.load(encoder / "model.pth", weights_only=True)["model"])


def test_what_a_format_cannot_hold(tmp_path):
    torch.save(
        {"model_state": random_state(maest_shapes(dim=32, depth=1, grid=(2, 4, 4), patch=8))}, tmp_path / "m.pth"
    )
    for to in ("hf", "videomae"):
        with pytest.raises(ModelError, match=r"m.pth: .* cannot hold position 'learned-separable'.*class_token True"):
            export_model(tmp_path / "m.pth", to=to, out=tmp_path / "out", part="encoder")
    folder = export_model(tmp_path / "m.pth", to="safetensors", out=tmp_path / "out", part="encoder")
    video = random_video(load_encoder(folder).spec)
    assert torch.equal(load_encoder(folder)(video), load_encoder(tmp_path / "m.pth")(video))
    with pytest.raises(ModelError, match="codes are not recomputed"):
        load_encoder(folder, frames=8)
    with pytest.raises(ModelError, match="holds an encoder alone"):
        load_pretrained(folder)
    for to in ("torch-export", "onnx"):
        pytest.importorskip("onnxscript")
        with pytest.raises(ModelError, match="depends on the mask"):
            export_model(make("autoencoder"), to=to, out=tmp_path / "graph")
    with pytest.raises(ModelError, match="to: found 'keras', expected one of hf,"):
        export_model(make("encoder"), to="keras", out=tmp_path / "graph")
    assert {f.name for f in tmp_path.iterdir()} == {"m.pth", "out"}


def test_our_own_format_holds_every_model(tmp_path):
    teacher = Encoder(SPEC)
    spec = replace(SPEC, backbone="timesformer", decoder_attention="cross", position="sincos-3d")
    model = MaskedAutoencoder(
        spec, target={"normalised-pixels": 1.0, "hog": 0.5, "teacher": 0.1}, teacher=teacher
    ).eval()
    with pytest.raises(
        ModelError,
        match=r"position 'sincos-3d' .*backbone 'timesformer' .*decoder_attention 'cross' .*target normalised-pixels, hog, teacher",
    ):
        export_model(model, to="hf", out=tmp_path / "hf")
    again = load_pretrained(export_model(model, to="safetensors", out=tmp_path / "out"))
    assert (again.spec, again.goal.dim) == (spec, model.goal.dim)
    assert all(torch.equal(again.state_dict()[key], value) for key, value in model.state_dict().items())
    graph = export_model(model, to="torch-export", out=tmp_path / "graph", part="encoder") / "model.pt2"
    close(torch.export.load(graph).module()(VIDEO), model.encoder(VIDEO).detach())
    model.train()
    export_model(model, to="torch-export", out=tmp_path / "again", part="encoder")
    assert model.encoder.training


def test_nothing_is_overwritten_by_accident(tmp_path, monkeypatch):
    model, out = make("encoder"), tmp_path / "out"
    export_model(model, to="videomae", out=out)
    with pytest.raises(ModelError, match=r"an earlier export.*--overwrite"):
        export_model(model, to="hf", out=out)
    export_model(model, to="hf", out=out, overwrite=True)
    assert not (out / "model.pth").exists()
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").touch()
    (tmp_path / "file").touch()
    for place in ("precious", "file"):
        with pytest.raises(ModelError, match="no export of mgm, which is never replaced"):
            export_model(model, to="hf", out=tmp_path / place, overwrite=True)
    (tmp_path / "empty").mkdir()
    export_model(model, to="hf", out=tmp_path / "empty")
    with pytest.raises(ModelError, match="cannot be written"):
        export_model(model, to="hf", out=tmp_path / "file" / "out")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match="no export of mgm"):
        export_model(model, to="hf", out=".", overwrite=True)
    assert {f.name for f in tmp_path.iterdir()} == {"out", "precious", "file", "empty"}


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("PytorchStreamWriter failed")])
def test_a_full_disk_leaves_the_earlier_export(tmp_path, monkeypatch, error):
    model, out = make("encoder"), tmp_path / "out"
    export_model(model, to="videomae", out=out)

    def half(content, file):
        file.write_bytes(b"half of")
        raise error

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(ModelError, match=r"out: cannot be written \((No space|Pytorch)"):
        export_model(model, to="videomae", out=out, overwrite=True)
    monkeypatch.undo()
    assert [f.name for f in tmp_path.iterdir()] == ["out"]
    load_encoder(out, frames=4, resolution=32)


def test_a_damaged_description_is_an_error(tmp_path):
    from safetensors.torch import save_file

    folder = export_model(make("encoder"), to="safetensors", out=tmp_path / "out")
    shutil.rmtree(folder)
    folder.mkdir()
    for text in ("{", "{}", '{"spec": {"size": "debug"}}', '{"spec": {"size": "debug"}, "kind": "classifier"}'):
        save_file({"a": torch.zeros(1)}, folder / "model.safetensors", metadata={"mgm": text})
        with pytest.raises(ModelError, match="expected an export of mgm"):
            load_encoder(folder)
