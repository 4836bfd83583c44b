"""The parts of the program. Behind ``#>`` are the actions of the steps that run a line."""

from __future__ import annotations

LOOPS = ("scipy", "scipy-kmeans2", "sklearn-minibatch")  # engines whose loop is written out

IMPORTS: dict[str, tuple[str, ...]] = {
    "scipy": ("from scipy.cluster.vq import kmeans2, vq",),
    "scipy-kmeans2": ("from scipy.cluster.vq import kmeans2, vq",),
    "sklearn": ("from sklearn.cluster import KMeans",),
    "sklearn-minibatch": (
        "from sklearn.cluster import MiniBatchKMeans",
        "from sklearn.metrics import pairwise_distances_argmin",
    ),
    "numba": ("import shoal", "from shoal.testing import LocalServer"),
}

HELPER = '''\
def stays(before, after):
    """Return whether all centroids together have moved by no more than tol, or by rounding alone."""
    rounding = 4 * np.finfo(float).eps * np.linalg.norm(after)
    return np.linalg.norm(after - before) <= max(tol, rounding)
'''

_SCIPY = """\
# ENGINE: what kmeans does, one iteration at a time. It drops a centroid that no point is nearest to.
centroids = start  #> initialise
for iteration in range(max_iter):
    labels, _ = vq(X, centroids)  #> assign
    used = np.unique(labels)  #> update converged
    before, dropped = centroids[used], len(used) < len(centroids)  #> update converged
    centroids, _ = kmeans2(X, before, iter=1, minit="matrix")  #> update converged
    if not dropped and stays(before, centroids):  #> update converged
        break  #> converged
labels, _ = vq(X, centroids)  #> converged stopped
print("ENGINE", centroids, labels, sep="\\n")
"""

ONE_CALL = "# The same without the steps: centroids, distortion = kmeans(X, start, thresh=0), then vq as above."

_SCIPY_KMEANS2 = """\
# ENGINE, one iteration a call. It leaves a centroid that no point is nearest to where it is, and warns.
centroids = start  #> initialise
for iteration in range(max_iter):
    labels, _ = vq(X, centroids)  #> assign
    before = centroids  #> update converged
    centroids, _ = kmeans2(X, before, iter=1, minit="matrix")  #> update converged
    if stays(before, centroids):  #> update converged
        break  #> converged
labels, _ = vq(X, centroids)  #> converged stopped
print("ENGINE", centroids, labels, sep="\\n")
"""

_SKLEARN = """\
# ENGINE: one call makes every iteration. Its own tol is relative to the variance of the points.
model = KMeans(  #> fit
    n_clusters=len(start), init=start, n_init=1,  #> fit
    max_iter=max_iter, tol=TOLERANCE, random_state=random_state,  #> fit
)  #> fit
model.fit(X)  #> fit
print("ENGINE", model.cluster_centers_, model.labels_, sep="\\n")
"""

_SKLEARN_MINIBATCH = """\
# ENGINE: an update is a pass over the points, batch by batch.
size = max(1024, len(start))
model = MiniBatchKMeans(
    n_clusters=len(start), init=start, n_init=1, batch_size=size,
    compute_labels=False, random_state=random_state,
)
centroids = start  #> initialise
for iteration in range(max_iter):
    labels = pairwise_distances_argmin(X, centroids)  #> assign
    before = centroids  #> update converged
    for first in range(0, len(X), size):  #> update converged
        model.partial_fit(X[first : first + size])  #> update converged
    centroids = model.cluster_centers_.copy()  #> update converged
    if stays(before, centroids):  #> update converged
        break  #> converged
labels = pairwise_distances_argmin(X, centroids)  #> converged stopped
print("ENGINE", centroids, labels, sep="\\n")
"""

_NUMBA = """\
# ENGINE's kernel runs in its server: this starts one, for which it needs, in a checkout: pip install '.[server]'.
with LocalServer() as server, shoal.connect(server.target) as client:
    comparison = client.compare(
        X, len(start), init=start, engines=["numba"], max_iter=max_iter, tol=tol
    )
    steps = list(comparison)  #> initialise assign update converged stopped
print("ENGINE", steps[-1].centroids, steps[-1].labels, sep="\\n")
"""

SNIPPETS: dict[str, str] = {
    "scipy": _SCIPY,
    "scipy-kmeans2": _SCIPY_KMEANS2,
    "sklearn": _SKLEARN,
    "sklearn-minibatch": _SKLEARN_MINIBATCH,
    "numba": _NUMBA,
}
NEWER = "# ENGINE is newer than this client, which doesn't know how it is called."
