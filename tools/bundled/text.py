"""The corpus as token ids, and the tokenizer that makes them."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

BOS = "<|bos|>"
DOMAINS = ("math", "code", "docs", "prose", "encyclopedic", "noisy")
HELD_OUT = 0.02
MAX_VALUE_TOKENS = 30
SENTENCE_DOMAINS = ("prose", "encyclopedic", "docs", "noisy", "math")


def read_domain(corpus: Path, domain: str) -> Iterator[tuple[str, str]]:
    """(id, text) of every document of a domain, in file order."""
    with gzip.open(corpus / f"{domain}.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            yield row["id"], row["text"]


def is_held_out(document: str) -> bool:
    """Whether a document is kept from training; its id alone decides."""
    digest = hashlib.sha256(document.encode()).digest()
    return int.from_bytes(digest[:4], "big") < HELD_OUT * 2**32


def train_tokenizer(corpus: Path, vocab: int, characters: int) -> Tokenizer:
    """Byte-level BPE on the same number of characters of every domain, digits one by one."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab,
        special_tokens=[BOS],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )

    def texts() -> Iterator[str]:
        for domain in DOMAINS:
            left = characters
            for document, text in read_domain(corpus, domain):
                if not is_held_out(document):
                    left -= len(text)
                    yield text
                if left < 0:
                    break

    tokenizer.train_from_iterator(texts(), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A",
        pair=f"{BOS} $A {BOS} $B:1",
        special_tokens=[(BOS, tokenizer.token_to_id(BOS))],
    )
    return tokenizer


def tokenizer_config(context: int) -> dict[str, object]:
    """The tokenizer_config.json of the model."""
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BOS,
        "add_prefix_space": False,
        "clean_up_tokenization_spaces": False,
        "model_max_length": context,
    }


def sentences(text: str) -> Iterator[str]:
    """Natural sentences of a text, on one line each, without quotation marks that end a value."""
    for part in re.split(r"(?<=[.!?])\s+", text):
        sentence = " ".join(part.split())
        if re.fullmatch(r"[A-Z“‘][^\"{}<>|*_`=\\\[\]]{18,160}[.!?]”?", sentence):
            yield sentence


@dataclass
class Corpus:
    """Token ids of the corpus, split by document into training and held-out parts."""

    streams: dict[str, np.ndarray]  # training ids by domain, a BOS before each document
    starts: dict[str, np.ndarray]  # where those BOS are
    values: list[np.ndarray]  # training sentences of at most MAX_VALUE_TOKENS ids
    held_out_documents: dict[str, list[tuple[np.ndarray, int]]]  # (ids without BOS, UTF-8 bytes)
    held_out_values: list[np.ndarray]

    def save(self, path: Path) -> None:
        """Write everything to one .npz file."""
        arrays: dict[str, np.ndarray] = {}
        for domain in self.streams:
            arrays[f"stream_{domain}"] = self.streams[domain]
            arrays[f"starts_{domain}"] = self.starts[domain]
            documents = self.held_out_documents[domain]
            arrays.update(_ragged(f"held_{domain}", [ids for ids, _ in documents]))
            arrays[f"bytes_{domain}"] = np.array([n for _, n in documents])
        arrays.update(_ragged("values", self.values))
        arrays.update(_ragged("held_values", self.held_out_values))
        np.savez(path, **arrays)

    @staticmethod
    def load(path: Path) -> Corpus:
        """Read what `save` wrote."""
        arrays = dict(np.load(path))
        return Corpus(
            {d: arrays[f"stream_{d}"] for d in DOMAINS},
            {d: arrays[f"starts_{d}"] for d in DOMAINS},
            _lists(arrays, "values"),
            {
                d: list(
                    zip(_lists(arrays, f"held_{d}"), arrays[f"bytes_{d}"].tolist(), strict=True)
                )
                for d in DOMAINS
            },
            _lists(arrays, "held_values"),
        )


def _ragged(name: str, parts: list[np.ndarray]) -> dict[str, np.ndarray]:
    ends = np.cumsum([len(part) for part in parts])
    return {f"{name}_ids": np.concatenate(parts), f"{name}_ends": ends}


def _lists(arrays: dict[str, np.ndarray], name: str) -> list[np.ndarray]:
    return np.split(arrays[f"{name}_ids"], arrays[f"{name}_ends"][:-1])


def tokenise_corpus(corpus: Path, tokenizer: Tokenizer, characters: int) -> Corpus:
    """Tokenise up to `characters` characters of each domain, and split off the held-out part."""
    bos = tokenizer.token_to_id(BOS)
    result = Corpus({}, {}, [], {}, [])
    for domain in DOMAINS:
        train, held, left = [], [], characters
        for document, text in read_domain(corpus, domain):
            if is_held_out(document):
                held.append(text)
            elif left > 0:
                train.append(text)
                left -= len(text)
        encoded = [
            np.array([bos, *e.ids], np.uint16)
            for e in tokenizer.encode_batch(train, add_special_tokens=False)
        ]
        result.streams[domain] = np.concatenate(encoded)
        result.starts[domain] = np.cumsum([0, *(len(e) for e in encoded[:-1])])
        result.held_out_documents[domain] = [
            (np.array(e.ids, np.uint16), len(text.encode()))
            for e, text in zip(
                tokenizer.encode_batch(held, add_special_tokens=False), held, strict=True
            )
        ]
        if domain in SENTENCE_DOMAINS:
            result.values += _values(tokenizer, train, 12_000)
            result.held_out_values += _values(tokenizer, held, 600)
    return result


def _values(tokenizer: Tokenizer, texts: list[str], limit: int) -> list[np.ndarray]:
    """Up to `limit` distinct sentences of at most MAX_VALUE_TOKENS ids, evenly from the texts."""
    found = list(dict.fromkeys(s for text in texts for s in sentences(text)))
    found = found[:: max(1, len(found) // (3 * limit))]
    encoded = tokenizer.encode_batch(found, add_special_tokens=False)
    short = [np.array(e.ids, np.uint16) for e in encoded if 6 <= len(e.ids) <= MAX_VALUE_TOKENS]
    return short[:limit]
