"""Clips: frame sampling, sources, geometric transforms."""
