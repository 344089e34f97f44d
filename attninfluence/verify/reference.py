"""transformers' own model in fp32, with chosen heads masked (METHOD.md section 3).

What the package's numbers are compared with. Importing this imports torch and transformers, so
nothing else of the package does at import.

The model runs one unpadded document at a time and without a cache. Its attention is registered
with transformers under a name of ours: it calls the eager attention of the model's own module
and then replaces the output of the masked heads, so that every other number is transformers' own
to the bit.
"""

from __future__ import annotations

import copy
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from transformers import (
    AttentionInterface,
    AttentionMaskInterface,
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
)
from transformers.masking_utils import eager_mask
from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

from attninfluence.base.gguf import is_gguf, parts_of

NAME = "eager_with_masked_heads"

# Weights moved at a time, so that moving them takes little memory beside the model.
MOVED_AT_A_TIME = 1 << 22


@dataclass(frozen=True)
class Reading:
    """What one pass over a document gives, all float32."""

    logits: NDArray[np.float32]  # [n_tokens, vocab]
    losses: NDArray[np.float32]  # [n_tokens - 1], nats
    attention: NDArray[np.float32] | None  # [n_layers, n_heads, n_tokens, n_tokens]


@dataclass
class _Pass:
    """What the attention of every layer is to do in the pass at hand, and what it found."""

    masked: NDArray[np.bool_]  # [n_layers, n_heads]
    mask: str = "uniform"
    keep_weights: bool = False
    weights: dict[int, torch.Tensor] = field(default_factory=dict)
    layers: list[int] = field(default_factory=list)

    def attention(self) -> NDArray[np.float32]:
        """float32[n_layers, n_heads, n_tokens, n_tokens]: the weights that were kept."""
        weights: NDArray[np.float32] = torch.stack([self.weights[i] for i in self.layers]).numpy()
        return weights


