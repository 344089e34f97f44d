"""`Scorer` under `datasets`: fingerprints, map and filter in every kind of process."""

from __future__ import annotations

import json
import shutil
import sys

import datasets
import numpy as np
import pytest

import attninfluence as ai
from attninfluence import _core
from tests.kit.child import run_python
from tests.kit.tiny_models import make_llama_folder, write_tokenizer

HEADS = [(1, 2), (0, 1)]
TEXTS = ["the thing", "", "in the end", None, "an\ud800d", "<s> so", "the " * 60, "x"] * 5


@pytest.fixture(scope="module", autouse=True)
def quiet(tmp_path_factory):
    """No progress bars, and map's cache files in a folder of the tests' own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("datasets"))
        datasets.disable_progress_bars()
        yield
        datasets.enable_progress_bars()


@pytest.fixture(scope="module")
def model(tiny_folder):
    return ai.load(tiny_folder, precision="fp32", kernel="portable", threads=2)


@pytest.fixture(scope="module")
def scorer(model):
    return ai.Scorer(model, HEADS)


@pytest.fixture(scope="module")
def expected(model):
    scores = ai.score(TEXTS, model=model, heads=HEADS)
    return {f"ai_{name}": column for name, column in scores.columns().items()}


@pytest.fixture
def dataset():
    # A lone surrogate cannot be in an Arrow string; TEXTS has it as the U+FFFD it becomes.
    texts = [text and text.replace("\ud800", "�") for text in TEXTS]
    return datasets.Dataset.from_dict({"text": texts, "place": list(range(len(texts)))})


def fingerprint(value):
    return datasets.fingerprint.Hasher.hash(value)


def assert_same(found, expected):
    """Equal to the bit, NaN included, but for what Arrow's strings cannot hold."""
    for name, column in expected.items():
        if name == "ai_repaired":  # the dataset's texts were repaired already
            assert not any(found[name])
        else:
            np.testing.assert_array_equal(np.asarray(found[name]), np.asarray(column), name)


# -------------------------------------------------------------------------------- fingerprints


def test_a_fingerprint_is_the_same_before_and_after_use(model, scorer):
    before = fingerprint(scorer)
    scorer({"text": ["the thing"] * 3})
    assert fingerprint(scorer) == before
    assert fingerprint(ai.Scorer(model, HEADS)) == before


def test_a_fingerprint_outlives_a_dill_round_trip(scorer):
    import dill

    again = dill.loads(dill.dumps(scorer))
    assert fingerprint(again) == fingerprint(scorer)
    keep = scorer.at_least(0.5)
    assert fingerprint(dill.loads(dill.dumps(keep))) == fingerprint(keep)
    assert len(dill.dumps(keep)) < 10_000


OTHER_PROCESS = """
import sys
import attninfluence as ai
from datasets.fingerprint import Hasher
model = ai.load(sys.argv[1], precision="fp32", kernel="portable")
scorer = ai.Scorer(model, [(0, 1), (1, 2)])
print(Hasher.hash(scorer), Hasher.hash(scorer.at_least(0.5)), Hasher.hash(lambda b: scorer(b)))
"""


def test_a_fingerprint_is_that_of_every_process_and_folder(scorer, tiny_folder, tmp_path):
    copy = shutil.copytree(tiny_folder, tmp_path / "copy")
    expected = [fingerprint(scorer), fingerprint(scorer.at_least(0.5))]
    hashes = [
        run_python(OTHER_PROCESS, folder, env={"PYTHONHASHSEED": seed}).split()
        for folder, seed in ((tiny_folder, "1"), (copy, "2"))
    ]
    assert hashes[0][:2] == expected
    assert hashes[0] == hashes[1]


def test_what_decides_no_score_is_not_in_a_fingerprint(model, scorer, tiny_folder, tmp_path):
    copy = shutil.copytree(tiny_folder, tmp_path / "copy")
    (copy / "heads.json").write_text("{}")
    same = [
        ai.Scorer(model, HEADS[::-1]),
        ai.Scorer(model, HEADS, threads=5),
        ai.Scorer(ai.load(copy, precision="fp32", kernel="portable"), HEADS),
        ai.Scorer(model, HEADS, max_length=model.context),
        ai.Scorer(model, HEADS, control=None),
    ]
    assert {fingerprint(other) for other in same} == {fingerprint(scorer)}


