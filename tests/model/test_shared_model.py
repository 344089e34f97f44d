"""Models opened once a process and shared between processes."""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import shutil
import threading
import weakref

import numpy as np
import pytest

import attninfluence as ai
from attninfluence.model import shared
from attninfluence.model.shared import open_shared
from tests.kit.tiny_models import make_llama_folder, random_ids
from tests.model.test_packed_cache import mapped_file

IDS = random_ids(1, 20, 320)
FP32 = {"precision": "fp32", "kernel": "portable"}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache of its own, and nothing kept of other tests."""
    monkeypatch.setenv("ATTNINFLUENCE_CACHE", str(tmp_path / "cache"))
    forget()
    yield tmp_path / "cache"
    forget()


def forget():
    shared._kept.clear()
    shared._models.clear()


def as_worker(monkeypatch):
    monkeypatch.setattr(shared, "in_worker_process", lambda: True)


def test_one_model_for_all_who_ask(tiny_folder):
    model = open_shared(tiny_folder)
    assert open_shared(str(tiny_folder)) is model
    assert open_shared(model) is model
    assert (model.path, model.threads) == (str(tiny_folder), ai.load(tiny_folder).threads)
    assert mapped_file(model.core) == ""


def test_an_opened_model_is_shared(tiny_folder):
    model = ai.load(tiny_folder, **FP32)
    assert open_shared(model) is model
    assert open_shared(tiny_folder, **FP32) is model
    assert pickle.loads(pickle.dumps(model)) is model


def test_none_is_the_bundled_model():
    assert open_shared().fingerprint == ai.load().fingerprint


def test_other_threads_share_the_weights_and_the_tokenizer(tiny_folder):
    model = open_shared(tiny_folder, threads=1)
    tokenizer = model.tokenizer
    for other in (open_shared(tiny_folder, threads=3), open_shared(model, threads=3)):
        assert (model.threads, other.threads) == (1, 3)
        assert other.core is model.core
        assert other.tokenizer is tokenizer
    assert open_shared(model, threads=1) is model


def test_other_arithmetic_is_another_model(tiny_folder):
    model = open_shared(tiny_folder, **FP32)
    other = open_shared(tiny_folder, precision="bf16", kernel="portable")
    assert (model.precision, other.precision) == ("fp32", "bf16")
    assert not np.array_equal(model.losses(IDS), other.losses(IDS))


def test_a_copy_of_the_folder_shares_the_weights_but_not_the_heads(tiny_folder, tmp_path):
    copy = shutil.copytree(tiny_folder, tmp_path / "copy")
    model, other = open_shared(tiny_folder), open_shared(copy)
    assert other.core is model.core
    assert (model.path, other.path) == (str(tiny_folder), str(copy))


def test_a_changed_folder_is_another_model(tmp_path):
    model = open_shared(make_llama_folder(tmp_path / "model"))
    other = open_shared(make_llama_folder(tmp_path / "model", seed=1))
    assert model.fingerprint != other.fingerprint
    assert not np.array_equal(model.losses(IDS), other.losses(IDS))


@pytest.mark.parametrize("is_worker", [False, True])
def test_a_folder_that_changes_while_it_is_opened_is_refused(
    tmp_path, monkeypatch, cache, is_worker
):
    folder = make_llama_folder(tmp_path / "model")

    def digest(path):
        make_llama_folder(folder, seed=1)
        return "0" * 64

    monkeypatch.setattr(shared, "digest_files", digest)
    monkeypatch.setattr(shared, "in_worker_process", lambda: is_worker)
    with pytest.raises(ai.ModelError, match="has changed while the model was opened"):
        open_shared(folder)
    assert not list(cache.glob("packed/*.bin"))


def test_what_is_not_a_model_is_refused(tmp_path):
    with pytest.raises(TypeError, match="a path or a hub id, got int"):
        open_shared(3)
    with pytest.raises(FileNotFoundError):
        open_shared(tmp_path)
    with pytest.raises(ValueError, match="no kernel 'abacus'"):
        open_shared(precision="fp32", kernel="abacus")
    with pytest.raises(ValueError, match="threads must be a positive integer"):
        open_shared(threads=0)


def test_a_model_goes_with_its_last_user(tiny_folder):
    model = weakref.ref(open_shared(tiny_folder))
    gc.collect()
    assert model() is None


def test_a_worker_keeps_its_models_for_the_next_task(tiny_folder, monkeypatch):
    as_worker(monkeypatch)
    model = weakref.ref(open_shared(tiny_folder))
    gc.collect()
    assert open_shared(tiny_folder) is model()
    assert mapped_file(model().core).endswith(".bin")


def test_who_asks_may_say_that_it_is_a_worker(tiny_folder, monkeypatch):
    model = weakref.ref(open_shared(tiny_folder, worker=True))
    gc.collect()
    assert mapped_file(model().core).endswith(".bin")
    forget()
    as_worker(monkeypatch)
    model = weakref.ref(open_shared(tiny_folder, worker=False))
    gc.collect()
    assert model() is None


def test_a_pickle_maps_the_weights_once(tiny_folder, cache):
    model = ai.load(tiny_folder, threads=2)
    pickled, expected = pickle.dumps(model), model.losses(IDS)
    del model
    forget()
    again = pickle.loads(pickled)
    assert mapped_file(again.core) == str(
        cache / "packed" / f"{again.fingerprint}-{again.precision}-{again.kernel}.bin"
    )
    assert again.threads == 2
    assert np.array_equal(again.losses(IDS), expected)
    known = id(again)
    del again
    gc.collect()
    assert id(pickle.loads(pickled)) == known


def test_the_folder_is_not_hashed_again_where_its_stamps_are_those_of_the_pickle(
    tmp_path, monkeypatch
):
    folder = make_llama_folder(tmp_path / "model")
    pickled = pickle.dumps(ai.load(folder))
    hashed = []
    digest = shared.digest_files
    monkeypatch.setattr(shared, "digest_files", lambda path: hashed.append(path) or digest(path))
    assert pickle.loads(pickled).losses(IDS).shape == (19,)
    assert not hashed
    forget()
    os.utime(folder / "config.json", (1, 1))
    assert pickle.loads(pickled).losses(IDS).shape == (19,)
    assert hashed == [str(folder)]


def test_other_weights_are_refused_though_the_cache_has_the_right_ones(tmp_path):
    folder = make_llama_folder(tmp_path / "model")
    pickled = pickle.dumps(ai.load(folder))
    pickle.loads(pickled)
    forget()
    make_llama_folder(folder, seed=1)
    with pytest.raises(ai.ModelError, match="holds another model than the one pickled"):
        pickle.loads(pickled)
    shutil.rmtree(folder)
    with pytest.raises(FileNotFoundError, match=r"config\.json"):
        pickle.loads(pickled)


def test_a_tokenizer_that_changed_since_is_refused(tmp_path):
    folder = make_llama_folder(tmp_path / "model")
    model = ai.load(folder)
    text = (folder / "tokenizer.json").read_text()
    (folder / "tokenizer.json").write_text(text + " ")
    with pytest.raises(ai.ModelError, match="has changed since the model was opened"):
        _ = model.tokenizer


def test_threads_that_ask_together_share_one_model(tiny_folder):
    barrier, found = threading.Barrier(4), []

    def ask():
        barrier.wait()
        found.append(open_shared(tiny_folder))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert all(model is found[0] for model in found)


def told(model):
    """What a worker says of its model: is it another object, where are its weights, how many
    threads, and its losses."""
    return id(model.core), mapped_file(model.core), model.threads, model.losses(IDS).tobytes()


def opens(folder):
    return told(open_shared(folder))


def asked(method, function, *arguments):
    with multiprocessing.get_context(method).Pool(1) as pool:
        return pool.apply(function, arguments)


def test_a_forked_worker_goes_on_with_its_parents_weights(tiny_folder):
    model = open_shared(tiny_folder)
    expected = (id(model.core), "", 1, model.losses(IDS).tobytes())
    assert asked("fork", told, model) == expected
    assert asked("fork", opens, tiny_folder) == expected
    assert asked("fork", told, open_shared(model, threads=2))[2] == 2


def test_a_model_carried_over_a_fork_uses_one_thread(tiny_folder, monkeypatch):
    """Without a pickle, as in the arguments of a Process."""
    monkeypatch.delenv("ATTNINFLUENCE_NUM_THREADS", raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    context = multiprocessing.get_context("fork")
    plain, asked_for = ai.load(tiny_folder), ai.load(tiny_folder, threads=3)
    queue = context.SimpleQueue()
    process = context.Process(target=lambda: queue.put((plain.threads, asked_for.threads)))
    process.start()
    process.join()
    assert queue.get() == (1, 3)


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_worker_of_its_own_maps_the_weights(tiny_folder, cache, method):
    model = ai.load(tiny_folder, **FP32)
    for function, argument in ((told, model), (opens, tiny_folder)):
        _, file, threads, losses = asked(method, function, argument)
        # A fork server keeps the environment it was started in, and so its cache folder.
        assert os.path.basename(os.path.dirname(file)) == "packed"
        assert threads == 1
        if function is told:
            assert losses == model.losses(IDS).tobytes()
