"""The encoder of the package DALL-E, and the file that it writes."""

import io
from typing import Any


def answer(inputs: dict[str, Any]) -> dict[str, Any]:
    import torch
    from dall_e import Encoder
    from dall_e.utils import map_pixels

    model = Encoder(n_hid=inputs["width"], vocab_size=inputs["codes"], use_mixed_precision=False)
    model.load_state_dict(inputs["state"])
    file = io.BytesIO()
    torch.save(model, file)
    written = torch.frombuffer(bytearray(file.getvalue()), dtype=torch.uint8)
    return {"scores": model(map_pixels(inputs["pictures"])), "file": written}