def test_a_model_in_a_function_has_a_fingerprint_without_its_place(model, tiny_folder, tmp_path):
    copy = shutil.copytree(tiny_folder, tmp_path / "copy")
    other = ai.load(copy, precision="fp32", kernel="portable", threads=1)
    assert fingerprint(other) == fingerprint(model)


def test_what_decides_a_score_is_in_a_fingerprint(model, scorer, tiny_folder, tmp_path):
    options = [
        {"control": [(2, 2)]},
        {"control": 1},
        {"control": 2},
        {"mask": "zero"},
        {"bos": "never"},
        {"max_length": 100},
        {"long": "chunk"},
        {"long": "stride"},
        {"long": "stride", "stride": 7},
        {"special": "control"},
        {"encoding_errors": "strict"},
        {"text_column": "body"},
        {"input_ids_column": "text"},
        {"prefix": "x_"},
    ]
    others = [ai.Scorer(model, HEADS, **option) for option in options]
    others += [ai.Scorer(model, HEADS[:1]), ai.Scorer(model, [(1, 2), (1, 1)])]
    for precision, kernel in (("bf16", "portable"), ("fp32", _core.kernels("fp32")[0])):
        others.append(ai.Scorer(ai.load(tiny_folder, precision=precision, kernel=kernel), HEADS))
    weights = make_llama_folder(tmp_path / "weights", n_kv_heads=2, seed=1)
    tokenizer = shutil.copytree(tiny_folder, tmp_path / "tokenizer")
    write_tokenizer(tokenizer, bos=False)
    for folder in (weights, tokenizer):
        others.append(ai.Scorer(ai.load(folder, precision="fp32", kernel="portable"), HEADS))
    keeps = [scorer.at_least(0.5), scorer.at_least(0.25), others[0].at_least(0.5)]
    hashes = [fingerprint(thing) for thing in [scorer, *others, *keeps]]
    assert len(set(hashes)) == len(hashes)


def test_another_version_of_the_numbers_is_another_fingerprint(model, scorer, monkeypatch):
    before = fingerprint(scorer)
    monkeypatch.setattr("attninfluence.scoring.reader.SCORING_VERSION", 2)
    assert fingerprint(ai.Scorer(model, HEADS)) != before


@pytest.mark.parametrize("absent", ["datasets.utils._dill", "pklregister"])
def test_a_datasets_without_the_hook_is_no_error(model, scorer, monkeypatch, absent):
    import datasets.utils._dill as hooks

    dumps = hooks.dumps
    if absent == "pklregister":
        monkeypatch.delattr(hooks, "pklregister")
    else:
        monkeypatch.setitem(sys.modules, "datasets.utils._dill", None)
    assert dumps(scorer) == dumps(ai.Scorer(model, HEADS))


# -------------------------------------------------------------------------------- map and filter


def test_map(scorer, dataset, expected):
    found = dataset.map(scorer, batched=True, batch_size=7)
    assert_same(found, expected)
    assert found["text"][:] == dataset["text"][:]
    kinds = {name: str(found.features[name].dtype) for name in scorer.columns}
    assert set(kinds.values()) == {"int64", "float64", "string", "bool"}
    one_by_one = dataset.select(range(8)).map(scorer)
    assert_same(one_by_one, {name: column[:8] for name, column in expected.items()})


@pytest.mark.parametrize("kind", ["numpy", "pandas", "arrow", "polars"])
def test_map_of_a_formatted_dataset(scorer, dataset, expected, kind):
    if kind == "polars":
        pytest.importorskip("polars", reason="polars is not installed (extra: test)")
    texts = [text or "" for text in dataset["text"]]
    formatted = datasets.Dataset.from_dict({"text": texts}).with_format(kind)
    found = formatted.map(scorer, batched=True, batch_size=11).with_format("numpy")
    numbers = [name for name in expected if name != "ai_status"]  # there is no None among texts
    assert_same(found, {name: expected[name] for name in numbers})


