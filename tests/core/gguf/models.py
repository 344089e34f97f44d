"""GGUF files of the random family models, as llama.cpp's conversion writes them.

A file is written from a folder: its config.json becomes metadata, its tensors get GGUF's names from
the table of the gguf package and are laid out as conversion lays them out. What conversion does was
looked up in llama.cpp (conversion/*.py, and src/llama-model.cpp for what a reader takes for
granted); a configuration that it cannot write down stands in SETTINGS as one that it can.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray

from tests.kit.family_models import Tensors, make_family_folder, read_folder, write_folder
from tests.kit.family_variants import FULL, SLIDING, TIED, rope
from tests.kit.gguf import made

Array = NDArray[np.float32]
Kind = gguf.GGMLQuantizationType
Kinds = Callable[[str], Kind]

ARCHITECTURES = {
    "llama": "llama",
    "mistral": "llama",
    "mixtral": "llama",
    "ministral3": "mistral3",
    "qwen2": "qwen2",
    "qwen3": "qwen3",
    "qwen3_moe": "qwen3moe",
    "gemma": "gemma",
    "gemma2": "gemma2",
    "gemma3_text": "gemma3",
    "gpt2": "gpt2",
    "gpt_neox": "gptneox",
    "olmo": "olmo",
    "olmo2": "olmo2",
    "olmo3": "olmo2",
    "olmoe": "olmoe",
    "phi": "phi2",
    "phi3": "phi3",
    "stablelm": "stablelm",
    "smollm3": "smollm3",
    "granite": "granite",
    "granitemoe": "granitemoe",
    "gpt_oss": "gpt-oss",
    "nemotron": "nemotron",
    "cohere": "command-r",
    "cohere2": "cohere2",
    "glm": "chatglm",
    "glm4": "glm4",
    "starcoder2": "starcoder2",
    "ernie4_5": "ernie4_5",
    "exaone4": "exaone4",
    "arcee": "arcee",
    "hunyuan_v1_dense": "hunyuan-dense",
    "seed_oss": "seed_oss",
}

# Families whose queries and keys conversion moves, so that pairs that turn are neighbours.
PERMUTED = (
    *("llama", "mistral", "mixtral", "ministral3", "olmo"),
    *("smollm3", "granite", "granitemoe", "arcee"),
)
# Families whose norms are stored as 1 + w.
SHIFTED = ("gemma", "gemma2", "gemma3_text", "nemotron")

PLAIN_ROPE = rope(theta=10000.0)
NO_SWITCH = {"use_sliding_window": False}

# Each variant that conversion can write down, with what it cannot changed to what it can: rotary
# scaling without a key, windows of families that it writes none of, biases and activations that
# are the architecture's own, and scales of scores by the shape.
SETTINGS: dict[tuple[str, str], dict[str, Any]] = {
    ("llama", "biases"): {},
    ("llama", "tied"): PLAIN_ROPE,
    ("mistral", "window"): {},
    ("mistral", "full"): {},
    ("ministral3", "full"): {},
    ("qwen2", "full"): {},
    ("qwen2", "window"): NO_SWITCH,
    ("qwen3", "window"): NO_SWITCH,
    ("qwen3", "full"): {},
    ("qwen3_moe", "listed"): {**NO_SWITCH, "mlp_only_layers": []},
    ("gemma", "tied"): {},
    ("gemma2", "capped"): {"query_pre_attn_scalar": 16},
    ("gemma3_text", "pattern of 3"): {"query_pre_attn_scalar": 16},
    ("gemma3_text", "pattern of 6"): {},
    ("gpt2", "plain"): {"activation_function": "gelu_new"},
    ("gpt_neox", "parallel"): {},
    ("gpt_neox", "serial"): rope(theta=10000.0, partial_rotary_factor=1.0),
    ("olmo", "clipped"): {},
    ("olmo2", "grouped"): {},
    ("olmo2", "yarn"): {},
    ("olmo3", "yarn"): {},
    ("olmo3", "two bases"): {},
    ("olmoe", "normed"): {"norm_topk_prob": False},
    ("phi", "plain"): {
        **rope(theta=10000.0, partial_rotary_factor=0.5),
        "num_key_value_heads": 4,
        "intermediate_size": 256,
    },
    ("phi3", "longrope"): {},
    ("phi3", "plain"): {},
    ("stablelm", "serial"): {},
    ("stablelm", "parallel"): rope(theta=10000.0, partial_rotary_factor=0.5),
    ("smollm3", "every second"): {"no_rope_layer_interval": 4},
    ("smollm3", "window"): {**NO_SWITCH, "no_rope_layers": [1, 1, 1, 0, 1]},
    ("granite", "biases"): {},
    ("granite", "tied"): PLAIN_ROPE,
    ("granitemoe", "multipliers"): {},
    ("granitemoe", "tied"): {},
    ("mixtral", "window"): {"sliding_window": None},
    ("mixtral", "full"): {},
    ("gpt_oss", "alternating"): {},
    ("nemotron", "biases"): {"head_dim": 12},
    ("nemotron", "plain"): {},
    ("cohere", "normed"): TIED,
    ("cohere", "plain"): PLAIN_ROPE,
    ("cohere2", "pattern of 4"): {},
    ("glm", "half"): {"hidden_size": 64},
    ("glm4", "half"): {},
    ("glm4", "full"): {},
    ("starcoder2", "window"): {"sliding_window": 4096},
    ("ernie4_5", "biases"): {},
    ("ernie4_5", "tied"): {},
    ("exaone4", "hybrid"): {},
    ("exaone4", "pattern of 3"): {},
    ("exaone4", "full"): {},
    ("arcee", "biases"): {},
    ("arcee", "yarn"): {},
    ("hunyuan_v1_dense", "alpha"): {},
    ("seed_oss", "biases"): {},
    ("seed_oss", "all biases"): PLAIN_ROPE,
}


def make_folder(path: Path, family: str, variant: str, **settings: Any) -> Path:
    """The folder of a variant, changed as SETTINGS says and by `settings`."""
    changed = {**SETTINGS[family, variant], **settings}
    return make_family_folder(path, family, variant, settings=changed)


# ---------------------------------------------------------------------- metadata


@dataclass
class Metadata:
    """Keys of the architecture without its name, in the order in which they are written."""

    values: dict[str, Any] = field(default_factory=dict)

    def add(self, key: str, value: Any) -> None:
        if value is not None:
            self.values[key] = value


def metadata_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """The architecture's keys for a config.json in the dialect of transformers 5."""
    found = Metadata()
    _add_shape(found, config)
    _add_factors(found, config)
    _add_experts(found, config)
    if config["model_type"] != "gpt2":
        _add_ropes(found, config)
    _add_windows(found, config)
    return found.values


