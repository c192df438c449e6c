"""The kinds of clips by name, as settings and networks have them."""

from typing import Literal

InputKind = Literal["pixels", "motion"]
"""What the frames of a clip show: the video's pixels, or its motion."""

ClipSampling = Literal["dense", "sparse"]
"""How the frames of a clip are chosen: at the stride, or one from each of equal parts of the video."""
