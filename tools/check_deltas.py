"""Proof that the tests of model families can fail: every difference removed, one at a time.

    PYTHONPATH=. .venv-dev/bin/python tools/check_deltas.py [--families gemma2,olmo] [--only TEXT]

Copies the sources to a temporary folder and builds the extension there. Then, for every element
of every row of the table in csrc/core/config/family.c, and for every entry of MUTATIONS, it changes
the copy, builds what changed, and compares the families concerned with transformers in a process of
its own. A mutation is killed when losses leave their tolerance, or a folder is refused that was
read or the other way round; those that survive are listed, and the exit status is then 1.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import pickle
import re
import runpy
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from delta_mutations import MUTATIONS, Mutation

ROOT = Path(__file__).resolve().parents[1]
COPIED = ("csrc", "attninfluence", "tests", "tools")
TABLE = "csrc/core/config/family.c"
TOLERANCE = 1e-4  # nats a token
SETTING_TOLERANCE = 1e-3  # of base readings alone, with settings removed
TIMEOUT = 120  # seconds, after which a mutation that hangs is killed


# Elements of a row without which nothing could be opened at all.
IDENTITY = re.compile(r"USUAL\(|BODY\(|STORED\(|\.model_type|\.stored\.names|\.keys")


# ----------------------------------------------------------------------- the table


def table_mutations(root: Path) -> list[Mutation]:
    """One mutation for each element of each row of the families' table."""
    text = (root / TABLE).read_text(encoding="utf-8")
    start = text.index("families[] = {") + len("families[] = {")
    found = []
    for row in split(text[start : closing(text, start)]):
        name = re.search(r'(?:USUAL\(|\.model_type = )"(\w+)"', row)
        if name is None:
            continue
        for element in split(row.strip()[1:-1]):
            if element.strip() and not IDENTITY.match(element.strip()):
                # The row stands once in the file, whatever its elements repeat.
                without = row.replace(element + ",", "", 1)
                label = " ".join(element.split())
                found.append(Mutation(f"{name[1]}: no {label}", TABLE, row, without, (name[1],)))
    return found


def closing(text: str, start: int) -> int:
    """Where the brace closes that was opened before `start`."""
    depth = 1
    for at in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        if depth == 0:
            return at
    raise ValueError("a brace is not closed")


def split(text: str) -> Iterator[str]:
    """The parts between commas that stand in no bracket, comment or string."""
    depth, begin = 0, 0
    for token in re.finditer(r'"(?:\\.|[^"\\])*"|/\*.*?\*/|[{(\[\])},]', text, re.DOTALL):
        mark = token.group()
        if mark in "{([":
            depth += 1
        elif mark in "})]":
            depth -= 1
        elif mark == "," and depth == 0:
            yield text[begin : token.start()]
            begin = token.end()
    if text[begin:].strip():
        yield text[begin:]


# ------------------------------------------------------------------------- building


def write_makefile(root: Path) -> None:
    """Rules with the compiler's flags of setup.py, which itself always builds everything."""
    with mock.patch("setuptools.setup") as setup:
        here = Path.cwd()
        os.chdir(root)
        try:
            runpy.run_path("setup.py")
        finally:
            os.chdir(here)
    (extension,) = setup.call_args.kwargs["ext_modules"]
    includes = [*extension.include_dirs, sysconfig.get_paths()["include"]]
    flags = [*extension.extra_compile_args, "-fPIC", "-DNDEBUG", "-MD", "-MP"]
    flags += [f"-I{folder}" for folder in includes]
    flags += [f"'-D{name}={value}'" for name, value in extension.define_macros]
    target = f"attninfluence/_core{sysconfig.get_config_var('EXT_SUFFIX')}"
    lines = [
        f"CC = {os.environ.get('CC', 'cc')}",
        f"OBJECTS = {' '.join(source[:-2] + '.o' for source in extension.sources)}",
        f"{target}: $(OBJECTS)",
        f"\t$(CC) -shared $(OBJECTS) {' '.join(extension.extra_link_args)} -o $@",
        "%.o: %.c",
        f"\t$(CC) {' '.join(flags)} -c $< -o $@",
        "-include $(OBJECTS:.o=.d)",
    ]
    (root / "Makefile").write_text("\n".join(lines) + "\n", encoding="utf-8")


