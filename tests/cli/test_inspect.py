"""attninfluence inspect: what it says of models of several families."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest

from attninfluence import _core, cli, load
from attninfluence.model.opening import bundled_folder
from attninfluence.tokenizer.gguf import SplitWarning
from tests.kit.child import run_python
from tests.kit.family_models import make_family_folder, make_vision_language_folder
from tests.kit.gguf.tiny import make_gguf


@pytest.fixture
def inspected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """(what JSON says, what a person reads) of a family's variant."""

    def inspect(family: str, variant: str, *options: str, **how: Any) -> tuple[Any, str]:
        return described(make_family_folder(tmp_path, family, variant, **how), capsys, *options)

    return inspect


def described(
    folder: str | Path, capsys: pytest.CaptureFixture[str], *options: str
) -> tuple[Any, str]:
    status = cli.main(["inspect", str(folder), *options])
    output = capsys.readouterr()
    assert status == 0, output.err
    return json.loads(output.out), output.err


def test_a_llama_with_a_tokenizer(tiny_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found, told = described(tiny_folder, capsys, "--precision", "fp32")
    config = json.loads((tiny_folder / "config.json").read_text())
    assert found["family"] == "llama"
    assert found["layers"] == config["num_hidden_layers"]
    assert found["heads"] == config["num_attention_heads"]
    assert found["key_value_heads"] == config["num_key_value_heads"]
    assert found["vocabulary"] == config["vocab_size"]
    assert found["context"] == config["max_position_embeddings"]
    assert found["retrieval_heads"] is None
    assert found["tokenizer"] == {"kind": "byte-level BPE", "vocabulary": 278}
    assert (found["bos"], found["bos_ids"]) == (["<s>"], [0])
    assert "BOS              <s> (0) before each text, as transformers' tokenizer" in told
    assert found["rope"] == {
        "type": "default",
        "theta": 10000.0,
        "factor": None,
        "original_context": None,
        "windowed_theta": None,
        "dimensions": found["head_dim"],
        "layers_without": 0,
    }
    assert found["window"] is None and found["experts"] is None
    assert found["kernels"] == list(_core.kernels("fp32"))
    assert found["kernel"] == load(tiny_folder, precision="fp32").kernel
    assert f"this CPU has {', '.join(found['kernels'])}\n" in told
    assert found["speed"]["tokens_per_second"] > 0


def test_a_folder_without_a_tokenizer(
    plain_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found, _ = described(plain_folder, capsys)
    assert found["tokenizer"] is None and found["bos"] is None


def test_the_bundled_model(capsys: pytest.CaptureFixture[str]) -> None:
    found, told = described(bundled_folder(), capsys)
    assert found["parameters"] == 3_344_832 and found["retrieval_heads"] == [[3, 0], [3, 1]]
    assert found["stability"]["enough"] is True
    assert "retrieval heads  (3, 0), (3, 1)\n" in told
    assert "enough samples?  Yes: no head's 95 % interval reaches the border" in told
    assert max(len(line) for line in told.splitlines() if not line.startswith("path")) < 84


def test_memory_is_what_each_precision_takes(inspected: Any, tmp_path: Path) -> None:
    found, _ = inspected("mixtral", "window", "--precision", "fp32")
    taken = {name: _core.Model(str(tmp_path), name).weight_bytes for name in ("fp32", "bf16")}
    taken["int8"] = _core.Model(str(tmp_path), "int8").weight_bytes
    assert found["weight_bytes"] == taken
    assert taken["fp32"] > taken["bf16"] > taken["int8"]


def test_windows_and_two_rotary_bases(inspected: Any) -> None:
    found, told = inspected("gemma3_text", "pattern of 3")
    assert found["window"] == {"tokens": 24, "layers": 5} and found["layers"] == 7
    assert found["rope"]["theta"] != found["rope"]["windowed_theta"]
    assert found["rope"]["type"] == "linear" and found["rope"]["factor"] == 4.0
    assert "attention        a window of 24 tokens in 5 of 7 layers\n" in told
    assert "                 base 300 in layers with one\n" in told


def test_partial_rotation_learned_positions_and_layers_without(inspected: Any) -> None:
    found, _ = inspected("gpt_neox", "parallel")
    assert found["rope"]["dimensions"] < found["head_dim"]
    found, told = inspected("gpt2", "plain")
    assert found["rope"] is None and "RoPE             none; positions are learned\n" in told
    found, _ = inspected("smollm3", "every second")
    assert found["rope"]["layers_without"] == found["layers"] // 2


def test_experts(inspected: Any) -> None:
    found, told = inspected("gpt_oss", "alternating")
    count, used = found["experts"]["count"], found["experts"]["per_token"]
    assert f"experts          {count}, {used} of them for a token\n" in told
    assert found["rope"]["original_context"] is not None
    assert found["experts"]["count"] > found["experts"]["per_token"] >= 2


@pytest.mark.parametrize("family", ["gpt2", "gemma2", "mixtral", "phi"])
def test_parameters_are_those_of_transformers(inspected: Any, tmp_path: Path, family: str) -> None:
    from transformers import AutoModelForCausalLM

    variant = {"gpt2": "plain", "gemma2": "capped", "mixtral": "full", "phi": "normed"}[family]
    found, _ = inspected(family, variant)
    model: Any = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert found["parameters"] == model.num_parameters()


def test_the_text_part_of_a_larger_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_vision_language_folder(tmp_path / "gemma3", "gemma3")
    text = make_family_folder(tmp_path / "text", "gemma3_text", "pattern of 3")
    whole, alone = (described(path, capsys)[0] for path in (folder, text))
    assert whole["family"] == "gemma3_text" and whole["parameters"] == alone["parameters"]


def test_a_gguf_file(tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = make_gguf(tiny_folder, tmp_path / "tiny.gguf")
    found, told = described(path, capsys, "--precision", "fp32")
    assert found["path"] == str(path)
    assert found["gguf"] == {
        "name": "tiny",
        "architecture": "llama",
        "files": 1,
        "values": {"F32": found["parameters"]},
        "tokenizer": "gpt2",
        "split": "gpt-2",
    }
    assert "GGUF             tiny, architecture llama\n" in told
    assert f"values           F32 {found['parameters']:,}\n" in told
    assert "BOS              <s> (0) before each text, as the file says\n" in told
    assert described(tiny_folder, capsys, "--precision", "fp32")[0]["gguf"] is None


def test_a_gguf_file_that_does_not_name_its_split(
    tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = make_gguf(tiny_folder, tmp_path / "tiny.gguf", pre=None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SplitWarning)
        found, _ = described(path, capsys)
    assert found["gguf"]["split"] is None
    script = "import sys, attninfluence.cli as cli; sys.stderr = sys.stdout; cli.main(sys.argv[1:])"
    lines = run_python(script, "inspect", path).splitlines()
    told = [line for line in lines if "does not say" in line]
    assert len(told) == 1
    assert told[0].startswith(
        f"attninfluence inspect: warning: {path}: tokenizer.ggml.pre does not say how texts"
    )
