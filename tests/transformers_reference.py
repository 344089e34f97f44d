"""transformers' own Llama, fp32 and eager, with chosen heads masked (METHOD.md section 3).

The model runs one unpadded document at a time. Masking is an attention function
registered under a name of ours: transformers' eager attention, except that the weights
of the chosen heads are replaced before they meet the values.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from transformers import AttentionInterface, AttentionMaskInterface, LlamaForCausalLM
from transformers.masking_utils import eager_mask
from transformers.models.llama.modeling_llama import repeat_kv

torch.set_num_threads(1)

NAME = "eager_with_masked_heads"


def attention_with_masked_heads(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **kwargs: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Eager attention; `module.masked_heads` and `module.mask` say what is masked."""
    assert attention_mask is not None, "without a mask this would not be causal"
    keys = repeat_kv(key, module.num_key_value_groups)
    values = repeat_kv(value, module.num_key_value_groups)
    scores = torch.matmul(query, keys.transpose(2, 3)) * scaling + attention_mask
    weights = torch.softmax(scores, dim=-1, dtype=torch.float32)
    visible = (attention_mask == 0).to(weights.dtype)
    if module.mask == "uniform":
        replacement = visible / visible.sum(dim=-1, keepdim=True)
    else:
        replacement = torch.zeros_like(visible)
    weights = torch.where(module.masked_heads[None, :, None, None], replacement, weights)
    return torch.matmul(weights, values).transpose(1, 2).contiguous(), weights


AttentionInterface.register(NAME, attention_with_masked_heads)
AttentionMaskInterface.register(NAME, eager_mask)


@dataclass(frozen=True)
class Reading:
    """What one pass over a document gives, all float32."""

    logits: NDArray[np.float32]  # [n_tokens, vocab]
    losses: NDArray[np.float32]  # [n_tokens - 1], nats
    attention: NDArray[np.float32] | None  # [n_layers, n_heads, n_tokens, n_tokens]


class Reference:
    """A Llama folder opened by transformers."""

    def __init__(self, folder: str | Path) -> None:
        self.model = LlamaForCausalLM.from_pretrained(
            folder, dtype=torch.float32, attn_implementation=NAME, local_files_only=True
        ).eval()
        self.n_layers: int = self.model.config.num_hidden_layers
        self.n_heads: int = self.model.config.num_attention_heads

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
        for layer, heads in zip(self.model.model.layers, torch.from_numpy(masked), strict=True):
            layer.self_attn.masked_heads = heads
            layer.self_attn.mask = mask
        self._forget_earlier_documents()
        tokens = torch.as_tensor(np.asarray(ids, dtype=np.int64))
        with torch.inference_mode():
            output = self.model(tokens[None], use_cache=False, output_attentions=attention)
            logits = output.logits[0]
            losses = torch.nn.functional.cross_entropy(logits[:-1], tokens[1:], reduction="none")
        weights = torch.cat(output.attentions).numpy() if attention else None
        return Reading(logits.numpy(), losses.numpy(), weights)

    def _forget_earlier_documents(self) -> None:
        """Dynamic RoPE remembers the longest document seen; ours looks at this one only."""
        rotary = self.model.model.rotary_emb
        rotary.max_seq_len_cached = rotary.original_max_seq_len
        rotary.inv_freq = rotary.original_inv_freq.clone()
