"""A step on a GPU: every tensor is where it must be, and the GPU is never waited for. No GPU is needed; see `StandIn`."""

from pathlib import Path

import pytest
import torch
from torch.distributed.utils import _to_kwargs

from mgm.data.augment.batch import Augmentation
from mgm.data.augment.erasing import RandomErasing
from mgm.data.augment.mixing import Mixing
from mgm.data.augment.randaugment import OPERATIONS, RandAugment
from mgm.errors import ModelError
from mgm.models import TARGETS, Classifier, Encoder
from mgm.models.decoder import DECODERS
from mgm.models.patches import MEAN, STD, TokenSplit
from tests.errors import raises
from tests.models.clips import random_video
from tests.models.combinations import BACKBONES, FIXED_MASKS, build, draw, random_motion, spec_of
from tests.models.standin import GPU, StandIn


@pytest.fixture
def gpu():
    with StandIn() as standin:
        yield standin


def there(x):
    """The tensor on the stand-in."""
    return x.to("cuda")


@pytest.mark.parametrize(
    ("ask", "what"),
    [
        (lambda x: x.sum().item(), "_local_scalar_dense"),
        (lambda x: bool(x[0] > 0), "_local_scalar_dense"),
        (lambda x: x.tolist(), "tolist"),
        (lambda x: x[x > 0], "index by a mask"),
        (lambda x: x.nonzero(), "nonzero"),
        (lambda x: torch.bincount(x.long()), "bincount"),
        (lambda x: torch.equal(x, x), "equal"),
        (lambda x: x[torch.tensor([0])], "index by indices on the CPU"),
        (lambda x: x.cpu(), "copy to the CPU"),
        (lambda x: torch.zeros(3).to(x.device, non_blocking=True), "copy to the GPU"),
        (lambda x: torch.zeros(3).pin_memory().to(x.device), "copy to the GPU"),
        (lambda x: torch.tensor([1.0], device=x.device), "tensor copied to the GPU"),
        (lambda x: x.new_tensor([1.0]), "new_tensor copied to the GPU"),
        (lambda x: x.copy_(torch.zeros(3)), "copy_ between devices"),
    ],
)
def test_the_stand_in_records_waits(gpu, ask, what):
    x = torch.ones(3, device="cuda")
    ask(x)
    assert [wait.partition(" at ")[0] for wait in gpu.waits] == [what]


def test_the_stand_in_allows_operations_without_a_wait(gpu):
    x = torch.ones(3, device="cuda", requires_grad=True)
    y = torch.zeros(3).pin_memory().to(x.device, non_blocking=True) + torch.arange(3, device=x.device)
    (x * y[torch.zeros(3, dtype=torch.long, device=GPU)] * 2 + torch.tensor(1.0)).sum().backward()
    assert y.device == x.grad.device == torch.empty_like(x).device == x.view(1, 3).device == GPU
    assert y.is_cuda
    assert torch.zeros(3).device.type == "cpu"
    with pytest.raises(RuntimeError, match="found at least two devices"):
        x + torch.zeros(3)
    with pytest.raises(TypeError, match="cuda"):
        y.numpy()
    assert gpu.waits == []


