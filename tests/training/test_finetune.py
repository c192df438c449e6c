import pytest
import torch

from mgm.data.annotations import VideoSet
from mgm.errors import DataError
from mgm.models import Encoder, ModelSpec
from mgm.training import finetune, load_classifier, load_encoder, pretrain


@pytest.fixture
def tune(videos, memory, tmp_path):
    def go(encoder, config, out="tuned", *, videos=videos):
        return finetune(encoder, videos, config, out=tmp_path / out, source=memory, show_progress=False)

    return go


def test_the_loss_falls(tune, small):
    settings = ("finetune.steps=40", "finetune.batch=16", "finetune.warmup=4", "finetune.crop=centre")
    losses = tune(None, small(*settings, "finetune.base_lr=0.05")).history.losses
    assert losses[0] == pytest.approx(torch.tensor(8.0).log().item(), abs=0.01)  # eight classes, equally likely
    assert sum(losses[-5:]) / 5 < 0.8 * losses[0]


def test_it_starts_from_the_encoder_and_leaves_it_unchanged(tune, small):
    config = small("finetune.base_lr=1e-30", "finetune.weight_decay=0")  # too small to move anything
    torch.manual_seed(9)
    encoder = Encoder(config.model_spec())
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    outcome = tune(encoder, config)
    after = encoder.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert encoder.spec.encoder_norm
    assert encoder.training
    tuned = outcome.model.encoder.state_dict()
    assert set(before) - set(tuned) == {"norm.weight", "norm.bias"}
    for name, value in tuned.items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=1e-20)
    moved = tune(encoder, small(), "moved").model.encoder.state_dict()
    assert not all(torch.equal(before[name], moved[name]) for name in moved)


def test_a_folder_and_its_encoder_make_the_same_run(tune, small, videos, memory, tmp_path):
    config = small("finetune.drop_path=0.3")
    pretrain(videos, config, out=tmp_path / "pretrained", source=memory, show_progress=False)
    first = tune(tmp_path / "pretrained", config, "first")
    second = tune(load_encoder(tmp_path / "pretrained"), config, "second")
    assert first.history.losses == second.history.losses
    scratch = tune(None, config, "scratch")
    assert scratch.history.losses[-1] != first.history.losses[-1]
    # A fine-tuned run can be fine-tuned again, though it has no final norm any more.
    tune(tmp_path / "first", config, "again")


def test_the_classifier_is_saved_with_its_classes(tune, small, videos):
    outcome = tune(None, small())
    model, classes = load_classifier(outcome.out)
    assert classes == videos.classes
    video = torch.zeros(1, 3, 4, 32, 32, dtype=torch.uint8)
    assert torch.equal(model(video), outcome.model(video))


def test_layer_decay_slows_the_first_blocks(tune, small):
    config = small("finetune.layer_decay=0.01", "finetune.steps=2", "finetune.warmup=0", "finetune.weight_decay=0")
    encoder = Encoder(config.model_spec())
    tuned = tune(encoder, config).model.encoder
    moved = [
        (after.attn.proj.weight - before.attn.proj.weight).abs().max()
        for before, after in zip(encoder.blocks, tuned.blocks, strict=True)
    ]
    assert moved[0] < 0.1 * moved[1]


def test_what_cannot_be_fine_tuned(tune, small, videos):
    unlabelled = VideoSet("folder", videos.train, (), (), "no class folders, so no labels")
    with pytest.raises(DataError, match="folder: has no labels, expected class folders or annotations"):
        tune(None, small(), videos=unlabelled)
    with pytest.raises(DataError, match=r"patch 16 instead of 8, frames 8 instead of 4"):
        tune(Encoder(ModelSpec("debug", patch=16, frames=8, resolution=32, position="sincos-3d")), small())
