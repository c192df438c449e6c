"""Videos of shards give the same samples as files, from disk and over the network."""

import functools
import http.server
import os
import shutil
import threading
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import fsspec
import numpy as np
import pytest
import torch

import mgm.data.shards.members
from mgm.data.annotations import load_set
from mgm.data.clips.images import read_any
from mgm.data.clips.source import FileSource, MemorySource
from mgm.data.loading.dataset import ClipSet, ClipTransform
from mgm.data.shards.members import ByteRange, ShardMember, member_title, open_item, parse_member
from mgm.errors import DataError, VideoError
from mgm.video.container.metadata import VideoInfo
from tests.data.shards.reading import SETTINGS, assert_same, read
from tests.errors import raises


def test_the_title_is_shard_and_name():
    member = ShardMember(
        "shards/a.tar", "fight/x y.mp4", ByteRange(512, 9), VideoInfo(9, 8, 8, True, 1), ByteRange(2048, 5), 7
    )
    assert member_title(str(member)) == "shards/a.tar: fight/x y.mp4"
    assert member_title("videos/x.mp4") == "videos/x.mp4"


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_from_shards_are_those_from_files(files, packed, workers):
    expected = read(files)
    found = load_set(packed[0])
    assert_same(read(found, workers=workers), expected)
    assert_same(read(found, workers=workers, first=3), expected[3:])  # resuming does not read the batches before


def test_the_sidecar_is_packed_too(files, packed, monkeypatch):
    place, (item, member) = next(
        (place, (item, member))
        for place, item in enumerate(load_set(packed[0]).train)
        if (member := parse_member(item.path)).motion is not None
    )
    assert member.name.endswith("odd name+1&2#3.x.mp4")

    def never(*_args, **_options):
        raise AssertionError("the motion was read from the stream")

    monkeypatch.setattr("mgm.video.clip.clip_motion.motion_from_vectors", never)
    both = [replace(files, train=files.train[place : place + 1]), replace(load_set(packed[0]), train=(item,))]
    assert_same(*(read(videos) for videos in both))


def test_a_sidecar_is_read_without_temporary_files(packed, monkeypatch):
    """A reading process may be killed at any time: its files in /dev/shm would stay there."""
    path = next(item.path for item in load_set(packed[0]).train if parse_member(item.path).motion is not None)
    member, asked = parse_member(path), []

    def spied(tar, span, name, read_range=mgm.data.shards.members.read_range):
        asked.append(span)
        return read_range(tar, span, name)

    monkeypatch.setattr(mgm.data.shards.members, "read_range", spied)
    monkeypatch.setattr(mgm.data.shards.members, "MOST_WHOLE_BYTES", 0)
    monkeypatch.setattr("tempfile.mkdtemp", None)
    assert read_any(path, frames=4, stride=1, motion="codec").motion.valid.any()
    assert asked == [member.motion]


def test_motion_does_not_depend_on_a_damaged_sidecar(packed, tmp_path):
    shutil.copytree(packed[0], tmp_path / "shards")
    path = next(item.path for item in load_set(tmp_path / "shards").train if parse_member(item.path).motion is not None)
    expected = read_any(path, frames=4, stride=1, motion="codec").motion
    member = parse_member(path)
    for hurt in (0, 20):  # its head, its first block
        with Path(member.tar).open("r+b") as tar:
            tar.seek(member.motion[0] + hurt)
            tar.write(b"\xff\xff\xff\xff")
        found = read_any(path, frames=4, stride=1, motion="codec").motion
        np.testing.assert_array_equal(found.vectors, expected.vectors)


def test_videos_larger_than_one_request_are_read_in_parts(files, packed, monkeypatch):
    expected = read(files)
    monkeypatch.setattr(mgm.data.shards.members, "MOST_WHOLE_BYTES", 0)
    assert_same(read(load_set(packed[0])), expected)


def test_videos_of_shards_are_kept_in_memory_too(files, packed):
    settings = replace(SETTINGS, motion=None)

    def small(videos):
        source = MemorySource(48, None)
        clips = ClipSet(videos.train, source, settings, ClipTransform("centre", flip=False), seed=0)
        return [clips[0, i].video for i in range(len(clips))]

    for one, other in zip(small(files), small(load_set(packed[0])), strict=True):
        assert torch.equal(one, other)


def test_shards_over_fsspec(files, packed):
    remote = fsspec.filesystem("memory")
    remote.put(f"{packed[0]}/", "/bucket/shards/", recursive=True)
    try:
        found = load_set("memory://bucket/shards")
        expected = read(files)
        assert_same(read(found), expected)
        assert_same(read(found, workers=2), expected)
        assert [i.label for i in load_set("memory://bucket/shards/shards.json").test] == [i.label for i in files.test]
        remote.rm("/bucket/shards/shard-000001.tar")
        problems = [video for batch in read(found) for video in batch.unreadable]
        assert problems
        assert all("shard-000001.tar: " in message for _, message in problems)
    finally:
        remote.rm("/bucket", recursive=True)


