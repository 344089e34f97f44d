"""Families opened from GGUF files: the bits of their folders, and transformers' own reader.

models.py writes the files as llama.cpp's conversion does, and says what it cannot write down.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from numpy.typing import NDArray
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

from attninfluence import _core
from attninfluence.verify.reference import NAME, Reference, _copy_rotary
from tests.core.family_parity import Opened, worst_loss
from tests.core.gguf import models
from tests.kit.child import ROOT
from tests.kit.family_models import FAMILIES, LENGTHS, read_folder
from tests.kit.family_variants import per_layer_type, rope
from tests.kit.parity import head_sets
from tests.kit.tiny_models import random_ids

PAIRS = list(models.SETTINGS)
IDS = [f"{family}-{variant}".replace(" ", "-") for family, variant in PAIRS]

# What no row of llama.cpp's architectures is like, or none that a file describes in full.
NOT_IN_GGUF = {"vaultgemma", "ministral", "opt", "nanochat", "helium", "apertus"}

# What transformers reads, changed to what it reads all of. It takes no notice of rotary scaling
# (rope_freqs.weight among it), of windows but gemma's, of caps, of biases that a configuration
# turns on, of qwen3's head_dim and of gpt2's context, for which its defaults stand. It knows
# nothing of the architectures that are left out here, takes a mixtral for a llama, and looks for
# gpt_oss's experts under other names than conversion gives them.
KNOWN: dict[tuple[str, str], dict[str, Any]] = {
    ("llama", "tied"): {},
    ("qwen2", "window"): {},
    ("qwen3", "full"): {"head_dim": 128},
    ("qwen3_moe", "listed"): {"moe_intermediate_size": 768},
    ("gemma2", "capped"): {
        "head_dim": 256,
        "query_pre_attn_scalar": 256,
        "attn_logit_softcapping": 50.0,
        "final_logit_softcapping": 30.0,
    },
    ("gemma3_text", "pattern of 6"): {
        **per_layer_type(rope(theta=1e6), rope(theta=10000.0)),
        "head_dim": 256,
        "query_pre_attn_scalar": 256,
        "final_logit_softcapping": None,
        "attention_bias": False,
    },
    ("gpt2", "plain"): {"max_position_embeddings": 1024},
    ("phi3", "plain"): {},
    ("stablelm", "serial"): {"qk_layernorm": False},
    ("starcoder2", "window"): {},
    ("nemotron", "plain"): rope(theta=10000.0, partial_rotary_factor=0.5),
}


def losses(path: Path) -> list[NDArray[np.float32]]:
    """Base and masked losses of documents on both sides of every window."""
    core = _core.Model(str(path), "fp32")
    sets = head_sets(core.n_layers, core.n_heads, core.n_heads // core.n_kv_heads)
    documents = [random_ids(n, n, core.vocab_size) for n in LENGTHS]
    return core.run(documents, variants=np.stack([sets["scattered"], sets["last"]]))


def assert_same(folder: Path, file: Path) -> None:
    for ours, theirs in zip(losses(folder), losses(file), strict=True):
        assert np.array_equal(ours.view(np.uint32), theirs.view(np.uint32))


def test_every_family_is_written_or_is_not_in_gguf() -> None:
    assert {family for family, _ in PAIRS} | NOT_IN_GGUF == set(FAMILIES)


def test_the_documentation_names_the_architectures() -> None:
    text = (ROOT / "docs" / "FAMILIES.md").read_text(encoding="utf-8")
    written = {}
    for families, architectures in re.findall(r"^\| (`[^|]*`) \| ([^|]*)\|", text, re.MULTILINE):
        pair = [re.findall(r"`([^`]+)`", part) for part in (families, architectures)]
        written |= dict(zip(*pair, strict=True)) if pair[1] else {}
    assert written == models.ARCHITECTURES


@pytest.mark.parametrize(("family", "variant"), PAIRS, ids=IDS)
def test_a_file_is_its_folder(tmp_path: Path, family: str, variant: str) -> None:
    """In float32 to the bit, and described alike."""
    folder = models.make_folder(tmp_path / "folder", family, variant)
    file = models.gguf_of(folder, tmp_path / "model.gguf")
    assert_same(folder, file)
    ours, theirs = (_core.Model(str(path), "fp32") for path in (file, folder))
    # A llama's file does not say that it was a mistral's.
    assert ours.model_type == theirs.model_type or (family, variant) == ("mistral", "full")
    for name in ("n_parameters", "tied", "window", "n_windowed_layers", "rotary_dim"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert ours.rope_type == theirs.rope_type or family == "hunyuan_v1_dense"


@pytest.mark.parametrize(("family", "variant"), PAIRS, ids=IDS)
def test_a_quantised_file_is_the_folder_of_its_values(
    tmp_path: Path, family: str, variant: str
) -> None:
    """Of a mix of types, as the gguf package dequantises them."""
    folder = models.make_folder(tmp_path / "folder", family, variant, hidden_size=64)
    file = models.gguf_of(folder, tmp_path / "model.gguf", kinds=models.mixed)
    kinds = {tensor.tensor_type.name for tensor in gguf.GGUFReader(file).tensors}
    assert len(kinds & {"Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"}) >= 2
    assert_same(models.dequantised_folder(folder, tmp_path / "values", models.mixed), file)


class FileReference(Reference):
    """transformers' model of a GGUF file, by its own reader of configurations and tensors.

    `from_pretrained` would call that reader too, and asks for a package beside it.
    """

    def __init__(self, path: Path) -> None:
        settings = load_gguf_checkpoint(str(path))["config"]
        config = AutoConfig.for_model(**settings, pad_token_id=0)
        self.model: Any = AutoModelForCausalLM.from_config(config, attn_implementation=NAME)
        read = load_gguf_checkpoint(str(path), return_tensors=True, model_to_load=self.model)
        report = self.model.load_state_dict(read["tensors"], strict=False)
        assert set(report.missing_keys) <= {"lm_head.weight"} and not report.unexpected_keys
        self.model.tie_weights()
        self.model.eval()
        self.n_layers, self.n_heads = config.num_hidden_layers, config.num_attention_heads
        self._rotaries = [
            (parent, name, _copy_rotary(child))
            for parent in self.model.modules()
            for name, child in parent.named_children()
            if hasattr(child, "rope_type")
        ]


@pytest.mark.parametrize(("family", "variant"), KNOWN)
def test_transformers_reads_the_same(tmp_path: Path, family: str, variant: str) -> None:
    settings = KNOWN[family, variant]
    folder = models.make_folder(tmp_path / "folder", family, variant, **settings)
    file = models.gguf_of(folder, tmp_path / "model.gguf", kinds=models.mixed)
    opened = Opened(family, variant, file, _core.Model(str(file), "fp32"))
    opened.__dict__["reference"] = FileReference(file)
    worst = worst_loss(opened)
    print(worst)
    assert worst.passes, worst


def test_transformers_does_not_read_the_factors_of_llama3(tmp_path: Path) -> None:
    """Evidence that it is no oracle there: its numbers are those of a model without scaling."""
    folder = models.make_folder(tmp_path / "folder", "llama", "biases")
    file = models.gguf_of(folder, tmp_path / "model.gguf")
    assert "rope_freqs.weight" in {tensor.name for tensor in gguf.GGUFReader(file).tensors}
    ids = random_ids(200, 200, read_folder(folder)[0]["vocab_size"])
    right, found = (r.read(ids).losses for r in (Reference(folder), FileReference(file)))
    assert np.abs(right - found).max() > 0.01
    ours = _core.Model(str(file), "fp32").run([ids])[0][0]
    assert np.abs(right - ours).max() < 1e-4
