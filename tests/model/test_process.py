"""What importing, loading and scoring leave of the process they run in."""

from __future__ import annotations

import gc
import shutil
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from attninfluence import _core
from tests.kit.child import IS_SANITIZED, run_python
from tests.kit.tiny_models import random_ids

# Everything a library could change behind its user's back. NumPy is imported first: what
# it does to the process is not ours.
SNAPSHOT = """
import ctypes, locale, os, resource, signal, sys

# The tests set these, and they would keep a BLAS from starting the threads we look for.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS"):
    os.environ.pop(name, None)
import numpy as np

libc = ctypes.CDLL(None)
libm = ctypes.CDLL("libm.so.6")

def floating_point():
    # The x87 status word and MXCSR's lower six bits are flags any operation sets.
    state = (ctypes.c_uint32 * 8)()
    libm.fegetenv(state)
    return state[0] & 0xFFFF, state[7] & ~0x3F

def c_environment():
    environ = ctypes.POINTER(ctypes.c_char_p).in_dll(libc, "environ")
    entries = []
    while environ[len(entries)] is not None:
        entries.append(environ[len(entries)])
    return sorted(entries)

def umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask

def signals():
    # Without 32 and 33, which the C library takes for itself with the first thread.
    lines = [line.split() for line in open("/proc/self/status") if line.startswith("Sig")]
    masks = {name: int(mask, 16) for name, mask in lines if name != "SigQ:"}
    return {name: mask & ~(3 << 31) for name, mask in masks.items()}

def snapshot():
    return {
        "floating point": floating_point(),
        "denormals": float(np.float32(1e-40) * np.float32(0.5)) != 0.0,
        "signal handlers": [str(signal.getsignal(s)) for s in signal.valid_signals()],
        "signals": signals(),
        "locale": locale.setlocale(locale.LC_ALL),
        "os.environ": dict(os.environ),
        "environ": c_environment(),
        "cwd": os.getcwd(),
        "umask": umask(),
        "affinity": os.sched_getaffinity(0),
        "limits": [resource.getrlimit(i) for i in range(16)],
        "descriptors": len(os.listdir("/proc/self/fd")),
        "threads": len(os.listdir("/proc/self/task")),
        "recursion": sys.getrecursionlimit(),
        "random": np.random.get_state()[1].tobytes(),
    }

def changes(before, after):
    differing = [key for key in before if before[key] != after[key]]
    return [f"{key}: {before[key]!r} -> {after[key]!r}" for key in differing]
"""

IMPORT_LOAD_SCORE = (
    SNAPSHOT
    + """
snapshot()
before = snapshot()
import attninfluence
from attninfluence import _core
assert not changes(before, snapshot()), ("import", changes(before, snapshot()))
model = _core.Model(sys.argv[1], "fp32")
model.kernel
assert not changes(before, snapshot()), ("load", changes(before, snapshot()))
ids = np.arange(100, dtype=np.int32)
everything = np.ones((1, model.n_layers, model.n_heads), dtype=bool)
for threads in (1, 2, 3):
    model.run([ids, ids[:50]] * 4, variants=everything, n_threads=threads)
    model.run([ids], n_threads=threads)
assert not changes(before, snapshot()), ("score", changes(before, snapshot()))
"""
)


def test_import_load_and_score_change_nothing_of_the_process(plain_folder: Path) -> None:
    run_python(IMPORT_LOAD_SCORE, plain_folder)


def test_no_thread_is_added_under_pytest(plain_folder: Path) -> None:
    """The same in a process that already runs threads."""
    core = _core.Model(str(plain_folder), "fp32")
    before = len(list(Path("/proc/self/task").iterdir()))
    core.run([random_ids(0, 200, core.vocab_size)] * 6, n_threads=3)
    assert len(list(Path("/proc/self/task").iterdir())) <= before  # others may end meanwhile


HEAVY = "torch transformers pyarrow pandas tokenizers huggingface_hub rich tqdm jinja2 fsspec"

IMPORT = """
import sys, time
import numpy
start = time.process_time()
import attninfluence
seconds = time.process_time() - start
heavy = [name for name in sys.argv[1].split() if name in sys.modules]
assert not heavy, heavy
print(seconds)
"""


