"""Spark's StreamingKMeansModel on this machine. The only module that imports pyspark; it needs Java."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from typing import Any, Self

import numpy as np
from pyspark import SparkConf, SparkContext
from pyspark.mllib.clustering import StreamingKMeansModel
from pyspark.mllib.linalg import Vectors

from benchmarks.datasets import Float32Array

_PARTITIONS = 2  # one a core


class Spark:
    """A context with Spark on two threads, in its own Java process."""

    def __enter__(self) -> Self:
        os.environ["PYSPARK_PYTHON"] = sys.executable
        logging.getLogger("py4j").setLevel(logging.ERROR)
        conf = SparkConf().setMaster("local[2]").setAppName("bench").set("spark.ui.enabled", "false")
        conf.set("spark.driver.bindAddress", "127.0.0.1").set("spark.driver.host", "127.0.0.1")
        conf.set("spark.ui.showConsoleProgress", "false")
        self._context: Any = SparkContext(conf=conf)
        self._context.setLogLevel("ERROR")
        return self

    def __exit__(self, *_: object) -> None:
        self._context.stop()

    def updates(self, points: Float32Array, centroids: Float32Array) -> Callable[[], None]:
        """Return a function that updates a model with points (n, d) that Spark already holds in memory."""
        model = StreamingKMeansModel(centroids.astype(np.float64).tolist(), [1.0] * len(centroids))
        vectors = [Vectors.dense(row) for row in points.astype(np.float64)]
        held = self._context.parallelize(vectors, _PARTITIONS).cache()
        held.count()

        def update() -> None:
            model.update(held, 1.0, "batches")

        return update
