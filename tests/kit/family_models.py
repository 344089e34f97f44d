"""Folders of random models of every family, as they are published.

transformers builds the model and writes its tensors under their published names; the values are
ours, so that attention is peaked and every parameter, norms and biases included, matters.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.kit.family_dense import DENSE
from tests.kit.family_more import MORE
from tests.kit.family_variants import BASE, FULL, SLIDING, Variant
from tests.kit.tiny_models import ATTENTION_SPREAD, LOGIT_SPREAD, write_tokenizer, write_weights

Tensors = dict[str, NDArray[np.float32]]

FAMILIES: dict[str, dict[str, Variant]] = DENSE | MORE
VARIANTS = [(family, variant) for family, variants in FAMILIES.items() for variant in variants]
REFUSED = [(family, variant) for family, variant in VARIANTS if FAMILIES[family][variant].refused]
SUPPORTED = [pair for pair in VARIANTS if pair not in REFUSED]

# Documents that the models are read with: on both sides of every window and original context.
LENGTHS = (2, 33, 97, 200)

# Norm weights of these are stored as the difference from 1.
ONE_PLUS = ("gemma", "gemma2", "gemma3_text", "vaultgemma", "nemotron")
# Embeddings of these are multiplied by sqrt(hidden_size).
SCALED_EMBEDDINGS = ("gemma", "gemma2", "gemma3_text", "vaultgemma")
MIXTURES = ("olmoe", "qwen3_moe", "mixtral", "granitemoe", "gpt_oss")


def make_family_folder(
    path: str | Path,
    family: str,
    variant: str,
    *,
    dtype: str = "float32",
    shards: int = 1,
    dialect: str = "v5",
    tokenizer: bool = False,
    ordinary: bool = False,
    settings: Mapping[str, Any] | None = None,
    embeddings: float = 1.0,
) -> Path:
    """Writes the folder of one variant and returns its path.

    `ordinary` gives every matrix the spread that weights of deviation 0.02 have at a width of
    2,048, as in published models before training; else attention is peaked and routing decided.
    `dialect` is that of config.json; `settings` change the variant's; `embeddings` multiplies
    token and position embeddings.
    """
    path = Path(path)
    chosen = FAMILIES[family][variant]
    if dialect not in chosen.dialects:
        raise ValueError(f"{family} {variant!r} cannot be written in dialect {dialect!r}")
    settings = {**_base(family), **chosen.config, **(settings or {})}
    model = _build(family, settings, ordinary=ordinary, seed=chosen.seed)
    tensors, config = _saved(path, model)
    if embeddings != 1.0:
        tensors = {k: v * np.float32(embeddings if _embeds(k) else 1) for k, v in tensors.items()}
    config |= chosen.written
    if dialect == "v4":
        config = older_dialect(config)
    write_folder(path, config, tensors, dtype=dtype, shards=shards)
    if tokenizer:
        write_tokenizer(path, vocab_size=config["vocab_size"])
    return path


def write_folder(
    path: Path,
    config: Mapping[str, Any],
    tensors: Mapping[str, NDArray[np.float32]],
    *,
    dtype: str = "float32",
    shards: int = 1,
) -> None:
    path.mkdir(parents=True, exist_ok=True)
    write_weights(path, tensors, dtype=dtype, shards=shards)
    key = "torch_dtype" if "torch_dtype" in config else "dtype"
    text = json.dumps({**config, key: dtype}, indent=2)
    (path / "config.json").write_text(text, encoding="utf-8")


def read_folder(path: Path) -> tuple[dict[str, Any], Tensors]:
    """config.json and the tensors of an fp32 folder."""
    from safetensors.numpy import load_file

    tensors: Tensors = {}
    for file in sorted(path.glob("*.safetensors")):
        tensors |= load_file(file)
    return json.loads((path / "config.json").read_text(encoding="utf-8")), tensors


def _base(family: str) -> dict[str, Any]:
    """What all small models share, without settings that the family does not know."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    kind = CONFIG_MAPPING[family]
    known = {field.name for field in dataclasses.fields(kind)} | set(kind.attribute_map)
    return {key: value for key, value in BASE.items() if key in known}


