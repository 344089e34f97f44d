"""transformers with SDPA: as people run it first, and tuned by hand."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.peer import Documents, Entry, Job, Losses

HEAD_ROWS = 256  # rows of logits that exist at a time when tuned
PADDED_BATCH = 8
MASKED_SDPA = "sdpa_with_masked_heads"


class Tuned:
    """One unpadded document at a time.

    Tuned by hand: no cache, the LM head and its loss in chunks of rows, and the output of a
    masked head is the running mean of its values, with no second attention matrix. Losses are
    computed in fp32, from logits of the model's precision.
    """

    def __init__(self, job: Job, precision: str) -> None:
        self.model = open_model(job.folder, job.threads, precision)
        for layer, module in enumerate(self.model.model.layers):
            module.self_attn.masked_heads = [head for at, head in job.heads if at == layer]

    def losses(self, documents: Documents) -> list[Losses]:
        return [
            np.stack([self._reading(document, kind) for kind in ("sdpa", MASKED_SDPA)])
            for document in documents
        ]

    def work(self, documents: Documents) -> None:
        self.losses(documents)

    def _reading(self, document: NDArray[np.int32], attention: str) -> NDArray[np.float32]:
        import torch

        self.model.set_attn_implementation(attention)
        with torch.inference_mode():
            ids = torch.from_numpy(document).long()
            hidden = self.model.model(input_ids=ids[None], use_cache=False).last_hidden_state
            return join(
                [
                    token_losses(self.model.lm_head(rows), wanted)
                    for rows, wanted in chunks(hidden[0, :-1], ids[1:])
                ]
            )


class Padded(Tuned):
    """Padded batches in the order given and all logits: what people run first.

    A masked head is the running mean of its values here too.
    """

    def losses(self, documents: Documents) -> list[Losses]:
        result: list[Losses] = []
        for start in range(0, len(documents), PADDED_BATCH):
            batch = documents[start : start + PADDED_BATCH]
            base, reference = (self._batch(batch, kind) for kind in ("sdpa", MASKED_SDPA))
            result += [np.stack(pair) for pair in zip(base, reference, strict=True)]
        return result

    def _batch(self, documents: Documents, attention: str) -> list[NDArray[np.float32]]:
        import torch

        self.model.set_attn_implementation(attention)
        ids, mask = _pad(documents)
        with torch.inference_mode():
            logits = self.model(input_ids=ids, attention_mask=mask, use_cache=False).logits
            losses = [token_losses(logits[row, :-1], ids[row, 1:]) for row in range(len(documents))]
            return [
                row.numpy()[: len(document) - 1]
                for row, document in zip(losses, documents, strict=True)
            ]


@functools.cache  # the padded and the tuned peer share the weights of a precision
def open_model(folder: Path, threads: int, precision: str) -> Any:
    """The model with its weights at a precision; sets torch's threads."""
    import torch
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(threads)
    _register_masked_sdpa()
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    model: Any = AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype, attn_implementation="sdpa"
    )
    return model.eval()


def token_losses(logits: Any, targets: Any) -> Any:
    """The loss of each target [n] from logits [n, vocab], in fp32."""
    import torch

    return torch.nn.functional.cross_entropy(logits.float(), targets, reduction="none")


def chunks(hidden: Any, targets: Any) -> Iterator[tuple[Any, Any]]:
    """Hidden states [n, hidden] and targets [n], HEAD_ROWS at a time."""
    return zip(hidden.split(HEAD_ROWS), targets.split(HEAD_ROWS), strict=True)


def join(losses: list[Any]) -> NDArray[np.float32]:
    """Losses of consecutive chunks as one array."""
    import torch

    joined: NDArray[np.float32] = torch.cat(losses).numpy()
    return joined


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
        seen = torch.arange(1, value.shape[2] + 1)[:, None]  # [T, 1]
        for head in module.masked_heads:
            values = value[:, head // module.num_key_value_groups]  # [batch, T, head_dim]
            output[:, :, head] = values.float().cumsum(1) / seen
    return output, None


ENTRIES = tuple(
    Entry(f"transformers {precision}, {how}", precision, True, partial(kind, precision=precision))
    for how, kind in ((f"padded batches of {PADDED_BATCH}", Padded), ("tuned", Tuned))
    for precision in ("fp32", "bf16")
)
