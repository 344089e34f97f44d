"""Probe samples (METHOD.md section 2), read back from their text by a parser of their own."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attninfluence.probe.samples import (
    INSTRUCTION,
    MAX_VALUE_TOKENS,
    MIN_VALUE_TOKENS,
    Sample,
    iter_samples,
    make_samples,
)
from attninfluence.probe.sentences import BUNDLED_SENTENCES, read_sentences
from attninfluence.tokenizer.tokenizer import Tokenizer
from tests.kit.tiny_models import write_tokenizer

KINDS = ("bytes", "bytes without BOS", "words", "metaspace")


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tokenizer]:
    """Tokenizers that cut sentences differently; those that merge would merge across pieces."""
    folders = {kind: tmp_path_factory.mktemp("tokenizer") for kind in KINDS}
    write_tokenizer(folders["bytes"])
    write_tokenizer(folders["bytes without BOS"], bos=False)
    write_trained_tokenizer(folders["words"], metaspace=False)
    write_trained_tokenizer(folders["metaspace"], metaspace=True)
    return {kind: Tokenizer(folder) for kind, folder in folders.items()}


def write_trained_tokenizer(folder: Path, *, metaspace: bool) -> None:
    """BPE learnt from the bundled sentences between quotation marks, with a BOS."""
    from tokenizers import Tokenizer as Backend
    from tokenizers import decoders, models, pre_tokenizers, processors, trainers

    backend = Backend(models.BPE(byte_fallback=metaspace))
    alphabet: list[str] = []
    if metaspace:
        backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
        backend.decoder = decoders.Metaspace(prepend_scheme="first")
    else:
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        backend.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=800, special_tokens=["<s>"], initial_alphabet=alphabet, show_progress=False
    )
    lines = BUNDLED_SENTENCES.read_text(encoding="utf-8").splitlines()
    layout = [INSTRUCTION, "\nkey: answer: \n}", "".join(map(chr, range(32, 127)))]
    backend.train_from_iterator([f'": "{line}",\n"' for line in lines] + layout, trainer)
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 0)]
    )
    backend.save(str(folder / "tokenizer.json"))


def parse(text: str) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """The object of a sample's text, and the questions with their answers, the query last."""
    assert text.startswith(INSTRUCTION)
    body, end, questions = text[len(INSTRUCTION) - 1 :].partition("}\n\n")
    pairs = json.loads(body + end, object_pairs_hook=list)
    assert len(dict(pairs)) == len(pairs)
    asked = [re.fullmatch(r"key: (.*)\nanswer: (.*)", part) for part in questions.split("\n\n")]
    return dict(pairs), [(match[1], match[2]) for match in asked if match]


def check(sample: Sample, tokenizer: Tokenizer, shots: int) -> None:
    """All that METHOD.md says of one sample, but its length and the query's place."""
    bos = tokenizer.bos_ids()
    assert sample.ids.dtype == np.int32
    assert sample.ids[: len(bos)].tolist() == bos
    answer = sample.ids[slice(*sample.answer)].tolist()
    assert sample.answer[1] == len(sample.ids)
    assert sample.ids[slice(*sample.needle)].tolist() == answer
    assert answer == tokenizer.encode_piece(sample.value)
    assert sample.needle[1] < sample.answer[0]
    assert MIN_VALUE_TOKENS <= len(answer) <= MAX_VALUE_TOKENS

    pairs, asked = parse(tokenizer.decode(sample.ids[len(bos) :]))
    assert all(re.fullmatch("[A-Za-z0-9]{32}", key) for key in pairs)
    assert list(pairs)[sample.place] == sample.key
    assert pairs[sample.key] == sample.value
    assert len(pairs) == sample.n_pairs
    assert sum(sample.value in value for value in pairs.values()) == 1
    assert len(set(pairs.values())) == len(pairs)
    assert asked[-1] == (sample.key, sample.value)
    assert len(asked) == shots + 1
    assert len({key for key, _ in asked}) == shots + 1
    assert all(pairs[key] == value for key, value in asked)


@settings(max_examples=40, deadline=None)
@given(
    kind=st.sampled_from(KINDS[:3]),
    max_length=st.integers(900, 1800),
    shots=st.integers(0, 4),
    seed=st.integers(0, 2**64),
)
def test_a_sample_is_what_the_method_says(
    tokenizers: dict[str, Tokenizer], kind: str, max_length: int, shots: int, seed: int
) -> None:
    tokenizer = tokenizers[kind]
    for sample in make_samples(tokenizer, 2, max_length, shots, seed=seed):
        check(sample, tokenizer, shots)
        # One more pair takes at most 38 characters before its value and 3 after it.
        assert max_length - (38 + MAX_VALUE_TOKENS + 3) < len(sample.ids) <= max_length


