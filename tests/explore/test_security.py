"""What a visitor, another site or another visitor cannot do."""

import os
import time
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="the extra explore is not installed")

from mgm.errors import MgmError, VideoError
from mgm.explore.library import Video, list_folder
from mgm.explore.reading import ClipReader
from mgm.explore.request import ClipRequest
from tests.errors import raises
from tests.explore.visitors import TOKEN, Visitor

CLIP = {"frames": 4, "stride": 1}


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8420", "127.0.0.1.evil.example", "", "[::1", "169.254.169.254"]
)
def test_other_hosts_are_refused(visitor, host):
    """A site whose name points to this machine (DNS rebinding) sends its own name."""
    for path in ("/", f"/?token={TOKEN}", "/page/main.js"):
        assert visitor.client.get(path, headers={"host": host}).status_code == 421
    assert visitor.post("videos", headers={"host": host}).status_code == 421


@pytest.mark.parametrize("host", ["localhost", "localhost:9000", "127.0.0.1", "[::1]:8420", "LOCALHOST"])
def test_names_of_this_machine_are_served(visitor, host):
    assert visitor.post("videos", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:9999"])
def test_other_origins_are_refused(visitor, origin):
    assert visitor.post("videos", headers={"origin": origin}).status_code == 403
    assert visitor.post("videos", headers={"origin": "http://127.0.0.1:8420"}).status_code == 200


@pytest.mark.parametrize("token", ["", "Bearer ", "Bearer wrong", f"Bearer {TOKEN}x", TOKEN[:-1], "Bearer \xe9"])
def test_a_wrong_token_opens_nothing(visitor, token):
    for route in ("session", "start", "videos", "summary", "upload", "clip", "masks", "draws", "model", "map"):
        assert visitor.post(route, headers={"authorization": token.encode("latin-1")}).status_code == 403
    assert visitor.client.get("/?token=wrong").status_code == 403


def test_a_session_must_be_open(visitor):
    answer = visitor.post("videos", headers={"x-session": "made-up"})
    assert (answer.status_code, answer.json()["reason"]) == (401, "session")


def test_every_answer_forbids_what_the_page_does_not_need(visitor):
    for answer in (visitor.client.get(f"/?token={TOKEN}"), visitor.post("videos"), visitor.client.get("/nowhere")):
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    "video",
    [
        "../secret.mp4",
        "inner/../../secret.mp4",
        "/etc/passwd",
        "slow.mp4\0",
        "%2e%2e/secret.mp4",
        "",
        0,
        None,
        ["slow.mp4"],
    ],
)
def test_ids_are_no_paths(visitor, folder, video):
    outside = folder.parent / "secret.mp4"
    outside.write_bytes((folder / "slow.mp4").read_bytes())
    for route in ("summary", "clip", "masks", "draws"):
        answer = visitor.post(route, {"video": video, "clip": CLIP, "masks": [{}]})
        assert answer.status_code == 404, answer.text
        assert "choose one of the list" in answer.json()["message"]


@pytest.mark.parametrize(
    "path", ["/page/../server.py", "/page/%2e%2e/server.py", "/page/..%2fserver.py", "/page//etc/passwd"]
)
def test_files_beside_the_page_are_not_served(visitor, path):
    assert visitor.client.get(path).status_code in (403, 404)


def test_links_out_of_the_folder_are_not_followed(serve, folder, tmp_path):
    inside, outside = tmp_path / "videos", tmp_path / "outside"
    for place in (inside, outside):
        place.mkdir()
        (place / "a.mp4").write_bytes((folder / "slow.mp4").read_bytes())
    (inside / "link.mp4").symlink_to(outside / "a.mp4")
    (inside / "linked").symlink_to(outside)
    (inside / "own.mp4").symlink_to(inside / "a.mp4")
    assert [video.name for video in list_folder(inside)] == ["a.mp4", "own.mp4"]
    visitor = Visitor(serve(inside=inside))
    assert visitor.post("summary", {"video": "a.mp4"}).status_code == 200
    (inside / "a.mp4").unlink()  # someone else changes the folder while it is explored
    (inside / "a.mp4").symlink_to(outside / "a.mp4")
    assert visitor.post("clip", {"video": "a.mp4", "clip": CLIP}).status_code == 404


def upload(visitor: Visitor, content: object, name: str = "mine.mp4"):
    return visitor.post(f"upload?name={name}", content=content)


