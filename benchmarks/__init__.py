"""Compares Shoal with other libraries in the same run: ``python -m benchmarks --help``, and docs/benchmarks.md."""
