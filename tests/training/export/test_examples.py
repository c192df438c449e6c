"""The examples of model cards run."""

import pytest

from mgm.training import export_model
from tests.markdown import blocks_in, run
from tests.training.export.models import card_of, make


@pytest.mark.filterwarnings("ignore")  # about a missing torchvision and about reading graphs
@pytest.mark.parametrize(
    ("kind", "to"),
    [
        *((kind, to) for kind in ("autoencoder", "classifier", "encoder") for to in ("hf", "videomae", "safetensors")),
        ("classifier", "torch-export"),
        ("encoder", "torch-export"),
    ],
)
def test_the_examples_run(tmp_path, monkeypatch, capsys, kind, to):
    if to == "hf":
        pytest.importorskip("transformers")
    from tests.models.convert.transformers_peer import installed_bias_names

    options = {"bias_names": installed_bias_names()} if to == "hf" else {}
    folder = export_model(make(kind), to=to, out=tmp_path / "exported", **options)
    examples = blocks_in(card_of(folder), "python")
    assert len(examples) == (2 if to == "hf" else 1)
    monkeypatch.chdir(folder)
    for code in examples:
        capsys.readouterr()
        run(code, f"{kind} {to}")
        shown = capsys.readouterr().out
        if kind == "classifier" and to != "torch-export":
            assert shown.strip() in ("left", "right", "up")
        else:
            assert "tensor(" in shown or "torch.Size([1, " in shown
