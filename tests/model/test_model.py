"""The opened model: reading, identity, pickling, refusals."""

from __future__ import annotations

import ast
import copyreg
import importlib.metadata
import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import attninfluence as ai
from attninfluence import _core
from tests.kit.child import IS_SANITIZED
from tests.kit.closed_folder import close_folder
from tests.kit.tiny_models import make_llama_folder, random_ids


@pytest.fixture(scope="module")
def model(tiny_folder):
    return ai.load(tiny_folder, precision="fp32", threads=1)


IDS = random_ids(1, 20, 320)


def test_what_a_model_says_of_itself(model, tiny_folder):
    assert model.path == str(tiny_folder)
    assert (model.n_layers, model.n_heads, model.context) == (3, 4, 2048)
    assert (model.precision, model.threads, model.commit) == ("fp32", 1, None)
    assert model.config["model_type"] == "llama"
    assert model.has_tokenizer
    assert f"3 layers x 4 heads, context 2048, fp32, {model.kernel})" in repr(model)


def test_shapes_and_types(model):
    losses = model.losses(IDS)
    assert losses.shape == (19,) and losses.dtype == np.float32
    assert model.logits(IDS).shape == (20, 320)
    attention = model.attention(IDS, 2, 3)
    assert attention.shape == (20, 20) and attention.dtype == np.float32
    assert not np.triu(attention, 1).any()


def test_losses_are_those_of_the_logits(model):
    for heads in (None, [(0, 1), (2, 3)]):
        logits = model.logits(IDS, heads).astype(np.float64)
        shifted = logits - logits.max(axis=1, keepdims=True)
        log_softmax = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        expected = -log_softmax[np.arange(19), IDS[1:]]
        np.testing.assert_allclose(model.losses(IDS, heads), expected, atol=1e-4)


def test_masking_changes_the_losses_and_no_head_does_not(model):
    base = model.losses(IDS)
    assert not np.array_equal(model.losses(IDS, [(1, 2)]), base)
    assert not np.array_equal(model.losses(IDS, [(1, 2)]), model.losses(IDS, [(1, 2)], mask="zero"))
    assert np.array_equal(model.losses(IDS, []), base)


@pytest.mark.parametrize("kind", [list, tuple, np.int64, np.uint8])
def test_ids_of_any_integer_kind(model, kind):
    ids = IDS % 200
    given = ids.astype(kind) if isinstance(kind, type) and kind not in (list, tuple) else kind(ids)
    assert np.array_equal(model.losses(given), model.losses(ids))


@pytest.mark.parametrize(
    ("ids", "sentence"),
    [
        ([1, 320], "token_ids: id 320 at position 1 is outside the model's vocabulary 0..319"),
        ([1, 2, -1], "id -1 at position 2 is outside"),
        ([1, 2**40], "is outside the model's vocabulary"),
        ([1.0, 2.0], "expected integer token ids, got float64"),
        ([[1, 2]], r"expected a flat sequence of token ids, got shape \(1, 2\)"),
        ([True, False], "expected integer token ids, got bool"),
    ],
)
def test_ids_that_cannot_be(model, ids, sentence):
    with pytest.raises(ValueError, match=sentence):
        model.losses(ids)


@pytest.mark.parametrize("head", [(3, 0), (0, 4), (-1, 0), (0, -1)])
def test_a_head_out_of_range_is_named(model, head):
    sentence = rf"head \({head[0]}, {head[1]}\) is out of range: .* 3 layers of 4 heads"
    with pytest.raises(ValueError, match=sentence):
        model.losses(IDS, [head])
    with pytest.raises(ValueError, match=sentence):
        model.attention(IDS, *head)


def test_a_head_of_a_fraction_is_refused(model):
    with pytest.raises(TypeError, match="layer must be an integer, got 0.5"):
        model.attention(IDS, 0.5, 0)


def test_none_is_taken_wherever_the_types_say_so(tiny_folder):
    stub = ast.parse(Path(_core.__file__).with_name("_core.pyi").read_text(encoding="utf-8"))
    functions = [node for node in ast.walk(stub) if isinstance(node, ast.FunctionDef)]
    (new,) = (function.args for function in functions if function.name == "__new__")
    optional = [
        argument.arg
        for argument in new.args[1:] + new.kwonlyargs
        if "None" in ast.unparse(argument.annotation)
    ]
    assert "kernel" in optional
    for name in optional:
        assert _core.Model(str(tiny_folder), **{name: None}).n_layers == 3


