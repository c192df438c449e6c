"""Names of results, one for each source."""

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from mgm.video.transcode.manifest import target_names

NAMES = st.builds(
    "".join, st.lists(st.sampled_from(["a", "b/", "a.mp4/", ".mp4", ".avi"]), min_size=0, max_size=3)
).map(lambda folder: folder + "v")


@given(st.sets(st.tuples(NAMES, st.sampled_from([".mp4", ".avi", ".avi.mp4", ".webm"])).map("".join), max_size=8))
@settings(max_examples=200, deadline=None)
def test_no_two_sources_share_a_target(names: set[str]):
    sources = sorted(map(Path, names))
    targets = target_names(sources)
    assert len(set(targets)) == len(sources)
    assert dict(zip(sources[::-1], target_names(sources[::-1]), strict=True)) == dict(
        zip(sources, targets, strict=True)
    )
    for source, target in zip(sources, targets, strict=True):
        assert target in (source.with_suffix(".mp4"), source.with_name(source.name + ".mp4"))
        siblings = [other for other in sources if other.with_suffix(".mp4") == source.with_suffix(".mp4")]
        if len(siblings) > 1:
            assert target == source.with_name(source.name + ".mp4")


def test_chains_of_names():
    given_names = ["a.avi", "a.mp4", "a.avi.mp4", "d.mp4/v.avi", "d.avi"]
    expected = ["a.avi.mp4", "a.mp4.mp4", "a.avi.mp4.mp4", "d.mp4/v.mp4", "d.avi.mp4"]
    assert [str(p) for p in target_names(map(Path, given_names))] == expected
