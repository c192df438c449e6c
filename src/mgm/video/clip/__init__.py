"""One decode pass: frames and motion of a clip."""
