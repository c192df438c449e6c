"""Motion-guided masking: motion vectors from compressed video, masks that follow them, backbones that learn from both.

Everything here is imported when it is first used: reading motion or drawing a mask never imports torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mgm.errors import ConfigError, DataError, MaskError, MgmError, ModelError, VideoError
from mgm.version import VERSION

if TYPE_CHECKING:
    from mgm.data.annotations import VideoItem, VideoSet, load_set
    from mgm.data.annotations.summary import summarise_set
    from mgm.data.loading.masking import MaskedClips, collate_masks
    from mgm.data.shards.write import pack
    from mgm.demo import demo
    from mgm.evaluation.run import evaluate, probe
    from mgm.masks import TokenMask, build_mask, draw_statistics, make_mask, mask_names, mask_rng, mask_statistics
    from mgm.show.preview import preview
    from mgm.training import (
        export_model,
        finetune,
        load_config,
        load_encoder,
        load_pretrained,
        pretrain,
        settings_for,
    )
    from mgm.training.bench import bench_data
    from mgm.video import (
        Clip,
        FrameVectors,
        MotionField,
        VideoReader,
        export_motion,
        motion_vectors,
        read_clip,
        read_motion,
    )
    from mgm.video.scan.scan import scan
    from mgm.video.transcode.folder import prepare

__version__ = VERSION

_HOMES = {
    "Clip": "mgm.video",
    "FrameVectors": "mgm.video",
    "MotionField": "mgm.video",
    "VideoReader": "mgm.video",
    "export_motion": "mgm.video",
    "motion_vectors": "mgm.video",
    "prepare": "mgm.video.transcode.folder",
    "read_clip": "mgm.video",
    "read_motion": "mgm.video",
    "scan": "mgm.video.scan.scan",
    "TokenMask": "mgm.masks",
    "build_mask": "mgm.masks",
    "draw_statistics": "mgm.masks",
    "make_mask": "mgm.masks",
    "mask_names": "mgm.masks",
    "mask_rng": "mgm.masks",
    "mask_statistics": "mgm.masks",
    "VideoItem": "mgm.data.annotations",
    "VideoSet": "mgm.data.annotations",
    "summarise_set": "mgm.data.annotations.summary",
    "load_set": "mgm.data.annotations",
    "MaskedClips": "mgm.data.loading.masking",
    "collate_masks": "mgm.data.loading.masking",
    "bench_data": "mgm.training.bench",
    "pack": "mgm.data.shards.write",
    "finetune": "mgm.training",
    "load_config": "mgm.training",
    "load_encoder": "mgm.training",
    "load_pretrained": "mgm.training",
    "pretrain": "mgm.training",
    "settings_for": "mgm.training",
    "export_model": "mgm.training",
    "evaluate": "mgm.evaluation.run",
    "probe": "mgm.evaluation.run",
    "preview": "mgm.show.preview",
    "demo": "mgm.demo",
}

__all__ = [
    "Clip",
    "ConfigError",
    "DataError",
    "FrameVectors",
    "MaskError",
    "MaskedClips",
    "MgmError",
    "ModelError",
    "MotionField",
    "TokenMask",
    "VideoError",
    "VideoItem",
    "VideoReader",
    "VideoSet",
    "__version__",
    "bench_data",
    "build_mask",
    "collate_masks",
    "demo",
    "draw_statistics",
    "evaluate",
    "export_model",
    "export_motion",
    "finetune",
    "load_config",
    "load_encoder",
    "load_pretrained",
    "load_set",
    "make_mask",
    "mask_names",
    "mask_rng",
    "mask_statistics",
    "motion_vectors",
    "pack",
    "prepare",
    "pretrain",
    "preview",
    "probe",
    "read_clip",
    "read_motion",
    "scan",
    "settings_for",
    "summarise_set",
]

TRAINING_PACKAGES = {
    "torch",
    "pydantic",
    "yaml",
    "lightning_fabric",
    "matplotlib",
    "PIL",
    "safetensors",
    "tensorboard",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'mgm' has no attribute {name!r}")
    try:
        return getattr(import_module(_HOMES[name]), name)
    except ModuleNotFoundError as error:
        if error.name in TRAINING_PACKAGES:
            raise ModuleNotFoundError(missing_training(name), name=error.name) from error
        raise


def missing_training(what: str) -> str:
    """What to do where the base package was installed and training is asked for."""
    return f"{what} needs the packages for training: pip install 'motion-guided-masking[train]', or '.[train]' in a checkout"


def __dir__() -> list[str]:
    return sorted(__all__)
