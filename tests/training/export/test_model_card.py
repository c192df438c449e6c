"""Model cards: training, results and origin of an export."""

import json
from dataclasses import replace

import torch

from mgm.errors import ModelError
from mgm.training import export_model, load_encoder, load_pretrained
from mgm.training.finetune import finetune
from mgm.training.pretrain import pretrain
from mgm.training.results import EVALUATION_FILE, PROBE_FILE, keep_result
from tests.errors import raises
from tests.results import result_of
from tests.training.export.models import VIDEO, card_of, make


def test_the_card_names_the_releases_of_transformers_that_read_it(tmp_path):
    plain = card_of(export_model(make("encoder"), to="hf", out=tmp_path / "a"))
    assert "Releases 5.5.1 to 5.17 silently load this folder with biases of zero" in plain
    other = card_of(export_model(make("encoder"), to="hf", out=tmp_path / "b", bias_names="query.bias"))
    assert "Written for transformers 5.5.1 to 5.17" in other
    assert "biases of zero" not in other
    assert "transformers 5" not in card_of(export_model(make("encoder"), to="videomae", out=tmp_path / "c"))


def test_the_card_of_a_run_has_its_settings_and_results(tmp_path, small, videos, memory):
    settings = ("mask.name=tube", "model.position=sincos-1d", "model.patch_init=conv")
    run = pretrain(videos, small(*settings), out=tmp_path / "a", source=memory, show_progress=False).out
    card = (export_model(run, to="hf", out=tmp_path / "hf", data="moving shapes") / "README.md").read_text()
    assert "Data: moving shapes." in card
    assert "mask `tube`, ratio 0.75; motion auto; target normalised-pixels" in card
    assert "6 steps of 4 clips, stored at step 6" in card
    assert "VideoMAEForPreTraining.from_pretrained" in card
    tuned = finetune(run, videos, small(*settings), out=tmp_path / "b", source=memory, show_progress=False).out
    keep_result(tuned / EVALUATION_FILE, result_of(videos, 0.5, low=0.25, high=0.75))
    other = replace(videos, root="/data/other\udce9", test=videos.test[:4])  # a name that is not UTF-8
    keep_result(tuned / EVALUATION_FILE, result_of(replace(other, missing=("x.mp4",)), 1.0, low=0.5, high=1.0))
    folder = export_model(tuned, to="hf", out=tmp_path / "hf-b")
    card = (folder / "README.md").read_text()
    assert (
        "* evaluation, top-1: 50.0%, 95% interval 25.0% to 75.0% (Wilson), on 16 test videos of `set` (checksum "
        in card
    )
    assert "100.0%, 95% interval 50.0% to 100.0% (Wilson), on 4 test videos of `other\\udce9` (checksum " in card
    assert "), incomplete (4 of 5)\n" in card
    assert json.loads((folder / "config.json").read_text())["id2label"]["0"] == videos.classes[0]
    assert load_pretrained(folder).labels == videos.classes
    # Training can start from an export as from the run.
    assert torch.equal(load_encoder(folder)(VIDEO), load_encoder(tuned)(VIDEO))


def test_an_export_of_an_export_has_the_same_card(tmp_path, small, videos, memory):
    settings = small("mask.name=tube", "model.position=sincos-1d")
    run = pretrain(videos, settings, out=tmp_path / "run", source=memory, show_progress=False).out
    keep_result(run / PROBE_FILE, result_of(videos, 0.5, kind="probe", name="linear probe top-1"))
    place = run
    for to in ("safetensors", "videomae", "hf"):
        place = export_model(place, to=to, out=tmp_path / to, data="moving shapes" if place == run else None)
        card = card_of(place)
        assert "mask `tube`, ratio 0.75" in card
        assert "stored at step 6" in card
        assert "* probe, linear probe top-1: 50.0% on 16 test videos of `set` (checksum " in card
        assert "Data: moving shapes." in card
        assert "not trained by mgm" not in card
    assert "from `videomae`, an export of `run`." in card
    by_file = export_model(place / "model.safetensors", to="videomae", out=tmp_path / "by-file")
    assert "mask `tube`" in card_of(by_file)
    about = json.loads((place / "mgm.json").read_text())
    (place / "mgm.json").write_text(json.dumps({**about, "origin": {"name": 3}}))
    with raises(ModelError, "malformed", subject=place / "mgm.json"):
        export_model(place, to="videomae", out=tmp_path / "damaged")
    del about["origin"]  # of an earlier release
    (place / "mgm.json").write_text(json.dumps(about))
    assert "Settings are not recorded" in card_of(export_model(place, to="videomae", out=tmp_path / "older"))
    assert "Settings are not recorded" in card_of(export_model(make("encoder"), to="videomae", out=tmp_path / "made"))


def test_damaged_results_of_a_run_are_errors_before_writing(tmp_path, small, videos, memory, monkeypatch):
    run = pretrain(videos, small(), out=tmp_path / "run", source=memory, show_progress=False).out
    for file in ("evaluation.json", "probe.json"):
        for text in ("", "{", "[]", "{}", '{"results": 3}', '{"results": [{"kind": "probe"}]}'):
            (run / file).write_text(text)
            with raises(ModelError, "malformed", subject=run / file):
                export_model(run, to="safetensors", out=tmp_path / "out")
        (run / file).unlink()
    assert [f.name for f in tmp_path.iterdir()] == ["run"]
    # The card of a relative path has the name of its folder.
    (run / "deeper").mkdir()
    for place, path in ((run, "."), (run / "deeper", "..")):
        monkeypatch.chdir(place)
        card = (export_model(path, to="safetensors", out=tmp_path / place.name / "out") / "README.md").read_text()
        assert "\n# run\n" in card
        assert "from `run`." in card