def test_options_that_cannot_be(model, tiny_folder):
    with pytest.raises(ValueError, match="mask must be one of uniform, zero, got 'none'"):
        model.losses(IDS, [(0, 0)], mask="none")
    with pytest.raises(ValueError, match="one of auto, fp32, bf16, int8, got 'fp64'"):
        ai.load(tiny_folder, precision="fp64")
    with pytest.raises(ValueError, match=f"abacus.*{_core.kernels('bf16')[0]}"):
        ai.load(tiny_folder, precision="bf16", kernel="abacus")
    with pytest.raises(ValueError, match="threads must be a positive integer"):
        ai.load(tiny_folder, threads=0)


def test_a_folder_without_tokenizer_opens(plain_folder):
    model = ai.load(plain_folder)
    assert not model.has_tokenizer
    assert model.losses(IDS).shape == (19,)
    with pytest.raises(ai.ModelError, match=r"no tokenizer\.json in"):
        _ = model.tokenizer


def test_the_fingerprint_is_that_of_the_content(model, tiny_folder, tmp_path):
    copy = shutil.copytree(tiny_folder, tmp_path / "copy")
    assert ai.load(copy).fingerprint == model.fingerprint
    (copy / "heads.json").write_text("{}")
    (copy / "README.md").write_text("words")
    assert ai.load(copy).fingerprint == model.fingerprint
    make_llama_folder(copy, seed=1, n_kv_heads=2)
    assert ai.load(copy).fingerprint != model.fingerprint


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_configuration_and_tokenizer_count(model, tiny_folder, tmp_path, name):
    copy = shutil.copytree(tiny_folder, tmp_path / "copy")
    changed = json.loads((copy / name).read_text()) | {"transformers_version": "5"}
    (copy / name).write_text(json.dumps(changed))
    assert ai.load(copy).fingerprint != model.fingerprint


@pytest.mark.parametrize("name", ["more.safetensors", "special_tokens_map.json"])
@pytest.mark.parametrize("kind", ["FIFO", "device"])
def test_a_fingerprint_is_of_regular_files(tiny_folder, tmp_path, name, kind):
    """A FIFO would be waited for, and /dev/zero has no end."""
    copy = shutil.copytree(tiny_folder, tmp_path / "copy")
    (copy / name).unlink(missing_ok=True)
    if kind == "FIFO":
        os.mkfifo(copy / name)
    else:
        os.symlink("/dev/null", copy / name)
    opened = ai.load(copy)
    with pytest.raises(ai.ModelError, match=rf"/{name}: expected a regular file, found a {kind}"):
        _ = opened.fingerprint


def test_a_folder_that_cannot_be_listed_has_no_fingerprint(tiny_folder, tmp_path, monkeypatch):
    """It would be that of every model with this configuration, whatever its weights."""
    copy = shutil.copytree(tiny_folder, tmp_path / "closed")
    close_folder(monkeypatch, "closed")
    with pytest.raises(PermissionError):
        _ = ai.load(copy).fingerprint


def test_a_fingerprint_of_other_weights_is_refused(tmp_path):
    opened = ai.load(make_llama_folder(tmp_path, n_layers=1))
    make_llama_folder(tmp_path, n_layers=2)
    with pytest.raises(ai.ModelError, match="has changed since the model was opened"):
        _ = opened.fingerprint


def test_pickles_small_and_opens_again(model):
    pickled = pickle.dumps(model)
    assert len(pickled) < 10_000
    again = pickle.loads(pickled)
    assert np.array_equal(again.losses(IDS), model.losses(IDS))
    assert pickle.loads(pickled) is again
    assert pickle.dumps(again) == pickled


