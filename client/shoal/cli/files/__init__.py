"""Files of points, read a batch at a time: npy, csv, parquet and images, or standard input.

Nothing is read whole: a file larger than memory streams. The same file with the same options always gives the same
batches, which is what lets a producer send them again after a crash. No server here.
"""

from shoal.cli.files.formats import open_points
from shoal.cli.files.point_file import PointFile, ReadOptions

__all__ = ["PointFile", "ReadOptions", "open_points"]
