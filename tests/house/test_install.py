"""The wheel holds what it must, and a build with the system's BLAS gives the same losses.

Both build in a clean environment of pip's, which needs a package index, so they are not in
`make test`; `make demo` uses a wheel anyway.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.kit.child import ROOT

SOURCES = ("attninfluence", "csrc", "setup.py", "pyproject.toml", "README.md", "LICENSE", "NOTICE")
BUILT = shutil.ignore_patterns("*.so", "*.LICENSE.txt", "__pycache__", "*.o", "*.a", "build")

pytestmark = pytest.mark.full


def pip(*arguments: str, **environment: str) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    subprocess.run(command, check=True, timeout=300, env={**os.environ, **environment})


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources alone, as a fresh clone has them."""
    tree = tmp_path_factory.mktemp("tree")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tree / name, ignore=BUILT)
        else:
            shutil.copy(ROOT / name, tree / name)
    return tree


def test_contents_of_the_wheel(tree: Path, tmp_path: Path) -> None:
    pip("wheel", "--no-deps", "--wheel-dir", str(tmp_path), str(tree))
    (wheel,) = tmp_path.glob("attninfluence-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for name in (
        "_core.pyi",
        "py.typed",
        "libscipy_openblas.so",
        "libscipy_openblas.LICENSE.txt",
        "bundled/config.json",
        "bundled/model.safetensors",
        "bundled/tokenizer.json",
        "bundled/heads.json",
        "bundled/MODEL_CARD.md",
        "heads/stored/SmolLM2-135M-Instruct.Q4_1.json",
        "heads/stored/gemma-3-270m-Q4_K_M.json",
        "probe/sentences.txt",
        "texts/packaged.jsonl",
        "report/templates/report.html",
        "report/templates/report.css",
    ):
        assert f"attninfluence/{name}" in names
    assert any(name.startswith("attninfluence/_core.") and name.endswith(".so") for name in names)
    sources = (ROOT / "attninfluence").rglob("*.py")
    assert {str(path.relative_to(ROOT)) for path in sources} <= set(names)
    assert {name.split("/")[0].split("-")[0] for name in names} == {"attninfluence"}


LOSSES = """
import sys, numpy, attninfluence
model = attninfluence.load(precision="fp32", kernel="openblas", threads=1)
numpy.save(sys.argv[1], model.losses(numpy.arange(300) % model.vocab_size))
print(model.kernel)
"""


def test_build_with_the_systems_blas(tree: Path, tmp_path: Path) -> None:
    if subprocess.run(["pkg-config", "--exists", "openblas"], check=False).returncode:
        pytest.skip("no OpenBLAS of the system: needs Debian's pkg-config and libopenblas-dev")
    site = tmp_path / "site"
    pip("install", "--no-deps", "--target", str(site), str(tree), ATTNINFLUENCE_BLAS="system")
    assert not list(site.glob("attninfluence/libscipy_openblas*"))
    done = subprocess.run(
        [sys.executable, "-c", LOSSES, str(tmp_path / "losses.npy")],
        env={**os.environ, "PYTHONPATH": str(site)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("openblas-")

    import attninfluence

    model = attninfluence.load(precision="fp32", threads=1)
    expected = model.losses(np.arange(300) % model.vocab_size)
    np.testing.assert_allclose(np.load(tmp_path / "losses.npy"), expected, atol=1e-4)
