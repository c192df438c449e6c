"""The panels of a run: the same numbers as the model gives, and the map."""

import base64
import io
import sys
from dataclasses import asdict
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import pytest

pytest.importorskip("starlette", reason="the extra explore is not installed")
import torch
from PIL import Image

from mgm.data.loading.tensors import to_video
from mgm.errors import ModelError
from mgm.explore.explorer import Explorer
from mgm.explore.library import Library, Video, list_folder
from mgm.explore.model import open_panels
from mgm.explore.projection import principal_components, project
from mgm.explore.request import ClipRequest
from mgm.explore.run_opener import RunOpener
from mgm.explore.server import create_app
from mgm.masks import make_mask, mask_rng
from mgm.training.checkpoint import open_autoencoder
from tests.errors import raises
from tests.evaluation.conftest import config, pretrained_run  # noqa: F401
from tests.explore.visitors import TOKEN, Visitor, client_of


@pytest.fixture
def explorer(pretrained_run, folder, reader, tmp_path):  # noqa: F811
    (tmp_path / "scratch").mkdir()
    library = Library(list_folder(folder), inside=folder, scratch=tmp_path / "scratch")
    return Explorer(library, reader, panels=open_panels(pretrained_run))


@pytest.fixture
def visitor(explorer):
    return Visitor(client_of(create_app(explorer, token=TOKEN)))


def ask(visitor, **more):
    return visitor.post(
        "model", {"video": "slow.mp4", "clip": {"start": 2}, "mask": {"name": "tube", "ratio": 0.5}, "seed": 4, **more}
    )


def test_clips_and_mask_are_those_of_the_run(visitor, pretrained_run):  # noqa: F811
    _, settings = open_autoencoder(pretrained_run)
    start = visitor.post("start").json()
    assert start["fixed"]
    assert (start["clip"]["frames"], start["clip"]["stride"]) == (settings.data.frames, settings.data.stride)
    assert (start["mask"]["name"], start["mask"]["ratio"]) == (settings.mask.name, settings.mask.ratio)
    clip = visitor.post("clip", {"video": "slow.mp4", "clip": {"frames": 64, "stride": 9}}).json()
    assert (clip["count"], clip["size"]) == (settings.data.frames, settings.data.size)


class Server:
    """What a run's opener needs of the web server."""

    should_exit = False


def test_the_page_is_there_while_the_run_is_opened(pretrained_run, folder, reader, tmp_path):  # noqa: F811
    (tmp_path / "scratch").mkdir()
    explorer = Explorer(Library(list_folder(folder), inside=folder, scratch=tmp_path / "scratch"), reader)
    visitor = Visitor(client_of(create_app(explorer, token=TOKEN)))
    opener = RunOpener(pretrained_run, explorer, Server())
    assert visitor.client.get(f"/?token={TOKEN}").status_code == 200
    assert visitor.post("start").json() == {"delay": "opening"}
    with opener:
        pass  # the end waits for the run
    assert visitor.post("start").json()["run"]["name"] == pretrained_run.name


def test_a_run_that_cannot_be_opened_ends_the_server(reader, folder, tmp_path):
    (tmp_path / "scratch").mkdir()
    explorer = Explorer(Library(list_folder(folder), inside=folder, scratch=tmp_path / "scratch"), reader)
    with raises(ModelError, "not_found", subject=str(tmp_path / "absent")):
        RunOpener(tmp_path / "absent", explorer, Server())
    (tmp_path / "empty").mkdir()
    server = Server()
    with (
        raises(ModelError, "not_found", subject=str(tmp_path / "empty")),
        RunOpener(tmp_path / "empty", explorer, server),
    ):
        pass
    assert server.should_exit


def test_the_reconstruction_is_the_model_s(visitor, explorer, reader, folder, pretrained_run):  # noqa: F811
    answer = ask(visitor).json()
    model, _ = open_autoencoder(pretrained_run)
    fixed = explorer.fixed
    request = ClipRequest(2, fixed.frames, fixed.stride, fixed.size, fixed.motion, fixed.reading, fixed.camera)
    clip = reader.clip(Video("slow.mp4", "slow.mp4", str(folder / "slow.mp4")), request)
    mask = make_mask("tube", grid=model.encoder.spec.grid, ratio=0.5, motion=clip.motion, rng=mask_rng(4, 0, 2, 0))
    with torch.no_grad():
        expected = model.eval().reconstruct(to_video(clip.frames)[None], torch.from_numpy(mask.masked)[None])
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(answer["reconstruction"].partition(",")[2]))))
    expected = expected[0].permute(1, 2, 3, 0).numpy()
    assert np.abs(shown.reshape(expected.shape).astype(int) - expected).mean() < 6  # JPEG
    assert answer["loss"] > 0
    attention = answer["attention"]
    assert attention["tokens"] == list(model.encoder.spec.grid)
    assert len(attention["weights"]) == np.prod(attention["tokens"])
    assert max(attention["weights"]) == 1


