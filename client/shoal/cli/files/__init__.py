"""Files of points, read a batch at a time: npy, csv, parquet and images, or standard input.

Nothing is read whole: a file larger than memory streams. The same file with the same reading always gives the same
batches, which is what lets a producer send them again after a crash. No server here.
"""

from shoal.cli.files.contract import PointFile, Reading
from shoal.cli.files.opening import open_points

__all__ = ["PointFile", "Reading", "open_points"]
