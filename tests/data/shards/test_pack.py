"""Sets packed into tar shards: the same samples as from files, over any file system, plain enough for WebDataset."""

import functools
import http.server
import json
import os
import shutil
import tarfile
import threading
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import fsspec
import numpy as np
import pytest
import torch
import webdataset

import mgm.data.shards.members
from mgm.data.annotations import VideoItem, VideoSet, load_set
from mgm.data.clips.images import read_any
from mgm.data.clips.source import ClipSettings, FileSource, MemorySource
from mgm.data.loading.dataset import ClipSet, ClipTransform, MaskRule
from mgm.data.loading.loader import BatchOrder, batches
from mgm.data.shards.members import ByteRange, ShardMember, member_title, open_item, parse_member
from mgm.data.shards.write import pack_set
from mgm.errors import DataError, VideoError
from mgm.masks import build_mask
from mgm.video.container.metadata import VideoInfo, read_video_info
from mgm.video.motion.cache import build_sidecar
from tests.errors import raises

SETTINGS = ClipSettings(frames=4, stride=1, size=32, motion="codec")


@pytest.fixture(scope="module")
def files(tiny_set, tmp_path_factory):
    """A set of class folders, one video with a motion sidecar, and names that are no names of tar members."""
    root = tmp_path_factory.mktemp("files") / "a set"
    shutil.copytree(tiny_set, root)
    first = load_set(root).train[0].path
    odd = Path(first).with_name("odd name+1&2#3.x.mp4")
    Path(first).rename(odd)
    build_sidecar(odd)
    return load_set(root)


@pytest.fixture(scope="module")
def packed(files, tmp_path_factory):
    """(folder, report): shards that hold some videos each."""
    out = tmp_path_factory.mktemp("packed") / "shards"
    size = sum(Path(item.path).stat().st_size for item in files.items)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mgm.data.shards.write.MEBI", max(size // 4, 1))  # the videos are far below a MiB
        return out, pack_set(files, out, shard_size=1)


def read(videos, *, source=None, workers=0, first=0, settings=SETTINGS, **options):
    rule = MaskRule(build_mask("mgm"), (2, 4, 4), 0.75)
    clips = ClipSet(
        videos.train,
        source or FileSource(),
        settings,
        ClipTransform("multiscale", flip=True, rule=rule),
        seed=3,
        repeats=2,
    )
    order = BatchOrder(len(videos.train), 6, 3)
    return list(batches(clips, order, first=first, last=5, workers=workers, **options))


def assert_same(first, second):
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one.video, other.video)
        assert torch.equal(one.mask, other.mask)
        assert torch.equal(one.label, other.label)
        assert torch.equal(one.index, other.index)
        assert one.unreadable == other.unreadable == ()


def names_in(shard):
    with tarfile.open(shard) as tar:
        return tar.getnames()


def test_a_packed_set_is_the_set(files, packed):
    folder, report = packed
    assert len(report.shards) >= 3
    assert (report.videos, report.skipped, report.failed) == (32, 0, {})
    found = load_set(folder)
    assert (found.classes, found.split_rule) == (files.classes, files.split_rule)
    for side in ("train", "test"):
        labels = [item.label for item in getattr(files, side)]
        assert [item.label for item in getattr(found, side)] == labels
        for item, original in zip(getattr(found, side), getattr(files, side), strict=True):
            member = parse_member(item.path)
            assert str(member) == item.path
            assert original.path.endswith(member.name)
            assert member.info == read_video_info(original.path)
            offset, size = member.video
            assert Path(member.tar).read_bytes()[offset : offset + size] == Path(original.path).read_bytes()


def test_people_see_shard_and_name():
    member = ShardMember(
        "shards/a.tar", "fight/x y.mp4", ByteRange(512, 9), VideoInfo(9, 8, 8, True, 1), ByteRange(2048, 5), 7
    )
    assert member_title(str(member)) == "shards/a.tar: fight/x y.mp4"
    assert member_title("videos/x.mp4") == "videos/x.mp4"


