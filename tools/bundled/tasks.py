"""Training rows: repeated random spans, objects of keys and values, and text."""

from __future__ import annotations

import string
from dataclasses import dataclass, field

import numpy as np
from tokenizers import Tokenizer

from .text import BOS, DOMAINS, Corpus

PROBE_INSTRUCTION = (
    "Extract the value of the given key from the JSON object below. Output only the value.\n\n"
)
ALPHANUMERIC = string.ascii_letters + string.digits
SPAN_PIECES = (12, 0.33)  # shortest span, and the longest as a share of the row


@dataclass(frozen=True)
class Form:
    """How an object and the questions about it are written; {} is the key."""

    instruction: str = PROBE_INSTRUCTION + "{{"
    before_value: str = '"{}": "'
    after_value: str = '"'
    between: str = ",\n"
    after_object: str = "}}\n\n"
    question: str = "key: {}\nanswer: "
    after_answer: str = "\n\n"


PROBE_FORM = Form()
INSTRUCTIONS = (
    PROBE_FORM.instruction,
    "{{",
    "",
    "Find the value of each key.\n\n",
    "Below is a JSON object. Answer with the value of the key.\n{{",
    "Records:\n",
    "Read the list and answer the questions.\n\n",
)
PAIRS = (
    ('"{}": "', '"', ",\n"),
    ('"{}":"', '"', ","),
    ('  "{}": "', '"', ",\n"),
    ("{}: ", "", "\n"),
    ("{} = ", "", "\n"),
    ("- {}: ", "", "\n"),
    ("<{}>", "</>", "\n"),
    ("[{}] ", "", "\n\n"),
    ("{}\t", "", "\n"),
    ("'{}': '", "'", ", "),
)
QUESTIONS = (
    ("key: {}\nanswer: ", "\n\n"),
    ("key: {}\nvalue: ", "\n"),
    ("{}: ", "\n"),
    ("{} -> ", "\n"),
    ("Q: {}\nA: ", "\n"),
    ("What is the value of {}?\n", "\n\n"),
    ('"{}": "', '"\n'),
    ("[{}] ", "\n"),
)


def pick(rng: np.random.Generator, options: tuple) -> object:
    """One of the options."""
    return options[int(rng.integers(len(options)))]


def random_form(rng: np.random.Generator) -> Form:
    """A surface form put together at random."""
    before, after, between = pick(rng, PAIRS)
    question, after_answer = pick(rng, QUESTIONS)
    end = pick(rng, ("}}\n\n", "\n\n", "}}\n", "\n---\n"))
    return Form(pick(rng, INSTRUCTIONS), before, after, between, end, question, after_answer)


def random_key(rng: np.random.Generator, length: int, alphabet: str = ALPHANUMERIC) -> str:
    """A key of independent random characters."""
    return "".join(alphabet[i] for i in rng.integers(len(alphabet), size=length))


@dataclass
class Row:
    """Token ids and, for each, whether its loss counts."""

    ids: list[int] = field(default_factory=list)
    counts: list[bool] = field(default_factory=list)

    def add(self, ids: list[int], counts: bool) -> None:
        """Append a piece."""
        self.ids += ids
        self.counts += [counts] * len(ids)


