"""Who is compared: each reads the documents twice and gives a loss for every scored token.

A peer has a `name` and `losses(documents)`, which returns for each document a pair of float32
arrays of n_tokens - 1 losses in nats, base and reference. Add one to `open_peers` to compare it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.workload import Head

Losses = tuple[NDArray[np.float32], NDArray[np.float32]]
Documents = Sequence[NDArray[np.int32]]

HEAD_ROWS = 256  # rows of logits that exist at a time
PADDED_BATCH = 8
MASKED_SDPA = "sdpa_with_masked_heads"


class Peer(Protocol):
    """Somebody who scores documents."""

    name: str

    def losses(self, documents: Documents) -> list[Losses]:
        """Base and reference losses of every document."""


class Ours:
    """`attninfluence`, the whole list in one call."""

    def __init__(self, folder: Path, heads: Sequence[Head], threads: int) -> None:
        import attninfluence

        self.model = attninfluence.load(str(folder), threads=threads)
        self.name = f"attninfluence ({self.model.kernel})"
        self.variant = np.zeros((1, self.model.n_layers, self.model.n_heads), dtype=np.bool_)
        for layer, head in heads:
            self.variant[0, layer, head] = True

    def losses(self, documents: Documents) -> list[Losses]:
        rows = self.model.core.run(
            list(documents), variants=self.variant, n_threads=self.model.threads
        )
        return [(row[0], row[1]) for row in rows]


class Transformers:
    """transformers in fp32 with SDPA, one unpadded document at a time.

    Tuned by hand: no cache, the LM head and its loss in chunks of rows, and the output of a
    masked head is the running mean of its values, with no second attention matrix.
    """

    name = "transformers, one document at a time"

    def __init__(self, folder: Path, heads: Sequence[Head], threads: int) -> None:
        import torch
        from transformers import AutoModelForCausalLM

        torch.set_num_threads(threads)
        _register_masked_sdpa()
        model: Any = AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, attn_implementation="sdpa"
        )
        self.model = model.eval()
        for layer, module in enumerate(self.model.model.layers):
            module.self_attn.masked_heads = [head for at, head in heads if at == layer]

    def losses(self, documents: Documents) -> list[Losses]:
        return [self._batch([document])[0] for document in documents]

    def _batch(self, documents: Documents) -> list[Losses]:
        base = self._reading(documents, "sdpa")
        reference = self._reading(documents, MASKED_SDPA)
        return list(zip(base, reference, strict=True))

    def _reading(self, documents: Documents, attention: str) -> list[NDArray[np.float32]]:
        import torch

        self.model.set_attn_implementation(attention)
        ids, mask = _pad(documents)
        with torch.inference_mode():
            hidden = self.model.model(
                input_ids=ids, attention_mask=mask, use_cache=False
            ).last_hidden_state
            return [
                self._losses_of(hidden[row, : len(document) - 1], ids[row, 1 : len(document)])
                for row, document in enumerate(documents)
            ]

    def _losses_of(self, hidden: Any, targets: Any) -> NDArray[np.float32]:
        """The losses of targets [n] from hidden states [n, hidden], chunk by chunk."""
        import torch

        chunks = [
            torch.nn.functional.cross_entropy(self.model.lm_head(rows), wanted, reduction="none")
            for rows, wanted in zip(hidden.split(HEAD_ROWS), targets.split(HEAD_ROWS), strict=True)
        ]
        losses: NDArray[np.float32] = torch.cat(chunks).numpy()
        return losses


class PaddedTransformers(Transformers):
    """The same in padded batches, in the order given; the LM head skips the padding."""

    name = f"transformers, padded batches of {PADDED_BATCH}"

    def losses(self, documents: Documents) -> list[Losses]:
        result: list[Losses] = []
        for start in range(0, len(documents), PADDED_BATCH):
            result += self._batch(documents[start : start + PADDED_BATCH])
        return result


def open_peers(folder: Path, heads: Sequence[Head], threads: int) -> list[Peer]:
    """All peers, ours first, then the one that ours is compared with."""
    return [
        Ours(folder, heads, threads),
        Transformers(folder, heads, threads),
        PaddedTransformers(folder, heads, threads),
    ]


def _pad(documents: Documents) -> tuple[Any, Any]:
    """Ids [n, longest] padded on the right, and the mask that transformers needs, or None."""
    import torch

    longest = max(len(document) for document in documents)
    ids = torch.zeros((len(documents), longest), dtype=torch.int64)
    mask = torch.zeros((len(documents), longest), dtype=torch.int64)
    for row, document in enumerate(documents):
        ids[row, : len(document)] = torch.from_numpy(document)
        mask[row, : len(document)] = 1
    return ids, None if bool(mask.all()) else mask


def _register_masked_sdpa() -> None:
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

    AttentionInterface.register(MASKED_SDPA, _masked_sdpa)
    AttentionMaskInterface.register(MASKED_SDPA, sdpa_mask)


def _masked_sdpa(
    module: Any, query: Any, key: Any, value: Any, attention_mask: Any, **options: Any
) -> tuple[Any, None]:
    """SDPA, then the running mean of the values in place of the masked heads' outputs."""
    import torch
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    output, _ = sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    if module.masked_heads:
        seen = torch.arange(1, value.shape[2] + 1, dtype=value.dtype)[:, None]  # [T, 1]
        for head in module.masked_heads:
            values = value[:, head // module.num_key_value_groups]  # [batch, T, head_dim]
            output[:, :, head] = values.cumsum(1) / seen
    return output, None