def _first(config: Mapping[str, Any], *names: str) -> Any:
    return next((config[name] for name in names if config.get(name) is not None), None)


def _add_shape(found: Metadata, config: Mapping[str, Any]) -> None:
    hidden = _first(config, "hidden_size", "n_embd")
    heads = _first(config, "num_attention_heads", "n_head")
    found.add("block_count", _first(config, "num_hidden_layers", "n_layer"))
    found.add("context_length", _first(config, "max_position_embeddings", "n_positions"))
    found.add("embedding_length", hidden)
    width = _first(config, "intermediate_size", "n_inner")
    found.add("feed_forward_length", width or 4 * hidden)
    found.add("attention.head_count", heads)
    if config["model_type"] not in ("gpt2", "gpt_neox"):
        found.add("attention.head_count_kv", config.get("num_key_value_heads") or heads)
    if config["model_type"] not in ("glm", "granite", "granitemoe"):
        found.add("attention.key_length", config.get("head_dim"))
        found.add("attention.value_length", config.get("head_dim"))


def _add_factors(found: Metadata, config: Mapping[str, Any]) -> None:
    found.add("attention.layer_norm_rms_epsilon", _first(config, "rms_norm_eps", "norm_eps"))
    names = ("layer_norm_eps", "layer_norm_epsilon", "norm_epsilon", "norm_eps")
    eps = 1e-5 if config["model_type"] == "olmo" else _first(config, *names)
    found.add("attention.layer_norm_epsilon", eps)
    found.add("attention.clamp_kqv", config.get("clip_qkv"))
    found.add("attention.scale", config.get("attention_multiplier"))
    found.add("embedding_scale", config.get("embedding_multiplier"))
    found.add("residual_scale", config.get("residual_multiplier"))
    found.add("logit_scale", _first(config, "logits_scaling", "logit_scale"))
    found.add("attn_logit_softcapping", config.get("attn_logit_softcapping"))
    found.add("final_logit_softcapping", config.get("final_logit_softcapping"))
    found.add("use_parallel_residual", config.get("use_parallel_residual"))


def _add_experts(found: Metadata, config: Mapping[str, Any]) -> None:
    found.add("expert_count", _first(config, "num_local_experts", "num_experts"))
    found.add("expert_used_count", config.get("num_experts_per_tok"))
    found.add("expert_feed_forward_length", config.get("moe_intermediate_size"))
    if config["model_type"] == "gpt_oss":
        found.add("expert_feed_forward_length", config["intermediate_size"])


