"""Samples and batches, read by worker processes."""
