"""Every mask of the catalog with its options: a mask that is added there is tested without a change."""

import numpy as np
import pytest
from hypothesis import strategies as st

from mgm.masks import list_masks

EVERY = pytest.mark.parametrize("name", list_masks())
RECTANGLE = {
    "boundary": ["clip", "shift", "grow", "wrap"],
    "trim": ["farthest", "random"],
    "fill": ["random", "near"],
    "share": [0.01, 0.5, 1.0],
    "softness": [0.0, 1.5],
}
OPTIONS = {
    "mgm": {
        **RECTANGLE,
        "start": ["random", "motion"],
        "jitter": [True, False],
        "top_k": [1, 5],
        "scope": ["tubelet", "clip"],
        "camera": ["none", "median"],
        "sides": ["ratio", "motion"],
        "exact": ["step", "clip"],
    },
    "smm": {
        **RECTANGLE,
        "velocity": ["linear", "walk"],
        "speed": [0, 2.0, 50.0],
        "jitter": [True, False],
        "exact": ["step", "clip"],
    },
    "block": RECTANGLE,
    "smm-sparse": {"velocity": ["linear", "walk"], "speed": [0, 2.0, 50.0]},
    "mgm-sparse": {"camera": ["none", "median"]},
    "motion-topk": {"camera": ["none", "median"]},
    "motion-prob": {"camera": ["none", "median"], "temperature": [0.1, 1.0], "floor": [0.0, 0.5]},
    "mgmae": {"base": ["middle", "first", "random"], "holes": ["base", "random"], "camera": ["none", "median"]},
    "score": {
        "scores": [
            None,
            np.arange(12.0).reshape(3, 4),
            np.zeros((1, 3, 3)),
            np.random.default_rng(0).random((32, 5, 4)),
        ],
        "method": ["top", "sampled"],
        "lowest": [False, True],
    },
    "multiblock": {
        "numbers": [(8, 2), (0, 2), (8, 0)],
        "scales": [(0.15, 0.7), (0.05, 1.0)],
        "aspect": [(0.75, 1.5), (0.2, 5.0)],
        "duration": [0.3, 1.0],
        "trim": ["random", "block"],
        "fill": ["random", "near"],
    },
    "running-cell": {"cell": [(2, 2), (3, 1), (5, 7)], "ties": ["turn", "random"]},
    "cube": {"unit": [1, 2, 5], "aspect": [(0.3, 1 / 0.3), (1, 1)]},
    "beit-block": {"duration": [(0.5, 1.0), (0.01, 0.3)], "least": [1, 16], "aspect": [(0.3, 1 / 0.3), (1, 1)]},
}
"""Values worth trying; a mask without an entry is tried with its defaults."""
SHAPES = st.sampled_from([(7, 7), (14, 14), (16, 16), (24, 24), (6, 20), (20, 3), (1, 9)])


def draw_options(name, data):
    chosen = {option: data.draw(st.sampled_from(values), option) for option, values in OPTIONS.get(name, {}).items()}
    return {option: value.copy() if isinstance(value, np.ndarray) else value for option, value in chosen.items()}
