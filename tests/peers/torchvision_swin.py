"""torchvision's Video Swin Transformer."""

from typing import Any


def answer(inputs: dict[str, Any]) -> dict[str, Any]:
    from torchvision.models.video.swin_transformer import SwinTransformer3d

    model = SwinTransformer3d(
        patch_size=list(inputs["patch"]),
        embed_dim=inputs["dim"],
        depths=list(inputs["depths"]),
        num_heads=list(inputs["heads"]),
        window_size=list(inputs["window"]),
        num_classes=inputs["classes"],
    )
    state = {theirs(name): value for name, value in inputs["state"].items()}
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected
    assert all(name.endswith("relative_position_index") for name in missing)
    return {"logits": model.eval()(inputs["video"]), "parameters": sum(p.numel() for p in model.parameters())}


def theirs(name: str) -> str:
    """torchvision's name of a parameter; blocks and merging are numbered in turn."""
    parts = name.split(".")
    if parts[0] != "layers":
        return name
    stage, kind = int(parts[1]), parts[2]
    if kind == "downsample":
        return ".".join(["features", str(2 * stage + 1), *parts[3:]])
    rest = ".".join(parts[3:]).replace("mlp.fc1", "mlp.0").replace("mlp.fc2", "mlp.3")
    return f"features.{2 * stage}.{rest}"
