"""Code of a model card: complete examples that load and call the exported model."""

from __future__ import annotations

from typing import Final

from mgm.models import Classifier, Encoder, MaskedAutoencoder
from mgm.models.convert import GraphModel, Model, VideoType, encoder_of, video_shape
from mgm.models.networks.network import TokensOf, VideoNetwork
from mgm.models.targets import NormalisedPixels, Pixels

_RATIO: Final = 0.75  # of the masks in the examples


def usage(model: GraphModel, to: str, video: VideoType) -> str:
    """Complete examples in Markdown, to be run in the folder of the card."""
    if to == "hf":
        assert not isinstance(model, VideoNetwork | TokensOf)  # `describe_network` refuses it
        shown = [_with_transformers(model), _with_mgm(model)]
    elif to == "torch-export":
        shown = [_with_graph(model, 'model = torch.export.load("model.pt2").module()\n{out} = model(video)', video)]
    elif to == "onnx":
        session = 'session = onnxruntime.InferenceSession("model.onnx")\n({out},) = session.run(None, {{"video": video.numpy()}})'
        shown = ["import onnxruntime\n" + _with_graph(model, session, video)]
    else:
        shown = [_with_mgm(model)]
    return "\n\nor\n\n".join(f"```python\n{code}\n```" for code in shown)


def _with_transformers(model: Model) -> str:
    spec = encoder_of(model).spec
    names = {Classifier: "VideoMAEForVideoClassification", MaskedAutoencoder: "VideoMAEForPreTraining"}
    kind = names.get(type(model), "VideoMAEModel")
    height, width = spec.frame_size
    lines = [
        "import numpy as np",
        "import torch",
        f"from transformers import {kind}, VideoMAEImageProcessor",
        "",
        'processor = VideoMAEImageProcessor.from_pretrained(".")',
        f'model = {kind}.from_pretrained(".").eval()',
        f"frames = list(np.zeros(({spec.frames}, {height}, {width}, 3), np.uint8))  # yours: RGB pictures of any size",
        'inputs = processor(frames, return_tensors="pt")',
    ]
    if isinstance(model, MaskedAutoencoder):
        lines += [
            f"hidden = torch.zeros(1, {spec.tokens}, dtype=torch.bool)",
            f"hidden[:, torch.randperm({spec.tokens})[:{int(spec.tokens * _RATIO)}]] = True",
            "with torch.no_grad():",
            "    out = model(**inputs, bool_masked_pos=hidden)",
            "print(out.loss, out.logits.shape)  # the prediction of the hidden tokens",
        ]
    elif isinstance(model, Classifier):
        lines += [
            "with torch.no_grad():",
            "    logits = model(**inputs).logits",
            "print(model.config.id2label[logits.argmax(-1).item()])",
        ]
    else:
        lines += [
            "with torch.no_grad():",
            "    tokens = model(**inputs).last_hidden_state",
            f"print(tokens.shape)  # (1, {spec.tokens}, {spec.encoder.dim})",
        ]
    return "\n".join(lines)


def _with_mgm(model: GraphModel) -> str:
    shape = ", ".join(map(str, video_shape(model)))
    # Other targets need more than the video: its motion, or a teacher, which no file contains.
    predicts = isinstance(model, MaskedAutoencoder) and isinstance(model.target, NormalisedPixels | Pixels)
    function = "load_encoder" if isinstance(model, Encoder) else "load_pretrained"
    lines = [
        *(["import numpy as np"] if predicts else []),
        "import torch",
        "",
        "import mgm",
        "",
        f'model = mgm.{function}(".")',
        f"video = torch.zeros(1, {shape}, dtype=torch.uint8)  # yours: (B, 3, T, H, W)",
    ]
    if predicts:
        assert isinstance(model, MaskedAutoencoder)
        lines += [
            f'drawn = mgm.make_mask("tube", grid={model.spec.grid}, ratio={_RATIO}, rng=np.random.default_rng(0))',
            "mask = torch.from_numpy(drawn.masked)[None]  # True: hidden",
            "with torch.no_grad():",
            "    print(model(video, mask).loss)",
        ]
    elif isinstance(model, Classifier | VideoNetwork):
        label = "model.labels[best]" if model.labels is not None else "best"
        lines += ["with torch.no_grad():", "    best = int(model(video)[0].argmax())", f"print({label})"]
    else:
        encoder = "model" if isinstance(model, Encoder) else "model.encoder"
        lines += ["with torch.no_grad():", f"    print({encoder}(video).shape)  # (1, N, dim)"]
    return "\n".join(lines)


def _with_graph(model: GraphModel, call: str, video: VideoType) -> str:
    shape = ", ".join(map(str, video_shape(model)))
    out = "logits" if isinstance(model, Classifier | VideoNetwork) else "tokens"
    return (
        f"import torch\n\nvideo = torch.zeros(1, {shape}, dtype=torch.{video})  # yours: (B, 3, T, H, W)\n"
        f"{call.format(out=out)}\nprint({out}.shape)"
    )
