"""Processes that may hang or die: each costs one item of the work, never the whole of it."""
