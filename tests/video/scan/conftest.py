from pathlib import Path

import pytest


@pytest.fixture
def linked(tmp_path: Path) -> Path:
    """Folders reached through links alone, twice, through themselves and from outside."""
    root, outside = tmp_path / "set", tmp_path / "outside"
    for folder in (root / "b", outside / "inner"):
        folder.mkdir(parents=True)
    for file in (root / "b" / "1.mp4", outside / "2.mp4", outside / "inner" / "3.mp4"):
        file.touch()
    (root / "link").symlink_to(outside)
    (root / "again").symlink_to(root / "b")
    (root / "b" / "up").symlink_to(root)
    (outside / "back").symlink_to(root / "b")
    (root / "itself").symlink_to(root / "itself")
    (root / "dangling.mp4").symlink_to(root / "nowhere")
    return root


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Five files that are no videos."""
    (tmp_path / "videos").mkdir()
    found = [tmp_path / "videos" / f"{name}.mp4" for name in ("a", "b", "crash", "d", "é")]
    for file in found:
        file.write_text(file.name)
    return found
