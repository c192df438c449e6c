"""The lists of classes: their number, order and form, and facts of published numberings."""

import pytest

from mgm.models.networks.class_names import list_class_names


@pytest.mark.parametrize(("name", "count"), [("kinetics400", 400), ("ssv2", 174)])
def test_every_class_once_in_alphabetical_order(name, count):
    names = list_class_names(name)
    assert len(set(names)) == count
    assert list(names) == sorted(names)
    assert all(one == one.strip() and one for one in names)


@pytest.mark.parametrize(
    ("name", "number", "expected"),
    [  # numbers that other projects document
        ("kinetics400", 0, "abseiling"),
        ("kinetics400", 5, "archery"),
        ("kinetics400", 19, "bench pressing"),
        ("kinetics400", 255, "pull ups"),
        ("kinetics400", 399, "zumba"),
        ("ssv2", 0, "Approaching something with your camera"),
        ("ssv2", 67, "Pretending to open something without actually opening it"),
        ("ssv2", 140, "Spinning something that quickly stops spinning"),
        ("ssv2", 173, "Wiping something off of something"),
    ],
)
def test_numbers_of_other_projects(name, number, expected):
    assert list_class_names(name)[number] == expected
