"""Files of tokenizers with the authors' names and random weights."""

import sys
import types
from unittest.mock import patch

import torch

from mgm.models import Vqgan


def vqgan(*, codes=32, dim=8, base=32, seed=0):
    """A VQGAN of few channels, whose codes differ from patch to patch."""
    torch.manual_seed(seed)
    made = Vqgan(codes, dim=dim, base=base)
    for key, value in made.state_dict().items():
        if value.ndim == 1 and key.endswith("bias"):
            value.normal_(std=0.1)
    return made


def write_vqgan(file, state, *, callbacks=True):
    """A checkpoint as Lightning writes it for taming-transformers: a decoder too, and the class of a callback as a key."""
    names = ["pytorch_lightning", "pytorch_lightning.callbacks", "pytorch_lightning.callbacks.model_checkpoint"]
    modules = {name: types.ModuleType(name) for name in names}
    kind = type("ModelCheckpoint", (), {"__module__": names[2]})
    modules[names[2]].ModelCheckpoint = kind
    more = {"decoder.conv_in.weight": torch.zeros(2, 2, 3, 3), "post_quant_conv.bias": torch.zeros(2)}
    content = {"state_dict": dict(state) | more, "epoch": 3}
    if callbacks:
        content["callbacks"] = {kind: {"best_model_score": torch.zeros(())}}
    with patch.dict(sys.modules, modules):
        torch.save(content, file)
    return file
