"""Builds attninfluence._core and puts OpenBLAS beside it.

Environment switches:
    ATTNINFLUENCE_BLAS=system   use pkg-config's openblas instead of the wheel's copy
    ATTNINFLUENCE_DEBUG=1       asserts on, no optimisation
    ATTNINFLUENCE_SANITIZE=1    AddressSanitizer and UndefinedBehaviorSanitizer
"""

import os
import shutil
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import numpy
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).parent
SOURCES = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in ("csrc/core", "csrc/python")
    for path in (ROOT / folder).rglob("*.c")
)
HEADERS = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("csrc/core/**/*.h", "csrc/python/*.h", "csrc/python/exports.map")
    for path in ROOT.glob(pattern)
)
BUNDLED_LIBRARY = "libscipy_openblas.so"
BUNDLED_LICENCE = "libscipy_openblas.LICENSE.txt"


def is_set(switch: str) -> bool:
    return os.environ.get(switch, "") not in ("", "0")


def system_blas_library() -> str:
    """The file name of pkg-config's openblas, as the dynamic linker knows it."""
    output = subprocess.run(
        ["pkg-config", "--variable=libdir", "openblas"], check=True, capture_output=True, text=True
    )
    candidates = sorted(
        Path(output.stdout.strip()).glob("libopenblas.so*"), key=lambda p: len(str(p))
    )
    if not candidates:
        sys.exit(
            f"pkg-config names {output.stdout.strip()} for openblas, but no libopenblas.so is there"
        )
    return str(candidates[0])


class BuildWithBlas(build_ext):
    """Copies the build-time OpenBLAS and its licence into the package."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self.force = True  # setuptools compares times alone, and a switch may have changed

    def run(self) -> None:
        super().run()
        package = Path(self.get_ext_fullpath("attninfluence._core")).parent
        library, licence = package / BUNDLED_LIBRARY, package / BUNDLED_LICENCE
        if os.environ.get("ATTNINFLUENCE_BLAS") == "system":
            library.unlink(missing_ok=True)
            licence.unlink(missing_ok=True)
            return
        import scipy_openblas32

        shutil.copy2(Path(scipy_openblas32.get_lib_dir()) / BUNDLED_LIBRARY, library)
        text = distribution("scipy-openblas32").read_text("licenses/LICENSE.txt") or ""
        licence.write_text(text, encoding="utf-8")


def blas_macros() -> list[tuple[str, str | None]]:
    if os.environ.get("ATTNINFLUENCE_BLAS") == "system":
        return [("ATI_BLAS_LIBRARY", f'"{system_blas_library()}"'), ("ATI_BLAS_PREFIX", '""')]
    return [("ATI_BLAS_LIBRARY", f'"{BUNDLED_LIBRARY}"'), ("ATI_BLAS_PREFIX", '"scipy_"')]


def compile_flags() -> list[str]:
    # Contraction would let a compiler change bits between builds for one machine; traps, which
    # nobody sets, would keep it from vectorising selections.
    flags = ["-std=c11", "-O3", "-ffp-contract=off", "-fno-trapping-math", "-fvisibility=hidden"]
    flags += ["-Wall", "-Wextra"]
    if is_set("ATTNINFLUENCE_DEBUG") or is_set("ATTNINFLUENCE_SANITIZE"):
        flags += ["-UNDEBUG", "-O1", "-g"]
    if is_set("ATTNINFLUENCE_SANITIZE"):
        flags += ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
    return flags


def link_flags() -> list[str]:
    flags = ["-Wl,-rpath,$ORIGIN", "-Wl,--version-script=csrc/python/exports.map"]
    flags += ["-pthread", "-ldl", "-lm"]
    if is_set("ATTNINFLUENCE_SANITIZE"):
        flags += ["-fsanitize=address,undefined"]
    return flags


setup(
    ext_modules=[
        Extension(
            "attninfluence._core",
            sources=SOURCES,
            depends=HEADERS,
            include_dirs=["csrc/core", numpy.get_include()],
            define_macros=blas_macros(),
            extra_compile_args=compile_flags(),
            extra_link_args=link_flags(),
        )
    ],
    cmdclass={"build_ext": BuildWithBlas},
)
