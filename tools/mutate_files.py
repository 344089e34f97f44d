"""Every file of ours, and those of a model, mutated by chance and given to what reads it.

Each case is a result or a sentence with the status of bad input: no traceback, no status 70, no
end of the process, no memory or time without end, and no changed file that was only to be read.
Findings go to stdout, a line of JSON each; the status is 1 when there are any.

    python tools/mutate_files.py --cases 2000            all kinds
    python tools/mutate_files.py --kind run.json --first 17 --cases 1 --keep FOLDER
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from attninfluence import _core, cli, load, score  # noqa: E402
from attninfluence.cli import inspect  # noqa: E402
from attninfluence.cli.errors import is_bug  # noqa: E402
from attninfluence.scoring import batches  # noqa: E402
from tests.kit.gguf.made import SCALES, block_size, random_blocks, write_gguf  # noqa: E402
from tests.kit.mutations import mutate  # noqa: E402
from tests.kit.tiny_models import make_llama_folder  # noqa: E402

SECONDS = 60  # of a case
MEMORY = 6 << 30  # of address space, of a process with many cases

Case = Callable[[Path], Any]


class Kind(NamedTuple):
    """A file of the made folder that is mutated, and what is done with it then.

    action: arguments of the command line, or a function of the folder. makes: what the command
    writes in the folder, which may differ after it.
    """

    path: str
    action: list[str] | Case
    makes: tuple[str, ...] = ()


class TookTooLongError(BaseException):
    """Not to be caught on the way."""


# ------------------------------------------------------------------------ what is mutated


_MODEL = ("--model", "model", "--threads", "1", "--precision", "fp32", "--json")
_SCORE = ["score", "corpus", "--checkpoint-seconds", "0.000001", *_MODEL]
_RESUME = [*_SCORE, "-o", "part-scores"]


def _score(folder: Path) -> None:
    """With heads of no file, which would be those of another model."""
    texts = ["the 1st and the other", "<s> in \u00e4\u4e00 </s><more>\n\n", "x" * 300]
    model = load(folder / "model", precision="fp32", threads=1)
    score(texts, model=model, heads=[(1, 0)], bos="always", special="control", detail="token")


def _domains(folder: Path) -> None:
    from datatrove.io import get_datafolder

    from attninfluence.integrations.datatrove.domains import read_merged

    read_merged(get_datafolder(str(folder / "quantiles")))


def _checkpointed(folder: Path) -> None:
    """A task of datatrove that goes on from its checkpoint."""
    from datatrove.data import Document

    from attninfluence.integrations.datatrove import AttentionInfluenceScorer

    scorer = AttentionInfluenceScorer(
        model=str(folder / "model"),
        heads=[(1, 0)],
        threads=1,
        precision="fp32",
        checkpoint_folder=str(folder / "kept"),
        checkpoint_seconds=0.0,
    )
    texts = [f"the {at} and the other" for at in range(9)]
    documents = [Document(text=text, id=str(at)) for at, text in enumerate(texts)]
    assert len(list(scorer.run(iter(documents), rank=0, world_size=1))) == len(texts)


def _tensors(folder: Path) -> None:
    """What a GGUF file and its second part hold, every value of it."""
    path = str(folder / "gguf" / "m-00001-of-00002.gguf")
    for name, _, _ in _core.read_gguf(path)["tensors"]:
        _core.read_gguf_tensor(path, name)


KINDS: dict[str, Kind] = {
    f"{name} by {command}": Kind(path, action, makes)
    for command, paths, action, makes in (
        (
            "resume",
            ("part-scores/run.json", "part-scores/CHECKPOINT", "part-scores/PART"),
            _RESUME,
            ("part-scores",),
        ),
        (
            "finished run",
            ("scores/run.json", "scores/_SUCCESS"),
            [*_SCORE, "-o", "scores"],
            ("scores",),
        ),
        (
            "select",
            ("scores/run.json", "scores/_SUCCESS", "scores/PART"),
            ["select", "scores", "-o", "new", "--fraction", "0.3", "--json"],
            ("new",),
        ),
        (
            "select --tokens",
            ("scores/PART",),
            ["select", "scores", "-o", "new", "--tokens", "50", "--approximate", "--json"],
            ("new",),
        ),
        (
            "mix",
            tuple(f"selected/{n}" for n in ("run.json", "_SUCCESS", "summary.json", "PART")),
            ["mix", "selected", "-o", "new", "--json"],
            ("new",),
        ),
        (
            "report",
            tuple(f"scores/{n}" for n in ("run.json", "_SUCCESS", "PART", "_examples.parquet")),
            ["report", "scores", "-o", "new.html", "--json"],
            ("new.html",),
        ),
        (
            "score of a mix",
            (
                *(f"mixed/{n}" for n in ("run.json", "_SUCCESS", "summary.json", "recipe.json")),
                "mixed/selected-json.txt",
            ),
            ["score", "mixed", "-o", "new", *_MODEL],
            ("new",),
        ),
        (
            "inspect",
            (
                *(f"model/{n}.json" for n in ("config", "tokenizer", "tokenizer_config", "heads")),
                *(f"model/{n}.json" for n in ("special_tokens_map", "added_tokens")),
                *(f"model/{n}.json" for n in ("generation_config", "model.safetensors.index")),
                "model/model-00001-of-00002.safetensors",
            ),
            ["inspect", "model", "--precision", "fp32", "--threads", "1", "--json"],
            (),
        ),
        (
            "score",
            tuple(f"model/{n}.json" for n in ("config", "tokenizer", "tokenizer_config")),
            _score,
            (),
        ),
        (
            "inspect pieces",
            ("pieces/vocab.json", "pieces/merges.txt", "pieces/tokenizer_config.json"),
            ["inspect", "pieces", "--precision", "fp32", "--threads", "1", "--json"],
            (),
        ),
        ("score", ("model/heads.json",), [*_SCORE, "-o", "new"], ("new",)),
        ("inspect adapter", ("adapter/adapter_config.json",), ["inspect", "adapter"], ()),
        (
            "reading tensors",
            ("gguf/m-00001-of-00002.gguf", "gguf/m-00002-of-00002.gguf"),
            _tensors,
            (),
        ),
        ("datatrove", ("quantiles/QUANTILES",), _domains, ()),
        ("datatrove", ("kept/ROWS",), _checkpointed, ("kept",)),
    )
    for path in paths
    for name in (path.split("/")[1],)
}


def make_folder(folder: Path) -> None:
    """The corpus, the models, and an output of each kind."""
    (folder / "corpus").mkdir()
    for at in range(3):
        rows = [
            {
                "id": f"{at}-{row}",
                "domain": "ab"[row % 2],
                "text": f"the {row} and " * (row % 7 + 3),
            }
            for row in range(8)
        ]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / "corpus" / f"{at}.jsonl").write_text(text)
    _make_models(folder)
    with _within(folder):
        _run([*_SCORE, "-o", "scores"])
        _run(["select", "scores", "-o", "selected", "--fraction", "0.3", "--json"])
        _run(["mix", "selected", "-o", "mixed", "--json"])
        stopped = _stopped(batches.score_batches)
        with mock.patch.multiple(batches, score_batches=stopped, CHUNK_DOCUMENTS=7):
            _run(_RESUME, 130)
    _make_quantiles(folder / "quantiles")
    _make_gguf(folder / "gguf")
    _checkpointed(folder)


def _make_models(folder: Path) -> None:
    model = make_llama_folder(folder / "model", shards=2)
    for name in ("special_tokens_map", "tokenizer_config"):
        path = model / f"{name}.json"
        settings = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps({"bos_token": "<s>", "eos_token": "</s>"} | settings))
    (model / "added_tokens.json").write_text('{"<more>": 300}')
    (model / "generation_config.json").write_text('{"bos_token_id": 0}')
    with _within(folder):
        _run(
            [
                "heads",
                "model",
                "-o",
                "model/heads.json",
                "--samples",
                "4",
                "--threads",
                "1",
                "--no-require-success",
                "--json",
            ]
        )
    shutil.copytree(model, folder / "pieces")
    stored = json.loads((model / "tokenizer.json").read_text())["model"]
    (folder / "pieces" / "tokenizer.json").unlink()
    (folder / "pieces" / "vocab.json").write_text(json.dumps(stored["vocab"]))
    merges = (m if isinstance(m, str) else " ".join(m) for m in stored["merges"])
    (folder / "pieces" / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    (folder / "pieces" / "tokenizer_config.json").write_text(
        '{"tokenizer_class": "GPT2Tokenizer", "add_bos_token": true, "bos_token": "<s>"}'
    )
    (folder / "adapter").mkdir()
    (folder / "adapter" / "adapter_config.json").write_text('{"base_model_name_or_path": "a/b"}')


def _make_gguf(folder: Path) -> None:
    chance = np.random.default_rng(0)
    tensors = {
        kind: (kind, random_blocks(kind, (2, block_size(kind)[0]), chance)) for kind in SCALES
    }
    metadata = {"tokenizer.ggml.tokens": ["a", "b", "ab"], "a.b": True, "a.c": 0.5, "a.d": [1, 2]}
    folder.mkdir()
    write_gguf(folder / "m.gguf", tensors, metadata, alignment=64, most_tensors=len(SCALES) // 2)


def _make_quantiles(folder: Path) -> None:
    from datatrove.io import get_datafolder

    from attninfluence.integrations.datatrove.domains import (
        DomainSketches,
        Fields,
        merge_ranks,
        write_rank,
    )

    sketches = DomainSketches(Fields(), "documents", 1)
    for domain in ("a", None):
        sketches.sketch(domain).update([at / 7 for at in range(50)], [1] * 50)
    data = get_datafolder(str(folder))
    write_rank(data, 0, sketches)
    merge_ranks(data)


def _stopped(score_batches: Any) -> Any:
    def stopped(*arguments: Any, **options: Any) -> Iterator[Any]:
        for at, one in enumerate(score_batches(*arguments, **options)):
            if at == 2:
                raise KeyboardInterrupt
            yield one

    return stopped


@contextlib.contextmanager
def _within(folder: Path) -> Iterator[None]:
    """Names in the commands are those of this folder."""
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _run(words: list[str], status: int = 0) -> None:
    found, told = _command(words)
    if found != status:
        raise SystemExit(f"{' '.join(words)}: {found}, {told}")


# ------------------------------------------------------------------------------ one case


def _command(words: list[str]) -> tuple[int, str]:
    """The exit status, and what was told on stderr."""
    told = io.StringIO()
    with contextlib.redirect_stderr(told), contextlib.redirect_stdout(io.StringIO()):
        return cli.main(words), told.getvalue()


def _outcome(action: list[str] | Case, folder: Path) -> tuple[int, str]:
    if isinstance(action, list):
        return _command(action)
    try:
        action(folder)
    except Exception as error:
        if is_bug(error):
            raise
        return 2, f"error: {error}"
    return 0, ""


def _tree(folder: Path, without: tuple[str, ...]) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha1(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).parts[0] not in without
    }


def _target(folder: Path, kind: Kind) -> Path:
    """The file; a part and the quantiles by their place."""
    path = folder / kind.path
    patterns = {
        "PART": "part-*",
        "CHECKPOINT": ".checkpoint-*",
        "QUANTILES": "*.json",
        "ROWS": "*/rows-*",
    }
    return sorted(path.parent.glob(patterns[path.name]))[0] if path.name in patterns else path


def try_case(made: Path, name: str, at: int, seed: int, folder: Path) -> str:
    """What is wrong with a case, "" for nothing; `folder` has its files afterwards."""
    kind = KINDS[name]
    shutil.copytree(made, folder)
    target = _target(folder, kind)
    target.write_bytes(
        mutate(target.name, target.read_bytes(), random.Random(f"{seed} {name} {at}"))
    )
    before = _tree(folder, kind.makes)
    signal.signal(signal.SIGALRM, _take_too_long)
    signal.alarm(SECONDS)
    try:
        with _within(folder):
            status, told = _outcome(kind.action, folder)
    except TookTooLongError:
        return f"took more than {SECONDS} s"
    except BaseException as error:  # noqa: BLE001 - whatever it is
        return f"{type(error).__name__}: {error}"
    finally:
        signal.alarm(0)
    if _tree(folder, kind.makes) != before:
        return "changed a file that is only read"
    return _judged(status, told, kind.path.split("/")[0])


def _take_too_long(*_: Any) -> None:
    raise TookTooLongError


def _judged(status: int, told: str, folder: str) -> str:
    """What is wrong with an outcome; folder: where the file lies, which a sentence may name."""
    said = " ".join(told.split())
    short = f"{said[:300]} ... {said[-300:]}" if len(said) > 650 else said
    if status not in (0, 1, 2) or "Traceback" in told:
        return f"status {status}: {short}"
    if status == 2 and not re.search(rf"\b{folder}\b|[^ :']+[/.][^ :']+", said):
        return f"names no file: {short}"
    return f"memory: {short}" if status == 2 and "not enough memory" in told else ""


# ------------------------------------------------------------------------------ all cases


def _work(made: Path, seed: int) -> None:
    """In a process of its own: a line of JSON before each case of stdin, one with its finding."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    inspect.SPEED_SECONDS = 0.001
    said = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    with (
        mock.patch("attninfluence.tokenizer.trial.try_in_child"),
        tempfile.TemporaryDirectory() as scratch,
    ):
        for number, (name, at) in enumerate(json.load(sys.stdin)):
            folder = Path(scratch, str(number))
            print(json.dumps(None), file=said, flush=True)
            found = try_case(made, name, at, seed, folder)
            print(json.dumps(found), file=said, flush=True)
            shutil.rmtree(folder)


