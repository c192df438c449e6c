"""Models to export, and comparisons of their outputs."""

import torch

from mgm.models import Classifier, Encoder, MaskedAutoencoder, ModelSpec
from tests.models.clips import random_mask, random_video

# The norm of transformers before a head always has this epsilon.
SPEC = ModelSpec("debug", patch=8, frames=4, resolution=32, head_norm_eps=1e-5)


VIDEO = random_video(SPEC)


def make(kind):
    torch.manual_seed(0)
    model = {
        "autoencoder": lambda: MaskedAutoencoder(SPEC),
        "classifier": lambda: Classifier(Encoder(SPEC), 3, labels=["left", "right", "up"]),
        "encoder": lambda: Encoder(SPEC),
    }[kind]()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return model.eval()


def result(model):
    """Tokens, logits, or the loss."""
    with torch.no_grad():
        if isinstance(model, MaskedAutoencoder):
            return model(VIDEO, random_mask(SPEC, hidden=24)).loss
        return model(VIDEO)


def card_of(folder):
    return (folder / "README.md").read_text(encoding="utf-8")
