"""Supervised video networks that are not mgm's ViT: what a recipe chooses by `model.network`. docs/systems.md lists them."""
