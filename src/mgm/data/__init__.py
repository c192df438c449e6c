"""From annotated video to batches: sampling, joint transforms, data sets, the loader, and synthetic video."""
