"""Names of settings in other projects: a key that does not exist is answered with the one that was meant."""

from __future__ import annotations

from collections.abc import Iterable

from mgm.training.config import Config

SECTIONS = ("pretrain", "finetune", "probe", "data", "mask", "model", "log")
"""In this order if several sections have a key."""

# Name in MAE, VideoMAE, timm, PySlowFast, mmengine, Lightning or Hugging Face -> keys here; the section decides which.
OTHER_NAMES = {
    name: keys
    for names, keys in (
        ("lr learning_rate blr", ("base_lr", "lr")),
        ("bs batch_size", ("batch",)),
        ("max_steps num_steps iterations max_iters num_iterations", ("steps",)),
        ("max_epochs num_epochs num_train_epochs", ("epochs",)),
        ("warmup_epochs warmup_steps warmup_iters", ("warmup",)),
        ("epochs", ("steps",)),  # of a probe
        ("wd", ("weight_decay",)),
        ("grad_clip gradient_clip gradient_clip_val max_norm max_grad_norm clip_grad_norm", ("clip_grad",)),
        ("amp fp16 bf16 dtype mixed_precision", ("precision",)),
        ("optimizer opt", ("optimiser",)),
        ("accum_iter accumulate accumulation grad_accum gradient_accumulation_steps", ("micro_batch",)),
        ("save_every save_freq save_steps save_ckpt_freq", ("checkpoint_every",)),
        ("ema_decay model_ema", ("ema",)),
        ("num_workers", ("workers",)),
        ("image_size img_size input_size resolution crop_size", ("size",)),
        ("num_frames clip_len clip_length", ("frames",)),
        ("sampling_rate frame_stride frame_interval fps", ("stride",)),
        ("hflip mirror", ("flip",)),
        ("mask_ratio masking_ratio", ("ratio",)),
        ("mask_type type", ("name",)),
        ("arch architecture name depth dim embed_dim hidden_size heads num_heads width", ("size",)),
        ("patch_size", ("patch",)),
        ("tubelet_size", ("tubelet",)),
        ("pos_embed position_embedding", ("position",)),
        ("decoder_embed_dim", ("decoder_dim",)),
        ("decoder_num_heads", ("decoder_heads",)),
        ("gradient_checkpointing use_checkpoint with_cp", ("checkpointing",)),
        ("norm_pix_loss normlize_target normalize_target loss", ("target",)),
        ("drop_path_rate", ("drop_path",)),
        ("smoothing", ("label_smoothing",)),
        ("aa auto_augment", ("randaugment",)),
        ("reprob random_erasing", ("erasing",)),
        ("k", ("neighbours",)),
        ("num_segments test_num_segment", ("temporal_views",)),
        ("num_crops test_num_crop", ("spatial_views",)),
        ("wandb tensorboard logger", ("trackers",)),
    )
    for name in names.split()
}


def setting_named(name: str, first: Iterable[str] = ()) -> str | None:
    """The setting with this name, here or in another project, dotted; None if there is none.

    Args:
        first: sections that are preferred to others.
    """
    if name in Config.model_fields and name not in SECTIONS:
        return name
    for section in dict.fromkeys([*(section for section in first if section in SECTIONS), *SECTIONS]):
        known = getattr(Config.model_fields[section].annotation, "model_fields", ())
        for key in (name, *OTHER_NAMES.get(name, ())):
            if key in known:
                return f"{section}.{key}"
    return None