def run_cases(made: Path, cases: list[tuple[str, int]], seed: int) -> Iterator[dict[str, Any]]:
    """Those with a finding; goes on behind a case that ends the process."""
    while cases:
        command = [sys.executable, __file__, "--work", str(made), "--seed", str(seed)]
        done = subprocess.run(
            command, input=json.dumps(cases), stdout=subprocess.PIPE, text=True, check=False
        )
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        n_begun = len(lines) - len(lines) // 2
        told = [*lines[1::2], f"the process ended with {done.returncode}"][:n_begun]
        for (name, at), found in zip(cases, told, strict=False):
            if found:
                yield {"kind": name, "case": at, "found": found}
        if not n_begun:
            raise SystemExit(f"no case could be begun: {done.returncode}")
        cases = cases[n_begun:]


def main() -> int:
    """Make the folder, run the cases of the chosen kinds, print findings."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kind", action="append", help="part of a kind's name (default: all)")
    parser.add_argument("--cases", type=int, default=2000, help="of a kind (default: 2000)")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="run one case in this new folder, and leave it")
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        _work(options.work, options.seed)
        return 0
    names = [name for name in KINDS if any(part in name for part in options.kind or [""])]
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch, "made")
        made.mkdir()
        make_folder(made)
        if options.keep:
            print(try_case(made, names[0], options.first, options.seed, options.keep))
            return 0
        numbers = range(options.first, options.first + options.cases)
        n_found = 0
        for found in run_cases(made, [(n, at) for n in names for at in numbers], options.seed):
            n_found += 1
            print(json.dumps(found), flush=True)
    print(f"{len(names)} kinds, {len(numbers)} cases each, {n_found} findings", file=sys.stderr)
    return 1 if n_found else 0


if __name__ == "__main__":
    sys.exit(main())
