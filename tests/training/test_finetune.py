import warnings

import pytest
import torch

from mgm.data.annotations import VideoItem, VideoSet
from mgm.data.augment.randaugment import RandAugment
from mgm.data.clips.source import FileSource
from mgm.errors import DataError, ModelError
from mgm.models import Encoder, ModelSpec
from mgm.training import load_classifier, load_encoder
from mgm.training.finetune import augmentation, finetune, resolve_flip, set_up_finetuning
from mgm.training.pretrain import pretrain
from mgm.training.recipe import override
from tests.errors import raises
from tests.training.helpers import raising

AUGMENTED = ("finetune.crop=random_resized", "finetune.randaugment=rand-m7-n4-mstd0.5-inc1", "finetune.erasing=0.5",
             "finetune.mixup=0.8", "finetune.cutmix=1", "finetune.label_smoothing=0.1", "finetune.sampling=sparse")  # fmt: skip


@pytest.fixture
def tune(videos, memory, tmp_path):
    def go(encoder, config, out="tuned", *, videos=videos):
        return finetune(encoder, videos, config, out=tmp_path / out, source=memory, show_progress=False)

    return go


def test_mixing_one_video_warns(videos, small, memory, tmp_path):
    mixed = small("finetune.mixup=0.8", "finetune.micro_batch=1", "finetune.steps=1")
    with pytest.warns(UserWarning, match="mixup and CutMix"):
        finetune(None, videos, mixed, out=tmp_path / "one", source=memory, show_progress=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        two = override(mixed, ["finetune.micro_batch=2"])
        finetune(None, videos, two, out=tmp_path / "two", source=memory, show_progress=False)


def test_a_class_that_only_test_videos_have_warns(videos, small, memory, tmp_path):
    """The user may want it: the run goes on."""
    without = tuple(item for item in videos.train if item.label)
    fewer = VideoSet("fewer", without, videos.test, videos.classes, "none")
    with pytest.warns(UserWarning, match=f"class {videos.classes[0]} has test videos and none for training"):
        set_up_finetuning(None, fewer, small(), tmp_path / "run", memory, show_progress=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        untested = VideoSet("fewer", without, (), videos.classes, "none")
        set_up_finetuning(None, untested, small(), tmp_path / "run", memory, show_progress=False)


@pytest.mark.parametrize("optimiser", [("finetune.base_lr=0.05",), ("finetune.optimiser=sgd", "finetune.base_lr=3")])
def test_the_loss_falls(tune, small, optimiser):
    settings = ("finetune.steps=40", "finetune.batch=16", "finetune.warmup=4", "finetune.crop=centre")
    losses = tune(None, small(*settings, *optimiser)).history.losses
    assert losses[0] == pytest.approx(torch.tensor(8.0).log().item(), abs=0.01)  # eight classes, equally likely
    assert sum(losses[-5:]) / 5 < 0.8 * losses[0]


def test_balanced_classes_count_alike_in_the_loss(small, videos, memory, tmp_path):
    """Two thirds of the clips are of class 0: each counts .75, that of the other class 1.5."""
    few = [item for item in videos.train if item.label == 0][:2], [item for item in videos.train if item.label == 1][:1]
    uneven = VideoSet("uneven", tuple(few[0] + few[1]), (), videos.classes, "none")
    config = small("finetune.class_weights=balanced", "finetune.label_smoothing=0", "finetune.batch=3")
    run, method = set_up_finetuning(None, uneven, config, tmp_path / "run", memory, show_progress=False)
    assert method.class_weights.tolist() == pytest.approx([0.75, 1.5, 0, 0, 0, 0, 0, 0])
    batch = next(iter(run.batches(0)))
    logits = method.module.eval()(batch.video).log_softmax(-1)
    each = -logits[torch.arange(3), batch.label] * method.class_weights[batch.label]
    assert method.step(method.module, batch).loss.item() == pytest.approx(each.mean().item(), rel=1e-5)


def test_its_repeats_are_its_own(tune, small):
    once = tune(None, small(), "once").history.losses
    assert tune(None, small("data.repeats=3", "finetune.repeats=1"), "own").history.losses == once
    assert tune(None, small("finetune.repeats=3"), "thrice").history.losses != once


def test_it_starts_from_the_encoder_and_leaves_it_unchanged(tune, small):
    config = small("finetune.base_lr=1e-30", "finetune.weight_decay=0")  # too small to move anything
    torch.manual_seed(9)
    encoder = Encoder(config.model_spec())
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    trained = tune(encoder, config)
    after = encoder.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert encoder.spec.encoder_norm
    assert encoder.training
    tuned = trained.model.encoder.state_dict()
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
    trained = tune(None, small())
    model, classes = load_classifier(trained.out)
    assert classes == videos.classes
    video = torch.zeros(1, 3, 4, 32, 32, dtype=torch.uint8)
    assert torch.equal(model(video), trained.model(video))


def test_attentive_pooling_is_saved_with_the_run(tune, small):
    result = tune(None, small("finetune.pooling=attentive", "finetune.steps=1"))
    model, _ = load_classifier(result.out)
    assert model.pooling == "attentive"
    for key, value in result.model.state_dict().items():
        assert torch.equal(model.state_dict()[key], value), key


def test_layer_decay_slows_the_first_blocks(tune, small):
    config = small("finetune.layer_decay=0.01", "finetune.steps=2", "finetune.warmup=0", "finetune.weight_decay=0")
    encoder = Encoder(config.model_spec())
    tuned = tune(encoder, config).model.encoder
    moved = [
        (after.attn.proj.weight - before.attn.proj.weight).abs().max()
        for before, after in zip(encoder.blocks, tuned.blocks, strict=True)
    ]
    assert moved[0] < 0.1 * moved[1]


def test_sets_and_encoders_that_cannot_be_fine_tuned(tune, small, videos):
    unlabelled = VideoSet("folder", videos.train, (), (), "no class folders, so no labels")
    with raises(DataError, "missing_value", subject="folder"):
        tune(None, small(), videos=unlabelled)
    with raises(ModelError, "mismatch", message="finetune-encoder-mismatch"):
        tune(Encoder(ModelSpec("debug", patch=16, frames=8, resolution=32, position="sincos-3d")), small())


def test_augmented_runs_are_the_same_in_any_number_of_processes_and_after_resuming(small, videos, tmp_path):
    def run(out, *settings, resume=False, source=None):
        config = small(*AUGMENTED, "data.memory=false", *settings)
        go = {"out": tmp_path / out, "resume": resume, "source": source, "show_progress": False}
        return finetune(None, videos, config, **go).history.losses

    alone = run("alone", "finetune.checkpoint_every=2")
    assert run("helped", "data.workers=2", "finetune.checkpoint_every=2") == alone
    stopped = raising(FileSource(), KeyboardInterrupt, at=14)
    with pytest.raises(KeyboardInterrupt):
        run("stopped", "finetune.checkpoint_every=2", source=stopped)
    assert run("stopped", "finetune.checkpoint_every=2", resume=True) == alone
    plain = run("plain", "finetune.mixup=0", "finetune.cutmix=0", "finetune.checkpoint_every=2")
    assert plain[-1] != alone[-1]


def test_the_loss_falls_with_everything_on(tune, small):
    settings = ("finetune.steps=60", "finetune.batch=16", "finetune.warmup=4", "finetune.base_lr=0.05")
    losses = tune(None, small(*AUGMENTED, *settings)).history.losses
    assert sum(losses[-10:]) / 10 < 0.985 * losses[0]  # even the right answer costs the entropy of the soft targets


def test_the_augmentation_of_a_recipe(small):
    whole = augmentation(small(*AUGMENTED).finetune, classes=8, seed=3)
    assert whole.randaugment == RandAugment()
    assert whole.erasing.probability == 0.5
    assert (whole.mixing.mixup, whole.mixing.cutmix, whole.smoothing, whole.classes, whole.seed) == (0.8, 1, 0.1, 8, 3)
    nothing = augmentation(small().finetune, classes=8, seed=3)
    assert (nothing.randaugment, nothing.erasing, nothing.mixing) == (None, None, None)
    assert augmentation(small(*AUGMENTED, "finetune.mixup_prob=0").finetune, classes=8, seed=3).mixing is None


def test_clips_are_mirrored_unless_labels_distinguish_directions(videos):
    items = (VideoItem("a.mp4", 0),)
    safe = VideoSet("safe", items, (), ("Archery", "Diving"), "")
    assert resolve_flip("auto", safe)
    assert resolve_flip(True, safe)
    assert not resolve_flip(False, safe)
    assert not resolve_flip("auto", videos)  # right, left, turning_cw, ...
    assert not resolve_flip(False, videos)
    with pytest.warns(UserWarning, match=r"4 of 8 classes .*'left'"):
        assert resolve_flip(True, videos)


def test_the_summary_of_a_run(small, videos, memory, tmp_path, capsys):
    config = small(*AUGMENTED, "finetune.flip=auto", "finetune.steps=1", "finetune.warmup=0")
    finetune(None, videos, config, out=tmp_path / "run", source=memory)
    shown = capsys.readouterr().out
    assert "16 videos of 8 classes, clips of 4 frames spread over the video at 32 px" in shown
    assert (
        "random_resized crop, not mirrored, rand-m7-n4-mstd0.5-inc1, erasing 0.5, mixup 0.8, cutmix 1, label" in shown
    )
