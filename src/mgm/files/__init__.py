"""Files on disk: atomic writes, journals, YAML."""
