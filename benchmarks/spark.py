"""Spark's StreamingKMeansModel on this machine, if Java and pyspark are there: pip install 'shoal[bench-spark]'."""

from __future__ import annotations

import importlib.util
import logging
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import numpy as np

from benchmarks.datasets import Float32Array

_PARTITIONS = 2  # one a core


def why_not() -> str | None:
    """Return what Spark lacks here; None if it can run."""
    if importlib.util.find_spec("pyspark") is None:
        return "pyspark isn't installed: pip install 'shoal[bench-spark]'"
    home = os.environ.get("JAVA_HOME")
    if shutil.which("java") is None and not (home and (Path(home) / "bin" / "java").exists()):
        return "there is no Java on the path, nor in JAVA_HOME"
    return None


class Spark:
    """A Spark of two threads in a Java of its own, as long as it is entered."""

    def __enter__(self) -> Self:
        from pyspark import SparkConf, SparkContext

        os.environ["PYSPARK_PYTHON"] = sys.executable
        logging.getLogger("py4j").setLevel(logging.ERROR)
        conf = SparkConf().setMaster("local[2]").setAppName("bench").set("spark.ui.enabled", "false")
        conf.set("spark.driver.bindAddress", "127.0.0.1").set("spark.driver.host", "127.0.0.1")
        self._context: Any = SparkContext(conf=conf)
        self._context.setLogLevel("ERROR")
        return self

    def __exit__(self, *_: object) -> None:
        self._context.stop()

    def updates(self, points: Float32Array, centroids: Float32Array) -> Callable[[], None]:
        """Return what updates a model by points (n, d) that Spark holds in its memory already."""
        from pyspark.mllib.clustering import StreamingKMeansModel
        from pyspark.mllib.linalg import Vectors

        model = StreamingKMeansModel(centroids.astype(np.float64).tolist(), [1.0] * len(centroids))
        vectors = [Vectors.dense(row) for row in points.astype(np.float64)]
        held = self._context.parallelize(vectors, _PARTITIONS).cache()
        held.count()

        def update() -> None:
            model.update(held, 1.0, "batches")

        return update