def test_a_long_name_in_another_script_is_read(tiny_set, tmp_path):
    root = tmp_path / "flat"
    root.mkdir()
    path = root / f"{'動画' * 12}.mp4"  # 76 bytes, and more than the 255 of a file's name where each is written as %XX
    shutil.copy(load_set(tiny_set).train[0].path, path)
    pack_set(VideoSet(str(root), (VideoItem(str(path)),), (), (), ""), tmp_path / "packed")
    (item,) = load_set(tmp_path / "packed").train
    assert FileSource().info(item.path) == read_video_info(path)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_from_shards_are_those_from_files(files, packed, workers):
    expected = read(files)
    found = load_set(packed[0])
    assert_same(read(found, workers=workers), expected)
    assert_same(
        read(found, workers=workers, first=3), expected[3:]
    )  # exact resume costs no reading of what came before


def test_the_sidecar_travels(files, packed, monkeypatch):
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


def test_a_sidecar_is_read_without_its_video_being_laid_out(packed, monkeypatch):
    """A reading process may be killed at any time: what it had put into /dev/shm would stay there."""
    path = next(item.path for item in load_set(packed[0]).train if parse_member(item.path).motion is not None)
    member, asked = parse_member(path), []

    def spied(tar, span, name, read_range=mgm.data.shards.members.read_range):
        asked.append(span)
        return read_range(tar, span, name)

    monkeypatch.setattr(mgm.data.shards.members, "read_range", spied)
    monkeypatch.setattr(mgm.data.shards.members, "MAX_WHOLE_BYTES", 0)
    monkeypatch.setattr("tempfile.mkdtemp", None)
    assert read_any(path, frames=4, stride=1, motion="codec").motion.valid.any()
    assert asked == [member.motion]


def test_a_damaged_sidecar_in_a_shard_costs_its_motion_nothing(packed, tmp_path):
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
    monkeypatch.setattr(mgm.data.shards.members, "MAX_WHOLE_BYTES", 0)
    assert_same(read(load_set(packed[0])), expected)


def test_videos_of_shards_are_kept_in_memory_too(files, packed):
    settings = replace(SETTINGS, motion=None)

    def small(videos):
        source = MemorySource(48, None)
        clips = ClipSet(videos.train, source, settings, ClipTransform("centre", flip=False), seed=0)
        return [clips[0, i].video for i in range(len(clips))]

    for one, other in zip(small(files), small(load_set(packed[0])), strict=True):
        assert torch.equal(one, other)


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # WebDataset leaves its files to the collector
def test_other_programs_read_the_shards(files, packed):
    """tarfile, and WebDataset: bytes, label and description of each sample under one key."""
    _, report = packed
    names = [name for shard in report.shards for name in names_in(shard)]
    assert len(names) == len(set(names)) == 32 * 3 + 1
    urls = [str(shard) for shard in report.shards]
    samples = list(webdataset.WebDataset(urls, shardshuffle=False).decode())
    assert len(samples) == 32
    by_name = {item.path.rpartition("a set/")[2]: item for item in files.items}
    for sample in samples:
        item = by_name[sample["json"]["name"]]
        assert sample["mp4"] == Path(item.path).read_bytes()
        assert sample["cls"] == item.label == sample["json"]["annotations"][0]["label"]
        assert sample["json"]["annotations"][0]["class"] == files.classes[item.label]
    assert sum("mgmv" in sample for sample in samples) == 1
    labels = [sample["cls"] for sample in samples]
    assert labels != sorted(labels)  # mixed, for who streams them


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
        assert all("shard-000001.tar: " in message and "cannot be read" in message for _, message in problems)
    finally:
        remote.rm("/bucket", recursive=True)


