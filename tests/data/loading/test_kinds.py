"""Batches of one kind: the order of steps of videos and of still pictures."""

import pytest

from mgm.data.loading.loader import BatchOrder


def steps(pictures, *, videos=10, batch=3, ranks=1, number=40):
    orders = [BatchOrder(videos, batch, 0, rank, ranks, pictures) for rank in range(ranks)]
    return [[key for order in orders for key in order.keys(step)] for step in range(number)]


@pytest.mark.parametrize("pictures", [1, 4, 5, 9, 10])
def test_every_step_has_one_kind_and_each_kind_its_share(pictures):
    kinds = [{index >= 10 - pictures for _, index in keys} for keys in steps(pictures)]
    assert all(len(kind) == 1 for kind in kinds)
    of_pictures = [kind == {True} for kind in kinds]
    assert sum(of_pictures) == 4 * pictures
    # Evenly spread: any ten successive steps have the share.
    assert all(sum(of_pictures[i : i + 10]) == pictures for i in range(31))


def test_each_kind_passes_over_all_its_items():
    """Every epoch of a kind has each of its items once, in an order of its own."""
    drawn = [key for keys in steps(4) for key in keys]
    for items in (range(6), range(6, 10)):
        mine = [key for key in drawn if key[1] in items]
        whole = len(mine) // len(items)
        for epoch in range(whole):
            part = mine[epoch * len(items) : (epoch + 1) * len(items)]
            assert sorted(index for _, index in part) == list(items)
            assert {number for number, _ in part} == {epoch}


def test_ranks_share_a_step():
    one, two = steps(4, batch=4), steps(4, batch=4, ranks=2)
    assert [sorted(keys) for keys in one] == [sorted(keys) for keys in two]


def test_without_pictures_the_order_is_that_of_one_list():
    assert steps(0) == [BatchOrder(10, 3, 0).keys(step) for step in range(40)]
    assert len({index for keys in steps(0, number=4) for _, index in keys[:10]}) >= 9