def _add_ropes(found: Metadata, config: Mapping[str, Any]) -> None:
    both = config["rope_parameters"]
    settings = both.get(FULL, both)
    kind, theta = settings["rope_type"], settings["rope_theta"]
    head_dim = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    share = settings.get("partial_rotary_factor", 1.0)
    found.add("rope.dimension_count", int(head_dim * share))
    if config["model_type"] == "hunyuan_v1_dense" and kind == "dynamic":
        theta *= settings["alpha"] ** (head_dim / (head_dim - 2))
    if config["model_type"] not in ("gemma", "gemma2", "gpt_neox", "phi", "stablelm"):
        found.add("rope.freq_base", theta)
    if SLIDING in both:
        found.add("rope.freq_base_swa", both[SLIDING]["rope_theta"])
    original = _first({**config, **settings}, "original_max_position_embeddings")
    if kind in ("linear", "yarn"):
        found.add("rope.scaling.type", kind)
        found.add("rope.scaling.factor", settings["factor"])
    if kind == "yarn":
        found.add("rope.scaling.original_context_length", original)
        found.add("rope.scaling.yarn_attn_factor", settings.get("attention_factor"))
        found.add("rope.scaling.yarn_beta_fast", settings.get("beta_fast"))
        found.add("rope.scaling.yarn_beta_slow", settings.get("beta_slow"))
    if config["model_type"] == "ministral3":
        found.add("rope.scaling.yarn_log_multiplier", settings["mscale_all_dim"])
        found.add("attention.temperature_scale", settings["llama_4_scaling_beta"])
    if config["model_type"] == "phi3":
        found.add("rope.scaling.original_context_length", original or 4096)
    if kind == "longrope":
        scale = config["max_position_embeddings"] / original
        found.add("rope.scaling.attn_factor", math.sqrt(1 + math.log(scale) / math.log(original)))
    if config["model_type"] in ("cohere", "cohere2"):
        found.add("rope.scaling.type", "none")


def _add_windows(found: Metadata, config: Mapping[str, Any]) -> None:
    """Of mistral no file has a window; llama.cpp's reader knows the key all the same."""
    written = ("gemma2", "gemma3_text", "phi3", "gpt_oss", "cohere2", "exaone4", "olmo3", "mistral")
    if config["model_type"] not in written:
        return
    window = config.get("sliding_window")
    found.add(
        "attention.sliding_window", (window or 0) if config["model_type"] == "phi3" else window
    )
    if config["model_type"] in ("exaone4", "olmo3", "gemma3_text") and window:
        pattern = [kind == SLIDING for kind in config["layer_types"]]
        found.add("attention.sliding_window_pattern", pattern)


# ----------------------------------------------------------------------- tensors


