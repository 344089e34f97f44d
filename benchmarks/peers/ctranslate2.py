"""CTranslate2: two unmasked readings by `Generator.score_batch`."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import Any

import numpy as np

from benchmarks import workload
from benchmarks.peers.peer import Documents, Entry, Job, Losses

COMPUTE_TYPES = {"fp32": "float32", "int8": "int8"}
BATCH_TOKENS = 2048


class CTranslate2:
    """The model written in the library's own format, with numbers for tokens."""

    def __init__(self, job: Job, precision: str) -> None:
        library: Any = import_module("ctranslate2")
        compute_type = COMPUTE_TYPES[precision]
        folder = job.scratch / f"ctranslate2-{compute_type}"
        spec = _specification(library, job)
        spec.validate()
        spec.optimize(quantization=compute_type)
        folder.mkdir()
        spec.save(str(folder))
        self.generator = library.Generator(
            str(folder), compute_type=compute_type, inter_threads=1, intra_threads=job.threads
        )
        self.words = [str(token) for token in range(job.shape.vocab)]

    def losses(self, documents: Documents) -> list[Losses]:
        texts = [[self.words[token] for token in document] for document in documents]
        base, reference = self._reading(texts), self._reading(texts)
        return [np.stack(pair) for pair in zip(base, reference, strict=True)]

    def work(self, documents: Documents) -> None:
        self.losses(documents)

    def _reading(self, texts: list[list[str]]) -> list[Losses]:
        scored = self.generator.score_batch(
            texts, max_batch_size=BATCH_TOKENS, batch_type="tokens", max_input_length=0
        )
        return [-np.asarray(one.log_probs, dtype=np.float32) for one in scored]


def _specification(library: Any, job: Job) -> Any:
    """The decoder's specification, filled with the folder's weights."""
    shape, kinds = job.shape, library.specs
    spec = kinds.TransformerDecoderModelSpec.from_config(
        shape.layers,
        shape.heads,
        activation=kinds.Activation.SWISH,
        pre_norm=True,
        ffn_glu=True,
        rms_norm=True,
        rotary_dim=0,
        rotary_interleave=False,
        rotary_base=10000.0,
        num_heads_kv=None if shape.kv_heads == shape.heads else shape.kv_heads,
    )
    spec.register_vocabulary([str(token) for token in range(shape.vocab)])
    spec.config.bos_token = spec.config.eos_token = spec.config.unk_token = "0"
    spec.config.layer_norm_epsilon = 1e-5
    _fill(spec.decoder, dict(workload.read_tensors(job.folder)))
    return spec


def _fill(decoder: Any, tensors: dict[str, Any]) -> None:
    decoder.scale_embeddings = False
    decoder.embeddings.weight = tensors["model.embed_tokens.weight"]
    decoder.projection.weight = tensors["model.embed_tokens.weight"]
    decoder.layer_norm.gamma = tensors["model.norm.weight"]
    for number, layer in enumerate(decoder.layer):
        prefix = f"model.layers.{number}."
        attention, feed = layer.self_attention, layer.ffn
        attention.layer_norm.gamma = tensors[prefix + "input_layernorm.weight"]
        feed.layer_norm.gamma = tensors[prefix + "post_attention_layernorm.weight"]
        attention.linear[0].weight = np.concatenate(
            [tensors[f"{prefix}self_attn.{name}_proj.weight"] for name in "qkv"]
        )
        attention.linear[1].weight = tensors[prefix + "self_attn.o_proj.weight"]
        feed.linear_0.weight = tensors[prefix + "mlp.gate_proj.weight"]
        feed.linear_0_noact.weight = tensors[prefix + "mlp.up_proj.weight"]
        feed.linear_1.weight = tensors[prefix + "mlp.down_proj.weight"]


ENTRIES = tuple(
    Entry(f"CTranslate2 {name}", precision, False, partial(CTranslate2, precision=precision))
    for precision, name in COMPUTE_TYPES.items()
)