class Rows:
    """Makes rows of every kind; all randomness comes from `rng`."""

    def __init__(self, corpus: Corpus, tokenizer: Tokenizer, rng: np.random.Generator) -> None:
        self.corpus, self.tokenizer, self.rng = corpus, tokenizer, rng
        self.vocab = tokenizer.get_vocab_size()
        self.bos = tokenizer.token_to_id(BOS)
        self.pieces: dict[str, list[int]] = {}

    def encode(self, text: str) -> list[int]:
        """Ids of a piece, without BOS."""
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def piece(self, text: str) -> list[int]:
        """Ids of a piece that recurs."""
        if text not in self.pieces:
            self.pieces[text] = self.encode(text)
        return self.pieces[text]

    def batch(self, kinds: list[str], length: int) -> tuple[np.ndarray, np.ndarray]:
        """Ids and counts, both [rows, length]."""
        rows = [getattr(self, kind)(length) for kind in kinds]
        ids = np.array([row.ids[:length] for row in rows], np.int64)
        counts = np.array([row.counts[:length] for row in rows], bool)
        counts[:, 0] = False
        return ids, counts

    def spans(self, length: int) -> Row:
        """A span of random tokens, again and again, with a few random tokens between."""
        rng, row = self.rng, Row([self.bos], [False])
        shortest, share = SPAN_PIECES
        n = int(rng.integers(shortest, max(shortest + 1, int(length * share))))
        span = rng.integers(1, self.vocab, n).tolist()
        seen = False
        while len(row.ids) < length:
            if rng.random() < 0.5:
                row.add(rng.integers(1, self.vocab, int(rng.integers(10))).tolist(), False)
            row.add(span[:1], False)
            row.add(span[1:], seen)
            seen = True
        return row

    def text(self, length: int) -> Row:
        """A stretch of one domain's text, from a document's start half of the time."""
        rng = self.rng
        domain = DOMAINS[int(rng.integers(len(DOMAINS)))]
        stream, starts = self.corpus.streams[domain], self.corpus.starts[domain]
        last = len(stream) - length
        if rng.random() < 0.5:
            first = min(int(starts[int(rng.integers(len(starts)))]) + 1, last)
        else:
            first = int(rng.integers(last))
        row = Row([self.bos], [False])
        row.add(stream[first : first + length].tolist(), True)
        return row

    def objects(self, length: int) -> Row:
        """Pairs, then questions about them until the row is full."""
        rng = self.rng
        as_probe = rng.random() < 0.5
        form = PROBE_FORM if as_probe else random_form(rng)
        longest = min(32, max(6, length // 12))
        key_length = (
            longest if as_probe and rng.random() < 0.7 else int(rng.integers(2, longest + 1))
        )
        alphabet = ALPHANUMERIC
        if not as_probe:
            alphabet = pick(rng, (ALPHANUMERIC, string.ascii_lowercase, string.hexdigits[:16]))
        row = Row([self.bos], [False])
        row.add(self.piece(form.instruction.format()), True)
        share = length * rng.uniform(0.35, 0.85)
        keys, values = [], []
        while len(row.ids) < share or len(keys) < 2:
            key = random_key(rng, key_length, alphabet)
            if key in keys:
                continue
            value = self._value(length)
            keys.append(key)
            values.append(value)
            row.add(self.encode(form.before_value.format(key)), False)
            row.add(value, True)
            closing = form.after_value + form.between
            row.add(self.piece(closing if len(row.ids) < share else form.after_value), False)
        row.add(self.piece(form.after_object.format()), True)
        order: list[int] = []
        while len(row.ids) < length:
            order = order or rng.permutation(len(keys)).tolist()
            chosen = order.pop()
            self._ask(row, form, keys[chosen], values[chosen])
        return row

    def _value(self, length: int) -> list[int]:
        """A training sentence, cut short in short rows; now and then random tokens."""
        rng = self.rng
        if rng.random() < 0.1:
            return rng.integers(1, self.vocab, int(rng.integers(2, 20))).tolist()
        value = self.corpus.values[int(rng.integers(len(self.corpus.values)))].tolist()
        return value if length >= 512 else value[:16]

    def _ask(self, row: Row, form: Form, key: str, value: list[int]) -> None:
        question = self.encode(form.question.format(key))
        # The first tokens of a random key cannot be known; the later ones follow from the object.
        known = len(self.piece(form.question.partition("{}")[0])) + 3
        row.add(question[:known], False)
        row.add(question[known:], True)
        row.add(value, True)
        row.add(self.piece(form.after_answer), True)
