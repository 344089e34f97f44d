"""AMD's zentorch: the tuned bf16 model of transformers, compiled."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.peer import Documents, Entry, Job, Losses
from benchmarks.peers.transformers import chunks, join, open_model, token_losses


class Zentorch:
    """Two unmasked readings, one unpadded document at a time; compiled once, for any length."""

    def __init__(self, job: Job, precision: str) -> None:
        import torch

        import_module("zentorch")
        self.model = open_model(job.folder, job.threads, precision)
        # zentorch lays weights out anew in place, which must not reach the tied embeddings.
        head = self.model.lm_head
        head.weight = torch.nn.Parameter(head.weight.detach().clone(), requires_grad=False)
        self.decoder = torch.compile(self._decode, backend="zentorch", dynamic=True)
        self.head = torch.compile(self._losses_of, backend="zentorch", dynamic=True)

    def losses(self, documents: Documents) -> list[Losses]:
        return [
            np.stack([self._reading(document), self._reading(document)]) for document in documents
        ]

    def work(self, documents: Documents) -> None:
        self.losses(documents)

    def _decode(self, ids: Any) -> Any:
        return self.model.model(input_ids=ids, use_cache=False).last_hidden_state

    def _losses_of(self, hidden: Any, targets: Any) -> Any:
        return token_losses(self.model.lm_head(hidden), targets)

    def _reading(self, document: NDArray[np.int32]) -> NDArray[np.float32]:
        import torch

        with torch.inference_mode():
            ids = torch.from_numpy(document).long()
            hidden = self.decoder(ids[None])[0, :-1]
            return join([self.head(rows, wanted) for rows, wanted in chunks(hidden, ids[1:])])


ENTRIES = (Entry("zentorch bf16, compiled", "bf16", False, partial(Zentorch, precision="bf16")),)
