"""Video Swin: its windows against their definition, its weights under the authors' names, torchvision as a peer."""

import pytest
import torch

from mgm.errors import ModelError
from mgm.models.networks.swin import SwinBackbone, SwinBlock, SwinSpec, shift_mask
from mgm.models.networks.video_swin import ENTRIES, VideoSwin, take_backbone
from mgm.models.networks.weights import load_renamed
from tests.errors import raises
from tests.peers import ask

# Windows that do and do not divide the maps, maps smaller than a window, an odd map that merging pads.
SMALL = SwinSpec(dim=8, depths=(2, 2), heads=(2, 4), window=(4, 3, 3))
PRETRAINED, FORMAT, _ = ENTRIES[0].formats


def network(spec=SMALL, classes=5):
    torch.manual_seed(0)
    return VideoSwin(spec, classes=classes).eval()


def authors(state):
    """Weights under mmaction2's names, with the index that its files hold."""
    named = {
        key.replace("head.", "cls_head.fc_cls.") if key.startswith("head.") else key: v for key, v in state.items()
    }
    tables = [key for key in state if key.endswith("relative_position_bias_table")]
    index = {key.replace("bias_table", "index"): torch.zeros(9, 9, dtype=torch.int64) for key in tables}
    return named | index


def test_backbone_of_bevt_has_the_published_size():
    with torch.device("meta"):
        backbone = SwinBackbone(SwinSpec())
    assert sum(p.numel() for p in backbone.parameters()) == 87_638_984


def test_a_block_mixes_the_tokens_of_its_shifted_window_only():
    """The gradient of an output token reaches exactly those that share its window before the shift is undone."""
    block = SwinBlock(4, 1, (2, 3, 3), shifted=True).eval()
    x = torch.randn(1, 4, 6, 9, 4, requires_grad=True)
    place = (1, 2, 5)
    block(x)[0, *place].sum().backward()
    # Cut at 1, 3 along time and at 1, 4, 7 across: half a window further than the unshifted ones.
    sides = [(1, 3), (1, 4), (4, 7)]
    expected = torch.zeros(4, 6, 9, dtype=torch.bool)
    expected[tuple(slice(*side) for side in sides)] = True
    assert torch.equal(x.grad[0].abs().sum(-1) > 1e-12, expected)


def test_tokens_that_the_shift_wraps_round_are_masked():
    """Along one axis of 6 cells, windows of 3, shifted by 1: the last window holds cells 4, 5 and, wrapped round, 0."""
    mask = shift_mask((1, 1, 6), (1, 1, 3), (0, 0, 1), torch.device("cpu"))
    assert torch.equal(mask[0], torch.zeros(3, 3))
    together = torch.tensor([[1, 1, 0], [1, 1, 0], [0, 0, 1]], dtype=torch.bool)
    assert torch.equal(mask[1] == 0, together)


def test_weights_of_the_authors_names_load():
    source, target = network(), VideoSwin(SMALL, classes=5).eval()
    load_renamed(target, authors(source.state_dict()), FORMAT.rename)
    video = torch.randint(0, 256, (1, 3, 8, 32, 32), dtype=torch.uint8)
    torch.testing.assert_close(target(video), source(video), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda s: s.pop("backbone.layers.1.blocks.0.attn.qkv.bias"), "mismatch"),
        (lambda s: s.update({"backbone.layers.1.blocks.9.norm1.bias": torch.zeros(16)}), "mismatch"),
        (lambda s: s.update({"backbone.layers.1.blocks.0.attn.qkv.bias": torch.zeros(3)}), "invalid_shape"),
        (
            lambda s: s.update({"backbone.layers.0.blocks.0.attn.relative_position_bias_table": torch.zeros(9, 2)}),
            "invalid_shape",
        ),
    ],
    ids=["missing", "extra", "misshapen", "other window"],
)
def test_a_wrong_key_is_named(change, reason):
    state = authors(network().state_dict())
    before = dict(state)
    change(state)
    changed = {*before} ^ {*state} or {key for key in state if state[key] is not before[key]}
    with raises(ModelError, reason) as caught:
        load_renamed(VideoSwin(SMALL, classes=5), state, FORMAT.rename)
    assert next(iter(changed)) in str(caught.value)