def attention_with_masked_heads(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **options: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The module's own eager attention, then what `module.ati_pass` says."""
    state: _Pass = module.ati_pass
    if attention_mask is None:
        raise RuntimeError("transformers gave no attention mask, without which nothing is causal")
    output, weights = _eager(module, query, key, value, attention_mask, options)
    layer = module.layer_idx
    heads = torch.from_numpy(state.masked[layer])
    if heads.any():
        values = value.repeat_interleave(query.shape[1] // value.shape[1], dim=1)
        replacement = _replacement(attention_mask, state.mask)
        weights = torch.where(heads[:, None, None], replacement, weights)
        changed = (replacement @ values).transpose(1, 2)
        output = torch.where(heads[:, None], changed, output)
    state.layers.append(layer)
    if state.keep_weights:
        state.weights[layer] = weights[0]
    return output, weights


def _eager(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor,
    options: dict[str, Any],
) -> tuple[torch.Tensor, torch.Tensor]:
    """Output [1, n_tokens, n_heads, head_dim] and weights [1, n_heads, n_tokens, n_tokens]."""
    if getattr(module, "reorder_and_upcast_attn", False):
        # GPT-2 takes this path only when the implementation is called "eager".
        result = module._upcast_and_reordered_attn(query, key, value, attention_mask)
    else:
        eager = sys.modules[type(module).__module__].eager_attention_forward
        result = eager(module, query, key, value, attention_mask, **options)
    output, weights = result
    return output, weights


def _replacement(attention_mask: torch.Tensor, mask: str) -> torch.Tensor:
    """Weights of a masked head: equal on the keys a row may see, or none at all."""
    visible = (attention_mask == 0).to(torch.float32)
    if mask == "zero":
        return torch.zeros_like(visible)
    return visible / visible.sum(dim=-1, keepdim=True)


AttentionInterface.register(NAME, attention_with_masked_heads)
AttentionMaskInterface.register(NAME, eager_mask)


class Reference:
    """A model folder or GGUF file opened by transformers, in fp32 whatever it is stored in.

    Of a vision-language checkpoint the text is read and the rest left alone.
    """

    def __init__(self, path: str | Path) -> None:
        place = _place(path)
        config = AutoConfig.from_pretrained(**place)
        text = config.get_text_config()
        self.model: Any
        if is_gguf(path):
            self.model, missing, found = _from_gguf(path, config)
        else:
            self.model, missing, found = _from_folder(place, config)
        self.model.eval()
        if missing:
            # transformers would fill them with random numbers and warn.
            others = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
            raise ValueError(
                f"for transformers, {path} lacks the weights {missing[:3]}{others}"
                + (f"; others are there, {found[0]!r} among them" if found else "")
            )
        self.n_layers: int = text.num_hidden_layers
        self.n_heads: int = text.num_attention_heads
        self._rotaries = [
            (parent, name, _copy_rotary(child))
            for parent in self.model.modules()
            for name, child in parent.named_children()
            if hasattr(child, "rope_type")
        ]

    def read(
        self,
        ids: ArrayLike,
        masked: NDArray[np.bool_] | None = None,
        mask: str = "uniform",
        attention: bool = False,
    ) -> Reading:
        """Reads the document `ids` with the heads of `masked` [n_layers, n_heads] masked."""
        if masked is None:
            masked = np.zeros((self.n_layers, self.n_heads), dtype=bool)
        self._check(masked, mask)
        state = _Pass(masked, mask, attention)
        logits, losses = self._run(np.asarray(ids, dtype=np.int64), state)
        if state.layers != list(range(self.n_layers)):
            raise RuntimeError(
                f"attention ran in layers {state.layers}, not once in each of {self.n_layers}"
            )
        return Reading(logits.numpy(), losses.numpy(), state.attention() if attention else None)

    @contextmanager
    def perturbed(self, seed: int) -> Iterator[None]:
        """The model with every weight moved to one of its two float32 neighbours, and back.

        Which one is drawn from `seed`. What the losses then differ by is rounding that no program
        can be asked to do without. Not for use while another thread reads.
        """
        self._move_weights(seed, 1.0)
        try:
            yield
        finally:
            self._move_weights(seed, -1.0)

    def _move_weights(self, seed: int, sign: float) -> None:
        """Each weight to the neighbour that `seed` names, or with sign -1 back from it."""
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in self.model.parameters():
                rows = torch.atleast_1d(parameter)
                step = max(1, MOVED_AT_A_TIME * len(rows) // max(1, rows.numel()))
                for part in rows.split(step):
                    up = torch.randint(2, part.shape, generator=generator, dtype=torch.int8)
                    towards = (2 * up - 1) * (sign * torch.inf)
                    part.copy_(torch.nextafter(part, towards))

    def _check(self, masked: NDArray[np.bool_], mask: str) -> None:
        if masked.shape != (self.n_layers, self.n_heads) or masked.dtype != bool:
            raise ValueError(
                f"masked must be bool[{self.n_layers}, {self.n_heads}], "
                f"not {masked.dtype}{list(masked.shape)}"
            )
        if mask not in ("uniform", "zero"):
            raise ValueError(f"mask must be 'uniform' or 'zero', not {mask!r}")

    def _run(self, ids: NDArray[np.int64], state: _Pass) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits and losses; `state` takes up what the attention does on the way."""
        for module in self.model.modules():
            if hasattr(module, "layer_idx"):
                module.ati_pass = state
        self._forget_earlier_documents()
        tokens = torch.as_tensor(ids)
        with torch.inference_mode():
            logits = self.model(tokens[None], use_cache=False).logits[0]
            losses = torch.nn.functional.cross_entropy(logits[:-1], tokens[1:], reduction="none")
        return logits, losses

    def _forget_earlier_documents(self) -> None:
        """Some RoPE remembers the longest document seen; each document is read as the first."""
        for parent, name, pristine in self._rotaries:
            setattr(parent, name, _copy_rotary(pristine))


def _place(path: str | Path) -> dict[str, Any]:
    """What transformers is told of where a model is."""
    if not is_gguf(path):
        return {"pretrained_model_name_or_path": path, "local_files_only": True}
    if len(parts_of(path)) > 1:
        raise ValueError(
            f"transformers reads no GGUF model in several files, as {path} is; join them for it: "
            "llama-gguf-split --merge"
        )
    folder, name = os.path.split(path)
    return {"pretrained_model_name_or_path": folder, "gguf_file": name, "local_files_only": True}


Opened = tuple[Any, list[str], list[str]]  # a model, weights that it lacks, others that are there


def _from_folder(place: dict[str, Any], config: Any) -> Opened:
    is_text = config.get_text_config() is config
    opener: Any = AutoModelForCausalLM if is_text else AutoModelForImageTextToText
    model, report = opener.from_pretrained(
        **place, dtype=torch.float32, attn_implementation=NAME, output_loading_info=True
    )
    return model, sorted(report["missing_keys"]), sorted(report["unexpected_keys"])


def _from_gguf(path: str | Path, config: Any) -> Opened:
    """By transformers' reader of GGUF; its `from_pretrained` would ask for accelerate besides."""
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32, attn_implementation=NAME)
    with redirect_stderr(io.StringIO()):  # its progress bar, which no setting turns off
        read = load_gguf_checkpoint(str(path), return_tensors=True, model_to_load=model)
    tensors = read["tensors"]
    model.load_state_dict(tensors, strict=False)
    expected = {name for name, _ in model.named_parameters()}  # a tied matrix once
    return model, sorted(expected - set(tensors)), sorted(set(tensors) - expected)


def _copy_rotary(module: Any) -> Any:
    """A copy with buffers of its own; the configuration is shared."""
    return copy.deepcopy(module, {id(module.config): module.config})
