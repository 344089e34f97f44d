"""llama.cpp: two unmasked readings with all logits; it computes no losses."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import workload
from benchmarks.peers.peer import Documents, Entry, Job, Losses

BATCH = 512  # tokens that are decoded at a time, the library's default

NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


class LlamaCpp:
    """The model written as GGUF, read through the C interface."""

    def __init__(self, job: Job, kind: str) -> None:
        self.library: Any = import_module("llama_cpp")
        path = job.scratch / f"model-{kind}.gguf"
        write_gguf(path, job, kind)
        self.vocab = job.shape.vocab
        self.library.llama_backend_init()
        options = self.library.llama_model_default_params()
        self.model = self.library.llama_model_load_from_file(str(path).encode(), options)
        if not self.model:
            raise RuntimeError(f"llama.cpp cannot read the {kind} model")
        self.context = self._open_context(job)
        self.batch = self.library.llama_batch_init(BATCH, 0, 1)

    def _open_context(self, job: Job) -> Any:
        options = self.library.llama_context_default_params()
        options.n_ctx = job.shape.context
        options.n_batch = options.n_ubatch = BATCH
        options.n_threads = options.n_threads_batch = job.threads
        context = self.library.llama_init_from_model(self.model, options)
        if not context:
            raise RuntimeError("llama.cpp cannot make a context")
        return context

    def losses(self, documents: Documents) -> list[Losses]:
        """Losses worked out here from its logits, to see that it reads the same model."""
        return [np.stack([self._losses_of(document)] * 2) for document in documents]

    def work(self, documents: Documents) -> None:
        for document in documents:
            for _ in range(2):
                for _ in self._logits(document):
                    pass

    def _losses_of(self, document: NDArray[np.int32]) -> NDArray[np.float32]:
        logits = np.concatenate([np.array(rows) for rows in self._logits(document)])[:-1]
        peak = logits.max(axis=1)
        total = np.log(np.exp(logits - peak[:, None]).sum(axis=1, dtype=np.float64))
        chosen = logits[np.arange(len(logits)), document[1:]]
        return np.asarray(total + peak - chosen, dtype=np.float32)

    def _logits(self, document: NDArray[np.int32]) -> Iterator[NDArray[np.float32]]:
        """Logits [n, vocab] of each batch of the document's tokens, gone with the next batch."""
        self.library.llama_memory_clear(self.library.llama_get_memory(self.context), False)
        for start in range(0, len(document), BATCH):
            tokens = document[start : start + BATCH]
            self._fill_batch(tokens, start)
            status = self.library.llama_decode(self.context, self.batch)
            if status:
                raise RuntimeError(f"llama_decode returned {status}")
            pointer = self.library.llama_get_logits(self.context)
            size = len(tokens) * self.vocab
            array = ctypes.cast(pointer, ctypes.POINTER(ctypes.c_float * size)).contents
            yield np.ctypeslib.as_array(array).reshape(len(tokens), self.vocab)

    def _fill_batch(self, tokens: NDArray[np.int32], start: int) -> None:
        self.batch.n_tokens = len(tokens)
        for at, token in enumerate(tokens.tolist()):
            self.batch.token[at] = token
            self.batch.pos[at] = start + at
            self.batch.n_seq_id[at] = 1
            self.batch.seq_id[at][0] = 0
            self.batch.logits[at] = 1


def write_gguf(path: Path, job: Job, kind: str) -> None:
    """The folder's model as GGUF: matrices of `kind`, norms in fp32, no vocabulary."""
    gguf: Any = import_module("gguf")
    shape = job.shape
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.hidden)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.ffn)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_rope_dimension_count(shape.head_dim)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(shape.vocab)
    writer.add_tokenizer_model("no_vocab")
    for name, values in workload.read_tensors(job.folder):
        stored = gguf.GGMLQuantizationType["F32" if values.ndim == 1 else kind]
        data = gguf.quants.quantize(_arrange(name, values, job), stored)
        writer.add_tensor(_name(name), data, raw_dtype=stored)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _name(name: str) -> str:
    """model.layers.3.mlp.up_proj.weight -> blk.3.ffn_up.weight"""
    stem = name.removesuffix(".weight")
    if stem in NAMES:
        return f"{NAMES[stem]}.weight"
    _, _, layer, rest = stem.split(".", 3)
    return f"blk.{layer}.{NAMES[rest]}.weight"


def _arrange(name: str, values: NDArray[np.float32], job: Job) -> NDArray[np.float32]:
    """Queries and keys with the halves of a rotary pair side by side, as llama.cpp turns them."""
    if ".q_proj" not in name and ".k_proj" not in name:
        return values
    halves = values.reshape(-1, 2, job.shape.head_dim // 2, values.shape[1])
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(values.shape))


ENTRIES = (
    Entry("llama.cpp BF16, all logits", "bf16", False, partial(LlamaCpp, kind="BF16")),
    Entry("llama.cpp Q8_0, all logits", "int8", False, partial(LlamaCpp, kind="Q8_0")),
)