def test_a_tokenizer_that_marks_word_starts(tokenizers: dict[str, Tokenizer]) -> None:
    """Each piece gets its own mark, so the text has spaces the layout does not have."""
    tokenizer = tokenizers["metaspace"]
    for sample in make_samples(tokenizer, 5, 1000):
        answer = sample.ids[slice(*sample.answer)].tolist()
        assert sample.ids[slice(*sample.needle)].tolist() == answer
        assert answer == tokenizer.encode_piece(sample.value)
        assert tokenizer.decode(answer).strip() == sample.value
        assert 900 < len(sample.ids) <= 1000


def test_pieces_are_tokenised_one_by_one(tokenizers: dict[str, Tokenizer]) -> None:
    """Tokenising the whole text would merge the value's ends with what stands around it."""
    tokenizer = tokenizers["words"]
    merged = 0
    for sample in make_samples(tokenizer, 10, 900):
        text = tokenizer.decode(sample.ids[1:])
        merged += tokenizer.encode_piece(text) != sample.ids[1:].tolist()
    assert merged == 10


def same(left: Sample, right: Sample) -> bool:
    return np.array_equal(left.ids, right.ids) and left.needle == right.needle


def test_a_sample_does_not_depend_on_how_many_are_asked_for(
    tokenizers: dict[str, Tokenizer],
) -> None:
    few = make_samples(tokenizers["bytes"], 3, 900, seed=5)
    many = make_samples(tokenizers["bytes"], 12, 900, seed=5)
    assert all(map(same, few, many))
    assert not any(same(one, other) for i, one in enumerate(many) for other in many[:i])


def test_the_seed_changes_every_sample(tokenizers: dict[str, Tokenizer]) -> None:
    one = make_samples(tokenizers["bytes"], 5, 900, seed=1)
    other = make_samples(tokenizers["bytes"], 5, 900, seed=2)
    assert not any(map(same, one, other))
    assert not {sample.key for sample in one} & {sample.key for sample in other}


def test_the_querys_place_is_uniform(tokenizers: dict[str, Tokenizer]) -> None:
    """Chi-square of place over 8 eighths of the object, each place spread over its share."""
    samples = make_samples(tokenizers["words"], 2000, 900, shots=1, seed=3)
    spread = np.random.default_rng(0).random(len(samples))
    places = np.array([sample.place for sample in samples])
    pairs = np.array([sample.n_pairs for sample in samples])
    observed = np.histogram((places + spread) / pairs, bins=8, range=(0, 1))[0]
    expected = len(samples) / 8
    chi_square = float(((observed - expected) ** 2).sum() / expected)
    assert chi_square < 24.3  # the 99.9th percentile at 7 degrees of freedom
    assert pairs.min() >= 8


def test_values_and_keys_vary_over_samples(tokenizers: dict[str, Tokenizer]) -> None:
    samples = make_samples(tokenizers["words"], 300, 900, shots=1)
    values = Counter(sample.value for sample in samples)
    assert len(values) > 200
    characters = Counter("".join(sample.key for sample in samples))
    assert len(characters) == 62
    assert max(characters.values()) < 2 * min(characters.values())


def test_too_short_says_how_many_tokens_are_needed(tokenizers: dict[str, Tokenizer]) -> None:
    tokenizer = tokenizers["bytes"]
    with pytest.raises(ValueError, match="max_length=300 is too small") as caught:
        make_samples(tokenizer, 1, 300)
    found = re.search(r"take (\d+) to (\d+) tokens", str(caught.value))
    assert found
    least, enough = map(int, found.groups())
    assert 300 < least < enough < 800
    samples = make_samples(tokenizer, 50, enough)
    assert all(sample.n_pairs >= 4 for sample in samples)
    with pytest.raises(ValueError, match="too small"):
        make_samples(tokenizer, 1, least - 40)


def test_too_few_sentences_are_named(tokenizers: dict[str, Tokenizer]) -> None:
    corpus = [f"Number {i} is a fine number." for i in range(9)]
    assert make_samples(tokenizers["bytes"], 1, 800, corpus=corpus)
    with pytest.raises(ValueError, match="needs more than the 9 sentences of 4 to 30 tokens"):
        make_samples(tokenizers["bytes"], 1, 2000, corpus=corpus)
    with pytest.raises(ValueError, match="needs more than the 0 sentences"):
        make_samples(tokenizers["bytes"], 1, 2000, corpus=["?"])


@pytest.mark.parametrize("wrong", [{"samples": 0}, {"shots": -1}, {"seed": -1}])
def test_arguments_out_of_range(tokenizers: dict[str, Tokenizer], wrong: dict[str, int]) -> None:
    arguments = {"samples": 1, "max_length": 900, "shots": 3, "corpus": None, "seed": 0} | wrong
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be at least"):
        iter_samples(tokenizers["bytes"], **arguments)  # type: ignore[arg-type]


