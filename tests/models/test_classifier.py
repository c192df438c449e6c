import pytest
import torch

from mgm.errors import ModelError
from mgm.models import Classifier, Encoder, MaskedAutoencoder, ModelSpec
from tests.errors import raises
from tests.models.clips import SMALL, random_video

PARAMETERS = {"S": 22_033_936, "B": 86_534_800, "L": 304_270_736, "H": 632_119_440}


@pytest.mark.parametrize("size", PARAMETERS)
def test_parameters_are_those_of_the_reference(size):
    with torch.device("meta"):
        model = Classifier(Encoder(ModelSpec(size)), 400)
    assert sum(p.numel() for p in model.parameters()) == PARAMETERS[size]


def test_logits_are_the_head_of_the_normalised_mean():
    torch.manual_seed(0)
    model = Classifier(Encoder(SMALL), 5, head_scale=1).eval()
    video = random_video()
    pooled = torch.nn.functional.layer_norm(model.encoder(video, block=-1).mean(1), (32,), eps=1e-6)
    torch.testing.assert_close(model(video), model.head(pooled))


def test_attentive_pooling_finds_the_token_that_the_mean_dilutes():
    torch.manual_seed(0)
    model = Classifier(Encoder(SMALL), 5, head_scale=1, pooling="attentive").eval()
    model.pooler.key.weight.data = torch.eye(32)
    model.pooler.query.data = 30 * torch.eye(32)[0]
    tokens = torch.randn(3, 200, 32)
    tokens[:, 7, 0] = 5  # what the query asks for, in one of 200
    tokens.requires_grad_()
    model.pooler(tokens).square().sum().backward()
    share = tokens.grad.norm(dim=2)
    assert (share[:, 7] > 20 * share.mean(1)).all()
    video = random_video()
    pooled = model.pooler(torch.nn.functional.layer_norm(model.encoder(video, block=-1), (32,)))
    torch.testing.assert_close(model(video), model.head(torch.nn.functional.layer_norm(pooled, (32,), eps=1e-6)))
    with raises(ModelError, "unknown_name", subject="pooling"):
        Classifier(Encoder(SMALL), 5, pooling="max")


def test_a_pretrained_encoder_loses_its_norm():
    encoder = MaskedAutoencoder(SMALL).encoder
    model = Classifier(encoder, 5)
    assert not [key for key in model.state_dict() if key.startswith("encoder.norm")]
    rebuilt = Classifier(Encoder(ModelSpec.from_dict(encoder.spec.to_dict())), 5)
    rebuilt.load_state_dict(model.state_dict())


def test_the_head_starts_small():
    head = Classifier(Encoder(SMALL), 5).head
    assert 0 < head.weight.abs().max() < 1e-3
    assert head.bias.count_nonzero() == 0


def test_dropout_and_drop_path_act_in_training_only():
    torch.manual_seed(0)
    model = Classifier(Encoder(SMALL), 5, dropout=0.5, drop_path=0.5)
    video = random_video()
    assert not torch.equal(model(video), model(video))
    model.eval()
    assert torch.equal(model(video), model(video))


@pytest.mark.parametrize(
    "options",
    [
        {"classes": 0},
        {"dropout": 1.0},
        {"drop_path": -1.0},
        {"block": 2},
    ],
)
def test_options_out_of_range(options):
    with raises(ModelError, "invalid_value", subject=next(iter(options))):
        Classifier(Encoder(SMALL), **{"classes": 5, **options})


def test_the_head_can_look_at_an_earlier_block():
    torch.manual_seed(0)
    model = Classifier(Encoder(SMALL), 5, block=0, head_scale=1)
    video = random_video()
    expected = model.head(model.fc_norm(model.encoder(video, block=0).mean(1)))
    assert torch.equal(model(video), expected)
    model(video).sum().backward()
    assert all(p.grad is None for p in model.encoder.blocks[1].parameters())


def test_checkpointed_activations_give_the_same_gradients():
    def gradients(checkpointing):
        torch.manual_seed(0)
        model = Classifier(Encoder(SMALL), 5, drop_path=0.5, head_scale=1, checkpointing=checkpointing)
        torch.manual_seed(1)
        model(random_video()).square().sum().backward()
        return [p.grad for p in model.parameters()]

    assert all(map(torch.equal, gradients(False), gradients(True)))
