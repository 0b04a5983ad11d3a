"""Kernels one by one: `python -m pytest bench/kernels` (pytest-benchmark). Not part of `make test`."""