def default_shape(family: str) -> dict[str, Any]:
    """Settings of shape as small as the family's own defaults are, which a file may leave out."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    fields = {field.name: field.default for field in dataclasses.fields(CONFIG_MAPPING[family])}
    most = {
        "head_dim": 256,
        "num_key_value_heads": 8,
        "num_experts": 128,
        "num_local_experts": 128,
        "num_experts_per_tok": 8,
    }
    chosen = {
        name: fields[name]
        for name, limit in most.items()
        if isinstance(fields.get(name), int) and fields[name] <= limit
    }
    if "num_key_value_heads" in chosen:
        chosen["num_attention_heads"] = 2 * chosen["num_key_value_heads"]
    if "num_experts" in chosen or "num_local_experts" in chosen:
        chosen |= {"intermediate_size": 8, "num_hidden_layers": 2}
    heads = chosen.get("num_attention_heads", 4)
    return {**chosen, "hidden_size": heads * (128 if family == "helium" else 16)}


def _build(family: str, settings: Mapping[str, Any], *, ordinary: bool, seed: int) -> Any:
    """transformers' model of this configuration with our values in it."""
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(family, **json.loads(json.dumps(settings)))
    model = AutoModelForCausalLM.from_config(config)
    fill(model, family, tied=config.tie_word_embeddings, ordinary=ordinary, seed=seed)
    return model


