"""Processes that may die: one function over many items."""
