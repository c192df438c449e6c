"""`mgm demo`: from videos to a report in minutes."""

from mgm.demo.pipeline import DemoResult, run_demo

__all__ = ["DemoResult", "run_demo"]
