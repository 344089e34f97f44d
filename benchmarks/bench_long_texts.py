"""What a very long text costs before its first window is read, and what short ones cost.

    python -m benchmarks.bench_long_texts --corpus CORPUS [--rounds 3] [--write]

Each measurement runs in a process of its own with the bundled tokenizer: text from the corpus,
repeated to the size, is given to what scoring reads it with. "whole" hands the text to the
tokenizers library in one piece, as was done before there were pieces.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attninfluence.tokenizer.tokenizer import Tokenizer, _encode_part
from benchmarks import results
from benchmarks.bench_precision import choose_texts
from benchmarks.peak_memory import peak

HEADING = "Long texts, tokenised in pieces"
PIECE = 1_000_000  # characters that longer texts repeat
MILLIONS = {"20 million": 20, "200 million": 200}
MOST_READ = 20  # millions that are read to their end
WINDOW = 4096
SHORT_CHARACTERS = 4000


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench_long_texts", description="Cost of long texts.")
    parser.add_argument("--corpus", type=Path, default=Path("."), help="a folder of JSONL files")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--write", action="store_true", help=f"also in {results.RESULTS.name}")
    return parser.parse_args(argv)


def write_piece(corpus: Path, path: Path) -> None:
    """A million characters of the corpus's texts, one after another."""
    once = "\n\n".join(text for _, text in choose_texts(corpus, 400))
    path.write_text((once * (PIECE // len(once) + 1))[:PIECE], encoding="utf-8", newline="")


def measure(what: dict[str, Any]) -> dict[str, float]:
    """Seconds, tokens, and bytes at most beyond those before, in this process."""
    from attninfluence.model.opening import bundled_folder

    tokenizer = Tokenizer(bundled_folder())
    piece = Path(what["piece"]).read_bytes().decode("utf-8")
    text = piece * what["pieces"]  # in place: nothing is freed that could be used again
    size = what["characters"] or len(text)
    texts = (
        [text] if size == len(text) else [text[at : at + size] for at in range(0, len(text), size)]
    )
    tokenizer.encode([texts[0][:1000]])  # opens what is opened on first use
    before, started, n_tokens = peak(), time.process_time(), 0
    for text in texts:
        if what["whole"]:
            ids, _ = _encode_part(tokenizer._backend("text"), what["offsets"], text)
        else:
            ids = tokenizer.encode([text], offsets=what["offsets"], enough=what["enough"])[0].ids
        n_tokens += len(ids)
    seconds = time.process_time() - started
    return {"seconds": seconds, "tokens": n_tokens, "bytes": peak() - before}


def in_child(what: dict[str, Any]) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.bench_long_texts", "--child", json.dumps(what)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(ran.stdout)
    return found


def row(name: str, how: str, what: dict[str, Any], rounds: int) -> str:
    """A line of the table: medians of some rounds, the most memory of them."""
    found = [in_child(what) for _ in range(rounds)]
    seconds = statistics.median(one["seconds"] for one in found)
    tokens, most = found[0]["tokens"], max(one["bytes"] for one in found)
    return (
        f"| {name} | {how} | {tokens:,} | {seconds:.2f} | {tokens / seconds:,.0f} "
        f"| {most / 1e6:,.0f} |"
    )


def table(piece: Path, rounds: int) -> str:
    lines = [
        "| characters | read | tokens | seconds | tokens/s | memory, MB |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    usual = {"piece": str(piece), "characters": None, "whole": False}
    window = usual | {"offsets": True, "enough": WINDOW}
    every = usual | {"offsets": False, "enough": None}
    for name, pieces in MILLIONS.items():
        lines.append(row(name, "for one window", window | {"pieces": pieces}, rounds))
        if pieces <= MOST_READ:
            text = every | {"pieces": pieces}
            lines.append(row(name, "all of it", text, rounds))
            lines.append(row(name, "all of it, whole", text | {"whole": True}, rounds))
    short = window | {"characters": SHORT_CHARACTERS, "pieces": 4}
    name = f"{4 * PIECE // SHORT_CHARACTERS:,} of {SHORT_CHARACTERS:,} characters"
    lines.append(row(name, "all of each", short, rounds))
    lines.append(row(name, "all of each, whole", short | {"whole": True}, rounds))
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parse(argv)
    if arguments.child:
        print(json.dumps(measure(json.loads(arguments.child))))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        piece = Path(folder, "piece.txt")
        write_piece(arguments.corpus, piece)
        found = table(piece, arguments.rounds)
    body = (
        f"The bundled tokenizer on text of the corpus; medians of {arguments.rounds} rounds, a "
        "process each, seconds of the processor, memory beyond what it held with the text. The "
        f"window has {WINDOW:,} tokens, with offsets.\n\n{found}\n\n{results.machine()}."
    )
    command = f"python -m benchmarks.bench_long_texts --corpus CORPUS --rounds {arguments.rounds}"
    results.publish(HEADING, body, command, write=arguments.write)
    return 0


if __name__ == "__main__":
    sys.exit(main())