TEXT = """\
Rivers carry sand to the sea. Is that so? It is! A list: one, two
She said "no" and left. A path like C:\\temp is no value. A tab\there is none.
no mark at the end of this one
"quoted" starts are left out. Short. Mountains wear down over time.
川は海へ流れて行きます。山はとても高いと思います。
"""


def test_sentences_of_a_text() -> None:
    assert sorted(read_sentences([TEXT])) == [
        "Mountains wear down over time.",
        "Rivers carry sand to the sea.",
        "山はとても高いと思います。",
        "川は海へ流れて行きます。",
    ]


def test_the_same_sentences_from_any_kind_of_corpus(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sentences = [f"Fact number {i} is known to all." for i in range(30)]
    texts = [" ".join(sentences[i : i + 3]) for i in range(0, 30, 3)]
    (tmp_path / "a.txt").write_text("\n".join(texts), encoding="utf-8")
    lines = [json.dumps({"text": text}) for text in texts] + ['{"text": null}', '{"text": 3}']
    (tmp_path / "a.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "folder").mkdir()
    pq.write_table(pa.table({"text": texts, "id": range(10)}), tmp_path / "folder" / "a.parquet")
    wanted = read_sentences(texts, seed=4)
    assert sorted(wanted) == sorted(sentences)
    assert wanted != sentences
    raw = pa.array([text.encode() for text in texts])
    pq.write_table(pa.table({"text": raw}), tmp_path / "raw.parquet")
    (tmp_path / "marked.txt").write_text("\n".join(texts), encoding="utf-16")
    (tmp_path / "texts.txt").mkdir()
    (tmp_path / "texts.txt" / "a.txt.gz").write_bytes(gzip.compress("\n".join(texts).encode()))
    names = ("a.txt", "a.jsonl", "folder/a.parquet", "folder")
    for corpus in (*names, "raw.parquet", "marked.txt", "texts.txt", "a.tx*"):
        assert read_sentences(tmp_path / corpus, seed=4) == wanted
        assert read_sentences(str(tmp_path / corpus), seed=4) == wanted


def test_wrong_corpora_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_sentences(tmp_path / "nowhere.jsonl")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_sentences(tmp_path / "nowhere.txt")
    with pytest.raises(TypeError, match="corpus must hold texts, not bytes"):
        read_sentences([b"Bytes are not texts at all."])  # type: ignore[list-item]
    (tmp_path / "a.jsonl").write_text('{"body": "x"}', encoding="utf-8")
    with pytest.raises(ValueError, match="no column 'text'"):
        read_sentences(tmp_path / "a.jsonl")


def endless(line: Callable[[int], str]) -> Iterator[str]:
    return (line(i) for i in count())


def test_a_corpus_without_end_is_read_in_part() -> None:
    sentences = read_sentences(endless(lambda i: f"This is sentence number {i}."))
    assert len(sentences) == 50_000
    assert read_sentences(endless(lambda i: "no")) == []


def test_a_value_is_no_part_of_another(tokenizers: dict[str, Tokenizer]) -> None:
    corpus = ["It rains in May.", "When will it stop? It rains in May."] * 3
    corpus += ["Mostly It rains in May.", "Snow falls in June.", "Hail falls in July."]
    samples = make_samples(tokenizers["bytes"], 20, 400, shots=1, corpus=corpus)
    assert {sample.value for sample in samples} == {
        "Mostly It rains in May.",
        "When will it stop?",
        "Snow falls in June.",
        "Hail falls in July.",
    }


def test_special_looking_text_in_a_sentence_is_text(tokenizers: dict[str, Tokenizer]) -> None:
    corpus = [f"Write <s> here, {i}." for i in range(20)]
    samples = make_samples(tokenizers["bytes"], 3, 700, shots=1, corpus=corpus)
    for sample in samples:
        assert "<s>" in sample.value
        assert (sample.ids[1:] > 2).all()


def test_the_bundled_sentences() -> None:
    lines = BUNDLED_SENTENCES.read_text(encoding="utf-8").splitlines()
    assert 600 <= len(lines) <= 1000
    assert len({re.sub(r"\W+", " ", line.lower()) for line in lines}) == len(lines)
    assert all(6 <= len(line.split()) <= 22 for line in lines)
    assert all(line.isascii() and line.isprintable() for line in lines)
    assert sorted(read_sentences(lines)) == sorted(lines)
    everything = "\n".join(lines)
    assert all(everything.count(line) == 1 for line in lines)
    openings = Counter(line.split()[0] for line in lines)
    assert openings.most_common(1)[0][1] < 0.4 * len(lines)
    assert len(openings) > 150
