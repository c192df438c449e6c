"""Inspect folders of videos and keep one record per file in a manifest."""
