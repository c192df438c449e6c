"""Motion-guided masking."""
