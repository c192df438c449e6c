"""`mgm.errors`: the line is composed in one place, and errors survive pickling."""

import ast
import copy
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
from torch._utils import ExceptionWrapper

import mgm
import mgm.errors
from mgm.errors import MgmError, VideoError
from mgm.video.motion.sidecar import DamagedSidecarError
from tests.errors import raises, read_messages


@pytest.mark.parametrize(
    ("parts", "line"),
    [
        (("a.mp4", "is empty", "a video", "remove it"), "a.mp4: is empty, expected a video; remove it"),
        (("a.mp4", "is empty"), "a.mp4: is empty"),
        (("", "found NaN", "finite numbers"), "found NaN, expected finite numbers"),
        (("a.mp4", "is empty", "", "remove it"), "a.mp4: is empty; remove it"),
    ],
)
def test_the_line_is_composed_of_the_parts(parts: tuple[str, ...], line: str) -> None:
    assert str(MgmError(*parts, reason="empty")) == line


@pytest.mark.parametrize("kind", [*MgmError.__subclasses__(), DamagedSidecarError])
def test_an_error_survives_pickling(kind: type[MgmError]) -> None:
    error = kind("a.mp4", "damaged at 0.40 s", "an intact stream", "repair it", reason="damaged", at=0.4)

    for same in (pickle.loads(pickle.dumps(error)), copy.deepcopy(error)):
        assert type(same) is kind
        assert vars(same) == vars(error)
        assert str(same) == str(error)


def test_an_error_can_be_about_another_subject() -> None:
    error = VideoError("picture 3", "has no pixels", reason="malformed", at=1.0).about("a.mp4")

    assert (str(error), error.reason, error.at) == ("a.mp4: has no pixels", "malformed", 1.0)
    more = error.advising("remove it").advising("nothing is lost")
    assert (str(more), more.at) == ("a.mp4: has no pixels; remove it; nothing is lost", 1.0)


@pytest.mark.parametrize(
    "read",
    [mgm.read_clip, mgm.load_set, mgm.load_config, mgm.load_encoder, mgm.scan_videos],
    ids=lambda read: read.__name__,
)
def test_a_path_in_a_home_folder_has_to_be_whole(read: Callable[[str], object], tmp_path: Path) -> None:
    with raises(MgmError, "not_found", subject="~/nothing.yaml") as caught:
        read("~/nothing.yaml")
    assert caught.value.line.endswith(f"; {mgm.errors.WHOLE_PATH}")


def test_messages_are_sorted_and_have_one_line_each() -> None:
    assert list(read_messages()) == sorted(read_messages())


def test_a_worker_of_a_data_loader_keeps_the_type() -> None:
    try:
        raise VideoError("a.mp4", "is empty", reason="empty")
    except VideoError:
        wrapper = ExceptionWrapper(where="in DataLoader worker process 0")

    with pytest.raises(VideoError) as caught:
        wrapper.reraise()
    assert "a.mp4: is empty" in str(caught.value)


SOURCE = Path(mgm.__file__).parent
KINDS = {name for name, kind in vars(mgm.errors).items() if isinstance(kind, type) and issubclass(kind, MgmError)}


def test_every_error_has_a_finding_and_a_reason() -> None:
    for file in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", None)) in KINDS:
                names = {keyword.arg for keyword in node.keywords}
                assert len(node.args) >= 2 or "found" in names, f"{file}: {ast.unparse(node)}"
                assert "reason" in names, f"{file}: {ast.unparse(node)}"


@pytest.mark.parametrize("package", ["video/container", "video/clip", "video/motion", "explore"])
def test_errors_of_one_video_do_not_speak_of_a_set(package: str) -> None:
    """A video is also given alone, or uploaded: what reads sets adds its advice."""
    for path in (Path(mgm.__file__).parent / package).rglob("*.py"):
        assert "from the set" not in path.read_text(encoding="utf-8"), path