def test_import_is_quick_and_light() -> None:
    """No heavy module comes along, so the import is our own few files."""
    assert min(float(run_python(IMPORT, HEAVY)) for _ in range(3)) < 0.2


CTRL_C = """
import os, signal, sys, threading, time
import numpy as np
from attninfluence import _core

model = _core.Model(sys.argv[1], "fp32")
n_tokens, n_documents, n_threads = map(int, sys.argv[2:])
random = np.random.default_rng(0)
short = random.integers(0, model.vocab_size, 60).astype(np.int32)
long = random.integers(0, model.vocab_size, n_tokens).astype(np.int32)
everything = np.ones((1, model.n_layers, model.n_heads), dtype=bool)
before = model.run([short], variants=everything)[0]
# A suite that a shell started in the background is born deaf to Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)

def interrupt():
    global sent
    sent = time.process_time()
    os.kill(os.getpid(), signal.SIGINT)

delays = []
for delay in (0.1, 0.35):
    timer = threading.Timer(delay, interrupt)
    timer.start()
    try:
        model.run([long] * n_documents, variants=everything, n_threads=n_threads)
        raise SystemExit("the run ended before Ctrl-C: it tests nothing")
    except KeyboardInterrupt:
        delays.append(time.process_time() - sent)
    timer.join()
    again = model.run([short], variants=everything, n_threads=n_threads)[0]
    assert np.array_equal(before.view(np.uint32), again.view(np.uint32))
print(max(delays))
"""


@pytest.mark.parametrize(
    ("n_tokens", "n_documents", "n_threads"), [(300, 4000, 1), (300, 4000, 2), (20000, 4, 2)]
)
def test_ctrl_c_ends_a_run_and_leaves_the_model_usable(
    plain_folder: Path, n_tokens: int, n_documents: int, n_threads: int
) -> None:
    """Many documents or a few long ones; the delay is what the threads do until they stop."""
    delay = float(run_python(CTRL_C, plain_folder, n_tokens, n_documents, n_threads))
    assert delay < 0.3 * n_threads  # seconds of a processor, whatever else it does meanwhile


# Had opening gone on, it would have ended with a ModelError, and Ctrl-C come on top of that.
CTRL_C_OPENING = """
import os, signal, sys, threading
from attninfluence import _core

signal.signal(signal.SIGINT, signal.default_int_handler)
threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    _core.Model(sys.argv[1], "fp32")
except _core.ModelError as error:
    raise SystemExit(f"Ctrl-C did not end it: {error}")
except KeyboardInterrupt as stop:
    assert stop.__context__ is None, stop.__context__
    print("stopped")
"""