def family(kernel):
    """The name by which `_core.kernels` lists it: openblas for openblas-<version>-<core>."""
    return kernel.partition("-")[0]


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
def test_every_precision_and_kernel_by_name(tiny_folder, precision):
    for kernel in _core.kernels(precision):
        model = ai.load(tiny_folder, precision=precision, kernel=kernel, threads=1)
        assert (model.precision, family(model.kernel)) == (precision, kernel)
        assert model.losses(IDS).shape == (19,)
    best = ai.load(tiny_folder, precision=precision)
    assert family(best.kernel) == _core.kernels(precision)[0]


def test_auto_is_bf16_or_fp32(tiny_folder):
    model = ai.load(tiny_folder)
    assert model.precision in ("bf16", "fp32")
    assert family(model.kernel) == _core.kernels(model.precision)[0]


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_in_another_precision(tiny_folder, model, precision):
    other = ai.load(tiny_folder, precision=precision, threads=3)
    twin = other.in_precision("fp32")
    assert (twin.precision, twin.kernel, twin.threads) == ("fp32", model.kernel, 3)
    assert np.array_equal(twin.losses(IDS), model.losses(IDS))
    assert other.precision == precision
    assert twin.in_precision("fp32") is twin


def test_in_another_precision_of_changed_weights_is_refused(tmp_path):
    opened = ai.load(make_llama_folder(tmp_path), precision="bf16")
    make_llama_folder(tmp_path, n_layers=2)
    with pytest.raises(ai.ModelError, match="has changed since the model was opened"):
        opened.in_precision("fp32")


@pytest.mark.parametrize("precision", ["auto", "fp32", "bf16", "int8"])
def test_a_pickle_opens_with_the_same_arithmetic(tiny_folder, precision):
    best = ai.load(tiny_folder, precision=precision, threads=1)
    kernels = [None, *_core.kernels(best.precision)]
    models = [
        ai.load(tiny_folder, precision=precision, kernel=kernel, threads=1) for kernel in kernels
    ]
    again = [pickle.loads(pickle.dumps(model)) for model in models]
    for model, other in zip(models, again, strict=True):
        assert (other.precision, other.kernel) == (model.precision, model.kernel)
        assert np.array_equal(other.losses(IDS), model.losses(IDS))


@pytest.mark.parametrize("kernel", ["sve", "openblas-0.0.0-KATMAI"])
def test_a_pickle_is_refused_where_its_kernel_is_not(tiny_folder, kernel):
    model = ai.load(tiny_folder, precision="fp32", kernel="portable", threads=2)
    reopen, arguments = copyreg.dispatch_table[ai.Model](model)
    elsewhere = [kernel if argument == "portable" else argument for argument in arguments]
    with pytest.raises(ai.ModelError, match=f"in fp32 with the kernel '{kernel}'.*portable"):
        reopen(*elsewhere)


def test_other_weights_at_a_pickled_path_are_refused(tmp_path):
    pickled = pickle.dumps(ai.load(make_llama_folder(tmp_path)))
    make_llama_folder(tmp_path, seed=1)
    with pytest.raises(ai.ModelError, match="holds another model than the one pickled"):
        pickle.loads(pickled)


def test_as_model_takes_what_load_takes(model, tiny_folder):
    from attninfluence.model.opening import as_model

    assert as_model(model) is model
    assert as_model(str(tiny_folder)).fingerprint == model.fingerprint


LIGHT_IMPORT = """
import sys, time
started = time.process_time()
import attninfluence
seconds = time.process_time() - started
heavy = {"numpy", "pyarrow", "tokenizers", "huggingface_hub", "tqdm", "rich", "jinja2"}
print(seconds, sorted(heavy & set(sys.modules)), attninfluence.__version__)
"""


def test_import_is_light():
    command = [sys.executable, "-c", LIGHT_IMPORT]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert float(output[0]) < 0.2 or IS_SANITIZED  # a sanitizer's own start is in the time
    assert output[1] == "[]"
    assert output[2] == ai.__version__


def test_public_names():
    import attninfluence.scoring.batches

    assert callable(ai.score) and ai.score is attninfluence.scoring.score
    for name in ai.__all__:
        assert getattr(ai, name) is not None
        assert name in dir(ai)
    with pytest.raises(AttributeError, match="no attribute 'Scorers'"):
        _ = ai.Scorers


def test_the_version_is_that_of_the_project():
    assert ai.__version__ == importlib.metadata.version("attninfluence")
