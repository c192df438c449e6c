"""Files on disk: atomic writes, locks, journals, YAML."""