def _permuted(tensor: Array, n_heads: int) -> Array:
    """Rows of each head, or a bias, from halves of pairs to pairs."""
    halves = tensor.reshape(n_heads, 2, tensor.shape[0] // n_heads // 2, *tensor.shape[1:])
    return halves.swapaxes(1, 2).reshape(tensor.shape)


def _queries_first(tensor: Array, n_heads: int) -> Array:
    """Rows [heads, 3, head_dim] as [3, heads, head_dim]."""
    by_head = tensor.reshape(n_heads, 3, tensor.shape[0] // n_heads // 3, *tensor.shape[1:])
    return by_head.swapaxes(0, 1).reshape(tensor.shape)


def _merged(tensors: Tensors) -> Tensors:
    """Experts with tensors of their own as one, and norms with one for each head."""
    merged: Tensors = {}
    stacks: dict[str, dict[int, Array]] = {}
    for name, tensor in tensors.items():
        listed = re.fullmatch(r"(.*\.(?:experts|norms))\.(\d+)(\..*weight|\.weight)", name)
        if listed is None:
            merged[name] = tensor
        else:
            whole = listed[1].removesuffix(".norms") + listed[3]
            stacks.setdefault(whole, {})[int(listed[2])] = tensor
    for name, parts in stacks.items():
        # Mixtral's own names of a stack, as the package's table has them.
        whole = re.sub(
            r"model\.layers\.(\d+)\.block_sparse_moe\.experts",
            r"layers.\1.feed_forward.experts",
            name,
        )
        merged[whole] = np.stack([parts[i] for i in range(len(parts))])
    return merged


def _parted(tensors: Tensors, family: str) -> Tensors:
    """Stacks of gates and ups parted, and those of gpt_oss turned."""
    parted: Tensors = {}
    for name, tensor in tensors.items():
        if family == "granitemoe" and name.endswith("input_linear.weight"):
            gate, up = np.split(tensor, 2, axis=-2)
            layer = name.split(".")[2]
            parted[f"layers.{layer}.feed_forward.experts.w1.weight"] = gate
            parted[f"layers.{layer}.feed_forward.experts.w3.weight"] = up
        elif family == "gpt_oss" and "gate_up_proj" in name:
            ending = "bias" if name.endswith("_bias") else "weight"
            turned = tensor if ending == "bias" else tensor.swapaxes(-1, -2)
            axis = (slice(None), slice(0, None, 2)), (slice(None), slice(1, None, 2))
            stem = name.split("gate_up_proj")[0]
            parted[f"{stem}gate_proj.{ending}"], parted[f"{stem}up_proj.{ending}"] = (
                turned[part] for part in axis
            )
        elif family == "gpt_oss" and name.endswith("down_proj"):
            parted[f"{name}.weight"] = tensor.swapaxes(-1, -2)
        elif family == "gpt_oss" and name.endswith("down_proj_bias"):
            parted[name.replace("down_proj_bias", "down_proj.bias")] = tensor
        elif name.endswith("sinks"):
            parted[f"{name}.weight"] = tensor
        else:
            parted[name] = tensor
    return parted


def _laid_out(name: str, tensor: Array, config: Mapping[str, Any]) -> Array:
    """One tensor as conversion lays it out."""
    family, heads = config["model_type"], _first(config, "num_attention_heads", "n_head")
    kv_heads = config.get("num_key_value_heads") or heads
    if family in PERMUTED and re.search(r"\.q_proj\.", name):
        return _permuted(tensor, heads)
    if family in PERMUTED and re.search(r"\.k_proj\.", name):
        return _permuted(tensor, kv_heads)
    if family == "gpt_neox" and "query_key_value" in name:
        return _queries_first(tensor, heads)
    if family == "gpt2" and re.search(r"\.c_(attn|proj|fc)\.weight$", name):
        return np.ascontiguousarray(tensor.T)
    if family in SHIFTED and name.endswith("norm.weight"):
        return tensor + np.float32(1)
    return tensor


def tensors_of(config: Mapping[str, Any], tensors: Tensors) -> Tensors:
    """A folder's tensors under GGUF's names, laid out as conversion does."""
    family, n_layers = config["model_type"], _first(config, "num_hidden_layers", "n_layer")
    arch = next(a for a, n in gguf.MODEL_ARCH_NAMES.items() if n == ARCHITECTURES[family])
    names = gguf.get_tensor_name_map(arch, n_layers)
    found: Tensors = {}
    for name, tensor in _parted(_merged(tensors), family).items():
        stem, ending = name.rsplit(".", 1)
        new = names.get_name(stem)
        assert new is not None, f"{family}: {name} has no name in GGUF"
        found[f"{new}.{ending}"] = _laid_out(name, tensor, config)
    return found | _factors(config)


def _factors(config: Mapping[str, Any]) -> Tensors:
    """The factors of llama3 and of longrope."""
    settings = config.get("rope_parameters") or {}
    settings = settings.get(FULL, settings)
    if settings.get("rope_type") == "longrope":
        names = {"long": "long_factor", "short": "short_factor"}
        return {
            f"rope_factors_{name}.weight": np.array(settings[key], dtype=np.float32)
            for name, key in names.items()
        }
    if settings.get("rope_type") != "llama3":
        return {}
    dim = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    wavelengths = 2 * math.pi * settings["rope_theta"] ** (np.arange(0, dim, 2) / dim)
    original, factor = settings["original_max_position_embeddings"], settings["factor"]
    low, high = settings["low_freq_factor"], settings["high_freq_factor"]
    smooth = (original / wavelengths - low) / (high - low)
    between = 1 / ((1 - smooth) / factor + smooth)
    found = np.where(wavelengths > original / low, factor, between)
    found = np.where(wavelengths < original / high, 1.0, found)
    return {"rope_freqs.weight": found.astype(np.float32)}


# ------------------------------------------------------------------------- files


def all_f32(_name: str) -> Kind:
    return Kind.F32


def _packed(tensor: Array, kind: Kind) -> tuple[NDArray[Any], Kind]:
    """Blocks of that kind, or F16 where rows hold no whole number of them, as conversion does."""
    whole = tensor.shape[-1] % gguf.GGML_QUANT_SIZES[kind][0] == 0
    kind = kind if whole else Kind.F16
    return gguf.quants.quantize(np.ascontiguousarray(tensor), kind), kind


def mixed(name: str) -> Kind:
    """A mix as published files have it: vectors as they are, matrices by what they do."""
    if not name.endswith(".weight") or "norm" in name or "sinks" in name or "rope" in name:
        return Kind.F32
    kinds = {
        "token_embd": Kind.Q8_0,
        "position_embd": Kind.F16,
        "output.": Kind.Q5_1,
        "attn_q": Kind.Q4_0,
        "attn_k": Kind.Q4_1,
        "attn_v": Kind.Q8_0,
        "attn_output": Kind.Q5_0,
        "ffn_gate_inp": Kind.F32,
        "ffn_down_exps": Kind.Q8_0,
        "_exps": Kind.Q5_1,
        "ffn_down": Kind.Q8_0,
        "ffn_up": Kind.BF16,
        "ffn_gate": Kind.F16,
    }
    return next(kind for part, kind in kinds.items() if part in name)


def write_gguf(
    path: Path,
    config: Mapping[str, Any],
    tensors: Tensors,
    *,
    kinds: Kinds = all_f32,
    changed: Mapping[str, Any] | None = None,
    most_tensors: int = 0,
) -> Path:
    """Writes a file of these tensors, which are GGUF's already, and of config.json's metadata.

    `changed` sets keys without the architecture's name, or with "general." before them; None
    leaves one out.
    """
    arch = ARCHITECTURES[config["model_type"]]
    own = metadata_of(config)
    general = {}
    for key, value in (changed or {}).items():
        (general if key.startswith("general.") else own)[key] = value
    architecture = general.pop("general.architecture", arch)
    metadata = {f"{arch}.{key}": typed(value) for key, value in own.items() if value is not None}
    metadata |= {key: typed(value) for key, value in general.items()}
    metadata["tokenizer.ggml.tokens"] = [f"t{i}" for i in range(config["vocab_size"])]
    packed = {name: _packed(tensor, kinds(name)) for name, tensor in tensors.items()}
    named = {name: (kind.name, data) for name, (data, kind) in packed.items()}
    return made.write_gguf(
        path, named, metadata, architecture=architecture, most_tensors=most_tensors
    )


def typed(value: Any) -> Any:
    """A whole number in the type that conversion gives it; what else there is has the package's."""
    is_count = isinstance(value, int) and not isinstance(value, bool)
    return made.Typed(value, gguf.GGUFValueType.UINT32) if is_count else value


def gguf_of(
    folder: Path,
    path: Path,
    *,
    kinds: Kinds = all_f32,
    changed: Mapping[str, Any] | None = None,
    change: Callable[[Tensors], Tensors] = lambda tensors: tensors,
    most_tensors: int = 0,
) -> Path:
    """The file of a folder, with `change` of its tensors once they are GGUF's.

    With `most_tensors` several files of so many each; the path is that of the first.
    """
    config, tensors = read_folder(folder)
    found = change(tensors_of(config, tensors))
    return write_gguf(path, config, found, kinds=kinds, changed=changed, most_tensors=most_tensors)


def dequantised_folder(folder: Path, path: Path, kinds: Kinds) -> Path:
    """The folder with each value as it comes out of a file of these kinds.

    Blocks lie along the inputs of a matrix, whose rows conversion moves about as wholes; so they
    are the same blocks in the folder, once its matrices have inputs last.
    """
    config, tensors = read_folder(folder)
    for name, tensor in tensors.items():
        new = next(iter(tensors_of(config, {name: tensor}))) if _is_alone(name) else ""
        turns = _has_inputs_first(config["model_type"], name, tensor)
        laid = tensor.swapaxes(-1, -2) if turns else tensor
        data, kind = _packed(laid, kinds(new or _name_in_stack(name)))
        values = gguf.quants.dequantize(data, kind).reshape(laid.shape).astype(np.float32)
        tensors[name] = np.ascontiguousarray(values.swapaxes(-1, -2) if turns else values)
    write_folder(path, config, tensors)
    return path


def _is_alone(name: str) -> bool:
    return "experts" not in name and "_linear" not in name and ".norms." not in name


def _name_in_stack(name: str) -> str:
    """The kind's name of a tensor that conversion parts or puts together."""
    if ".norms." in name:
        return "blk.0.attn_q_norm.weight"
    if name.endswith("bias"):
        return "blk.0.ffn_up_exps.bias"
    down = ("down_proj", "w2.weight", "output_linear")
    return f"blk.0.ffn_{'down' if any(part in name for part in down) else 'up'}_exps.weight"


def _has_inputs_first(family: str, name: str, tensor: Array) -> bool:
    if family == "gpt2":
        return bool(re.search(r"\.c_(attn|proj|fc)\.weight$", name))
    return family == "gpt_oss" and tensor.ndim == 3
