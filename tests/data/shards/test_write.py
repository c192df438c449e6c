"""Sets are packed into tar shards that WebDataset can read."""

import os
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
import webdataset

from mgm.data.annotations import VideoItem, VideoSet, load_set
from mgm.data.clips.source import FileSource
from mgm.data.shards.members import parse_member
from mgm.data.shards.write import pack_set
from mgm.errors import DataError, FileError
from mgm.files.lock import locked
from mgm.video.container.metadata import read_video_info
from tests.data.shards.reading import assert_same, names_in, read
from tests.errors import raises


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


def test_a_long_name_in_another_script_is_read(tiny_set, tmp_path):
    root = tmp_path / "flat"
    root.mkdir()
    path = root / f"{'動画' * 12}.mp4"  # 76 bytes, and more than the 255 of a file's name where each is written as %XX
    shutil.copy(load_set(tiny_set).train[0].path, path)
    pack_set(VideoSet(str(root), (VideoItem(str(path)),), (), (), ""), tmp_path / "packed")
    (item,) = load_set(tmp_path / "packed").train
    assert FileSource().info(item.path) == read_video_info(path)


def test_files_of_any_name_are_read(tiny_set, tmp_path):
    """A name that is not text, and suffixes that are those of other members, or too long for a header of tar."""
    root, source = tmp_path / "flat", Path(load_set(tiny_set).train[0].path)
    root.mkdir()
    names = [os.fsdecode(b"\xff\xfe.mp4"), "a\nb.mp4", "c.json", "d.cls", "e.mgmv", f"f.{'x' * 150}", "g"]
    for name in names:
        shutil.copy(source, root / name)
    items = tuple(VideoItem(str(root / name), 0) for name in names)
    report = pack_set(VideoSet(str(root), items, (), ("x",), ""), tmp_path / "packed")
    assert report.failed == {}
    members = [parse_member(item.path) for item in load_set(tmp_path / "packed").train]
    assert [member.name for member in members] == names
    for member in members:
        offset, size = member.video
        assert Path(member.tar).read_bytes()[offset : offset + size] == source.read_bytes()
    assert len(set(names_in(report.shards[0]))) == 3 * len(names)


def test_files_that_no_index_can_name_are_left_out(files, tmp_path):
    late = tmp_path / "late.mp4"
    shutil.copy(files.train[0].path, late)
    os.utime(late, (10**10, 10**10))
    if late.stat().st_mtime != 10**10:
        pytest.skip("this file system has no such time")
    impossible = [str(tmp_path / "a\0b.mp4"), str(tmp_path / "\ud800.mp4")]
    items = [VideoItem(path, 0) for path in (*impossible, str(late))]
    report = pack_set(replace(files, train=(*files.train, *items)), tmp_path / "packed")
    assert list(report.failed) == [item.path for item in items]
    assert len(load_set(tmp_path / "packed").items) == len(files.items)


@pytest.mark.parametrize("content", ["[]", "null", '{"bytes": 0}', '{"bytes": 0, "failed": 3}', "[" * 100_000])
def test_a_file_in_the_place_of_an_index_is_replaced(files, tmp_path, content):
    (tmp_path / "shard-000000.index.json").write_text(content)
    (tmp_path / "shard-000000.tar").touch()
    assert pack_set(files, tmp_path).skipped == 0
    assert len(load_set(tmp_path).items) == len(files.items)


def test_one_run_at_a_time_packs_into_a_folder(files, tmp_path):
    """Else the shards of one and the index of the other would be found together."""
    with locked(tmp_path), raises(FileError, "locked", subject=tmp_path):
        pack_set(files, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # WebDataset does not close its files
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
    assert labels != sorted(labels)  # shuffled, for streaming


def test_interrupted_packing_is_resumed(files, tmp_path, monkeypatch):
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
    assert not list(out.glob(".*"))  # no unfinished file
    before = {name: (out / name).stat().st_mtime_ns for name in whole}
    report = pack_set(files, out, shard_size=1)
    assert report.skipped == len(whole)
    assert {name: (out / name).stat().st_mtime_ns for name in whole} == before
    assert_same(read(load_set(out)), read(files))
    (out / whole[0]).write_bytes(b"cut")
    assert pack_set(files, out, shard_size=1).skipped == len(report.shards) - 1
    with raises(DataError, "exists", subject=out / "shard-000000.tar", message="shards-of-another-set"):
        pack_set(replace(files, train=files.train[1:]), out, shard_size=1)


def test_bad_files_are_left_out_and_reported(files, tmp_path):
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


@pytest.mark.parametrize("change", ["shrinks", "grows", "goes", "becomes a pipe"])
def test_a_file_that_changes_while_it_is_packed_is_one_bad_video(files, tmp_path, monkeypatch, change):
    for number, item in enumerate(files.train[:4]):
        shutil.copy(item.path, tmp_path / f"{number}.mp4")
    videos, out = load_set(tmp_path), tmp_path / "shards"
    victim = Path(videos.train[2].path)
    whole = victim.read_bytes()

    def probed(path):
        info = read_video_info(path)
        if Path(path) == victim and change in ("goes", "becomes a pipe"):
            victim.unlink()
            if change != "goes":
                os.mkfifo(victim)  # that nothing is ever written to
        elif Path(path) == victim:
            victim.write_bytes(whole[: len(whole) // 2] if change == "shrinks" else whole + b"more")
        return info

    with monkeypatch.context() as patch:
        patch.setattr("mgm.data.shards.shard_file.read_video_info", probed)
        report = pack_set(videos, out)
    assert list(report.failed) == [str(victim)]
    assert report.failed[str(victim)].startswith(f"{victim}: ")
    with tarfile.open(report.shards[0]) as tar:
        stems = {Path(name).stem for name in tar.getnames()}
    assert len(stems) == report.videos == 3  # no member of the bad video is left
    assert read(load_set(out), workers=0)
    victim.unlink(missing_ok=True)
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
