"""The whole line in minutes, from videos to a report: what `mgm demo` runs."""

from mgm.demo.pipeline import DemoResult, run_demo

__all__ = ["DemoResult", "run_demo"]