class _Ranges(http.server.SimpleHTTPRequestHandler):
    """Serves ranges of files, which Python's own server does not; the first response to each request is an error."""

    asked: ClassVar[set[str]] = set()
    whole = False

    def do_GET(self):
        question = f"{self.path} {self.headers.get('Range')}"
        if question not in self.asked:
            self.asked.add(question)
            self.send_error(503)
            return
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            self.send_error(404)
            return
        data, asked = path.read_bytes(), self.headers.get("Range")
        if asked and not self.whole:
            first, last = asked.removeprefix("bytes=").split("-")
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
            data = data[int(first) : int(last) + 1]
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_args):
        pass


@pytest.fixture
def server(packed, monkeypatch):
    monkeypatch.setattr("mgm.video.container.remote.RETRY_SECONDS", 0.01)
    monkeypatch.setattr(_Ranges, "whole", False)
    monkeypatch.setattr(_Ranges, "asked", set())
    handler = functools.partial(_Ranges, directory=str(packed[0].parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as served:
        thread = threading.Thread(target=served.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{served.server_port}/shards"
        served.shutdown()
        thread.join()


def test_shards_over_http_from_an_unreliable_server(files, packed, server):
    root = server.removesuffix("/shards")
    local = load_set(packed[0])
    remote = tuple(replace(item, path=item.path.replace(str(packed[0].parent), root)) for item in local.train)
    expected = read(files)
    assert_same(read(replace(local, train=remote)), expected)
    assert_same(read(replace(local, train=remote), workers=2), expected)


def test_the_index_comes_over_http_too(packed, server, monkeypatch):
    monkeypatch.setattr(_Ranges, "do_GET", http.server.SimpleHTTPRequestHandler.do_GET)
    assert [item.label for item in load_set(server).train] == [item.label for item in load_set(packed[0]).train]
    with raises(DataError, "not_found", subject=f"{server}/nowhere/shards.json"):
        load_set(f"{server}/nowhere")


def test_a_server_that_ignores_ranges_is_an_error(packed, server, monkeypatch):
    monkeypatch.setattr(_Ranges, "whole", True)
    local = load_set(packed[0])
    member = parse_member(local.train[1].path)
    place = str(replace(member, tar=f"{server}/{Path(member.tar).name}"))
    with raises(VideoError, "unsupported", subject=parse_member(place).title), open_item(place):
        pass


@pytest.mark.parametrize("name", ["a.mp4", "with space/ü+1&b=2#c.mkv", "100%.avi", "x.tar#offset=1&size=2&name=y"])
@pytest.mark.parametrize("motion", [None, ByteRange(700, 30)])
def test_paths_of_members_are_parsed_back(name, motion):
    member = ShardMember(
        "s3://bucket/x y/shard-000001.tar", name, ByteRange(512, 100), VideoInfo(60, 240, 320, True, 4), motion
    )
    member = replace(member, modified=123456789 if motion else 0)
    assert parse_member(str(member)) == member
    assert parse_member(name) is None or "#" in name
    assert parse_member(os.fspath(Path("a/b.tar"))) is None


@pytest.mark.parametrize(
    "rest",
    [
        "offset=1&size=2&name=x&info=1x2",
        "offset=1&size=2&name=x&info=1x2x3x1x1x9",
        "offset=1&size=2&name=x&info=1x2x3x7x1",
        "offset=1&size=2&name=x&info=1x2x3x1x0",
        "offset=1&size=2&name=x&motion=3&info=1x2x3x1x1",
        "offset=1&size=2&name=x&motion=3+4&info=1x2x3x1x1",
        f"offset={'9' * 5000}&size=2&name=x&info=1x2x3x1x1",
        "offset=\u0663&size=2&name=x&info=1x2x3x1x1",
    ],
)
def test_a_path_that_only_begins_like_a_member_is_another_path(tmp_path, rest):
    """An annotation file may list anything."""
    assert parse_member(f"x.tar#{rest}") is None
    (tmp_path / "a.mp4").touch()
    (tmp_path / "b.mp4").touch()
    (tmp_path / "train.txt").write_text(f"a.mp4 0\nx.tar#{rest} 1\nb.mp4 1\n")
    assert [Path(item.path).name for item in load_set(tmp_path / "train.txt").train] == ["a.mp4", "b.mp4"]


@pytest.mark.parametrize(
    "change",
    [
        {"info": VideoInfo(10**9, 64, 96, True, 1)},
        {"info": VideoInfo(24, 1, 1, True, 1)},
        {"info": VideoInfo(24, 10**9 - 1, 10**9 - 1, True, 1)},
        {"video": ByteRange(10**17, 10)},
        {"video": ByteRange(0, 10**17)},
        {"motion": ByteRange(0, 10**17)},
        {"motion": ByteRange(10**17, 10**17)},
    ],
)
def test_a_member_that_lies_is_an_unreadable_video(packed, change):
    good, other = load_set(packed[0]).train[:2]
    item = replace(good, path=str(replace(parse_member(good.path), **change)))
    clips = ClipSet((item, other), FileSource(), SETTINGS, ClipTransform("multiscale", flip=True), seed=0)
    assert clips[0, 0].video.shape[-1] == SETTINGS.size


def test_a_truncated_shard_is_an_error_of_the_video(packed, tmp_path):
    folder = tmp_path / "shards"
    shutil.copytree(packed[0], folder)
    for shard in folder.glob("*.tar"):
        shard.write_bytes(shard.read_bytes()[:600])
    item = load_set(folder).train[2]
    with raises(VideoError, "truncated", subject=parse_member(item.path).title), open_item(item.path):
        pass
