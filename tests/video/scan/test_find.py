"""Videos below folders."""

import os
from pathlib import Path

import pytest

from mgm.errors import VideoError
from mgm.files.system_names import is_system_name
from mgm.video.scan.find import find_videos, search_videos
from tests.errors import check_message, raises


def test_links_to_folders_are_followed_once(linked: Path):
    found = find_videos([linked])
    assert [str(p.relative_to(linked)) for p in found] == [
        "b/1.mp4",  # not again/1.mp4, link/back/1.mp4, b/up/b/1.mp4
        "dangling.mp4",
        "link/2.mp4",
        "link/inner/3.mp4",
    ]
    assert find_videos([linked / "again"])[0] == linked / "again" / "1.mp4"


def test_videos_behind_links_are_sorted_with_the_others(tmp_path: Path):
    """By the parts of their paths, in which "a/" comes before "a b" and "a.mp4"."""
    for folder in ("set/a", "set/c d", "far/z", "far/a/0", "near"):
        (tmp_path / folder).mkdir(parents=True)
        for name in ("1.mp4", "b.mp4", "a b.mp4"):
            (tmp_path / folder / name).touch()
    (tmp_path / "set" / "a.mp4").touch()
    (tmp_path / "set" / "a b").symlink_to(tmp_path / "far")
    (tmp_path / "set" / "c").symlink_to(tmp_path / "near")
    found = find_videos([tmp_path / "set"])
    assert len(found) == 16
    assert list(found) == sorted(found, key=lambda path: path.parts)
    several = find_videos([tmp_path / "set" / "c", tmp_path / "set", tmp_path / "far"])
    assert list(several[:3]) == [tmp_path / "set" / "c" / name for name in ("1.mp4", "a b.mp4", "b.mp4")]
    assert len(several) == len(set(several)) == 16 + 6


def test_a_path_that_may_not_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(path: Path, **options: object) -> os.stat_result:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "stat", refuse)
    with raises(VideoError, "unreadable", subject=tmp_path / "a.mp4"):
        find_videos([tmp_path / "a.mp4"])


SYSTEMS = [
    "__MACOSX/run/._1.mp4",
    "__MACOSX/1.mp4",
    ".ipynb_checkpoints/1-checkpoint.mp4",
    "run/.ipynb_checkpoints/1-checkpoint.mp4",
    "run/._1.mp4",
    "run/@eaDir/1.mp4/SYNOVIDEO_VIDEO_SCREENSHOT.mp4",
    ".Trashes/501/1.mp4",
    ".git/1.mp4",
    "$RECYCLE.BIN/S-1-5/$R1.mp4",
    "System Volume Information/1.mp4",
    "lost+found/1.mp4",
    "run/Thumbs.db",
    "run/desktop.ini",
    ".DS_Store",
]


def test_what_systems_leave_in_folders_is_passed_over(tmp_path: Path):
    for name in ("run/1.mp4", *SYSTEMS):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = search_videos([tmp_path])
    assert found.videos == (tmp_path / "run" / "1.mp4",)
    assert found.others == {}
    given = tmp_path / "run" / "._1.mp4"
    assert find_videos([given, tmp_path / ".git"]) == [given, tmp_path / ".git" / "1.mp4"]  # the user gave the name


@pytest.mark.parametrize("name", ["trash", "_a.mp4", "-x", "Thumbs", "class.1", "@home", "$5"])
def test_names_that_users_give(name: str):
    assert not is_system_name(name)


def test_files_of_other_kinds_are_counted_once(tmp_path: Path):
    for name in ("a.mp4", "a.mp4.mgmv", "b.TXT", "c/d.txt", "c/e.json", "c/README"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "again").symlink_to(tmp_path / "c")
    found = search_videos([tmp_path, tmp_path / "c"])
    assert found.others == {".txt": 2, ".json": 1, "": 1}
    assert found.closed_note == ""
    check_message("find-other-kinds", found.kinds_note)
    with raises(VideoError, "not_found", message="find-only-other-kinds"):
        find_videos([tmp_path / "c"])


def test_suffixes_of_videos(tmp_path: Path):
    kinds = "3g2 m2v f4v divx dv gif 265 mxf ivf y4m m2t qt ogg mod mpe m1v mp4v hevc MP4 Mov"
    files = [tmp_path / f"a.{kind}" for kind in kinds.split(" ")]
    for file in files:
        file.touch()
    assert find_videos([tmp_path]) == sorted(files)
