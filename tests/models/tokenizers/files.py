"""Files of tokenizers with the authors' names and random weights."""

import sys
import types
from unittest.mock import patch

import torch

from mgm.models import Dvae, Vqgan
from mgm.models.tokenizers.dvae import DvaeBlock, DvaeConvolution


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


def dvae(*, codes=32, width=16, seed=0):
    """A discrete VAE of few channels."""
    torch.manual_seed(seed)
    return Dvae(codes, width=width)


def write_dvae(file, made):
    """The authors' file: the whole module, of classes of the package `dall_e`, written while a package of that name exists."""
    names = ["dall_e", "dall_e.encoder", "dall_e.utils"]
    modules = {name: types.ModuleType(name) for name in names}
    for module in modules.values():
        module.__file__ = __file__
    kinds = {Dvae: "Encoder", DvaeBlock: "EncoderBlock", DvaeConvolution: "Conv2d"}
    with patch.dict(sys.modules, modules):
        for kind, name in kinds.items():
            home = names[2] if name == "Conv2d" else names[1]
            foreign = type(name, (torch.nn.Module,), {"__module__": home})
            setattr(modules[home], name, foreign)
            for module in [m for m in made.modules() if type(m) is kind]:
                module.__class__ = foreign
        torch.save(made, file)
    return file