def build(root: Path) -> str:
    """Builds what changed and returns the compiler's words when it fails."""
    command = ["make", "-s", f"-j{os.cpu_count() or 1}"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stderr.strip() or "make failed"


# ---------------------------------------------------------------------------- cases


def prepare(root: Path, families: Sequence[str], cases: Path) -> None:
    """Writes the folders of these families and what transformers reads of them."""
    sys.path.insert(0, str(root))
    import torch
    from transformers.utils import logging

    torch.set_num_threads(1)  # the models are small, and threads would wait for each other
    logging.set_verbosity_error()
    for family in families:
        folders = (cases / family / str(number) for number in itertools.count())
        found = list(cases_of(family, folders))
        (cases / f"{family}.pickle").write_bytes(pickle.dumps(found))


def cases_of(family: str, folders: Iterator[Path]) -> Iterator[dict[str, Any]]:
    """Every configuration whole, with its settings changed, and the other forms of a folder."""
    from tests.core.test_settings import PUBLISHED, TELLING
    from tests.kit.family_models import (
        FAMILIES,
        LEFT_OUT,
        default_shape,
        make_family_folder,
        make_left_out_folder,
        with_saved_buffers,
    )

    variants = [name for name, variant in FAMILIES[family].items() if not variant.refused]
    for variant in variants:
        telling = [fields for f, v, fields in (*TELLING, *PUBLISHED) if (f, v) == (family, variant)]
        for dialect in FAMILIES[family][variant].dialects:
            what = f"{variant}, {dialect}"
            path = make_family_folder(next(folders), family, variant, dialect=dialect)
            yield {"what": what, **readings(path)}
            path = make_family_folder(
                next(folders), family, variant, dialect=dialect, embeddings=0.003
            )
            changes = [*removals(path), *(telling if dialect == "v5" else [])]
            yield {"what": what, **settings_readings(path, changes)}
    path = make_family_folder(next(folders), family, variants[0], settings=default_shape(family))
    yield {"what": "default shape", **settings_readings(path, removals(path))}
    plain = make_family_folder(next(folders), family, variants[0])
    yield {"what": "buffers", **settings_readings(with_saved_buffers(plain, next(folders)), [{}])}
    for kind in [row[0] for row in LEFT_OUT if row[1] == family]:
        path = make_left_out_folder(next(folders), kind, family)
        yield {"what": f"in {kind}", **settings_readings(path, [{}])}


def removals(path: Path) -> list[dict[str, Any]]:
    """Each setting of config.json removed."""
    from tests.core.test_settings import NO_NUMBERS
    from tests.kit.family_models import REMOVED, read_folder

    config = read_folder(path)[0]
    names = [name for name in config if name not in NO_NUMBERS]
    names += [f"rope_parameters.{name}" for name in config.get("rope_parameters") or {}]
    return [{name: REMOVED} for name in names]


def readings(path: Path) -> dict[str, Any]:
    """Losses of every document, base and with each head set masked either way."""
    from attninfluence.verify.reference import Reference
    from tests.kit.family_models import LENGTHS
    from tests.kit.parity import head_sets
    from tests.kit.tiny_models import random_ids

    reference = Reference(path)
    config = reference.model.config
    group = reference.n_heads // (getattr(config, "num_key_value_heads", None) or reference.n_heads)
    variants = np.stack(list(head_sets(reference.n_layers, reference.n_heads, group).values()))
    documents = [random_ids(n, n, config.vocab_size) for n in LENGTHS]
    losses = {
        mask: [
            np.stack([reference.read(ids, heads, mask).losses for heads in (None, *variants)])
            for ids in documents
        ]
        for mask in ("uniform", "zero")
    }
    return {"path": path, "documents": documents, "variants": variants, "losses": losses}


def settings_readings(path: Path, changes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Base losses of one document after each change, None where transformers fails."""
    from attninfluence.verify.reference import Reference
    from tests.kit.family_models import changed_settings
    from tests.kit.tiny_models import random_ids

    ids, expected = random_ids(130, 130, 290), []
    for fields in changes:
        try:
            with changed_settings(path, fields), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                losses = Reference(path).read(ids).losses
        except Exception:  # noqa: BLE001  # whatever transformers fails with, it has no numbers
            losses = None
        with changed_settings(path, fields):
            expected.append((label(fields), (path / "config.json").read_text(), losses))
    return {"path": path, "ids": ids, "changed": expected}


def label(fields: dict[str, Any]) -> str:
    """A change in words."""
    from tests.kit.family_models import REMOVED

    return ", ".join(f"no {k}" if v is REMOVED else f"{k} {v!r:.40}" for k, v in fields.items())


# ---------------------------------------------------------------------------- child


def outcomes(case: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(what was compared, "equal", "unequal", ...), without torch."""
    from attninfluence import _core

    path, what = case["path"], case["what"]
    if "changed" in case:
        for change, config, expected in case["changed"]:
            (path / "config.json").write_text(config)
            found = read_or_refuse(path, lambda core: core.run([case["ids"]])[0][0])
            yield f"{what}, {change or 'as it is'}", verdict(found, expected, SETTING_TOLERANCE)
        return
    try:
        core = _core.Model(str(path), "fp32")
    except ValueError:
        yield what, "refused"
        return
    for mask, expected in case["losses"].items():
        found = core.run(case["documents"], variants=case["variants"], mask=mask)
        equal = all(
            verdict(a, b, TOLERANCE) == "equal" for a, b in zip(found, expected, strict=True)
        )
        yield f"{what}, {mask}", "equal" if equal else "unequal"


def read_or_refuse(path: Path, read: Any) -> Any:
    from attninfluence import _core

    try:
        return read(_core.Model(str(path), "fp32"))
    except ValueError:
        return None


def verdict(found: Any, expected: Any, tolerance: float) -> str:
    if found is None:
        return "refused"
    if expected is None:
        return "read, and not by transformers"
    close = found.shape == expected.shape and np.abs(found - expected).max() <= tolerance
    return "equal" if close else "unequal"


def run_child(root: Path, cases: Path, families: Sequence[str]) -> dict[str, str] | str:
    """Outcomes of the built extension, or how its process ended."""
    command = [sys.executable, "tools/check_deltas.py", "--child", str(cases), *families]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    try:
        done = subprocess.run(
            command, cwd=root, env=environment, capture_output=True, text=True,
            timeout=TIMEOUT, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return "took too long"
    if done.returncode != 0:
        return f"exit status {done.returncode}: {done.stderr.strip()[-200:]}"
    found: dict[str, str] = json.loads(done.stdout)
    return found


def child(cases: Path, families: Sequence[str]) -> None:
    found = {}
    for family in families:
        for case in pickle.loads((cases / f"{family}.pickle").read_bytes()):
            found |= {f"{family}, {what}": outcome for what, outcome in outcomes(case)}
    print(json.dumps(found))


# --------------------------------------------------------------------------- parent


def try_mutation(root: Path, cases: Path, mutation: Mutation, good: dict[str, str]) -> str:
    """What shows the mutation, or "" when nothing does."""
    file = root / mutation.file
    text = file.read_text(encoding="utf-8")
    file.write_text(mutation.apply(text), encoding="utf-8")
    try:
        failure = build(root)
        if failure:
            return f"does not build: {failure.splitlines()[0][:120]}"
        found = run_child(root, cases, mutation.families)
    finally:
        file.write_text(text, encoding="utf-8")
    if isinstance(found, str):
        return found
    changed = [
        f"{what}: {found.get(what, 'not read')}"
        for what in good | found
        if what.split(", ")[0] in mutation.families and found.get(what) != good.get(what)
    ]
    return f"{len(changed)} outcomes, {changed[0]}" if changed else ""


def check(mutations: Sequence[Mutation], root: Path) -> list[str]:
    """Tries every mutation in a copy at `root`; returns the names of the survivors."""
    families = sorted({family for mutation in mutations for family in mutation.families})
    cases = root / "cases"
    cases.mkdir()
    write_makefile(root)
    failure = build(root)
    if failure:
        sys.exit(f"the sources do not build: {failure}")
    prepare(root, families, cases)
    good = run_child(root, cases, families)
    if isinstance(good, str):
        sys.exit(f"the unchanged core fails: {good}")
    for what in [what for what, outcome in good.items() if outcome == "unequal"]:
        print(f"already wrong, so it shows nothing: {what}")
    survivors = []
    for mutation in mutations:
        start = time.monotonic()
        shown = try_mutation(root, cases, mutation, good)
        if not shown:
            survivors.append(mutation.name)
        took = time.monotonic() - start
        print(f"{'killed' if shown else 'SURVIVED'} ({took:.1f} s) {mutation.name}: {shown}")
        sys.stdout.flush()
    return survivors


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--families", help="names, comma between them; all by default")
    parser.add_argument("--only", default="", help="mutations whose names hold this text")
    parser.add_argument("--list", action="store_true", help="print the mutations and stop")
    options = parser.parse_args(arguments)
    chosen = set(options.families.split(",")) if options.families else None
    mutations = [
        mutation
        for mutation in (*table_mutations(ROOT), *MUTATIONS)
        if options.only in mutation.name and (not chosen or chosen & set(mutation.families))
    ]
    if options.list:
        print("\n".join(mutation.name for mutation in mutations))
        return 0
    with tempfile.TemporaryDirectory(prefix="check-deltas-") as folder:
        root = Path(folder)
        for name in COPIED:
            shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("build", "*.o"))
        shutil.copy2(ROOT / "setup.py", root)
        survivors = check(mutations, root)
    print(f"{len(mutations)} mutations, {len(survivors)} survive")
    print("\n".join(survivors))
    return 1 if survivors else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(Path(sys.argv[2]), sys.argv[3:])
    else:
        sys.exit(main())
