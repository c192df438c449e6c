"""Exported folders: complete, readable by other programs, and never a replacement of other content."""

import json
import os
import shutil
from dataclasses import replace

import pytest
import torch

from mgm.errors import FileError, ModelError
from mgm.models import Classifier, Encoder, MaskedAutoencoder, ModelSpec, Size, Stack
from mgm.training import export_model, load_encoder, load_pretrained
from mgm.training.pretrain import pretrain
from tests.errors import raises
from tests.models.clips import normalised, random_mask, random_video
from tests.models.convert.checkpoints import close
from tests.models.reference import maest_shapes, pretrained_shapes, random_state
from tests.training.export.models import SPEC, VIDEO, card_of, make, result


@pytest.mark.parametrize("kind", ["autoencoder", "classifier", "encoder"])
@pytest.mark.parametrize("to", ["hf", "videomae", "safetensors"])
def test_what_is_written_is_read_again(tmp_path, kind, to):
    model = make(kind)
    folder = export_model(model, to=to, out=tmp_path / "out")
    names = {"hf": {"config.json", "preprocessor_config.json", "model.safetensors"}, "videomae": {"model.pth"}}
    assert {f.name for f in folder.iterdir()} == names.get(to, {"model.safetensors"}) | {"README.md", "mgm.json"}
    assert [f.name for f in tmp_path.iterdir()] == ["out"]
    load = load_encoder if kind == "encoder" else load_pretrained
    again = load(folder)
    assert type(again) is type(model)
    first, second = model.state_dict(), again.state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first | second)
    close(result(again), result(model))
    if kind == "classifier":
        assert again.labels == ("left", "right", "up")


def test_settings_that_are_not_in_the_shapes_survive_the_reference_format(tmp_path):
    spec = replace(SPEC, size=Size(Stack(48, 1, 2), Stack(24, 1, 3)), resolution=(32, 24), head_norm_eps=1e-6)
    model = MaskedAutoencoder(spec, target="pixels").eval()
    folder = export_model(model, to="videomae", out=tmp_path / "out")
    again = load_pretrained(folder, resolution=(32, 24))  # the reference has square clips only
    assert again.spec == spec
    video, mask = random_video(spec), random_mask(spec, hidden=12)
    close(again(video, mask).loss, model(video, mask).loss)
    state = torch.load(folder / "model.pth", weights_only=True)["model"]
    torch.save(state, tmp_path / "bare.pth")
    with raises(ModelError, "missing_value", subject=f"{tmp_path / 'bare.pth'}: heads of the encoder"):
        load_pretrained(tmp_path / "bare.pth")
    with raises(ModelError, "missing_value", subject=f"{tmp_path / 'bare.pth'}: heads of the decoder"):
        load_pretrained(tmp_path / "bare.pth", heads=2)
    assert load_encoder(tmp_path / "bare.pth", heads=2).spec.encoder.heads == 2


def test_epsilons_and_names_of_classes_survive_the_reference_format(tmp_path):
    """Weights of Hugging Face have other epsilons; with those of the reference, logits would differ."""
    spec = replace(SPEC, norm_eps=1e-3, head_norm_eps=1e-2)
    model = Classifier(Encoder(spec), 3, labels=["left", "right", "up"], head_scale=1).eval()
    folder = export_model(model, to="videomae", out=tmp_path / "out")
    again = load_pretrained(folder)
    assert (again.encoder.spec.norm_eps, again.encoder.spec.head_norm_eps) == (1e-3, 1e-2)
    assert again.labels == ("left", "right", "up")
    assert torch.equal(result(again), result(model))
    assert "every norm with an epsilon of 1e-06; this model has 0.001, 0.01 before the head" in card_of(folder)
    assert "every norm" not in card_of(
        export_model(Encoder(ModelSpec("debug", frames=2, resolution=32)), to="videomae", out=tmp_path / "plain")
    )
    encoder = export_model(model, to="videomae", out=tmp_path / "encoder", part="encoder")
    assert load_encoder(encoder).spec.norm_eps == 1e-3
    content = torch.load(folder / "model.pth", weights_only=True)
    for odd in ({"norm_eps": "1e-3", "head_norm_eps": 2, "labels": ["left"]}, {"norm_eps": True, "labels": [1, 2, 3]}):
        torch.save({"model": content["model"], "args": odd}, tmp_path / "odd.pth")  # as of another program
        odd = load_pretrained(tmp_path / "odd.pth", frames=4, resolution=32)
        assert (odd.encoder.spec.norm_eps, odd.encoder.spec.head_norm_eps, odd.labels) == (1e-6, 1e-6, None)


