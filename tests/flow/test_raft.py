"""RAFT-small against a loop over its definition, and against figures that torchvision's network computed."""

import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from mgm.errors import ModelError
from mgm.flow.raft import Correlation, Raft, RaftEstimator, load_raft
from mgm.video.motion.estimators import pairwise_field
from tests.errors import raises

UPDATE = {
    "encoder.convc1": "motion_encoder.convcorr1.0",
    "encoder.convf1": "motion_encoder.convflow1.0",
    "encoder.convf2": "motion_encoder.convflow2.0",
    "encoder.conv": "motion_encoder.conv.0",
    "gru.convz": "recurrent_block.convgru1.convz",
    "gru.convr": "recurrent_block.convgru1.convr",
    "gru.convq": "recurrent_block.convgru1.convq",
    "flow_head.conv1": "flow_head.conv1",
    "flow_head.conv2": "flow_head.conv2",
}
"""Layers of the update block: the authors' names, torchvision's."""


def torchvision_name(key):
    """An authors' name of a layer in torchvision's spelling."""
    first, _, rest = key.partition(".")
    layer, _, kind = rest.rpartition(".")
    if first == "update_block":
        return f"update_block.{UPDATE[layer]}.{kind}"
    encoder = {"fnet": "feature_encoder", "cnet": "context_encoder"}[first]
    if layer in ("conv1", "conv2"):
        return f"{encoder}.{ {'conv1': 'convnormrelu.0', 'conv2': 'conv'}[layer] }.{kind}"
    block, _, inner = layer.rpartition(".conv")
    return f"{encoder}.{block}.convnormrelu{inner}.0.{kind}" if block else f"{encoder}.{layer}.{kind}"


def numbered_state():
    """Weights of fixed random numbers, drawn in the order of torchvision's names."""
    rng = np.random.default_rng(0)
    shapes = {torchvision_name(key): value.shape for key, value in Raft().state_dict().items()}
    return {
        name: torch.from_numpy(rng.standard_normal(shapes[name])).float() / max(1, np.prod(shapes[name][1:])) ** 0.5
        for name in sorted(shapes)
    }