def test_layer_head_and_query_change_the_attention(visitor):
    plain, head, query = (ask(visitor, **more).json()["attention"] for more in ({}, {"head": 0}, {"query": [0, 0, 0]}))
    assert query["query"] == [0, 0, 0]
    assert plain["weights"] != head["weights"]
    assert plain["weights"] != query["weights"]


@pytest.mark.parametrize(
    "more", [{"layer": 99}, {"head": -1}, {"query": [0, 0, 99]}, {"query": "0"}, {"mask": {"name": "x"}}]
)
def test_what_the_model_does_not_have_is_refused(visitor, more):
    assert ask(visitor, **more).status_code == 422


def test_the_error_of_a_video_is_the_loss_in_its_middle(visitor, explorer):
    answer = visitor.post("error", {"video": "slow.mp4"})
    assert answer.status_code == 200, answer.text
    start = (80 - (explorer.fixed.frames - 1) * explorer.fixed.stride - 1) // 2
    asked = {"video": "slow.mp4", "clip": {**asdict(explorer.fixed), "start": start}, "mask": explorer.mask, "seed": 0}
    assert answer.json()["error"] == visitor.post("model", asked).json()["loss"] > 0
    assert visitor.post("error", {"video": "../slow.mp4"}).status_code == 404


def test_the_map_needs_three_videos(explorer, reader, folder):
    videos = list_folder(folder)
    with raises(ModelError, "missing_value"):
        explorer.panels.map(videos, reader)
    found = explorer.panels.map(
        [*videos, Video("again", "again", videos[0].path), Video("gone", "gone", "gone.mp4")], reader
    )
    assert [point["id"] for point in found["points"]] == ["inner/fast.mp4", "slow.mp4", "again"]
    assert found["left_out"] == 1
    places = [(point["x"], point["y"]) for point in found["points"]]
    assert places[0] == pytest.approx(places[2], abs=0.01)
    assert abs(places[0][0] - places[1][0]) > 0.9


def test_principal_components_find_a_plane():
    rng = np.random.default_rng(0)
    plane = rng.normal(size=(50, 2)) * [5, 1]
    turned = np.linalg.qr(rng.normal(size=(8, 8)))[0][:2]
    found = principal_components((plane @ turned).astype(np.float32))
    places, explained = found.plane, found.explained
    assert explained is not None
    assert sum(explained) == pytest.approx(1, abs=1e-3)
    assert explained[0] > 0.85
    for axis in range(2):
        assert abs(np.corrcoef(places[:, axis], plane[:, axis])[0, 1]) > 0.95
    assert (places.min(), places.max()) == (0, 1)


class StandIn(ModuleType):
    """The face of umap-learn that is used: its places are the first two features."""

    asked: ClassVar[dict[str, Any]] = {}

    class UMAP:
        def __init__(self, **options: Any) -> None:
            StandIn.asked = options

        def fit_transform(self, features: np.ndarray) -> np.ndarray:
            return features[:, :2] * [1, -2]


def test_the_map_offers_what_is_installed(monkeypatch, visitor):
    monkeypatch.setattr("mgm.explore.projection.find_spec", lambda name: None)
    assert visitor.post("start").json()["run"]["projections"] == ["pca"]
    assert visitor.post("map", {"method": "umap"}).status_code == 422
    assert visitor.post("map", {"method": ["pca"]}).status_code == 422
    monkeypatch.setattr("mgm.explore.projection.find_spec", lambda name: object())
    assert visitor.post("start").json()["run"]["projections"] == ["pca", "umap"]


def test_the_map_by_neighbours(monkeypatch):
    monkeypatch.setattr("mgm.explore.projection.find_spec", lambda name: object())
    monkeypatch.setitem(sys.modules, "umap", StandIn("umap"))
    features = np.random.default_rng(0).normal(size=(9, 5)).astype(np.float32)
    found = project(features, "umap")
    assert found.explained is None
    assert (found.plane.min(), found.plane.max()) == (0, 1)
    assert np.corrcoef(found.plane[:, 0], features[:, 0])[0, 1] == pytest.approx(1)
    assert np.corrcoef(found.plane[:, 1], features[:, 1])[0, 1] == pytest.approx(-1)
    assert (StandIn.asked["n_neighbors"], StandIn.asked["random_state"]) == (8, 0)  # fewer than umap-learn's 15


@pytest.mark.parametrize("count", [3, 40])
def test_umap_keeps_groups_together(count):
    pytest.importorskip("umap", reason="umap-learn is not installed")
    rng = np.random.default_rng(1)
    group = np.arange(count) % 2
    features = (rng.normal(size=(count, 8)) + 40 * group[:, None]).astype(np.float32)
    found = project(features, "umap").plane
    assert np.array_equal(found, project(features, "umap").plane)
    if count > 3:
        between = np.linalg.norm(found[group == 0].mean(0) - found[group == 1].mean(0))
        assert between > 3 * found[group == 0].std(0).max()
