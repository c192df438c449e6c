"""Models as graphs that run without the package; tests/training/export runs them."""

import pytest

from mgm.errors import ModelError
from mgm.models import MaskedAutoencoder, ModelSpec
from mgm.models.convert import export_graph, write_onnx
from tests.errors import raises

SPEC = ModelSpec("debug", patch=8, frames=4, resolution=32)


def test_an_autoencoder_has_no_graph(tmp_path):
    with raises(ModelError, "unsupported"):
        export_graph(MaskedAutoencoder(SPEC), video="uint8")
    pytest.importorskip("onnxscript")
    with raises(ModelError, "unsupported"):
        write_onnx(MaskedAutoencoder(SPEC), tmp_path / "model.onnx", video="uint8")
    assert list(tmp_path.iterdir()) == []
