"""Optical-flow networks as motion estimators."""
