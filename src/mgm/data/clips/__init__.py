"""One clip: which frames, from which source, under which geometric transform."""
