"""Muon for the matrices inside the layers, AdamW for the rest."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def orthogonalise(matrices: Tensor, steps: int = 5) -> Tensor:
    """Push the singular values of matrices [n, rows, columns] towards 1 (Newton-Schulz)."""
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.transpose(1, 2) if tall else matrices
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.transpose(1, 2)
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.transpose(1, 2) if tall else x


class Muon(torch.optim.Optimizer):
    """Momentum whose update is orthogonalised; matrices of one shape go together."""

    def __init__(self, params: list[nn.Parameter], lr: float, momentum: float = 0.95) -> None:
        groups: dict[tuple[int, ...], list[nn.Parameter]] = {}
        for param in params:
            groups.setdefault(tuple(param.shape), []).append(param)
        super().__init__(
            [{"params": group} for group in groups.values()], {"lr": lr, "momentum": momentum}
        )

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """One update of every matrix."""
        for group in self.param_groups:
            updates = []
            for param in group["params"]:
                buffer = self.state[param].setdefault("momentum", torch.zeros_like(param))
                buffer.lerp_(param.grad, 1 - group["momentum"])
                updates.append(param.grad.lerp(buffer, group["momentum"]))
            rows, columns = group["params"][0].shape
            scale = group["lr"] * max(1.0, rows / columns) ** 0.5
            for param, update in zip(
                group["params"], orthogonalise(torch.stack(updates)), strict=True
            ):
                param.add_(update, alpha=-scale)


def optimisers(
    model: nn.Module, muon_lr: float, embedding_lr: float, norm_lr: float
) -> list[torch.optim.Optimizer]:
    """The two optimisers of the model; each group remembers its full rate as `peak`."""
    matrices, embeddings, norms = [], [], []
    for name, param in model.named_parameters():
        if "embed" in name:
            embeddings.append(param)
        elif param.ndim == 2:
            matrices.append(param)
        else:
            norms.append(param)
    adam = torch.optim.AdamW(
        [{"params": embeddings, "lr": embedding_lr}, {"params": norms, "lr": norm_lr}],
        betas=(0.9, 0.95),
        weight_decay=0.0,
    )
    result = [Muon(matrices, muon_lr), adam]
    for optimiser in result:
        for group in optimiser.param_groups:
            group["peak"] = group["lr"]
    return result
