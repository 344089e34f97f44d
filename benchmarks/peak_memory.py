"""Prints the bytes that a process held at most: with the model opened, after reading documents.

python -m benchmarks.peak_memory FOLDER PRECISION THREADS TOKENS DOCUMENTS
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import numpy as np


def peak() -> int:
    """Bytes resident at most, of this program alone.

    ru_maxrss, where there is no /proc, is taken over from the process that started this one.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> int:
    """Opens the model, reads random documents with and without a masked head a layer."""
    import attninfluence

    folder, precision, *numbers = sys.argv[1:]
    threads, tokens, count = map(int, numbers)
    model = attninfluence.load(folder, precision=precision, threads=threads)
    opened = peak()
    generator = np.random.default_rng(0)
    shape = (count, tokens)
    documents = generator.integers(0, model.vocab_size, shape, dtype=np.int32)
    variant = model.mask_matrix((layer, 0) for layer in range(model.n_layers))
    model.core.run(list(documents), variants=variant[np.newaxis], n_threads=threads)
    print(opened, peak())
    return 0


if __name__ == "__main__":
    sys.exit(main())
