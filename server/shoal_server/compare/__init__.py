"""Side-by-side runs of k-means by several libraries, step by step: NumPy in, NumPy out; no asyncio, no clock."""