class _Ranges(http.server.SimpleHTTPRequestHandler):
    """Serves parts of files, as web servers do and Python's own does not; the first answer to each question is an error."""

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
    monkeypatch.setattr(mgm.data.shards.members, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(_Ranges, "whole", False)
    monkeypatch.setattr(_Ranges, "asked", set())
    handler = functools.partial(_Ranges, directory=str(packed[0].parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as served:
        thread = threading.Thread(target=served.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{served.server_port}/shards"
        served.shutdown()
        thread.join()


def test_shards_over_http_from_a_server_that_stumbles(files, packed, server):
    root = server.removesuffix("/shards")
    local = load_set(packed[0])
    remote = tuple(replace(item, path=item.path.replace(str(packed[0].parent), root)) for item in local.train)
    expected = read(files)
    assert_same(read(replace(local, train=remote)), expected)
    assert_same(read(replace(local, train=remote), workers=2), expected)


def test_the_index_comes_over_http_too(packed, server, monkeypatch):
    monkeypatch.setattr(_Ranges, "do_GET", http.server.SimpleHTTPRequestHandler.do_GET)
    assert [item.label for item in load_set(server).train] == [item.label for item in load_set(packed[0]).train]
    with raises(DataError, "unreadable", subject=f"{server}/nowhere/shards.json"):
        load_set(f"{server}/nowhere")


def test_a_server_that_gives_whole_files_is_named(packed, server, monkeypatch):
    monkeypatch.setattr(_Ranges, "whole", True)
    local = load_set(packed[0])
    member = parse_member(local.train[1].path)
    place = str(replace(member, tar=f"{server}/{Path(member.tar).name}"))
    with raises(VideoError, "unsupported", subject=parse_member(place).title), open_item(place):
        pass


def test_packing_goes_on_where_it_was_stopped(files, tmp_path, monkeypatch):
    out = tmp_path / "shards"
    size = sum(Path(item.path).stat().st_size for item in files.items)
    monkeypatch.setattr("mgm.data.shards.write.MEBI", max(size // 4, 1))
    seen = []

    def stop(path):
        seen.append(path)
        if len(seen) == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pack_set(files, out, shard_size=1, progress=stop)
    whole = sorted(path.name for path in out.glob("*.tar"))
    assert 1 <= len(whole) < 4
    assert not (out / "shards.json").exists()
    assert not list(out.glob(".*"))  # nothing half written
    before = {name: (out / name).stat().st_mtime_ns for name in whole}
    report = pack_set(files, out, shard_size=1)
    assert report.skipped == len(whole)
    assert {name: (out / name).stat().st_mtime_ns for name in whole} == before
    assert_same(read(load_set(out)), read(files))
    (out / whole[0]).write_bytes(b"cut")
    assert pack_set(files, out, shard_size=1).skipped == len(report.shards) - 1
    with raises(DataError, "exists", subject=out / "shard-000000.tar", message="shards-of-another-set"):
        pack_set(replace(files, train=files.train[1:]), out, shard_size=1)


def test_bad_files_are_left_out_and_named(files, tmp_path):
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"not a video at all")
    videos = replace(files, train=(*files.train[:3], VideoItem(str(bad), 0), VideoItem(str(tmp_path / "gone.mp4"), 0)))
    report = pack_set(videos, tmp_path / "shards")
    assert set(report.failed) == {str(bad), str(tmp_path / "gone.mp4")}
    assert report.videos == 3 + len(files.test)
    found = load_set(tmp_path / "shards")
    assert [item.label for item in found.train] == [item.label for item in files.train[:3]]
    with raises(DataError, "unreadable", subject="x", message="shards-nothing-to-pack"):
        pack_set(VideoSet("x", (VideoItem(str(bad)),), (), (), ""), tmp_path / "none")
    with raises(DataError, "exists", subject=found.root):
        pack_set(found, tmp_path / "again")


@pytest.mark.parametrize("change", ["shrinks", "grows", "goes"])
def test_a_file_that_changes_while_it_is_packed_is_one_bad_video(files, tmp_path, monkeypatch, change):
    for number, item in enumerate(files.train[:4]):
        shutil.copy(item.path, tmp_path / f"{number}.mp4")
    videos, out = load_set(tmp_path), tmp_path / "shards"
    victim = Path(videos.train[2].path)
    whole = victim.read_bytes()

    def probed(path):
        info = read_video_info(path)
        if Path(path) == victim and change == "goes":
            victim.unlink()
        elif Path(path) == victim:
            victim.write_bytes(whole[: len(whole) // 2] if change == "shrinks" else whole + b"more")
        return info

    with monkeypatch.context() as patch:
        patch.setattr("mgm.data.shards.write.read_video_info", probed)
        report = pack_set(videos, out)
    assert list(report.failed) == [str(victim)]
    found = "cannot be read" if change == "goes" else "changed while it was packed"
    assert report.failed[str(victim)].startswith(f"{victim}: {found}")
    with tarfile.open(report.shards[0]) as tar:
        stems = {Path(name).stem for name in tar.getnames()}
    assert len(stems) == report.videos == 3  # nothing of the bad one is left
    assert read(load_set(out), workers=0)
    victim.write_bytes(whole)
    assert pack_set(videos, out).videos == 4


def test_parts_of_one_file_share_its_bytes(files, tmp_path):
    path = files.train[-1].path
    items = tuple(VideoItem(path, label, start, start + 3) for label, start in ((0, 0), (1, 3)))
    pack_set(VideoSet("x", items, (), ("a", "b"), ""), tmp_path / "shards")
    found = load_set(tmp_path / "shards")
    assert [(item.label, item.start, item.end) for item in found.train] == [(0, 0, 3), (1, 3, 6)]
    assert len({item.path for item in found.train}) == 1
    assert names_in(tmp_path / "shards" / "shard-000000.tar") == ["00000000.mp4", "00000000.json"]


def test_a_damaged_index_is_named(packed, tmp_path):
    folder = tmp_path / "shards"
    shutil.copytree(packed[0], folder)
    index = json.loads((folder / "shards.json").read_text())
    for content, reason, subject, message in (
        ("{", "malformed", "shards.json", None),
        ("[]", "malformed", "shards.json", "shards-index-of-another-type"),
        ("{}", "malformed", "", "shards-damaged-index"),
        (json.dumps({**index, "format": "other-2"}), "malformed", "shards.json", "shards-of-another-format"),
        (json.dumps({**index, "shards": ["none.tar"]}), "unreadable", "none.index.json", None),
    ):
        (folder / "shards.json").write_text(content)
        with raises(DataError, reason, subject=folder / subject, message=message):
            load_set(folder)


@pytest.mark.parametrize("name", ["a.mp4", "with space/ü+1&b=2#c.mkv", "100%.avi", "x.tar#offset=1&size=2&name=y"])
@pytest.mark.parametrize("motion", [None, ByteRange(700, 30)])
def test_names_of_members_are_read_back(name, motion):
    member = ShardMember(
        "s3://bucket/x y/shard-000001.tar", name, ByteRange(512, 100), VideoInfo(60, 240, 320, True, 4), motion
    )
    member = replace(member, modified=123456789 if motion else 0)
    assert parse_member(str(member)) == member
    assert parse_member(name) is None or "#" in name
    assert parse_member(os.fspath(Path("a/b.tar"))) is None


def test_a_shard_that_was_cut_names_the_video(packed, tmp_path):
    folder = tmp_path / "shards"
    shutil.copytree(packed[0], folder)
    for shard in folder.glob("*.tar"):
        shard.write_bytes(shard.read_bytes()[:600])
    item = load_set(folder).train[2]
    with raises(VideoError, "truncated", subject=parse_member(item.path).title), open_item(item.path):
        pass