def train(gpu, model, *inputs, steps=2, **options):
    """Forward, backward, clipping and optimiser; records the waits of the last step. A teacher moves in the first step."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    for _ in range(steps):
        gpu.waits.clear()
        loss = model(*inputs, **options).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        assert loss.device == GPU
        assert {p.grad.device for p in model.parameters()} == {GPU}
        optimiser.step()
        optimiser.zero_grad()
    return loss


def check_no_waits(gpu, spec, target):
    """The loss on the stand-in is that of the CPU, and its second step waits for nothing."""
    motion = random_motion(build(spec, target))
    if motion is None:
        motion = torch.zeros(2, 4, 4, 4, 2)
    masks = (draw("mgm", spec)[1], draw("running-cell", spec)[1])
    expected = build(spec, target)(random_video(spec), *masks, motion=motion).loss
    loss = train(gpu, there(build(spec, target)), there(random_video(spec)), *masks, motion=there(motion), steps=1)
    torch.testing.assert_close(loss.detach().cpu(), expected.detach(), rtol=1e-5, atol=0)
    train(gpu, there(build(spec, target)), there(random_video(spec)), *masks, motion=there(motion))
    assert gpu.waits == []


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_waits_for_nothing(gpu, target):
    check_no_waits(gpu, spec_of("vit", "joint", "self"), target)


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize(("backbone", "attention"), BACKBONES)
def test_every_backbone_waits_for_nothing(gpu, backbone, attention, decoder):
    check_no_waits(gpu, spec_of(backbone, attention, decoder), "normalised-pixels")


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize(("backbone", "attention"), BACKBONES)
def test_every_combination_waits_for_nothing(gpu, backbone, attention, decoder, target):
    check_no_waits(gpu, spec_of(backbone, attention, decoder), target)


@pytest.mark.parametrize(
    "name", [n if n in ("mgm", "tube") else pytest.param(n, marks=pytest.mark.slow) for n in FIXED_MASKS]
)
def test_every_mask_waits_for_nothing(gpu, name):
    for backbone, attention in BACKBONES:
        spec = spec_of(backbone, attention, "self")
        equal_steps, mask = draw(name, spec)
        if equal_steps or not spec.divided:
            train(gpu, there(build(spec)), there(random_video(spec)), mask)
            assert gpu.waits == []


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize(("backbone", "attention"), BACKBONES)
def test_mixed_precision_and_checkpointing_wait_for_nothing(gpu, backbone, attention, checkpointing):
    spec = spec_of(backbone, attention, "self")
    model = there(build(spec, {"normalised-pixels": 1.0, "hog": 0.5}, checkpointing=checkpointing))
    model.encoder.set_drop_path(0.2)
    with torch.autocast("cpu", torch.bfloat16):
        train(gpu, model, there(random_video(spec)), draw("mgm", spec)[1])
    assert gpu.waits == []


def test_floating_point_is_looked_through_once(gpu):
    """The check for NaN reads the sum of a clip; clips of uint8 are not checked."""
    spec = spec_of("vit", "joint", "self")
    train(gpu, there(build(spec, "pixels")), there(torch.randn(2, *spec.video_shape)), draw("tube", spec)[1])
    assert len(gpu.waits) == 1
    assert "models/patches.py" in gpu.waits[0]


def test_a_mask_on_the_gpu_is_waited_for(gpu):
    spec = spec_of("vit", "joint", "self")
    train(gpu, there(build(spec)), there(random_video(spec)), there(draw("tube", spec)[1]))
    assert [wait.partition(" ")[0] for wait in gpu.waits] == ["tolist"]


def test_a_split_stays_where_data_parallel_would_move_masks(gpu):
    """`_to_kwargs` of DistributedDataParallel moves masks to the GPU; indices of `split` are already there."""
    spec = spec_of("vit", "joint", "self")
    model, video, (_, mask), (_, decode) = (
        there(build(spec)),
        there(random_video(spec)),
        draw("mgm", spec),
        draw("running-cell", spec),
    )
    gpu.waits.clear()

    def forward(*inputs):
        moved, _ = _to_kwargs(inputs, None, GPU, False)
        return model(*moved[0]).loss

    split = model.split(mask, decode, device=video.device)
    assert {split.visible.device, split.hidden.device, split.valid.device} == {GPU}
    loss = forward(video, split)
    assert gpu.waits == []
    other = forward(video, mask, decode)
    assert len(gpu.waits) > 2
    assert loss.tolist() == other.tolist()


def test_a_split_equals_its_masks():
    spec = spec_of("vit", "joint", "self")
    model, video, (_, mask), (_, decode) = (
        build(spec),
        random_video(spec),
        draw("mgm", spec),
        draw("running-cell", spec),
    )
    for masks in ((mask,), (mask, decode)):
        ahead, direct = model(video, model.split(*masks), predict=True), model(video, *masks, predict=True)
        assert torch.equal(ahead.loss, direct.loss)
        assert torch.equal(ahead.tokens, direct.tokens)
    assert torch.equal(model.reconstruct(video, model.split(mask)), model.reconstruct(video, mask))
    with raises(ModelError, "mismatch", subject="mask"):
        model(video[:1], model.split(mask))
    with raises(ModelError, "conflict", subject="decode"):
        model(video, model.split(mask), decode)
    assert isinstance(model.split(mask), TokenSplit)


def test_encoder_and_classifier_wait_for_nothing(gpu):
    spec = spec_of("timesformer", "divided", "self")
    video, (_, mask) = there(random_video(spec)), draw("tube", spec)
    encoder = there(Encoder(spec))
    gpu.waits.clear()
    assert encoder(video, mask).device == GPU
    assert gpu.waits == []
    assert encoder.attention(video, query=5).device == GPU
    classifier = there(Classifier(Encoder(spec), 5, dropout=0.5, drop_path=0.2))
    gpu.waits.clear()
    target = torch.full((2, 5), 0.2, device=GPU)
    torch.nn.functional.cross_entropy(classifier(video), target).backward()
    assert gpu.waits == []


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_of_randaugment_waits_for_nothing(gpu, operation):
    clip = random_video(spec_of("vit", "joint", "self"))[0]
    steps = ((operation, OPERATIONS[operation].value(0.5, 1)),)
    here, moved = RandAugment().apply(clip, steps), RandAugment().apply(there(clip), steps)
    assert moved.device == GPU
    assert [wait for wait in gpu.waits if not wait.endswith("the test")] == []
    assert torch.equal(here, moved.cpu())


def test_mixing_and_erasing_wait_for_nothing(gpu):
    clips, keys, label = (
        there(random_video(spec_of("vit", "joint", "self"))),
        torch.zeros(2, 3),
        there(torch.tensor([0, 1])),
    )
    gpu.waits.clear()
    for mixing in (Mixing(cutmix=0), Mixing(mixup=0)):
        erasing = RandomErasing(MEAN, STD, 1.0)
        video, target = Augmentation(5, 0.1, 0, RandAugment(), erasing, mixing)(clips, label, keys.long())
        assert video.device == target.device == GPU
        assert not torch.equal(video, clips)
        gpu.waits.pop()  # of the line before
        assert gpu.waits == []


def test_the_example_of_the_page_waits_for_nothing(gpu):
    page = (Path(__file__).parents[2] / "docs" / "gpu.md").read_text(encoding="utf-8")
    names = {}
    code = page.partition("```python\n")[2].partition("```")[0]
    code = code.replace("resolution=32))", "resolution=32)).cuda()").replace(
        "dtype=torch.uint8)", "dtype=torch.uint8).cuda()"
    )
    exec(compile(code, "docs/gpu.md", "exec"), names)
    assert names["loss"].device == GPU
    assert [wait for wait in gpu.waits if not wait.endswith("at the test")] == []
