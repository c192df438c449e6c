"""Synthetic video with known motion."""