def test_bias_tables_of_shorter_windows_are_interpolated_in_time():
    """A table that is linear in the time offset stays so between its ends; in space nothing changes."""
    source = network()
    table = torch.arange(7.0)[:, None, None].expand(7, 5, 5) + torch.rand(5, 5)
    key = "backbone.layers.0.blocks.0.attn.relative_position_bias_table"
    state = source.state_dict() | {key: table.reshape(-1, 1).repeat(1, 2)}
    longer = VideoSwin(SwinSpec(dim=8, depths=(2, 2), heads=(2, 4), window=(8, 3, 3)), classes=5)
    load_renamed(longer, authors(state), FORMAT.rename)
    found = longer.state_dict()[key].view(15, 5, 5, 2)
    torch.testing.assert_close(found[7] - found[7].mean(), (table[3] - table[3].mean())[..., None].expand(-1, -1, 2))
    middle = found.mean((1, 2, 3))[2:-2].diff()
    torch.testing.assert_close(middle, torch.full_like(middle, 7 / 15))


def test_weights_of_a_pretraining_keep_the_head():
    """BEVT's file has a decoder, an embedding of pictures and a classifier of codes beside the backbone."""
    source, target = network(), VideoSwin(SMALL, classes=5)
    state = {key: value for key, value in authors(source.state_dict()).items() if not key.startswith("cls_head.")}
    more = (
        "mask_token",
        "patch_embed_2d.proj.weight",
        "lm_down.weight",
        "lm_down_st.0.bias",
        "fpn.0.weight",
        "fpn_t.0.bias",
    )
    extra = {f"backbone.{name}": torch.zeros(1) for name in more} | {"cls_head.lm_head.weight": torch.zeros(8, 16)}
    head = target.head.weight.clone()
    load_renamed(target, state | extra, PRETRAINED.rename, fresh=PRETRAINED.fresh)
    assert torch.equal(target.head.weight, head)
    video = torch.randn(1, 3, 8, 32, 32)
    assert torch.equal(target.eval().features(video), source.features(video))
    with raises(ModelError, "mismatch") as caught:
        load_renamed(target, state | {"backbone.other": torch.zeros(1)}, PRETRAINED.rename, fresh=PRETRAINED.fresh)
    assert "backbone.other" in str(caught.value)


def test_a_pretrained_backbone_becomes_a_classifier():
    pretrained = SwinBackbone(SMALL)
    made = VideoSwin(SMALL, classes=3)
    take_backbone(made, pretrained)
    assert all(torch.equal(value, made.backbone.state_dict()[key]) for key, value in pretrained.state_dict().items())
    with raises(ModelError, "mismatch"):
        take_backbone(VideoSwin(SwinSpec(dim=8, depths=(2, 1), heads=(2, 4), window=(4, 3, 3)), classes=3), pretrained)


@pytest.mark.peers
@pytest.mark.parametrize(
    ("spec", "clip"),
    [
        (SMALL, (8, 32, 32)),
        (SMALL, (6, 40, 28)),
        (SwinSpec(dim=8, depths=(1, 2, 1, 2), heads=(1, 2, 4, 8)), (32, 128, 96)),
    ],
)
def test_agrees_with_torchvision(spec, clip):
    ours = network(spec)
    video = torch.randn(2, 3, *clip)
    with torch.no_grad():
        expected = ours.classify(ours.features(video))
    state = {key.removeprefix("backbone."): value for key, value in ours.state_dict().items()}
    theirs = ask(
        "torchvision_swin",
        state=state,
        video=video,
        patch=spec.patch,
        dim=spec.dim,
        depths=spec.depths,
        heads=spec.heads,
        window=spec.window,
        classes=5,
    )
    assert theirs["parameters"] == sum(p.numel() for p in ours.parameters())
    torch.testing.assert_close(theirs["logits"], expected, rtol=0, atol=1e-5)
