"""A model in a GGUF file: opened, named, found again, and told of, as one in a folder is."""

from __future__ import annotations

import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

import attninfluence as ai
from attninfluence.base.gguf import first_files, is_gguf, name_of, parts_of
from attninfluence.model import shared
from attninfluence.model.shared import open_shared
from attninfluence.report.given import find_head_scores
from tests.kit.child import run_python
from tests.kit.gguf.tiny import make_gguf
from tests.kit.made_heads import head_scores

TEXTS = ["The thing of an inner ring is to sing in the 12 rains.", "and so on\n\tand on"]
HEADS = [(1, 0), (2, 3)]


@pytest.fixture(scope="module")
def path(tiny_folder, tmp_path_factory):
    return make_gguf(tiny_folder, tmp_path_factory.mktemp("gguf") / "tiny.gguf")


@pytest.fixture(autouse=True)
def forgotten():
    shared._kept.clear()
    shared._models.clear()


def saved_heads(file, model, selected=HEADS):
    scores = np.full((model.n_layers, model.n_heads), 0.5)
    head_scores(scores, selected, model_fingerprint=model.fingerprint).save(file)
    return file


def test_it_reads_as_its_folder_does(path, tiny_folder):
    model, folder = ai.load(path, precision="fp32"), ai.load(tiny_folder, precision="fp32")
    found, wanted = (ai.score(TEXTS, model=one, heads=HEADS) for one in (model, folder))
    for name in ("score", "base_loss", "n_tokens"):
        assert [getattr(one, name) for one in found] == [getattr(one, name) for one in wanted]
    assert (model.path, model.commit) == (str(path), None)
    assert model.config["general.architecture"] == "llama"
    assert not any(isinstance(value, list) for value in model.config.values())
    assert model.in_precision("fp32") is model and model.view().title == "Model tiny"


def test_a_split_model_is_one(tiny_folder, path, tmp_path):
    first = make_gguf(tiny_folder, tmp_path / "tiny.gguf", most_tensors=10)
    parts = parts_of(first)
    assert [part.name for part in parts] == [f"tiny-{at:05}-of-00003.gguf" for at in (1, 2, 3)]
    assert sorted(tmp_path.iterdir()) == parts
    model, whole = ai.load(first), ai.load(path)
    ids = whole.tokenizer.encode(TEXTS)[0].ids
    assert np.array_equal(model.losses(ids), whole.losses(ids))
    assert model.fingerprint != whole.fingerprint  # of other files
    assert model.describe()["gguf"]["files"] == 3
    with pytest.raises(ai.ModelError, match="00002-of-00003"):
        ai.load(parts[1])
    fingerprint = model.fingerprint
    data = bytearray(parts[2].read_bytes())
    data[-1] ^= 1
    parts[2].write_bytes(data)
    os.utime(parts[2], ns=(0, 0))
    assert ai.load(first).fingerprint != fingerprint
    with pytest.raises(ai.ModelError, match="has changed since the model was opened"):
        model._check_unchanged()
    parts[2].unlink()
    with pytest.raises(OSError, match="00003-of-00003"):
        ai.load(first)


def test_the_fingerprint_is_of_the_content(path, tmp_path):
    """Whatever the file is called; Ollama's have no suffix."""
    fingerprint = ai.load(path).fingerprint
    for name in ("other.gguf", "sha256-0123"):
        copy = tmp_path / name
        shutil.copy(path, copy)
        assert is_gguf(copy)
        assert ai.load(copy).fingerprint == fingerprint
    data = bytearray(copy.read_bytes())
    data[-1] ^= 1
    copy.write_bytes(data)
    assert ai.load(copy).fingerprint != fingerprint


def test_names_of_files(tmp_path):
    (tmp_path / "a.gguf").mkdir()
    assert not is_gguf(tmp_path / "a.gguf")
    assert is_gguf("missing.GGUF") and not is_gguf("missing")
    names = ["b-00002-of-00002.gguf", "b-00001-of-00002.gguf", "a.gguf", "x.bin"]
    assert first_files(names) == ["a.gguf", "b-00001-of-00002.gguf"]
    assert parts_of("b-00002-of-00002.gguf") == [Path("b-00002-of-00002.gguf")]
    assert [name_of(f"x/{name}") for name in names] == ["b", "b", "a", "x.bin"]


# ------------------------------------------------------------------------------------ heads


def test_heads_lie_beside_the_file(path, tiny_folder, tmp_path):
    """`NAME.heads.json` is the file's own; a heads.json may be that of any file there."""
    file = tmp_path / "tiny-Q8_0.gguf"
    shutil.copy(path, file)
    model = ai.load(file)
    with pytest.raises(ai.ModelError, match=r"has no tiny-Q8_0\.heads\.json: find the heads once"):
        ai.score(TEXTS, model=model)
    saved_heads(tmp_path / "heads.json", ai.load(tiny_folder))
    assert model.heads is None
    saved_heads(tmp_path / "heads.json", model)
    assert model.heads.selected == tuple(HEADS)
    own = [(0, 1)]
    saved_heads(tmp_path / "tiny-Q8_0.heads.json", model, own)
    assert model.heads.selected == tuple(own)
    assert ai.score(TEXTS, model=model)[0].score == ai.score(TEXTS, model=model, heads=own)[0].score


def test_heads_of_a_split_model(tiny_folder, tmp_path):
    model = ai.load(make_gguf(tiny_folder, tmp_path / "tiny.gguf", most_tensors=10))
    saved_heads(tmp_path / "tiny.heads.json", model)
    assert model.heads.selected == tuple(HEADS)


