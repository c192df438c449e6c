"""Encode videos for fast reading: one file, or a folder."""