def blocks(rng, count, side):
    """uint8 (count, 3, side, side), random colours in soft blobs of eight pixels."""
    coarse = torch.from_numpy(rng.integers(0, 256, (count, 3, side // 8 + 1, side // 8 + 1))).float()
    return torch.nn.functional.interpolate(coarse, size=(side, side), mode="bilinear").to(torch.uint8)


def translated(rng, count, *, reach=8, side=64):
    """Pairs of pictures and the displacement (count, 2, 1, 1) of their whole content."""
    texture = blocks(rng, count, side + 2 * reach)
    motion = rng.integers(-reach, reach + 1, (count, 2))
    before = texture[:, :, reach : reach + side, reach : reach + side]
    after = torch.stack(
        [
            t[:, reach - dy : reach - dy + side, reach - dx : reach - dx + side]
            for t, (dx, dy) in zip(texture, motion, strict=True)
        ]
    )
    return before, after, torch.from_numpy(motion).float()[:, :, None, None]


def end_point_error(flow, motion):
    """The error relative to the motion: 1 for zero flow."""
    return ((flow - motion).norm(dim=1).mean() / motion.norm(dim=1).mean()).item()


def pictures(height=72, width=88, *, seed=1):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (2, height, width, 3), dtype=np.uint8)


@pytest.fixture
def weights(tmp_path):
    """A file of random weights with the authors' names."""
    torch.manual_seed(5)
    path = tmp_path / "raft-small.pth"
    torch.save(Raft().state_dict(), path)
    return path


def test_raft_has_the_parameters_of_the_release():
    model = Raft()
    assert sum(p.numel() for p in model.parameters()) == 990_162
    names = model.state_dict().keys()
    assert len(names) == 106
    assert {
        "fnet.conv1.weight",
        "fnet.layer2.0.downsample.0.bias",
        "cnet.layer3.1.conv3.weight",
        "update_block.encoder.convf2.bias",
        "update_block.gru.convq.weight",
        "update_block.flow_head.conv2.weight",
    } <= names


def looked_up(first, second, places):
    """The definition, written as loops: (B, 196, h, w)."""
    batch, depth, height, width = first.shape
    result = np.zeros((batch, 196, height, width))
    for b in range(batch):
        for y in range(height):
            for x in range(width):
                table = np.einsum("d,dij->ij", first[b, :, y, x], second[b]) / np.sqrt(depth)
                channel = 0
                for level in range(4):
                    rows, columns = table.shape
                    for dx in range(-3, 4):
                        for dy in range(-3, 4):
                            u, v = places[b, :, y, x] / 2**level + (dx, dy)
                            for i in (int(np.floor(v)), int(np.floor(v)) + 1):
                                for j in (int(np.floor(u)), int(np.floor(u)) + 1):
                                    if 0 <= i < rows and 0 <= j < columns:
                                        share = (1 - abs(v - i)) * (1 - abs(u - j))
                                        result[b, channel, y, x] += share * table[i, j]
                            channel += 1
                    table = table[: rows // 2 * 2, : columns // 2 * 2]
                    table = table.reshape(rows // 2, 2, columns // 2, 2).mean((1, 3))
    return result


@pytest.mark.parametrize(("height", "width"), [(8, 8), (9, 11)])
def test_the_look_up_follows_the_definition(height, width):
    """At 8 x 8 the coarsest level is a single cell; odd sides lose their last row at each halving."""
    rng = np.random.default_rng(0)
    first, second = rng.standard_normal((2, 2, 5, height, width))
    places = rng.uniform(-4, 14, (2, 2, height, width))
    places[0, :, :2] = np.round(places[0, :, :2])
    found = Correlation(torch.from_numpy(first), torch.from_numpy(second))(torch.from_numpy(places))
    np.testing.assert_allclose(found.numpy(), looked_up(first, second, places), atol=1e-10)


def test_torchvision_computes_the_same(tmp_path):
    """Computed once by torchvision 0.29.2 (raft_small, its own normalisation) of the same weights and pictures."""
    path = tmp_path / "raft_small_C_T_V2.pth"
    torch.save(numbered_state(), path)
    pair = blocks(np.random.default_rng(1), 2, 136)
    with torch.inference_mode():
        flow = load_raft(path)(pair[:1], pair[1:], iterations=4)
    assert flow.shape == (1, 2, 136, 136)
    expected = [
        [[54.0322, 54.6119, 53.8939], [71.2254, 70.3373, 55.5578], [62.4462, 60.7184, 51.1278]],
        [[5.0951, 9.4181, 9.4930], [12.7920, 32.3278, 40.1650], [32.2994, 33.7998, 40.2708]],
    ]
    np.testing.assert_allclose(flow[0, :, 8:120:40, 16:120:40], expected, rtol=0, atol=1e-3)


def test_without_a_flow_head_nothing_moves(weights):
    source = RaftEstimator(weights)
    torch.nn.init.zeros_(source.network.update_block.flow_head["conv2"].weight)
    torch.nn.init.zeros_(source.network.update_block.flow_head["conv2"].bias)
    assert not source.between(*pictures()).any()


def test_a_flow_head_that_always_adds_one_cell_moves_eight_pixels_a_time(weights):
    model = load_raft(weights)
    with torch.no_grad():
        model.update_block.flow_head["conv2"].weight.zero_()
        model.update_block.flow_head["conv2"].bias.copy_(torch.tensor([1.0, -0.5]))
        first, second = torch.from_numpy(pictures(61, 90)).permute(0, 3, 1, 2).split(1)
        every = model.predictions(first, second, iterations=3)
    assert len(every) == 3
    for number, flow in enumerate(every, start=1):
        expected = torch.tensor([8.0, -4.0])[None, :, None, None].expand(1, 2, 61, 90) * number
        torch.testing.assert_close(flow, expected, rtol=1e-5, atol=0)


@pytest.mark.parametrize("size", [(1, 1), (17, 90), (64, 64), (65, 72), (70, 101)])
def test_the_flow_has_the_size_of_the_pictures(weights, size):
    flow = RaftEstimator(weights, iterations=2).between(*pictures(*size))
    assert flow.shape == (*size, 2)
    assert flow.dtype == np.float32
    assert np.isfinite(flow).all()


def test_padding_repeats_the_border(weights):
    """Internal padding equals padding by hand."""
    source = RaftEstimator(weights, iterations=3)
    before, after = pictures(69, 82)
    by_hand = [np.pad(picture, ((1, 2), (3, 3), (0, 0)), mode="edge") for picture in (before, after)]
    np.testing.assert_array_equal(source.between(before, after), source.between(*by_hand)[1:-2, 3:-3])


def test_between_places_motion_at_the_later_picture(weights):
    source = RaftEstimator(weights, iterations=3)
    before, after = pictures()
    with torch.inference_mode():
        first, second = torch.from_numpy(np.stack([after, before])).permute(0, 3, 1, 2).split(1)
        back = load_raft(weights)(first, second, iterations=3)[0].permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(source.between(before, after), -back)
    assert np.abs(back).max() > 0.1


def test_equal_pictures_give_equal_results(weights):
    before, after = pictures()
    before.flags.writeable = False
    once = RaftEstimator(weights).between(before, after)
    again = pickle.loads(pickle.dumps(RaftEstimator(weights))).between(before, np.asfortranarray(after))
    np.testing.assert_array_equal(once, again)


def test_a_pair_does_not_depend_on_its_neighbours_in_the_batch(weights):
    model = load_raft(weights)
    first, second = (torch.from_numpy(pictures(64, 72, seed=s)).permute(0, 3, 1, 2) for s in (1, 2))
    with torch.inference_mode():
        together = model(first, second, iterations=2)
        alone = torch.cat([model(a, b, iterations=2) for a, b in zip(first.split(1), second.split(1), strict=True)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
@pytest.mark.parametrize(
    "rename", [str, "module.{}".format, torchvision_name], ids=["authors", "parallel", "torchvision"]
)
def test_every_spelling_of_the_weights_is_read(weights, tmp_path, rename, name):
    state = torch.load(weights, weights_only=True)
    path = tmp_path / name
    (save_file if path.suffix == ".safetensors" else torch.save)({rename(k): v for k, v in state.items()}, path)
    read = load_raft(path)
    assert not read.training
    assert read.state_dict().keys() == state.keys()
    for key, value in read.state_dict().items():
        assert torch.equal(value, state[key]), key


def test_weights_of_half_precision_are_widened(weights, tmp_path):
    path = tmp_path / "half.pth"
    torch.save({k: v.half() for k, v in torch.load(weights, weights_only=True).items()}, path)
    assert {p.dtype for p in load_raft(path).parameters()} == {torch.float32}


class Code:
    """Unpickling it would create a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_a_file_that_needs_code_is_refused(tmp_path):
    made, path = tmp_path / "made", tmp_path / "evil.pth"
    torch.save({"fnet.conv1.weight": Code(made)}, path)
    made.unlink(missing_ok=True)
    with raises(ModelError, "unsupported", subject=path, message="motion-raft-code"):
        load_raft(path)
    assert not made.exists()


def test_weights_that_do_not_fit_are_errors(weights, tmp_path):
    state, path = torch.load(weights, weights_only=True), tmp_path / "odd.pth"

    def refused(content, reason, message=None):
        torch.save(content, path)
        with raises(ModelError, reason, subject=path, message=message) as caught:
            load_raft(path)
        assert "\n" not in str(caught.value)

    without = {k: v for k, v in state.items() if k != "cnet.conv2.bias"}
    refused(without, "mismatch", "motion-raft-missing-key")
    refused({**state, "mask.0.weight": torch.zeros(1)}, "mismatch")
    large = {**state, "fnet.conv1.weight": torch.zeros(64, 3, 7, 7)}
    refused(large, "mismatch", "motion-raft-wrong-shape")
    refused({"model": state}, "malformed", "motion-raft-not-tensors")
    refused([1, 2], "malformed")
    for damaged in (path, tmp_path / "odd.safetensors"):
        damaged.write_bytes(b"no weights")
        with raises(ModelError, "malformed", subject=damaged):
            load_raft(damaged)
    with raises(ModelError, "not_found", message="motion-raft-no-file"):
        load_raft(tmp_path / "none.pth")


def test_wrong_arguments_and_pictures_are_errors(weights):
    before, after = pictures()
    with raises(ModelError, "invalid_value", subject="iterations"):
        RaftEstimator(weights, iterations=0)
    with raises(ModelError, "unsupported", subject="device"):
        RaftEstimator(weights, device="abacus")
    source = RaftEstimator(weights, iterations=1)
    for wrong in (after[:, :-1], after[..., :1], after.astype(np.float32), after[..., 0]):
        with raises(ModelError, "invalid_shape", subject="raft"):
            source.between(before, wrong)
    with raises(ModelError, "invalid_shape", subject="raft"):
        source.network(torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 9))


def test_random_weights_are_fixed_and_keep_the_random_state(weights):
    before = torch.random.get_rng_state()
    one, two = RaftEstimator(None, iterations=1), RaftEstimator(None, iterations=1)
    load_raft(weights)
    assert torch.equal(torch.random.get_rng_state(), before)
    np.testing.assert_array_equal(one.between(*pictures()), two.between(*pictures()))
    assert one == two != RaftEstimator(weights, iterations=1)


def test_raft_is_a_motion_estimator(weights):
    source = RaftEstimator(weights, iterations=1)
    shown = dict(enumerate(pictures(64, 80)))
    field = pairwise_field(source, shown, np.array([0, 1]), 1, (8, 10))
    expected = source.between(shown[0], shown[1]).reshape(8, 8, 10, 8, 2).mean((1, 3))
    np.testing.assert_allclose(field.vectors[1], expected, rtol=1e-4, atol=1e-5)
    assert field.valid.all(axis=(1, 2)).tolist() == [False, True]
    assert (source.name, source.pixel_format, source.shrink, source.in_pixels) == ("raft", "rgb24", 1, True)


@pytest.mark.slow
def test_raft_learns_to_estimate_motion(tmp_path):
    """Trained from random weights on textures moved by up to 8 px, it estimates the motion of new textures."""
    torch.manual_seed(2)
    model = Raft()
    torch.nn.init.zeros_(model.cnet.conv2.weight)  # large random context features would hide the correlations
    torch.nn.init.zeros_(model.cnet.conv2.bias)
    optimiser = torch.optim.AdamW(model.parameters(), lr=4e-4, weight_decay=1e-5)
    warm_up = torch.optim.lr_scheduler.LinearLR(optimiser, 1 / 15, total_iters=14)
    rng, error = np.random.default_rng(2), 1.0
    for _ in range(300):
        before, after, motion = translated(rng, 8)
        every = model.predictions(before, after, iterations=3)
        loss = torch.stack([0.8**i * (flow - motion).abs().mean() for i, flow in enumerate(reversed(every))]).sum()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        warm_up.step()
        error = 0.9 * error + 0.1 * end_point_error(every[-1].detach(), motion)
        if error < 0.4:
            break
    path = tmp_path / "trained.pth"
    torch.save(model.state_dict(), path)
    source = RaftEstimator(path, iterations=3)
    before, after, motion = translated(np.random.default_rng(100), 16)
    pairs = zip(before.permute(0, 2, 3, 1).numpy(), after.permute(0, 2, 3, 1).numpy(), strict=True)
    found = np.stack([source.between(one, two) for one, two in pairs])
    assert end_point_error(torch.from_numpy(found).permute(0, 3, 1, 2), motion) < 0.55
