"""Profiles and the line that describes them."""

import pytest

from mgm.errors import Reason, VideoError
from mgm.video.container.metadata import read_profile
from mgm.video.transcode.profiles import describe_profile, make_profile
from tests.errors import raises


def test_other_comments_are_no_profile():
    assert describe_profile(make_profile("strided", stride=8)) == (
        "mgm profile=strided stride=8 gop=32 crf=23 short_side=256 preset=medium version=1"
    )
    for metadata in (
        {},
        {"comment": ""},
        {"comment": "mgm"},
        {"comment": "profile=strided"},
        {"title": "mgm profile=x"},
    ):
        assert read_profile(metadata) is None


@pytest.mark.parametrize(
    ("name", "settings", "reason", "message"),
    [
        ("fast", {}, "unknown_name", "transcode-unknown-profile"),
        ("motion", {"stride": 4}, "invalid_value", "transcode-stride-of-another-profile"),
        ("strided", {"stride": 3}, "invalid_value", None),
        ("strided", {"gop": 30}, "invalid_value", "transcode-gop-and-stride"),
        ("strided", {"gop": 4}, "invalid_value", None),
        ("motion", {"gop": 1}, "invalid_value", None),
        ("compat", {"crf": 0}, "invalid_value", None),
        ("compat", {"short_side": 255}, "invalid_value", None),
    ],
)
def test_settings_that_a_profile_cannot_have(name: str, settings: dict[str, int], reason: Reason, message: str | None):
    with raises(VideoError, reason, message=message):
        make_profile(name, **settings)
