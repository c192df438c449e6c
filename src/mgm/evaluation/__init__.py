"""Evaluation of a representation: views, metrics, probes, nearest neighbours."""
