"""Damaged and hostile documents, made from a seed, against the real reader: `python -m tests.fuzz`."""