def test_what_was_mapped_is_found_again(model, scorer, tiny_folder, tmp_path):
    """A map by the same content in another place reads the cache of the first."""
    path = tmp_path / "texts.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in ("the thing", "an end")))
    load = {"data_files": str(path), "split": "train", "cache_dir": str(tmp_path / "cache")}
    first = datasets.load_dataset("json", **load).map(scorer, batched=True)
    copy = shutil.copytree(tiny_folder, tmp_path / "copy")
    moved = ai.Scorer(ai.load(copy, precision="fp32", kernel="portable", threads=1), HEADS)
    calls = []
    moved._read = calls.append
    second = datasets.load_dataset("json", **load).map(moved, batched=True)
    assert not calls
    assert second.cache_files == first.cache_files
    third = datasets.load_dataset("json", **load).map(ai.Scorer(model, HEADS[:1]), batched=True)
    assert third.cache_files != first.cache_files


def test_map_of_a_stream(scorer, dataset, expected):
    stream = dataset.to_iterable_dataset(num_shards=3)
    rows = list(stream.map(scorer, batched=True, batch_size=6))
    assert [row["place"] for row in rows] == list(range(40))
    assert_same({name: [row[name] for row in rows] for name in expected}, expected)
    rows = list(stream.map(scorer).take(8))
    first = {name: column[:8] for name, column in expected.items()}
    assert_same({name: [row[name] for row in rows] for name in first}, first)


def test_a_plain_loop(scorer, dataset, expected):
    batches = [scorer(batch) for batch in dataset.iter(batch_size=9)]
    joined = {name: np.concatenate([batch[name] for batch in batches]) for name in expected}
    assert_same(joined, expected)


def test_filter(scorer, dataset, expected):
    cut = float(np.nanmedian(expected["ai_score"]))
    places = [place for place, score in enumerate(expected["ai_score"]) if score >= cut]
    keep = scorer.at_least(cut)
    assert 0 < len(places) < 40
    for options in ({"batched": True, "batch_size": 7}, {}):
        assert dataset.filter(keep, **options)["place"][:] == places
    stream = dataset.to_iterable_dataset()
    assert [row["place"] for row in stream.filter(keep, batched=True)] == places
    assert [row["place"] for row in stream.filter(keep)] == places


# After scoring with two threads in the parent, the same in two workers, by every way that they
# may be started. Prints the columns, so that they can be compared with those of `score`.
IN_WORKERS = """
import functools, json, sys
import datasets, multiprocess
import attninfluence as ai
from tests.scoring.test_scorer_datasets import HEADS, TEXTS

def score(batch, scorer):
    return scorer(batch) | {"threads": [scorer.model.threads] * len(batch["text"])}

if __name__ == "__main__":
    multiprocess.set_start_method(sys.argv[2])
    datasets.disable_progress_bars()
    model = ai.load(sys.argv[1], precision="fp32", kernel="portable", threads=2)
    ai.score(TEXTS * 4, model=model, heads=HEADS)
    scorer = ai.Scorer(ai.load(sys.argv[1], precision="fp32", kernel="portable"), HEADS)
    texts = [text and text.replace("\\ud800", "\\ufffd") for text in TEXTS]
    found = datasets.Dataset.from_dict({"text": texts})
    if sys.argv[2] == "fork":
        kept = found.filter(scorer.at_least(0.0), batched=True, num_proc=2)
        print(len(kept))
    function = functools.partial(score, scorer=scorer)
    found = found.map(function, batched=True, batch_size=6, num_proc=2)
    print(json.dumps(found.to_dict()))
"""


@pytest.mark.parametrize(
    "method", ["fork", "forkserver", pytest.param("spawn", marks=pytest.mark.full)]
)
def test_map_in_workers(tiny_folder, expected, tmp_path, method):
    script = tmp_path / "script.py"
    script.write_text(IN_WORKERS)
    runner = "import runpy, sys; sys.argv[0] = sys.argv.pop(1); "
    runner += "runpy.run_path(sys.argv[0], run_name='__main__')"
    env = {"OMP_NUM_THREADS": "2", "HF_DATASETS_CACHE": str(tmp_path)}
    *kept, found = run_python(runner, script, tiny_folder, method, env=env).splitlines()
    columns = json.loads(found)
    assert_same(columns, expected)
    assert set(columns["threads"]) == {1}
    assert kept == [str(np.count_nonzero(expected["ai_score"] >= 0))] * (method == "fork")
