"""Augmentation for fine-tuning: RandAugment, erasing, mixup and CutMix."""
