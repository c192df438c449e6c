"""Judging a representation: views, metrics, probes, neighbours."""
