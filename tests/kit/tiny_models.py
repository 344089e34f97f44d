"""Random-weight Llama folders in Hugging Face's format, written without torch.

Weights are scaled so that attention is peaked and every head matters: masking one
moves the losses by something between a hundredth of a nat and a nat.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

BOS, EOS, PAD = "<s>", "</s>", "<|endoftext|>"
SPECIALS = (BOS, EOS, PAD)

# Standard deviation of the attention logits of random weights (1 is nearly flat).
ATTENTION_SPREAD = 2.5
LOGIT_SPREAD = 2.0

MERGES = tuple(
    tuple(pair.split("+"))
    for pair in (
        "t+h th+e Ġ+the a+n an+d Ġ+and i+n in+g o+f Ġ+of t+o Ġ+to e+r o+n i+s Ġ+in Ġ+is Ġ+a r+e"
    ).split()
)


def make_llama_folder(
    path: str | Path,
    *,
    seed: int = 0,
    vocab_size: int = 320,
    hidden_size: int = 48,
    n_layers: int = 3,
    n_heads: int = 4,
    n_kv_heads: int | None = None,
    head_dim: int | None = None,
    intermediate_size: int = 96,
    rope: Mapping[str, Any] | None = None,
    tied: bool = False,
    attention_bias: bool = False,
    mlp_bias: bool = False,
    shards: int = 1,
    dtype: str = "float32",
    max_position_embeddings: int = 2048,
    rms_norm_eps: float = 1e-5,
    tokenizer: bool = True,
    tokenizer_options: Mapping[str, Any] | None = None,
    dialect: str = "v5",
    scale: float = 1.0,
) -> Path:
    """Writes a model folder and returns its path.

    `rope` holds `rope_type` and its parameters, in either dialect's meaning; `scale` multiplies
    the spread of the attention logits; `tokenizer_options` go to `write_tokenizer`. `dialect` "v5"
    nests rotary settings in `rope_parameters`, "v4" has `rope_theta` and `rope_scaling`.
    """
    path = Path(path)
    path.mkdir(parents=True, exist_ok=True)
    rope = dict(rope or {})
    config: dict[str, Any] = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "vocab_size": vocab_size,
        "hidden_size": hidden_size,
        "num_hidden_layers": n_layers,
        "num_attention_heads": n_heads,
        "num_key_value_heads": n_kv_heads or n_heads,
        "head_dim": head_dim or hidden_size // n_heads,
        "intermediate_size": intermediate_size,
        "max_position_embeddings": max_position_embeddings,
        "rms_norm_eps": rms_norm_eps,
        "tie_word_embeddings": tied,
        "attention_bias": attention_bias,
        "mlp_bias": mlp_bias,
        "bos_token_id": 0,
        "eos_token_id": 1,
    }
    config |= _rope_settings(rope, dialect)
    config["dtype" if dialect == "v5" else "torch_dtype"] = dtype
    tensors = random_tensors(config, seed=seed, scale=scale)
    write_weights(path, tensors, dtype=dtype, shards=shards)
    (path / "config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
    if tokenizer:
        write_tokenizer(path, **{"vocab_size": vocab_size, **(tokenizer_options or {})})
    return path


def _rope_settings(rope: dict[str, Any], dialect: str) -> dict[str, Any]:
    theta = rope.pop("rope_theta", 10000.0)
    kind = rope.pop("rope_type", "default")
    if dialect == "v5":
        return {"rope_parameters": {"rope_type": kind, "rope_theta": theta, **rope}}
    scaling = None if kind == "default" else {"type": kind, "rope_type": kind, **rope}
    return {"rope_theta": theta, "rope_scaling": scaling}


def random_tensors(
    config: Mapping[str, Any], *, seed: int = 0, scale: float = 1.0
) -> dict[str, NDArray[np.float32]]:
    """All tensors of a Llama of this configuration, by their names in a checkpoint."""
    random = np.random.default_rng(seed)
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    head_dim, vocab = config["head_dim"], config["vocab_size"]
    queries = config["num_attention_heads"] * head_dim
    keys = config["num_key_value_heads"] * head_dim
    tensors: dict[str, NDArray[np.float32]] = {}

    def linear(name: str, n_out: int, n_in: int, spread: float, bias: bool) -> None:
        weight = random.standard_normal((n_out, n_in)) * spread / np.sqrt(n_in)
        tensors[f"{name}.weight"] = weight.astype(np.float32)
        if bias:
            tensors[f"{name}.bias"] = _normal(random, (n_out,), 0.0, 0.3)

    tied = config["tie_word_embeddings"]
    embedding_spread = LOGIT_SPREAD / np.sqrt(hidden) if tied else 1.0
    tensors["model.embed_tokens.weight"] = _normal(random, (vocab, hidden), 0.0, embedding_spread)
    sharpness = float(np.sqrt(ATTENTION_SPREAD * scale))
    attention_bias, mlp_bias = config["attention_bias"], config["mlp_bias"]
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}."
        tensors[prefix + "input_layernorm.weight"] = _normal(random, (hidden,), 1.0, 0.1)
        tensors[prefix + "post_attention_layernorm.weight"] = _normal(random, (hidden,), 1.0, 0.1)
        linear(prefix + "self_attn.q_proj", queries, hidden, sharpness, attention_bias)
        linear(prefix + "self_attn.k_proj", keys, hidden, sharpness, attention_bias)
        linear(prefix + "self_attn.v_proj", keys, hidden, 1.0, attention_bias)
        linear(prefix + "self_attn.o_proj", hidden, queries, 1.0, attention_bias)
        linear(prefix + "mlp.gate_proj", inner, hidden, 1.0, mlp_bias)
        linear(prefix + "mlp.up_proj", inner, hidden, 1.0, mlp_bias)
        linear(prefix + "mlp.down_proj", hidden, inner, 1.0, mlp_bias)
    tensors["model.norm.weight"] = _normal(random, (hidden,), 1.0, 0.1)
    if not tied:
        linear("lm_head", vocab, hidden, LOGIT_SPREAD, False)
    return tensors


def _normal(
    random: np.random.Generator, shape: tuple[int, ...], mean: float, spread: float
) -> NDArray[np.float32]:
    return (mean + spread * random.standard_normal(shape)).astype(np.float32)


def write_weights(
    path: Path, tensors: Mapping[str, NDArray[np.float32]], *, dtype: str, shards: int
) -> None:
    """Writes `model.safetensors`, or `shards` files and their index."""
    if shards == 1:
        write_safetensors(path / "model.safetensors", tensors, dtype=dtype)
        return
    names = list(tensors)
    weight_map: dict[str, str] = {}
    for shard in range(shards):
        file_name = f"model-{shard + 1:05d}-of-{shards:05d}.safetensors"
        part = {name: tensors[name] for name in names[shard::shards]}
        write_safetensors(path / file_name, part, dtype=dtype)
        weight_map |= dict.fromkeys(part, file_name)
    total = sum(array.size for array in tensors.values()) * (4 if dtype == "float32" else 2)
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    (path / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")


def write_safetensors(
    file: Path, tensors: Mapping[str, NDArray[np.float32]], *, dtype: str = "float32"
) -> None:
    """One safetensors file: length of the header, header, the tensors end to end."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    parts: list[bytes] = []
    offset = 0
    for name, array in tensors.items():
        data = encode(array, dtype)
        kind = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}[dtype]
        end = offset + len(data)
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [offset, end]}
        parts.append(data)
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    file.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(parts))


