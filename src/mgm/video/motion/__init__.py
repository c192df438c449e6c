"""Motion fields: from codec vectors, or estimated between pictures; cached beside a video."""
