"""Export of models for other programs, with a model card."""
