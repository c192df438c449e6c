from mgm.evaluation import low_shot
from mgm.evaluation.low_shot import low_shot_curve
from mgm.models.logistic import logistic_regression
from tests.evaluation.banks import bank


def curve(train, test, **options):
    return low_shot_curve(train, test, classes=4, **{"shots": (1, 5, 20), "draws": 4, "seed": 0, **options})


def test_more_labels_are_more_accurate():
    train, _ = bank(videos=80, views=1, classes=4, signal=1.5, seed=0)
    test, _ = bank(videos=200, views=2, classes=4, signal=1.5, seed=1)
    found = curve(train, test)
    assert [point.shots for point in found] == [1, 5, 20]
    assert [len(point.top1) for point in found] == [4, 4, 4]
    assert found[0].mean < found[1].mean < found[2].mean
    assert found[0].deviation > 0
    assert found == curve(train, test)


def test_a_draw_has_so_many_labels_of_each_class(monkeypatch):
    train, _ = bank(videos=40, views=2, classes=4, signal=2, seed=0)
    seen = []

    def recorded(features, labels, classes, decay):
        seen.append((labels.bincount().tolist(), features.sum().item()))
        return logistic_regression(features, labels, classes, decay)

    monkeypatch.setattr(low_shot, "logistic_regression", recorded)
    curve(train, train, shots=(2, 5), draws=3)
    assert [counts for counts, _ in seen] == [[4] * 4] * 3 + [[10] * 4] * 3  # two views of each video
    assert len({total for _, total in seen}) == 6  # each draw has videos of its own


def test_points_that_some_class_lacks_are_left_out():
    train, _ = bank(videos=16, views=1, classes=4, signal=1, seed=0)
    assert [point.shots for point in curve(train, train, shots=(1, 2, 5, 10))] == [1, 2]
    assert curve(train, train, shots=()) == ()
