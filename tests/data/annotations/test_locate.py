"""Listed videos are located by root, other suffixes and bare ids; advice suggests the root of missing ones."""

import json
from pathlib import Path

import pytest

from mgm.data.annotations import load_set, locate, resolve_set
from mgm.data.annotations.video_list import ListedVideos, VideoList
from mgm.errors import DataError
from mgm.files.path_column import PathColumn
from tests.data.annotations.files import touch, write
from tests.errors import raises


def paths(found):
    return [i.path for i in found.items]


@pytest.mark.parametrize("place", ["list.txt", "lists/list.txt", "a/b/c/list.txt"])
def test_names_start_from_the_list_or_a_folder_above(tmp_path, place):
    touch(tmp_path, "videos/a.mp4", "videos/b.mp4")
    found = load_set(write(tmp_path / place, "videos/a.mp4", "videos/b.mp4"))
    assert [Path(p).resolve() for p in paths(found)] == [tmp_path / "videos/a.mp4", tmp_path / "videos/b.mp4"]


def test_names_start_from_the_working_directory(tmp_path, monkeypatch):
    touch(tmp_path / "work", "videos/a.mp4")
    path = write(tmp_path / "x" / "y" / "z" / "v" / "list.txt", "videos/a.mp4")
    monkeypatch.chdir(tmp_path / "work")
    assert paths(load_set(path)) == ["videos/a.mp4"]


def test_a_list_given_by_a_relative_path(tmp_path, monkeypatch):
    touch(tmp_path, "videos/a.mp4", "sub/x")
    write(tmp_path / "list.txt", "videos/a.mp4")
    monkeypatch.chdir(tmp_path / "sub")
    assert paths(load_set("../list.txt")) == ["../videos/a.mp4"]
    monkeypatch.chdir(tmp_path)
    assert paths(load_set("list.txt")) == ["videos/a.mp4"]


def test_files_that_were_prepared_have_another_suffix(tmp_path):
    """`mgm prepare` keeps names and folders and writes .mp4."""
    touch(tmp_path / "prepared", "x/a b.mp4", "y/v1.0.mp4")
    path = write(tmp_path / "train.txt", "x/a b.avi 0", "y/v1.0.webm 1")
    found = resolve_set(f"train={path},root={tmp_path}/prepared")
    assert [Path(p).name for p in paths(found.videos)] == ["a b.mp4", "v1.0.mp4"]
    assert found.renamed[0] == ("x/a b.avi", f"{tmp_path}/prepared/x/a b.mp4")


def test_a_list_of_another_machine(tmp_path):
    """Absolute names: the number of leading folders to drop is the one with most hits, the same for all."""
    touch(tmp_path / "k", "train/hop/1.mp4", "train/run/1.mp4", "hop/1.mp4")
    path = write(tmp_path / "train.csv", "/home/alice/k400/train/hop/1.mp4 0", "/home/alice/k400/train/run/1.mp4 1")
    found = load_set(f"train={path},root={tmp_path}/k")
    assert paths(found) == [f"{tmp_path}/k/train/hop/1.mp4", f"{tmp_path}/k/train/run/1.mp4"]


def test_bare_file_names_only_if_all_are_distinct(tmp_path):
    """Flattened copies: x.mp4 for hop/x.mp4. With two x.mp4 in the list, a wrong video could be taken."""
    touch(tmp_path / "flat", "1.mp4", "2.mp4")
    unique = write(tmp_path / "train.txt", "hop/1.mp4 0", "run/2.mp4 1")
    assert len(load_set(f"train={unique},root={tmp_path}/flat").train) == 2
    shared = write(tmp_path / "train.txt", "hop/1.mp4 0", "run/1.mp4 1")
    with raises(DataError, "not_found", subject=shared, message="annotations-files-in-another-folder"):
        load_set(f"train={shared},root={tmp_path}/flat")


ODD_NAMES = [
    *("a.mp4", "./a.mp4", "x//a.mp4", "x/./a.mp4", "x/../a.mp4", "x/b.avi", "x/", "x", ".", "..", "", "x/.", "/a.mp4"),
    *(
        "x#/a.mp4",
        "x#1.mp4",
        "#",
        "://",
        "s3://b/a.mp4",
        "A::b",
        "ü/ä.mp4",
        "ü/latin\udce9.mp4",
        "nul\0/a.mp4",
        "c",
        "deep/er/c.mp4",
    ),
]