def _saved(path: Path, model: Any) -> tuple[Tensors, dict[str, Any]]:
    """What transformers writes of a model: tensors under published names, and config.json."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    path.mkdir(parents=True, exist_ok=True)
    written = path / "as-saved"
    model.save_pretrained(written)
    config, tensors = read_folder(written)
    shutil.rmtree(written)
    return tensors, config


# ------------------------------------------------------------------------- values


def fill(model: Any, family: str, *, tied: bool, ordinary: bool = False, seed: int = 0) -> None:
    """Sets every parameter, in the order of their names."""
    import torch

    draw = Draw(family, tied, ordinary, np.random.default_rng([seed, *family.encode()]))
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            parameter.copy_(torch.from_numpy(draw(name, tuple(parameter.shape))))


class Draw:
    """Random values for a parameter, by its name in transformers' model."""

    def __init__(
        self, family: str, tied: bool, ordinary: bool, random: np.random.Generator
    ) -> None:
        self.family, self.tied, self.ordinary, self.random = family, tied, ordinary, random

    def __call__(self, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
        mean, spread = self._distribution(name, shape)
        return (mean + spread * self.random.standard_normal(shape)).astype(np.float32)

    def _distribution(self, name: str, shape: tuple[int, ...]) -> tuple[float, float]:
        last = name.rsplit(".", 1)[-1]
        if last == "sinks":
            return 2.0, 1.5
        if last in ("alpha_p", "alpha_n"):
            return 0.0, 0.7
        if last.endswith("bias"):
            return 0.0, 0.02 if self.ordinary else 0.3
        if _is_norm(name):
            return self._norm(name)
        if _embeds(name):
            return 0.0, self._embedding(name, shape)
        return 0.0, self._gain(name) / np.sqrt(_inputs(self.family, name, shape))

    def _norm(self, name: str) -> tuple[float, float]:
        """Around 1; norms of q and k, on which the scores' spread rests, well above it."""
        neutral = 0.0 if self.family in ONE_PLUS else 1.0
        if self.ordinary:
            return neutral, 0.05
        of_heads = any(f"{which}norm" in name for which in ("q_", "k_", "q_layer", "k_layer"))
        if of_heads or "query_layernorm" in name or "key_layernorm" in name:
            return neutral + float(np.sqrt(ATTENTION_SPREAD)) - 1.0, 0.3
        return neutral, 0.2

    def _embedding(self, name: str, shape: tuple[int, ...]) -> float:
        small = self.tied or self.family in SCALED_EMBEDDINGS
        logits = 0.9 if self.ordinary else LOGIT_SPREAD
        spread = logits / np.sqrt(shape[1]) if small else 1.0
        is_position = "embed_positions" in name or ".wpe." in name
        return float(spread) * (0.5 if is_position else 1.0)

    def _gain(self, name: str) -> float:
        """Spread of a matrix's outputs for inputs of spread 1."""
        if self.ordinary:
            return 0.9
        if "lm_head" in name or "embed_out" in name:
            return LOGIT_SPREAD
        if ".gate.weight" in name or ".router." in name:
            return 2.0
        fused = ("qkv_proj", "query_key_value", "c_attn")
        if any(part in name for part in ("q_proj", "k_proj", *fused)):
            return float(np.sqrt(ATTENTION_SPREAD))
        return 1.0


def _embeds(name: str) -> bool:
    """Token and position embeddings; GPT-NeoX calls its output matrix embed_out."""
    return ("embed" in name and "embed_out" not in name) or ".wte." in name or ".wpe." in name


def _is_norm(name: str) -> bool:
    return "norm" in name or ".ln_" in name


def _inputs(family: str, name: str, shape: tuple[int, ...]) -> int:
    """How many inputs a matrix has: the last axis, but for those stored the other way round."""
    if family == "gpt2" and "lm_head" not in name:
        return shape[0]
    return shape[1] if family == "gpt_oss" and len(shape) == 3 else shape[-1]


# ------------------------------------------------------------------- config.json


def older_dialect(config: Mapping[str, Any]) -> dict[str, Any]:
    """The same config.json as transformers 4 would have written it."""
    older = dict(config)
    older["torch_dtype"] = older.pop("dtype")
    rope = older.pop("rope_parameters", None)
    if rope is not None:
        older |= _older_rope(older, rope)
    if older["model_type"] in ("gemma3_text", "cohere2", "exaone4"):
        _shorten_layer_types(older)
    elif older["model_type"] in ("gemma2", "vaultgemma", "qwen2", "qwen3", "olmo3"):
        older.pop("layer_types")  # what the other settings give
    older.pop("_sliding_window_pattern", None)
    return older


def _older_rope(config: dict[str, Any], rope: dict[str, Any]) -> dict[str, Any]:
    if FULL in rope:
        older = _scaling(rope[FULL])
        if config["model_type"] == "gemma3_text":
            older["rope_local_base_freq"] = rope[SLIDING]["rope_theta"]
        return older
    older = _scaling(rope)
    if config["model_type"] == "gpt_neox":
        older["rotary_pct"] = older.pop("partial_rotary_factor")
        older["rotary_emb_base"] = older.pop("rope_theta")
    if config["model_type"] == "phi3" and older["rope_scaling"]:
        # As in Phi-3's folders: "type" alone, the original context beside it.
        for key in ("rope_type", "original_max_position_embeddings"):
            older["rope_scaling"].pop(key)
    return older


def _scaling(rope: dict[str, Any]) -> dict[str, Any]:
    """`rope_theta`, `partial_rotary_factor` and `rope_scaling` of `rope_parameters`."""
    rest = dict(rope)
    older = {key: rest.pop(key) for key in ("rope_theta", "partial_rotary_factor") if key in rest}
    kind = rest.pop("rope_type")
    scaling = None if kind == "default" else {"type": kind, "rope_type": kind, **rest}
    return {**older, "rope_scaling": scaling}


def _shorten_layer_types(config: dict[str, Any]) -> None:
    """Writes the layer types as a period, where they follow one."""
    types = config["layer_types"]
    if SLIDING not in types:
        return
    period = types.index(FULL) + 1
    expected = [FULL if (i + 1) % period == 0 else SLIDING for i in range(len(types))]
    if types == expected:
        config.pop("layer_types")
        config["sliding_window_pattern"] = period


SIZES = (
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "max_position_embeddings",
)

# A setting with this value is taken out of config.json.
REMOVED = object()


@contextmanager
def changed_settings(folder: Path, fields: Mapping[str, Any]) -> Iterator[None]:
    """Changes settings of config.json for a while; "a.b" is the setting b of the object a."""
    file = folder / "config.json"
    text = file.read_text(encoding="utf-8")
    config = json.loads(text)
    for path, value in fields.items():
        *outer, last = path.split(".")
        holder = config
        for name in outer:
            holder = holder[name]
        if value is REMOVED:
            holder.pop(last, None)
        else:
            holder[last] = value
    file.write_text(json.dumps(config), encoding="utf-8")
    try:
        yield
    finally:
        file.write_text(text, encoding="utf-8")


# ---------------------------------------------------------------- other folders


def without_body_prefix(source: Path, path: Path) -> Path:
    """A tied fp32 folder under the names that `AutoModel` writes, which knows no body prefix."""
    prefixes = ("model.", "transformer.", "gpt_neox.")

    def bare(name: str) -> str:
        return next((name[len(p) :] for p in prefixes if name.startswith(p)), name)

    return rewritten(source, path, lambda tensors: {bare(k): v for k, v in tensors.items()})


def with_head(source: Path, path: Path, name: str, embeddings: str) -> Path:
    """A tied fp32 folder that holds the output matrix as well, equal to the embeddings."""
    return rewritten(source, path, lambda tensors: {**tensors, name: tensors[embeddings]})


def with_saved_buffers(source: Path, path: Path) -> Path:
    """An fp32 folder with the masks and frequencies that old versions saved beside the weights."""
    config, tensors = read_folder(source)
    n_layers = config.get("num_hidden_layers") or config["n_layer"]
    names, shapes = {
        "gpt2": ("transformer.h.{}.attn.{}", {"bias": (1, 1, 8, 8), "masked_bias": ()}),
        "gpt_neox": (
            "gpt_neox.layers.{}.attention.{}",
            {"bias": (1, 1, 8, 8), "masked_bias": (), "rotary_emb.inv_freq": (2,)},
        ),
    }.get(config["model_type"], ("model.layers.{}.self_attn.{}", {"rotary_emb.inv_freq": (8,)}))
    for layer in range(n_layers):
        for name, shape in shapes.items():
            tensors[names.format(layer, name)] = np.ones(shape, dtype=np.float32)
    write_folder(path, config, tensors)
    return path


def rewritten(source: Path, path: Path, change: Callable[[Tensors], Tensors]) -> Path:
    """A copy of an fp32 folder with its tensors changed."""
    config, tensors = read_folder(source)
    write_folder(path, config, change(tensors))
    return path


def make_vision_language_folder(
    path: str | Path,
    kind: str,
    layout: str = "published",
    *,
    family: str | None = None,
    settings: Mapping[str, Any] | None = None,
    left_out: Sequence[str] = (),
) -> Path:
    """A checkpoint "gemma3" or "llava": a tiny vision tower, and a text model under a prefix.

    The text model is the first variant of `family`, gemma3_text or llama by default, with
    `settings` changed; those `left_out` are not written into its configuration. Names are the
    published ones, `language_model.model.layers.0`, or "nested" as some versions of transformers
    wrote them, `model.language_model.layers.0`.
    """
    from transformers import AutoConfig, AutoModelForImageTextToText

    family = family or {"gemma3": "gemma3_text", "llava": "llama"}[kind]
    settings = {**_base(family), **next(iter(FAMILIES[family].values())).config, **(settings or {})}
    tower = {
        "model_type": {"gemma3": "siglip_vision_model", "llava": "clip_vision_model"}[kind],
        "hidden_size": 16,
        "intermediate_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 16,
        "patch_size": 4,
        "projection_dim": 16,
    }
    config = AutoConfig.for_model(
        kind,
        text_config={**json.loads(json.dumps(settings)), "model_type": family},
        vision_config=tower,
        image_token_index=settings["vocab_size"] - 1,
        tie_word_embeddings=settings["tie_word_embeddings"],
    )
    model = AutoModelForImageTextToText.from_config(config)
    fill(model, family, tied=settings["tie_word_embeddings"])
    path = Path(path)
    tensors, written = _saved(path, model)
    if layout == "nested":
        tensors = {_nested(name): tensor for name, tensor in tensors.items()}
    for name in left_out:
        del written["text_config"][name]
    write_folder(path, written, tensors)
    return path


# Sizes that a vision-language checkpoint's text_config leaves out: its family's defaults.
LEFT_OUT: list[tuple[str, str, dict[str, int]]] = [
    (kind, family, dict(zip(SIZES, sizes, strict=True)))
    for kind, family, sizes in (
        ("llava", "llama", (32, 32, 32, 2048)),
        ("llava", "mistral", (32, 32, 8, 131072)),
        ("gemma3", "gemma3_text", (26, 8, 4, 131072)),
    )
]


def make_left_out_folder(path: str | Path, kind: str, family: str) -> Path:
    """The vision-language checkpoint of a row of LEFT_OUT."""
    sizes = next(row[2] for row in LEFT_OUT if row[:2] == (kind, family))
    settings: dict[str, Any] = {**sizes, "hidden_size": 64}
    if kind == "gemma3":
        settings["layer_types"] = None  # as many as there are layers
    return make_vision_language_folder(
        path, kind, family=family, settings=settings, left_out=list(sizes)
    )


def _nested(name: str) -> str:
    if name.startswith("language_model.lm_head."):
        return name.removeprefix("language_model.")
    if name.startswith("language_model.model."):
        return "model.language_model." + name.removeprefix("language_model.model.")
    return "model." + name
