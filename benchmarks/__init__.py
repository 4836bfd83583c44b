"""Shoal beside its peers, measured in the same run: ``python -m benchmarks --help``, and docs/benchmarks.md."""