def test_a_full_disk_raises_an_error(tmp_path):
    """The writer of graphs in torch aborted the process, so that no file could be removed."""
    resource = pytest.importorskip("resource")
    model = make("encoder")
    for to in ("hf", "videomae", "safetensors", "torch-export"):
        out = export_model(model, to=to, out=tmp_path / to)
        before = {file.name: file.read_bytes() for file in out.iterdir()}
        largest = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (16384, largest[1]))
        try:
            with raises(FileError, "cannot_write", subject=out):
                export_model(model, to=to, out=out, overwrite=True)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, largest)
        assert {file.name: file.read_bytes() for file in out.iterdir()} == before
    assert not list(tmp_path.glob(".*"))


def test_an_interrupted_export_leaves_no_files(tmp_path, monkeypatch):
    def interrupted(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("mgm.training.export.write.model_card", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export_model(make("encoder"), to="safetensors", out=tmp_path / "out")
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o002, 0o664)])
def test_files_have_the_permissions_of_the_umask(tmp_path, umask, mode):
    before = os.umask(umask)
    # A graph, which takes a second, with the umask whose mode neither a careless writer nor a temporary file has.
    formats = ["hf", "videomae", "safetensors", *(["torch-export"] if umask == 0o027 else [])]
    try:
        for to in formats:
            folder = export_model(make("encoder"), to=to, out=tmp_path / to)
            modes = {file.name: file.stat().st_mode & 0o777 for file in folder.iterdir()}
            assert modes == dict.fromkeys(modes, mode)
    finally:
        os.umask(before)


def test_a_head_on_an_inner_block_stays_there(tmp_path):
    model = Classifier(make("encoder"), 3, block=0, head_scale=1).eval()
    again = load_pretrained(export_model(model, to="safetensors", out=tmp_path / "own"))
    assert again.block == 0
    close(result(again), result(model))
    for to in ("hf", "videomae"):
        with raises(ModelError, "unsupported", subject="classifier"):
            export_model(model, to=to, out=tmp_path / "out")
    last = Classifier(make("encoder"), 3, block=1, head_scale=1).eval()
    close(result(load_pretrained(export_model(last, to="hf", out=tmp_path / "hf"))), result(last))


def test_a_visible_target_survives_and_is_refused_by_formats_without_it(tmp_path):
    model = MaskedAutoencoder(SPEC, visible_target={"asinh-motion": 2.0}).eval()
    again = load_pretrained(export_model(model, to="safetensors", out=tmp_path / "own"))
    assert torch.equal(again.visible_head.weight, model.visible_head.weight)
    assert again.visible_objective == model.visible_objective
    for to in ("hf", "videomae"):
        with raises(ModelError, "unsupported", subject="autoencoder"):
            export_model(model, to=to, out=tmp_path / "out")
    export_model(model, part="encoder", to="safetensors", out=tmp_path / "encoder")


def test_attentive_pooling_survives_and_is_refused_by_formats_without_it(tmp_path):
    model = Classifier(make("encoder"), 3, pooling="attentive", head_scale=1).eval()
    again = load_pretrained(export_model(model, to="safetensors", out=tmp_path / "own"))
    assert again.pooling == "attentive"
    close(result(again), result(model))
    for to in ("hf", "videomae"):
        with raises(ModelError, "unsupported", subject="classifier"):
            export_model(model, to=to, out=tmp_path / "out")


def test_sixteen_heads_of_a_small_model_survive(tmp_path):
    """16 heads are wrong in the configuration of the official ViT-S, and right in that of an export of mgm."""
    spec = ModelSpec(Size(Stack(384, 1, 16), Stack(192, 1, 3)), patch=8, frames=2, resolution=16)
    folder = export_model(Encoder(spec), to="hf", out=tmp_path / "hf")
    for place in (folder, folder / "model.safetensors", folder / "config.json"):
        assert load_encoder(place).spec.encoder.heads == 16
    again = export_model(folder, to="hf", out=tmp_path / "again", part="encoder")
    assert load_encoder(again).spec.encoder.heads == 16
    assert load_encoder(again, heads=6).spec.encoder.heads == 6
    for text in (None, "{}", '{"spec": {"size": "S"}}'):  # without a description that agrees
        (again / "mgm.json").unlink() if text is None else (again / "mgm.json").write_text(text)
        with pytest.warns(UserWarning, match="16 heads for ViT-S"):
            assert load_encoder(again).spec.encoder.heads == 6


@pytest.mark.parametrize("kind", ["autoencoder", "classifier", "encoder"])
def test_transformers_loads_the_folder_and_agrees(tmp_path, kind):
    transformers = pytest.importorskip("transformers")
    from tests.models.convert.transformers_peer import installed_bias_names

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


