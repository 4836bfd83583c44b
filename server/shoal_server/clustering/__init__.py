"""The mathematics: state, update rule, initialisation, forgetting. NumPy; no I/O, no asyncio, no clock.

A Model is immutable. `apply` takes a model and a batch and gives the next model, so whoever reads one sees one version.
"""
