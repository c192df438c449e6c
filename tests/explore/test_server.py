"""The routes: clips, masks and their lines, summaries, and what is refused as a wrong value."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("starlette", reason="the extra explore is not installed")
from PIL import Image

import mgm
from mgm.errors import VideoError
from mgm.explore.controls import FOLLOWS, describe_masks
from mgm.explore.serve import list_videos
from mgm.masks import build_mask, list_masks
from mgm.show.figures import colour_motion, motion_scale
from tests.explore.visitors import TOKEN

CLIP = {"start": 4, "frames": 8, "stride": 2, "motion": "codec"}


def picture(url: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))))


def bits(drawn: dict, grid: list[int]) -> np.ndarray:
    packed = np.frombuffer(base64.b64decode(drawn["bits"]), np.uint8)
    return np.unpackbits(packed)[: np.prod(grid)].astype(bool).reshape(grid)


def masks(visitor, *given: dict, clip: dict = CLIP, seed: int = 3, route: str = "masks"):
    return visitor.post(route, {"video": "slow.mp4", "clip": clip, "masks": list(given), "seed": seed})


def test_the_page_needs_the_token(visitor):
    assert visitor.client.get("/").status_code == 403
    page = visitor.client.get(f"/?token={TOKEN}")
    assert page.status_code == 200
    for file in ("main.js", "style.css"):
        assert f"page/{file}" in page.text
        assert visitor.client.get(f"/page/{file}").status_code == 200


def test_every_mask_is_offered_with_its_options(visitor):
    start = visitor.post("start").json()
    assert [mask["name"] for mask in start["masks"]] == list(list_masks())
    of = {mask["name"]: mask for mask in start["masks"]}
    assert {name for name, mask in of.items() if mask["family"] == FOLLOWS} == {
        name for name in list_masks() if build_mask(name).uses_motion
    }
    boundary = next(option for option in of["mgm"]["options"] if option["name"] == "boundary")
    assert boundary["choices"] == ["clip", "shift", "grow", "wrap"]
    assert "jitter" in {option["name"] for option in of["mgm"]["options"]}
    for mask in start["masks"]:
        for option in mask["options"]:
            assert len(option["about"].split()) >= 4, (mask["name"], option)
            assert "`" not in option["about"]
            assert " see " not in f" {option['about']} ".lower()


@pytest.mark.parametrize("content", [None, b"", b"this is no video"])
def test_one_video_that_cannot_be_read_is_an_error_before_the_page_opens(tmp_path, content):
    video = tmp_path / "holiday.mp4"
    if content is not None:
        video.write_bytes(content)
    with pytest.raises(VideoError) as caught:
        list_videos(str(video))
    assert caught.value.subject == str(video)


def test_a_clip_is_that_of_read_clip(visitor, folder):
    answer = visitor.post("clip", {"video": "slow.mp4", "clip": CLIP}).json()
    clip = mgm.read_clip(folder / "slow.mp4", size=224, **CLIP)
    frames = picture(answer["frames"]).reshape(8, 224, 224, 3)
    assert np.abs(frames.astype(int) - clip.frames).mean() < 3  # JPEG
    assert answer["indices"] == clip.frame_indices.tolist()
    assert answer["times"] == pytest.approx(clip.pts_seconds - clip.pts_seconds[0], abs=1e-3)
    motion = answer["motion"]
    rows, columns = motion["cells"]
    shown = colour_motion(
        clip.motion.vectors, extent=(rows * 8, columns * 8), full_scale=motion_scale(clip.motion.vectors)
    )[:, 4::8, 4::8]
    assert np.array_equal(picture(motion["picture"]).reshape(8, rows, columns, 3), shown)
    assert motion["source"] == "codec"
    assert len(motion["arrows"]) == 8 * 14 * 14 * 2


@pytest.mark.parametrize("name", list_masks())
def test_the_lines_of_python_reproduce_the_mask(visitor, name, monkeypatch):
    answer = masks(visitor, {"name": name, "ratio": 0.6}).json()
    scope: dict = {}
    exec(answer["python"], scope)
    assert np.array_equal(scope["mask"].masked, bits(answer["masks"][0], [4, 14, 14]))
    assert answer["masks"][0]["hidden"] == scope["mask"].masked.sum((1, 2)).tolist()


def test_options_and_a_second_mask_are_reproduced(visitor):
    first = {"name": "mgm", "ratio": 0.5, "options": {"boundary": "shift", "jitter": False, "top_k": 2}}
    answer = masks(visitor, first, {"name": "tube", "ratio": 0.8}, clip={**CLIP, "camera": "median"}).json()
    scope: dict = {}
    exec(answer["python"], scope)
    for name, drawn in zip(("mask_a", "mask_b"), answer["masks"], strict=True):
        assert np.array_equal(scope[name].masked, bits(drawn, [4, 14, 14]))
    assert "--boundary shift" in answer["command"]
    assert "camera=median" in answer["command"].partition("#")[2]


def test_the_statistics_are_those_of_the_draws(visitor):
    drawn = masks(visitor, {"name": "mgm", "ratio": 0.75}).json()["masks"][0]
    assert drawn["hidden"] == [147] * 4
    assert 0 < drawn["motion_share"] <= 1
    (counted,) = masks(visitor, {"name": "mgm", "ratio": 0.75}, route="draws").json()["draws"]
    assert counted["draws"] == 50
    assert np.mean(counted["visibility"]) == pytest.approx(0.25, abs=1e-3)


def test_another_seed_is_another_mask(visitor):
    one, same, other = (masks(visitor, {"name": "tube"}, seed=seed).json()["masks"][0]["bits"] for seed in (1, 1, 2))
    assert one == same != other


def test_summaries_have_length_motion_and_picture(visitor):
    listed = visitor.post("videos").json()["videos"]
    assert [video["id"] for video in listed] == ["inner/fast.mp4", "slow.mp4"]
    fast, slow = (visitor.post("summary", {"video": video["id"]}).json() for video in listed)
    assert (fast["frames"], fast["height"], fast["width"]) == (80, 64, 96)
    assert fast["seconds"] == pytest.approx(80 / 25, rel=0.2)
    assert fast["motion"] > 2 * slow["motion"] > 0
    assert picture(fast["thumbnail"]).shape == (128, 128, 3)


@pytest.mark.parametrize(
    ("clip", "mask"),
    [
        ({"start": -1}, {}),
        ({"start": 2**40}, {}),
        ({"frames": 1_000_000}, {}),
        ({"frames": 3}, {}),
        ({"stride": 0}, {}),
        ({"motion": "raft"}, {}),
        ({"reading": ["clean"]}, {}),
        ({"camera": "affine", "motion": "difference"}, {}),
        ({}, {"name": "os:system"}),
        ({}, {"name": "tests.explore.visitors:Visitor"}),
        ({}, {"ratio": 1.5}),
        ({}, {"ratio": "0.5"}),
        ({}, {"options": {"jitter": "yes"}}),
        ({}, {"options": {"top_k": 0}}),
        ({}, {"name": "multiblock", "options": {"numbers": [10**9]}}),
        ({}, {"name": "score", "options": {"scores": [[1]]}}),
        ([], {}),
        ({}, None),
    ],
)
def test_wrong_values_are_refused_with_a_message(visitor, clip, mask):
    answer = masks(visitor, mask, clip={**CLIP, **clip} if isinstance(clip, dict) else clip)
    assert answer.status_code == 422, answer.text
    assert len(answer.json()["message"]) > 10


def test_a_start_beyond_the_end_names_the_video_and_no_path(visitor, folder):
    answer = visitor.post("clip", {"video": "slow.mp4", "clip": {**CLIP, "start": 5000}})
    assert answer.status_code == 422
    assert answer.json()["message"].startswith("slow.mp4: ")
    assert str(folder) not in answer.text


def test_other_bodies_are_refused(visitor):
    assert visitor.post("clip", content=b"{").status_code == 400
    assert visitor.post("clip", content=b"[" * 60000).status_code == 400
    assert visitor.post("clip", content=b"3").status_code == 422
    assert visitor.post("clip", content=b" " * 70_000).status_code == 413
    assert visitor.post("model", {"video": "slow.mp4"}).status_code == 404


def test_controls_are_simple_values():
    for mask in describe_masks():
        assert mask["about"].endswith(".")
        for option in mask["options"]:
            assert option["kind"] in ("choice", "switch", "whole", "number")
            build_mask(mask["name"], **{option["name"]: option["default"]})


def test_the_page_names_no_other_place():
    """It works offline: nothing in it is loaded from elsewhere."""
    for file in (Path(mgm.__file__).parent / "explore" / "page").iterdir():
        text = file.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text, file
        assert "https://" not in text, file