def test_heads_of_another_quantisation(path, tiny_folder, tmp_path):
    """Are another model's, which the sentence explains; their pairs can be given."""
    heads = saved_heads(tmp_path / "heads.json", ai.load(tiny_folder))
    sentence = "the same weights in other types, or converted again, are another model, whose"
    with pytest.raises(ai.ModelError, match=sentence):
        ai.score(TEXTS, model=path, heads=heads)
    from attninfluence.heads import HeadScores

    assert ai.score(TEXTS, model=path, heads=HeadScores.load(heads).selected)


def test_a_report_finds_them(path, tmp_path):
    from types import SimpleNamespace

    file = tmp_path / "a.gguf"
    shutil.copy(path, file)
    model = ai.load(file)
    saved_heads(tmp_path / "a.heads.json", model)
    said = {"path": str(file), "fingerprint": model.fingerprint}
    run = SimpleNamespace(common={"model": said, "scoring": {"heads": HEADS}})
    assert find_head_scores(None, run).selected == tuple(HEADS)
    run.common["model"]["fingerprint"] = "0" * 64
    assert find_head_scores(None, run) is None


# -------------------------------------------------------------------------------- processes


IN_A_CHILD = """
import pickle, sys
import numpy as np
from tests.model.test_packed_cache import mapped_file

with open(sys.argv[1], "rb") as file:
    model, ids = pickle.load(file)
print(mapped_file(model.core))
np.save(sys.argv[2], model.losses(ids))
"""


def test_a_pickle_opens_it_again_from_the_cache(path, tmp_path, monkeypatch):
    monkeypatch.setenv("ATTNINFLUENCE_CACHE", str(tmp_path / "cache"))
    model = ai.load(path, precision="fp32", kernel="portable")
    ids = model.tokenizer.encode(TEXTS)[0].ids
    (tmp_path / "pickle").write_bytes(pickle.dumps((model, ids)))
    mapped = run_python(IN_A_CHILD, tmp_path / "pickle", tmp_path / "losses.npy")
    assert mapped.startswith(str(tmp_path / "cache"))
    assert np.array_equal(np.load(tmp_path / "losses.npy"), model.losses(ids))


def test_a_pickle_of_a_file_that_changes(path, tmp_path):
    file = tmp_path / "a.gguf"
    shutil.copy(path, file)
    model = ai.load(file, precision="fp32", kernel="portable")
    pickled = pickle.dumps(model)
    assert open_shared(file, precision="fp32", kernel="portable").fingerprint == model.fingerprint
    del model
    forgotten_models()
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(ai.ModelError, match="holds another model than the one pickled"):
        pickle.loads(pickled)
    file.unlink()
    with pytest.raises(FileNotFoundError, match="a.gguf"):
        pickle.loads(pickled)


def forgotten_models():
    import gc

    shared._kept.clear()
    shared._models.clear()
    gc.collect()


def test_a_file_of_the_hub(path, tmp_path):
    commit = "0123456789abcdef0123456789abcdef01234567"
    snapshot = tmp_path / "models--owner--name" / "snapshots" / commit
    snapshot.mkdir(parents=True)
    shutil.copy(path, snapshot / "tiny.gguf")
    refs = tmp_path / "models--owner--name" / "refs"
    refs.mkdir()
    (refs / "main").write_text(commit)
    model = ai.load("owner/name/tiny.gguf", cache_dir=tmp_path, local_files_only=True)
    assert (model.path, model.commit) == (str(snapshot / "tiny.gguf"), commit)
    assert model.place.hub_id == "owner/name/tiny.gguf"
    with pytest.raises(ai.ModelError, match="has no 'other.gguf' in the cache"):
        ai.load("owner/name/other.gguf", cache_dir=tmp_path, local_files_only=True)


# -------------------------------------------------------------------------------- what is said


def test_what_it_says_of_itself(path):
    from attninfluence.model.lines import lines_of

    described = ai.load(path).describe()
    gguf = described["gguf"]
    assert (gguf["name"], gguf["architecture"], gguf["files"]) == ("tiny", "llama", 1)
    assert (gguf["tokenizer"], gguf["split"]) == ("gpt2", "gpt-2")
    assert gguf["values"] == {"F32": described["parameters"]}
    lines = dict(lines_of(described))
    assert lines["GGUF"] == "tiny, architecture llama"
    assert lines["values"] == f"F32 {described['parameters']:,}"
    assert lines["BOS"] == "<s> (0) before each text, as the file says"


def test_without_a_tokenizer_it_reads_ids(tiny_folder, tmp_path):
    path = make_gguf(tiny_folder, tmp_path / "a.gguf", model="bert")
    model = ai.load(path)
    assert not model.has_tokenizer and model.describe()["tokenizer"] is None
    assert model.losses([1, 2, 3]).shape == (2,)
    with pytest.raises(ai.ModelError, match="tokenizer.ggml.model is 'bert', a kind not known"):
        ai.score(TEXTS, model=model, heads=HEADS)


def test_verify_reads_it_with_transformers(path):
    from attninfluence.verify import verify

    table = verify(path, ["fp32"], length=64)
    assert all(row.largest < 1e-4 for row in table.rows)


def test_verify_shows_no_progress_of_transformers(path, capsys):
    from attninfluence.verify import verify

    verify(path, ["fp32"], length=8, progress=False)
    assert capsys.readouterr().err == ""


def test_verify_of_a_split_model(tiny_folder, tmp_path):
    from attninfluence.verify import verify

    first = make_gguf(tiny_folder, tmp_path / "tiny.gguf", most_tensors=10)
    with pytest.raises(ValueError, match="transformers reads no GGUF model in several files"):
        verify(first, ["fp32"])