def encode(array: NDArray[np.float32], dtype: str) -> bytes:
    """Little-endian bytes of `array` in `dtype`, rounded to nearest, ties to even."""
    if dtype == "float32":
        return array.astype("<f4").tobytes()
    if dtype == "float16":
        return array.astype("<f2").tobytes()
    if dtype != "bfloat16":
        raise ValueError(f"dtype must be float32, float16 or bfloat16, not {dtype!r}")
    bits = np.ascontiguousarray(array, dtype="<f4").view("<u4").astype(np.uint64)
    rounded = (bits + 0x7FFF + ((bits >> np.uint64(16)) & np.uint64(1))) >> np.uint64(16)
    return rounded.astype("<u2").tobytes()


def random_ids(seed: int, n_tokens: int, vocab_size: int) -> NDArray[np.int32]:
    """A document of `n_tokens` uniformly random ids."""
    return np.random.default_rng(seed).integers(0, vocab_size, n_tokens).astype(np.int32)


def write_tokenizer(
    path: str | Path,
    *,
    vocab_size: int = 320,
    bos: bool = True,
    append_eos: bool = False,
    add_bos_token: bool | None = None,
    tokenizer_class: str = "PreTrainedTokenizerFast",
    model_max_length: int = 2048,
) -> Path:
    """A byte-level BPE tokenizer of a few merges: tokenizer.json and tokenizer_config.json.

    `bos` and `append_eos` say what the post-processor puts around a text; `add_bos_token` is
    written to tokenizer_config.json unless None. Ids: 0 <s>, 1 </s>, 2 <|endoftext|>, then bytes.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors

    path = Path(path)
    path.mkdir(parents=True, exist_ok=True)
    vocabulary, merges = _vocabulary(vocab_size)
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in SPECIALS])
    single = ([BOS] if bos else []) + ["$A"] + ([EOS] if append_eos else [])
    pair = single + ["$B:1"]
    if len(single) > 1:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=single, pair=pair, special_tokens=[(BOS, 0), (EOS, 1)]
        )
    tokenizer.save(str(path / "tokenizer.json"))
    settings: dict[str, Any] = {
        "tokenizer_class": tokenizer_class,
        "bos_token": BOS,
        "eos_token": EOS,
        "model_max_length": model_max_length,
        "clean_up_tokenization_spaces": False,
    }
    if add_bos_token is not None:
        settings["add_bos_token"] = add_bos_token
    (path / "tokenizer_config.json").write_text(json.dumps(settings, indent=2), encoding="utf-8")
    return path


def _vocabulary(vocab_size: int) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Specials, the 256 bytes, and as many merges as fit."""
    from tokenizers import pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = [*SPECIALS, *alphabet]
    if vocab_size < len(pieces):
        raise ValueError(f"a tokenizer needs a vocabulary of {len(pieces)}, not {vocab_size}")
    merges = MERGES[: vocab_size - len(pieces)]
    pieces += [left + right for left, right in merges]
    return {piece: index for index, piece in enumerate(pieces)}, list(merges)
