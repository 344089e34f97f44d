"""The tokenizer classes of transformers 5 that do not take tokenizer.json as it stands.

Each takes vocabulary and merges from the folder and has normalizer, pre-tokenizer and
decoder of its own, whatever tokenizer.json says of them. `ignore_merges` and an
unknown token of the file are lost with all but Gemma's and Code Llama's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

_QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_QWEN3_5 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}"
    r"| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_SPACE = "\u2581"


def _special_tokens(**tokens: str) -> dict[str, str]:
    return {f"{role}_token": token for role, token in tokens.items()}


_END = _special_tokens(unk="<|endoftext|>", bos="<|endoftext|>", eos="<|endoftext|>")
_SENTENCEPIECE = _special_tokens(unk="<unk>", bos="<s>", eos="</s>")


@dataclass(frozen=True, slots=True)
class Pipeline:
    """How a class builds a tokenizer.

    set_up: gives the tokenizer its normalizer, pre-tokenizer and decoder, from the
    settings of tokenizer_config.json. special_tokens: the tokens it has where the folder
    names none. model_options: of the BPE model; None is the folder's token of that role.
    reads_pieces: it reads vocab.json and merges.txt. own_bos: it ignores the
    post-processor of tokenizer.json, and puts a BOS before each text if adds_bos.
    finish: what it does with its special tokens (by role, and others) at last.
    """

    set_up: Callable[[Any, dict[str, Any]], None]
    special_tokens: dict[str, str]
    model_options: dict[str, Any] = field(default_factory=dict)
    reads_pieces: bool = True
    own_bos: bool = False
    adds_bos: bool = False
    finish: Callable[[Any, list[Any], list[Any]], None] = lambda *_: None

    def model(self, vocab: Any, merges: Any, named: dict[str, Any]) -> Any:
        """named: the folder's tokens by role; a role that it gives null is "None" here too."""
        from tokenizers.models import BPE

        options = {
            name: str(named.get(name)) if value is None else value
            for name, value in self.model_options.items()
        }
        return BPE(vocab=vocab, merges=merges, **options)


def _gpt2(backend: Any, settings: dict[str, Any]) -> None:
    from tokenizers import decoders, pre_tokenizers

    prefix = bool(settings.get("add_prefix_space"))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    backend.decoder = decoders.ByteLevel()


def _gpt_neox(backend: Any, settings: dict[str, Any]) -> None:
    from tokenizers import normalizers

    _gpt2(backend, settings)
    backend.normalizer = normalizers.NFC()


def _cohere(backend: Any, settings: dict[str, Any]) -> None:
    from tokenizers import pre_tokenizers

    _gpt_neox(backend, settings)
    digits = pre_tokenizers.Digits(individual_digits=True)
    backend.pre_tokenizer = pre_tokenizers.Sequence([digits, backend.pre_tokenizer])


def _qwen(pattern: str) -> Callable[[Any, dict[str, Any]], None]:
    def set_up(backend: Any, settings: dict[str, Any]) -> None:
        from tokenizers import Regex, pre_tokenizers

        _gpt_neox(backend, settings)
        prefix = bool(settings.get("add_prefix_space"))
        split = pre_tokenizers.Split(Regex(pattern), behavior="isolated", invert=False)
        to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=False)
        backend.pre_tokenizer = pre_tokenizers.Sequence([split, to_bytes])

    return set_up


def _metaspace(backend: Any, scheme: str, strips: bool) -> None:
    from tokenizers import decoders, pre_tokenizers

    backend.pre_tokenizer = pre_tokenizers.Metaspace(
        replacement=_SPACE, prepend_scheme=scheme, split=False
    )
    steps = [decoders.Replace(_SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    steps += [decoders.Strip(content=" ", left=1)] if strips else []
    backend.decoder = decoders.Sequence(steps)


def _llama(backend: Any, settings: dict[str, Any]) -> None:
    prefix = settings.get("add_prefix_space")
    prefix = True if prefix is None else bool(prefix)
    scheme = "always" if settings.get("legacy") else "first"
    _metaspace(backend, scheme if prefix else "never", strips=prefix)


def _code_llama(backend: Any, settings: dict[str, Any]) -> None:
    prefix = settings.get("add_prefix_space")
    _metaspace(backend, "first" if prefix is None or prefix else "never", strips=True)


def _gemma(backend: Any, settings: dict[str, Any]) -> None:
    from tokenizers import decoders, normalizers, pre_tokenizers

    backend.normalizer = normalizers.Replace(" ", _SPACE)
    backend.pre_tokenizer = pre_tokenizers.Split(" ", behavior="merged_with_previous")
    backend.decoder = decoders.Sequence(
        [decoders.Replace(_SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    )


def _add_again(backend: Any, named: list[Any], others: list[Any]) -> None:
    from tokenizers import AddedToken

    backend.add_tokens([AddedToken(str(token), special=True) for token in [*named, *others]])


def _add_as_special(backend: Any, named: list[Any], others: list[Any]) -> None:
    backend.add_special_tokens([*named, *others])


_BYTES = {"continuing_subword_prefix": "", "end_of_word_suffix": "", "fuse_unk": False}
_FALLBACK = {"fuse_unk": True, "byte_fallback": True}
_QWEN_TOKENS = _special_tokens(unk="<|endoftext|>", eos="<|endoftext|>", pad="<|endoftext|>")

PIPELINES = {
    "CodeGenTokenizer": Pipeline(_gpt2, _END, _BYTES),
    "CodeLlamaTokenizer": Pipeline(
        _code_llama,
        _SENTENCEPIECE
        | _special_tokens(
            prefix=_SPACE + "<PRE>",
            middle=_SPACE + "<MID>",
            suffix=_SPACE + "<SUF>",
            eot=_SPACE + "<EOT>",
            fill="<FILL_ME>",
        ),
        _FALLBACK | {"unk_token": None},
        reads_pieces=False,
        own_bos=True,
        adds_bos=True,
    ),
    "CohereTokenizer": Pipeline(
        _cohere,
        _special_tokens(
            unk="<UNK>",
            bos="<BOS_TOKEN>",
            eos="<|END_OF_TURN_TOKEN|>",
            pad="<PAD>",
            cls="<CLS>",
            sep="<SEP>",
            mask="<MASK_TOKEN>",
        ),
        _BYTES,
        finish=_add_as_special,
    ),
    "GPT2Tokenizer": Pipeline(_gpt2, _END, _BYTES),
    "GPTNeoXTokenizer": Pipeline(
        _gpt_neox, _END | _special_tokens(pad="<|padding|>"), _BYTES, own_bos=True
    ),
    "GemmaTokenizer": Pipeline(
        _gemma,
        _special_tokens(unk="<unk>", bos="<bos>", eos="<eos>", pad="<pad>", mask="<mask>"),
        _FALLBACK | {"unk_token": None},
        reads_pieces=False,
    ),
    "LlamaTokenizer": Pipeline(_llama, _SENTENCEPIECE, _FALLBACK, reads_pieces=False),
    "Qwen2Tokenizer": Pipeline(_qwen(_QWEN2), _QWEN_TOKENS, _BYTES, finish=_add_again),
    "Qwen3_5Tokenizer": Pipeline(_qwen(_QWEN3_5), _QWEN_TOKENS, _BYTES, reads_pieces=False),
}
