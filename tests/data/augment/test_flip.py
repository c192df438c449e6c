import pytest

from mgm.data.augment.flip import directed_classes
from mgm.data.synthetic.labelled import MOTIONS


@pytest.mark.parametrize(
    "name",
    ["Pulling [something] from left to right", "turning_cw", "SwipeLeft", "turn-right", "LEFT", "Turning counterclockwise",
     "RightHook"],
)  # fmt: skip
def test_names_that_distinguish_left_from_right(name):
    assert directed_classes([name]) == (name,)


@pytest.mark.parametrize(
    "name", ["Archery", "brightness", "CleftChin", "ApplyEyeMakeup", "cleaning copyright signs", "lefty", "growing", ""]
)
def test_names_without_a_direction(name):
    assert directed_classes([name]) == ()


def test_the_synthetic_set_is_directed():
    assert directed_classes(MOTIONS.classes) == ("right", "left", "turning_cw", "turning_ccw")
