"""What of a set can be judged."""

import pytest

from mgm.data.items import VideoItem, VideoSet
from mgm.data.judging import unprobeable, untestable, untrainable
from tests.errors import check_message


def labelled(train: str, test: str, classes: int = 3) -> VideoSet:
    """A set whose items have the labels of the digits; "-" has none."""

    def items(labels: str, split: str) -> tuple[VideoItem, ...]:
        return tuple(VideoItem(f"{split}{i}.mp4", None if x == "-" else int(x)) for i, x in enumerate(labels))

    return VideoSet(
        "set", items(train, "a"), items(test, "b"), ("hop", "run", "sit")[:classes], "folders train/ and test/"
    )


@pytest.mark.parametrize(
    ("train", "test", "classes", "reasons", "key"),
    [
        ("0011", "01", 3, (None, None, None), None),
        ("0011", "02", 3, (None, None, "mismatch"), "class-without-training"),
        ("01", "2", 3, (None, None, "mismatch"), "no-class-in-both"),
        ("", "01", 3, ("missing_value", None, "missing_value"), "no-training-videos"),
        ("0000", "01", 3, ("missing_value", None, "missing_value"), "one-class"),
        ("0101", "", 3, (None, "missing_value", "missing_value"), "no-test-videos"),
        ("01", "0-", 3, (None, "missing_value", "missing_value"), "unlabelled-test-video"),
        ("0-1", "01", 3, ("missing_value", None, "missing_value"), "unlabelled-training-video"),
        ("--", "", 0, ("missing_value",) * 3, "no-labels"),
    ],
)
def test_what_can_be_trained_tested_and_probed(train, test, classes, reasons, key):
    found = [check(labelled(train, test, classes)) for check in (untrainable, untestable, unprobeable)]
    assert tuple(error and error.reason for error in found) == reasons
    if key is not None:
        assert found[2] is not None
        assert found[2].subject == "set"
        check_message(f"judging-{key}", found[2])
