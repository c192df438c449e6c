import numpy as np
import torch

from mgm.evaluation.pooling import pool_tokens


def test_the_moments_of_the_tokens_of_each_clip():
    tokens = torch.randn(3, 5, 4)
    values = tokens.numpy()
    np.testing.assert_allclose(pool_tokens(tokens, "mean"), values.mean(1), rtol=1e-5, atol=1e-6)
    expected = np.concatenate([values.mean(1), values.std(1), values.max(1)], axis=1)
    np.testing.assert_allclose(pool_tokens(tokens, "mean-std-max"), expected, rtol=1e-5, atol=1e-6)
    assert torch.isfinite(pool_tokens(tokens[:, :1], "mean-std-max")).all()  # a clip of one token has no deviation
