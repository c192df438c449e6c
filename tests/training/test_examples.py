"""Pictures of the same clips at chosen steps."""

import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mgm.errors import ConfigError
from mgm.training.finetune import finetune
from tests.errors import raises
from tests.training.helpers import same_weights


def test_pictures_at_chosen_steps_change_nothing(run, small):
    plain = run(small(), "plain")
    drawn = run(small("log.pictures=[1,4,100]"), "drawn")
    assert drawn.history.losses == plain.history.losses
    assert same_weights(drawn.model, plain.model)
    files = sorted((drawn.out / "pictures").iterdir())
    assert [file.name for file in files] == ["step-00000001.png", "step-00000004.png"]
    first, second = (Image.open(file) for file in files)
    assert first.size == second.size
    assert first.tobytes() != second.tobytes()  # the model learned
    top = (0, 0, first.width, 100)
    assert first.crop(top).tobytes() == second.crop(top).tobytes()  # the clips are the same
    events = EventAccumulator(str(drawn.out / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Images("5-examples")] == [1, 4]


@pytest.mark.parametrize("settings", [("model.target=hog",), ("data.motion=null", "mask.name=tube")])
def test_runs_with_and_without_pixels(run, small, settings):
    out = run(small("log.pictures=[2]", "pretrain.steps=2", *settings)).out
    assert (out / "pictures").exists() == (settings[0] != "model.target=hog")


def test_a_classifier_has_none(small, videos, memory, tmp_path):
    config = small("log.pictures=[1]", "finetune.steps=1")
    finetune(None, videos, config, out=tmp_path / "run", source=memory, show_progress=False)
    assert not (tmp_path / "run" / "pictures").exists()


@pytest.mark.parametrize("value", ["5", "[0]", "[true]", "[a]"])
def test_wrong_steps(small, value):
    with raises(ConfigError, "invalid_value"):
        small(f"log.pictures={value}")