def test_ctrl_c_ends_opening_a_model(plain_folder: Path, tmp_path: Path) -> None:
    """In the middle of a header that takes half a second; tensors are missing after it."""
    header = b'{"__metadata__":{"a":"' + b"\\n" * 49_000_000 + b'"}}'
    shutil.copy(plain_folder / "config.json", tmp_path)
    (tmp_path / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    assert run_python(CTRL_C_OPENING, tmp_path).strip() == "stopped"


# Several threads in the parent, then a fork, then the same work in the child, which gets by
# with one thread where it may have no more. As root it becomes another user first, for whom
# RLIMIT_NPROC counts.
FORK = """
import os, resource, signal, sys, time
import numpy as np
from attninfluence import _core

limited = sys.argv[2] == "limited"
model = _core.Model(sys.argv[1], "fp32")
ids = [np.arange(n, dtype=np.int32) for n in (20, 50, 100, 150)]
everything = np.ones((1, model.n_layers, model.n_heads), dtype=bool)
expected = model.run(ids, variants=everything, n_threads=2)

def same(found):
    return all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))

def child():
    if limited:
        if os.geteuid() == 0:
            os.setgid(65534)
            os.setuid(65534)
        resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
    if not same(model.run(ids, variants=everything, n_threads=2)):
        raise AssertionError("other losses")
    assert same(model.run(ids, variants=everything))

for _ in range(int(sys.argv[3])):
    pid = os.fork()
    if pid == 0:
        try:
            child()
            os._exit(0)
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
    deadline = time.monotonic() + 20
    while (done := os.waitpid(pid, os.WNOHANG)) == (0, 0):
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            raise SystemExit("the child hangs")
        time.sleep(0.002)
    assert done[1] == 0, done
assert same(model.run(ids, variants=everything, n_threads=2))
"""


@pytest.mark.parametrize("limit", ["unlimited", "limited"])
def test_scoring_in_a_forked_child(plain_folder: Path, limit: str) -> None:
    run_python(FORK, plain_folder, limit, 20)


def test_python_threads_share_a_model(plain_folder: Path) -> None:
    core = _core.Model(str(plain_folder), "fp32")
    documents = [random_ids(i, 20 + 7 * i, core.vocab_size) for i in range(24)]
    everything = np.ones((1, core.n_layers, core.n_heads), dtype=bool)
    expected = [core.run([ids], variants=everything)[0] for ids in documents]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            found = pool.map(lambda ids: core.run([ids], variants=everything)[0], documents)
            assert all(map(np.array_equal, found, expected))


def test_calls_keep_no_reference_and_no_memory(plain_folder: Path) -> None:
    """Hundreds of calls, good and refused, leave every count where it was."""
    core = _core.Model(str(plain_folder), "fp32")
    ids = random_ids(0, 12, core.vocab_size)
    wrong = np.full(3, core.vocab_size, dtype=np.int32)
    variants = np.ones((2, core.n_layers, core.n_heads), dtype=bool)
    watched = [core, ids, wrong, variants, None, np.dtype(np.float32), np.dtype(np.int32)]

    def use() -> None:
        core.run([ids, ids], variants=variants, first_scored=[1, 3])
        core.copies([ids], [(8, 12)], [(2, 6)])
        core.logits(ids[:3], variants[0])
        core.attention(ids[:3], 1, 1)
        for documents, options in (
            ([wrong], {}),
            ([ids, ids[:1]], {}),
            ([ids], {"variants": variants[:, :1]}),
            ([ids], {"first_scored": [12]}),
            ([ids], {"mask": "other"}),
        ):
            with pytest.raises(ValueError):
                core.run(documents, **options)
        with pytest.raises((OSError, ValueError)):
            _core.Model(str(plain_folder / "nothing"), "fp32")

    def counts() -> list[int]:
        gc.collect()
        return [sys.getrefcount(thing) for thing in watched]

    def memory() -> int:
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    for _ in range(20):
        use()
    before = counts()
    tracemalloc.start()
    for _ in range(30):
        use()
    held = memory()
    for _ in range(150):
        use()
    growth = memory() - held
    tracemalloc.stop()
    # None is counted by the interpreter itself, give or take a few (and not at all from 3.12).
    assert all(abs(a - b) < 50 for a, b in zip(counts(), before, strict=True))
    assert growth < 5_000


@pytest.mark.skipif(IS_SANITIZED, reason="sanitizers keep memory of their own")
def test_opening_and_dropping_a_model_keeps_no_memory(plain_folder: Path) -> None:
    script = """
import resource, sys
import numpy as np
from attninfluence import _core

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()

def use():
    model = _core.Model(sys.argv[1], "fp32")
    model.run([np.arange(40, dtype=np.int32)], n_threads=2)
    return model.weight_bytes

for _ in range(20):
    use()
before = resident()
for _ in range(200):
    weight_bytes = use()
print((resident() - before) / 200 / weight_bytes)
"""
    assert float(run_python(script, plain_folder)) < 0.05


LIST_CHANGED_MEANWHILE = """
import sys
import numpy as np
from attninfluence import _core

model = _core.Model(sys.argv[1], "fp32")

class Clearing:
    def __array__(self, dtype=None, copy=None):
        documents.clear()
        return np.arange(4, dtype=np.int32)

documents = [Clearing(), *(np.arange(4, dtype=np.int32) for _ in range(3))]
assert [losses.shape for losses in model.run(documents)] == [(1, 3)] * 4
"""


def test_a_list_that_changes_while_it_is_read(plain_folder: Path) -> None:
    run_python(LIST_CHANGED_MEANWHILE, plain_folder)