@pytest.mark.parametrize("dropped", [0, 1, 2])
@pytest.mark.parametrize("root", ["", "here", "."])
def test_a_list_finds_what_each_of_its_names_finds(tmp_path, monkeypatch, root, dropped):
    """A folder is looked up once for all names in it; links, urls, and names that are spelt in odd ways are not lost."""
    files = (
        "a.mp4",
        "x/a.mp4",
        "x/b.mp4",
        "x#/a.mp4",
        "x#1.mp4",
        "ü/ä.mp4",
        "ü/latin\udce9.mp4",
        "deep/er/c.mp4",
        "er/c.mp4",
    )
    touch(tmp_path, *files), touch(tmp_path / "here", *files[::-2])
    monkeypatch.chdir(tmp_path)
    names = [*ODD_NAMES, *(str(tmp_path / name) for name in files)] * 2
    listed = VideoList(tmp_path / "list", "", "", ListedVideos(PathColumn(names)), "none")
    locator, alone = locate.FileLocator(None), locate.FileLocator(None)
    monkeypatch.setattr(locate.FileLocator, "_choose_root", lambda *_: locate._Root(root, dropped))
    found = locator.locate(listed)
    expected = [alone.find(name, root, dropped) for name in names]
    assert list(found.paths) == [name if path is None else path for name, path in zip(names, expected, strict=True)]
    assert list(found.missing) == [name for name, path in zip(names, expected, strict=True) if path is None]
    assert (locator.renamed, locator.ambiguous) == (alone.renamed, alone.ambiguous)


def test_ids_are_found_anywhere_below_the_root(tmp_path):
    touch(tmp_path / "v", "deep/er/78687.webm", "other/78687.mp4", "42.mp4")
    path = write(tmp_path / "train.txt", "78687", "42")
    found = load_set(f"train={path},root={tmp_path}/v")
    assert [Path(i.path).name for i in found.train] == ["78687.webm", "42.mp4"]
    (note,) = found.notes
    assert note.startswith("1 names match several files, and the first is taken, such as ")
    assert "78687.webm" in note
    assert "78687.mp4" in note


def test_urls_are_not_checked(tmp_path):
    path = write(tmp_path / "train.txt", "https://example.org/a.mp4 0", "s3://bucket/b c.mp4 1")
    assert paths(load_set(path)) == ["https://example.org/a.mp4", "s3://bucket/b c.mp4"]


def test_advice_suggests_the_root_of_missing_files(tmp_path):
    touch(tmp_path, "data/set/videos/x/a.mp4", "data/set/videos/y/b.mp4")
    path = write(tmp_path / "data" / "set" / "labels" / "train.txt", "x/a.mp4 0", "y/b.mp4 1")
    for spec in (path, f"train={path},root={tmp_path}/data"):
        with raises(DataError, "not_found", subject=path) as caught:
            load_set(spec)
        assert f"root={tmp_path}/data/set/videos" in caught.value.advice
    with raises(DataError, "not_found", subject=f"root={tmp_path}/nowhere", message="annotations-no-such-root"):
        load_set(f"train={path},root={tmp_path}/nowhere")


def test_each_folder_is_listed_once(tmp_path, monkeypatch):
    names = [f"c{i % 10}/{i}.mp4" for i in range(1000)]
    touch(tmp_path / "v", *names)
    path = write(tmp_path / "train.txt", *(f"{name} {name[1]}" for name in names))
    listed = []
    listdir = locate.os.listdir
    monkeypatch.setattr(locate.os, "listdir", lambda folder: listed.append(folder) or listdir(folder))
    assert len(load_set(f"train={path},root={tmp_path}/v").train) == 1000
    assert len(listed) == len(set(listed)) <= 12


def test_the_folders_beside_a_list_are_not_searched_to_their_depth(tmp_path, monkeypatch):
    """Numbered names occur in /proc and on whole disks: only what is directly in a folder makes it a suggestion."""
    touch(tmp_path, "disk/1420.mp4", "disk/a/b/22.mp4")
    path = write(tmp_path / "lists" / "train.txt", "1420;Pushing something", "22;Lifting [x]")
    searched = []
    search = locate.find_videos
    monkeypatch.setattr(locate, "find_videos", lambda places: searched.extend(places) or search(places))
    with raises(DataError, "not_found", subject=path) as caught:
        load_set(path)
    assert f"root={tmp_path}/disk would contain 1 of 2" in caught.value.advice
    assert set(searched) == {str(path.parent)}


@pytest.mark.parametrize("name", ["a\0b.mp4", "x" * 5000 + ".mp4", "d/" * 3000 + "e.mp4", "a://" + "x" * 5000 + ".mp4"])
def test_names_that_no_file_can_have_are_missing(tmp_path, name):
    touch(tmp_path, "b.mp4", "c.mp4")
    path = write(tmp_path / "train.json", json.dumps([{"path": name}, {"path": "b.mp4"}, {"path": "c.mp4"}]))
    for spec in (path, f"train={path},root={tmp_path}"):
        assert [Path(p).name for p in paths(load_set(spec))][-2:] == ["b.mp4", "c.mp4"]


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "reference://x",
        "simplecache::http://example.org/a.mp4",
        "zip://a.mp4::x.zip",
        "github://a:b@c/d",
    ],
)
def test_urls_of_other_schemes_are_refused_before_anything_is_read(tmp_path, url):
    path = write(tmp_path / "train.txt", "https://example.org/a.mp4 0", f"{url} 1")
    with raises(DataError, "unsupported", subject=path):
        load_set(path)