def test_an_upload_is_seen_by_its_session_alone(serve, folder):
    client = serve()
    one, other = Visitor(client), Visitor(client)
    done = upload(one, (folder / "slow.mp4").read_bytes(), "..%2F..%2Fholiday.mp4")
    assert done.status_code == 200, done.text
    own = done.json()["id"]
    assert done.json()["name"] == "holiday.mp4"
    assert one.post("videos").json()["videos"][0]["name"] == "holiday.mp4"
    assert one.post("clip", {"video": own, "clip": CLIP}).status_code == 200
    assert "holiday" not in other.post("videos").text
    for route in ("summary", "clip", "masks", "draws"):
        assert other.post(route, {"video": own, "clip": CLIP, "masks": [{}]}).status_code == 404
    shown = one.post("masks", {"video": own, "clip": CLIP, "masks": [{}]}).json()
    assert "read_clip('holiday.mp4'" in shown["python"]


def test_200_mb_are_refused_by_the_declared_and_by_the_real_length(serve, tmp_path):
    visitor = Visitor(serve())
    sent = []

    def parts():
        for number in range(200):
            sent.append(number)
            yield bytes(2**20)

    declared = visitor.post("upload?name=a.mp4", content=b"x", headers={"content-length": str(200 * 2**20)})
    assert declared.status_code == 413
    assert "100 MB" in declared.json()["message"]
    assert upload(visitor, parts()).status_code == 413  # chunked: without a declared length
    assert not any(path.is_file() for path in (tmp_path / "scratch").rglob("*"))


@pytest.mark.parametrize("damage", ["text", "empty", "cut", "picture-list"])
def test_a_corrupt_upload_is_explained_and_removed(serve, folder, tmp_path, damage):
    visitor = Visitor(serve())
    whole = (folder / "slow.mp4").read_bytes()
    content = {
        "text": b"hello, this is no video",
        "empty": b"",
        "cut": whole[: len(whole) // 3],
        "picture-list": b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
    }[damage]
    answer = upload(visitor, content, "bad.mp4")
    assert answer.status_code == 422, answer.text
    message = answer.json()["message"]
    assert "scratch" not in message
    assert message.startswith("bad.mp4: ") or message == "bad.mp4 is empty (0 bytes)"
    assert not any(path.is_file() for path in (tmp_path / "scratch").rglob("*"))
    assert len(visitor.post("videos").json()["videos"]) == 2


def test_old_uploads_and_old_sessions_make_room(serve, folder, tmp_path):
    client = serve(uploads=2, sessions=2)
    content = (folder / "slow.mp4").read_bytes()
    first = Visitor(client)
    ids = [upload(first, content, f"{number}.mp4").json()["id"] for number in range(3)]
    assert [video["name"] for video in first.post("videos").json()["videos"][:2]] == ["2.mp4", "1.mp4"]
    assert first.post("summary", {"video": ids[0]}).status_code == 404
    second = Visitor(client)
    second.post("videos")
    third = Visitor(client)
    assert first.post("videos").status_code == 401
    assert third.post("videos").status_code == second.post("videos").status_code == 200
    assert not any(path.is_file() for path in (tmp_path / "scratch").rglob("*"))


def test_uploads_of_all_are_bounded_together(serve, folder, tmp_path):
    content = (folder / "slow.mp4").read_bytes()
    client = serve(total_bytes=int(1.5 * len(content)))
    first, second = Visitor(client), Visitor(client)
    assert upload(first, content).status_code == upload(second, content).status_code == 200
    assert first.post("videos").status_code == 401
    assert second.post("videos").status_code == 200


def test_a_slow_upload_is_given_up(serve, tmp_path):
    visitor = Visitor(serve(upload_seconds=0.05))

    def parts():
        for _ in range(4):
            yield b"x"
            time.sleep(0.05)

    assert upload(visitor, parts()).status_code in (408, 422)
    assert not any(path.is_file() for path in (tmp_path / "scratch").rglob("*"))


def test_a_pipe_is_not_waited_for(reader, folder, tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(MgmError) as caught:
        reader.clip(Video("a", "pipe.mp4", str(tmp_path / "pipe.mp4")), ClipRequest(frames=2))
    assert caught.value.subject == "pipe.mp4"
    good = reader.clip(Video("b", "slow.mp4", str(folder / "slow.mp4")), ClipRequest(frames=2))
    assert good.frames.shape == (2, 224, 224, 3)


@pytest.mark.slow
def test_a_clip_beyond_the_time_limit_costs_its_process_and_nothing_else(folder):
    with ClipReader(processes=1, timeout_seconds=0.001) as reader:
        assert reader.wait()
        for _ in range(2):  # the second time in another process
            with raises(VideoError, "timed_out", subject="slow.mp4"):
                reader.clip(Video("a", "slow.mp4", str(folder / "slow.mp4")), ClipRequest(frames=64))


def test_names_of_files_are_printable(tmp_path, folder):
    place = tmp_path / "videos"
    place.mkdir()
    Path(place / "a\x1b[31m.mp4").write_bytes((folder / "slow.mp4").read_bytes())
    assert "\x1b" not in list_folder(place)[0].name
