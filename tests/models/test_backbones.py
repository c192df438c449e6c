"""The catalog of backbones."""

import pytest

from mgm.models import ModelSpec
from mgm.models.backbones import BACKBONES, build_backbone
from mgm.models.spec import ATTENTIONS


def test_the_catalogs_agree():
    assert set(BACKBONES) == {(name, attention) for name, kinds in ATTENTIONS.items() for attention in kinds}


@pytest.mark.parametrize(("name", "attention"), BACKBONES)
def test_a_backbone_has_the_blocks_of_its_specification(name, attention):
    spec = ModelSpec("debug", backbone=name, attention=attention)
    backbone = build_backbone(spec)
    assert type(backbone) is BACKBONES[name, attention]
    assert len(backbone.blocks()) == spec.encoder.depth