@pytest.mark.filterwarnings("ignore")  # about a missing torchvision
def test_the_processor_of_the_folder_normalises_as_the_encoder(tmp_path):
    transformers = pytest.importorskip("transformers")
    folder = export_model(make("encoder"), to="hf", out=tmp_path / "out")
    processor = transformers.VideoMAEImageProcessor.from_pretrained(folder)
    frames = [frame.permute(1, 2, 0).numpy() for frame in VIDEO[0].transpose(0, 1)]
    pixels = processor(frames, return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(pixels, normalised(VIDEO[:1]).transpose(1, 2), rtol=0, atol=1e-5)


@pytest.mark.filterwarnings("ignore:The given buffer is not writable")  # PyTorch 2.11
@pytest.mark.parametrize(("kind", "video"), [("classifier", "uint8"), ("encoder", "float32")])
def test_a_graph_runs_without_the_package_for_any_batch(tmp_path, kind, video):
    model = make(kind)
    folder = export_model(model, to="torch-export", out=tmp_path / "out", video=video)
    graph = torch.export.load(folder / "model.pt2").module()
    # No operation of mgm.
    assert {getattr(node.target, "namespace", "aten") for node in graph.graph.nodes if node.op == "call_function"} == {
        "aten"
    }
    clips = torch.cat((VIDEO, VIDEO.flip(0), VIDEO[:1]))
    for batch in (clips, clips[:1]):
        close(graph(batch if video == "uint8" else normalised(batch)), model(batch).detach())


@pytest.mark.parametrize(
    ("kind", "video"), [pytest.param("classifier", "uint8", marks=pytest.mark.slow), ("encoder", "float32")]
)
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


def test_heads_can_be_overridden_in_every_format(tmp_path, small, videos, memory):
    run = pretrain(
        videos, small("model.position=sincos-1d"), out=tmp_path / "run", source=memory, show_progress=False
    ).out
    places = [
        run,
        export_model(run, to="safetensors", out=tmp_path / "own"),
        export_model(run, to="videomae", out=tmp_path / "v"),
    ]
    encoders = [load_encoder(place, heads=4, frames=4, resolution=32) for place in places]
    assert [encoder.spec.encoder.heads for encoder in encoders] == [4, 4, 4]
    clip = torch.randint(0, 256, (1, *encoders[0].spec.video_shape), dtype=torch.uint8)
    assert all(torch.equal(encoder(clip), encoders[0](clip)) for encoder in encoders)
    assert not torch.equal(load_encoder(run)(clip), encoders[0](clip))
    assert load_pretrained(run, heads=4).spec.decoder == load_pretrained(run).spec.decoder
    for place in places:
        with raises(ModelError, "invalid_value"):
            load_encoder(place, heads=5)


def test_one_foreign_format_becomes_another(tmp_path):
    state = random_state(pretrained_shapes(dim=32, depth=2, width=16, layers=1))
    torch.save({"model": state}, tmp_path / "official.pth")
    there = export_model(tmp_path / "official.pth", to="hf", out=tmp_path / "hf", frames=4, resolution=32)
    back = export_model(there, to="videomae", out=tmp_path / "back")
    again = torch.load(back / "model.pth", weights_only=True)["model"]
    assert set(again) == set(state)
    assert all(torch.equal(again[key], state[key]) for key in state)
    assert all("not trained by mgm" in card_of(folder) for folder in (there, back))
    encoder = export_model(there, to="videomae", out=tmp_path / "encoder", part="encoder")
    assert all(k.startswith("encoder.") for k in torch.load(encoder / "model.pth", weights_only=True)["model"])


def test_models_that_a_format_cannot_represent(tmp_path):
    torch.save(
        {"model_state": random_state(maest_shapes(dim=32, depth=1, grid=(2, 4, 4), patch=8))}, tmp_path / "m.pth"
    )
    for to in ("hf", "videomae"):
        with raises(ModelError, "unsupported", subject="m.pth"):
            export_model(tmp_path / "m.pth", to=to, out=tmp_path / "out", part="encoder")
    folder = export_model(tmp_path / "m.pth", to="safetensors", out=tmp_path / "out", part="encoder")
    video = random_video(load_encoder(folder).spec)
    assert torch.equal(load_encoder(folder)(video), load_encoder(tmp_path / "m.pth")(video))
    with raises(ModelError, "unsupported", subject=f"{folder}: position"):
        load_encoder(folder, frames=8)
    with raises(ModelError, "mismatch", subject=folder):
        load_pretrained(folder)
    for to in ("torch-export", "onnx"):
        pytest.importorskip("onnxscript")
        with raises(ModelError, "unsupported", subject="autoencoder", message="export-graph-of-autoencoder"):
            export_model(make("autoencoder"), to=to, out=tmp_path / "graph")
    assert {f.name for f in tmp_path.iterdir()} == {"m.pth", "out"}


@pytest.mark.parametrize(
    ("choice", "reason", "subject"),
    [
        ({"to": "keras"}, "unknown_name", "to"),
        ({"to": "hf", "part": "decoder"}, "unknown_name", "part"),
        ({"to": "onnx", "video": "float16"}, "unknown_name", "video"),
        ({"to": "hf", "bias_names": "bias"}, "unknown_name", "bias_names"),
        ({"to": "hf", "video": "float32"}, "conflict", "video"),
        ({"to": "videomae", "video": "uint8"}, "conflict", "video"),
        ({"to": "safetensors", "bias_names": "q_bias"}, "conflict", "bias_names"),
        ({"to": "onnx", "bias_names": "query.bias"}, "conflict", "bias_names"),
    ],
)
def test_choices_that_a_format_does_not_have(tmp_path, choice, reason, subject):
    with raises(ModelError, reason, subject=subject):
        export_model(make("encoder"), out=tmp_path / "out", **choice)
    assert list(tmp_path.iterdir()) == []


def test_safetensors_represents_every_model(tmp_path):
    teacher = Encoder(SPEC)
    spec = replace(SPEC, backbone="timesformer", decoder_attention="cross", position="sincos-3d")
    model = MaskedAutoencoder(
        spec,
        target={"normalised-pixels": 1.0, "hog": 0.5, "teacher": 0.1, "vqgan-codes": 0.1},
        teacher=teacher,
        tokenizer=8,
    ).eval()
    with raises(ModelError, "unsupported", subject="autoencoder", message="export-unrepresentable"):
        export_model(model, to="hf", out=tmp_path / "hf")
    again = load_pretrained(export_model(model, to="safetensors", out=tmp_path / "out"))
    assert (again.spec, again.objective.dim) == (spec, model.objective.dim)
    assert all(torch.equal(again.state_dict()[key], value) for key, value in model.state_dict().items())
    graph = export_model(model, to="torch-export", out=tmp_path / "graph", part="encoder") / "model.pt2"
    close(torch.export.load(graph).module()(VIDEO), model.encoder(VIDEO).detach())
    model.train()
    export_model(model, to="torch-export", out=tmp_path / "again", part="encoder")
    assert model.encoder.training


def test_several_decoders_and_a_regressor_are_exported_to_safetensors_alone(tmp_path):
    of_each = tuple((name, Stack(16, 1, 2)) for name in ("normalised-pixels", "hog"))
    spec = replace(SPEC, decoders=of_each, regressor_depth=1, prediction_head="mlp")
    model = MaskedAutoencoder(spec, target={"normalised-pixels": 1.0, "hog": 0.5}).eval()
    for to in ("hf", "videomae"):
        with raises(ModelError, "unsupported", message="export-decoders" if to == "hf" else None):
            export_model(model, to=to, out=tmp_path / to)
    out = export_model(model, to="safetensors", out=tmp_path / "out")
    again = load_pretrained(out)
    assert again.spec == spec
    assert all(torch.equal(again.state_dict()[key], value) for key, value in model.state_dict().items())
    assert "| decoder hog |" in (out / "README.md").read_text()
    part = export_model(model, to="hf", out=tmp_path / "part", part="encoder")
    close(load_encoder(part)(VIDEO), model.encoder(VIDEO))


def test_only_earlier_exports_are_replaced(tmp_path, monkeypatch):
    model, out = make("encoder"), tmp_path / "out"
    export_model(model, to="videomae", out=out)
    with raises(ModelError, "exists", subject=out, message="export-earlier"):
        export_model(model, to="hf", out=out)
    export_model(model, to="hf", out=out, overwrite=True)
    assert not (out / "model.pth").exists()
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").touch()
    (tmp_path / "file").touch()
    for place in ("precious", "file"):
        with raises(ModelError, "exists", subject=tmp_path / place):
            export_model(model, to="hf", out=tmp_path / place, overwrite=True)
    (tmp_path / "empty").mkdir()
    export_model(model, to="hf", out=tmp_path / "empty")
    with raises(FileError, "cannot_write", subject=tmp_path / "file" / "out"):
        export_model(model, to="hf", out=tmp_path / "file" / "out")
    monkeypatch.chdir(tmp_path)
    with raises(ModelError, "exists"):
        export_model(model, to="hf", out=".", overwrite=True)
    assert {f.name for f in tmp_path.iterdir()} == {"out", "precious", "file", "empty"}


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("PytorchStreamWriter failed")])
def test_a_full_disk_leaves_the_earlier_export(tmp_path, monkeypatch, error):
    model, out = make("encoder"), tmp_path / "out"
    export_model(model, to="videomae", out=out)

    def half(content, file):
        file.write(b"half of")
        raise error

    monkeypatch.setattr(torch, "save", half)
    with raises(FileError, "cannot_write", subject=out):
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
        with raises(ModelError, "malformed", subject=f"{folder}: metadata"):
            load_encoder(folder)
