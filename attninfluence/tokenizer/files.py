"""The tokenizer files of a model folder, put together as transformers does it.

What decides the tokens of a text: `tokenizer.json`, or `vocab.json` and `merges.txt`
where there is none; the class that transformers opens the folder with
(classes.py); and the added tokens that the other files name.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attninfluence._core import ModelError
from attninfluence.tokenizer.classes import AS_FILE, tokenizer_class
from attninfluence.tokenizer.json_files import (
    check_is_there,
    read_added,
    read_bytes,
    read_json,
    read_settings,
    read_vocab,
)
from attninfluence.tokenizer.opened import MODEL_SETTINGS, Opened, check_added, model_settings
from attninfluence.tokenizer.pipelines import PIPELINES
from attninfluence.tokenizer.stored import read_checked

_NAMED = tuple(f"{name}_token" for name in "bos eos unk sep pad cls mask".split())
_NEEDS_CONVERSION = re.compile(r"tekken\.json|tokenizer\.model|tiktoken\.model")
_PIECES = ("vocab.json", "merges.txt")
_SETTINGS = "tokenizer_config.json"


def has_files(folder: str | os.PathLike[str]) -> bool:
    """Whether the folder has the files of a tokenizer that is known here."""
    try:
        _settings(folder)
    except ModelError:
        return False
    return True


def extra_files(folder: str | os.PathLike[str]) -> list[str]:
    """The files that decide tokens beside tokenizer.json and the two that set it up."""
    names = [] if _has(folder, "tokenizer.json") else list(_PIECES)
    try:
        settings = read_json(Path(folder, _SETTINGS))
    except ModelError:  # broken, which is for those who want its tokenizer to say
        settings = {}
    if "added_tokens_decoder" not in settings:
        names.append("added_tokens.json")
    return [name for name in names if _has(folder, name)]


def class_of(folder: str | os.PathLike[str]) -> str:
    """The class that transformers opens the folder's tokenizer with."""
    stored = Path(folder, "tokenizer.json")
    config = read_json(Path(folder, "config.json"))
    settings = read_settings(folder, _SETTINGS)
    try:
        return tokenizer_class(
            config, settings, lambda: stored.is_file() and b'"ByteLevel"' in read_bytes(stored)
        )
    except ModelError as error:
        raise ModelError(f"{os.fspath(folder)!r}: {error}") from None


def open_folder(folder: str) -> Opened:
    """The folder's tokenizer; ModelError, saying what is missing or wrong."""
    for part in ("tokenizer.json", *_PIECES):
        if _has(folder, part):
            check_is_there(Path(folder, part))
    name, settings = _settings(folder)
    source = Path(folder, "tokenizer.json" if _has(folder, "tokenizer.json") else "vocab.json")
    try:
        return _as_stored(folder, settings) if name == AS_FILE else _rebuilt(folder, name, settings)
    except (KeyboardInterrupt, SystemExit, MemoryError, ModelError, OSError):
        raise
    except BaseException as error:  # the library's panics are no Exceptions
        raise ModelError(f"{source}: not a tokenizer that can be read ({error})") from error


def _as_stored(folder: str, settings: dict[str, Any]) -> Opened:
    import tokenizers

    data, stored = read_checked(Path(folder, "tokenizer.json"))
    model = {name: stored["model"].get(name) for name in MODEL_SETTINGS}
    del stored
    backend = tokenizers.Tokenizer.from_buffer(data)
    backend.no_truncation()
    backend.no_padding()
    tokens = _read_tokens(folder, settings, {}, [])
    tokens.add_to(backend)
    check_added(folder, backend)
    return Opened(
        backend,
        {**model, **model_settings(backend.model)},
        _bos_of(backend),
        tokens.bos,
        _splits_special(settings),
    )


def _rebuilt(folder: str, name: str, settings: dict[str, Any]) -> Opened:
    import tokenizers

    pipeline = PIPELINES[name]
    path = Path(folder, "tokenizer.json")
    has_json = path.is_file()
    stored = read_checked(path)[1] if has_json else {}
    added = stored.get("added_tokens") or []
    tokens = _read_tokens(folder, settings, pipeline.special_tokens, added)
    vocab, merges = _vocab_of(path, stored, name) if has_json else _read_pieces(folder)
    backend = tokenizers.Tokenizer(pipeline.model(vocab, merges, tokens.named))
    pipeline.set_up(backend, tokens.settings)
    tokens.add_to(backend)
    pipeline.finish(backend, list(tokens.named.values()), tokens.others)
    check_added(folder, backend)
    if has_json and not pipeline.own_bos:
        backend.post_processor = _post_processor(stored)
        bos = _bos_of(backend)
    else:
        adds = pipeline.adds_bos if has_json else settings.get("add_bos_token", False)
        found = backend.token_to_id(tokens.bos) if adds and tokens.bos else None
        bos = [] if found is None else [found]
    own = model_settings(backend.model)
    return Opened(backend, own, bos, tokens.bos, _splits_special(settings))


def _splits_special(settings: dict[str, Any]) -> bool:
    return bool(settings.get("split_special_tokens", False))


def _vocab_of(path: Path, stored: dict[str, Any], name: str) -> tuple[Any, Any]:
    model = stored["model"]
    if model.get("type", "BPE") != "BPE":
        raise ModelError(
            f"{path}: a {model['type']} model, but transformers opens it with {name}, which is for "
            "byte pairs; write tokenizer_class PreTrainedTokenizerFast into tokenizer_config.json"
        )
    if model.get("merges") is None:
        raise ModelError(f"{path}: expected model.merges to be a list, found null")
    merges = [tuple(m.split(" ")) if isinstance(m, str) else tuple(m) for m in model["merges"]]
    return model["vocab"], merges


def _read_pieces(folder: str) -> tuple[Any, Any]:
    from tokenizers.models import BPE

    vocab, merges = (Path(folder, name) for name in _PIECES)
    read_vocab(vocab)
    read_bytes(merges)
    return BPE.read_file(str(vocab), str(merges))


def _post_processor(stored: dict[str, Any]) -> Any:
    """The post-processor of a tokenizer.json, read without its vocabulary."""
    import tokenizers

    model = {"type": "BPE", "vocab": {}, "merges": []}
    shell = {"version": "1.0", "post_processor": stored.get("post_processor"), "model": model}
    return tokenizers.Tokenizer.from_str(json.dumps(shell)).post_processor


def _bos_of(backend: Any) -> list[int]:
    """The ids that the post-processor puts before a text."""
    for probe in ("a", "0", ".", "\u4e00"):  # what the vocabulary lacks may give no token
        bare = backend.encode(probe, add_special_tokens=False).ids
        if bare:
            break
    full = backend.encode(probe, add_special_tokens=True).ids
    for start in range(len(full) - len(bare) + 1):
        if full[start : start + len(bare)] == bare:
            return [int(token) for token in full[:start]]
    return []


@dataclass(frozen=True, slots=True)
class _Tokens:
    """The added tokens of a folder, as texts or AddedTokens.

    settings: as transformers merges them. numbered: tokens by id. named: tokens by role, in
    the order in which transformers adds them. others: special tokens without a role.
    """

    settings: dict[str, Any]
    numbered: dict[int, Any]
    named: dict[str, Any]
    others: list[Any]

    @property
    def bos(self) -> str | None:
        bos = self.named.get("bos_token")
        return None if bos is None else str(bos)

    def add_to(self, backend: Any) -> None:
        """Add them in transformers' order: what is new gets the next ids."""
        from tokenizers import AddedToken

        tokens = [token for _, token in sorted(self.numbered.items())]
        known = {token.content for token in backend.get_added_tokens_decoder().values()}
        known |= {str(token) for token in tokens}
        for token in [*self.named.values(), *self.others]:
            if str(token) not in known and token not in tokens:
                tokens.append(token)
        backend.add_tokens(
            [AddedToken(one, special=True) if isinstance(one, str) else one for one in tokens]
        )


def _read_tokens(
    folder: str,
    config: dict[str, Any],
    defaults: dict[str, str],
    stored: list[dict[str, Any]],
) -> _Tokens:
    """config: tokenizer_config.json. defaults: the special tokens of the class. stored:
    `added_tokens` of tokenizer.json.
    """
    settings = _merge_settings(folder, config)
    numbered = _tokens_by_number(folder, config, settings, stored)
    extra = settings.get("extra_special_tokens", settings.get("additional_special_tokens"))
    roles, others = (extra, []) if isinstance(extra, dict) else ({}, extra or [])
    tokens = _Tokens(
        settings,
        numbered,
        _tokens_by_role(settings, defaults, roles, numbered),
        [_special(token) for token in others],
    )
    _make_special(tokens)
    return tokens


def _merge_settings(folder: str, config: dict[str, Any]) -> dict[str, Any]:
    """tokenizer_config.json with the newer name of its extra tokens, and
    special_tokens_map.json where transformers reads it.
    """
    settings = dict(config)
    if settings.get("additional_special_tokens") and not settings.get("extra_special_tokens"):
        settings["extra_special_tokens"] = settings.pop("additional_special_tokens")
    if "added_tokens_decoder" not in config:
        settings |= read_settings(folder, "special_tokens_map.json")
    return settings


def _tokens_by_number(
    folder: str, config: dict[str, Any], settings: dict[str, Any], stored: list[dict[str, Any]]
) -> dict[int, Any]:
    """The tokens whose ids the folder gives: all in tokenizer_config.json, or none there."""
    if "added_tokens_decoder" in config:
        listed = config["added_tokens_decoder"].items()
        return {int(index): _token(value) for index, value in listed}
    return _read_added(folder, settings) | {token["id"]: _token(token) for token in stored}


def _read_added(folder: str, settings: dict[str, Any]) -> dict[int, Any]:
    from tokenizers import AddedToken

    extra = settings.get("extra_special_tokens")
    special = {str(_token(settings[name])) for name in _NAMED if settings.get(name)}
    special |= {str(_token(token)) for token in (extra if isinstance(extra, list) else [])}
    listed = read_added(folder)
    return {
        index: AddedToken(text, normalized=text not in special, special=text in special)
        for text, index in listed.items()
    }


def _tokens_by_role(
    settings: dict[str, Any],
    defaults: dict[str, str],
    roles: dict[str, Any],
    numbered: dict[int, Any],
) -> dict[str, Any]:
    """What the folder names, which may be a token with an id, or else the class has."""
    by_text = {str(token): token for token in numbered.values()}
    given = {name: settings.get(name, defaults.get(name)) for name in _NAMED}
    named = {name: _special(value) for name, value in given.items() if value is not None}
    for name in named.keys() & settings.keys():
        named[name] = by_text.get(str(named[name]), named[name])
    others = {
        name: value
        for name, value in (defaults | settings).items()
        if name.endswith("_token") and name not in _NAMED and isinstance(value, (str, dict))
    }
    return named | {name: _special(value) for name, value in (others | roles).items()}


def _make_special(tokens: _Tokens) -> None:
    """A token with a role is special, whatever its file says."""
    texts = {str(token) for token in tokens.named.values()}
    for token in [*tokens.numbered.values(), *tokens.named.values(), *tokens.others]:
        if str(token) in texts and not isinstance(token, str):
            token.special = True


def _token(value: Any) -> Any:
    """An added token as the files write it: its text, or an object with its properties."""
    from tokenizers import AddedToken

    if isinstance(value, dict):
        properties = {key: value[key] for key in value if key not in ("id", "__type")}
        return AddedToken(**properties)
    return value


def _special(value: Any) -> Any:
    """As `_token`; an object of special_tokens_map.json does not say that it is special."""
    if isinstance(value, dict) and "__type" not in value:
        return _token({"special": True, **value})
    return _token(value)


def _has(folder: str | os.PathLike[str], name: str) -> bool:
    return Path(folder, name).is_file()


def _settings(folder: str | os.PathLike[str]) -> tuple[str, dict[str, Any]]:
    """The class and tokenizer_config.json; ModelError when nothing can be made of the folder."""
    has_json = _has(folder, "tokenizer.json")
    if not has_json:
        _check_pieces(os.fspath(folder))
    name = class_of(folder)
    if not has_json and not (name != AS_FILE and PIPELINES[name].reads_pieces):
        raise ModelError(
            f"no tokenizer.json in {os.fspath(folder)!r}, and transformers reads no vocab.json for "
            f"this folder ({name}); if its tokenizer is BPE on bytes as GPT-2's, convert it once: "
            "GPT2Tokenizer.from_pretrained(folder).save_pretrained(folder)"
        )
    path = Path(folder, _SETTINGS)
    settings = read_settings(folder, _SETTINGS)
    if settings.get("fix_mistral_regex"):
        raise ModelError(f"{path}: fix_mistral_regex is not supported; save tokenizer.json mended")
    if set(settings.get("fast_tokenizer_files") or []) - {"tokenizer.json"}:
        raise ModelError(f"{path}: fast_tokenizer_files is not supported; leave tokenizer.json")
    return name, settings


def _check_pieces(folder: str) -> None:
    """ModelError unless vocab.json and merges.txt are there and nothing that goes before them."""
    present = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    for other in present:
        if _NEEDS_CONVERSION.search(other):
            raise ModelError(
                f"no tokenizer.json in {folder!r}, only {other}; convert it once with "
                "transformers: AutoTokenizer.from_pretrained(folder).save_pretrained(folder)"
            )
    missing = [name for name in _PIECES if name not in present]
    if len(missing) == len(_PIECES):
        raise ModelError(
            f"no tokenizer.json in {folder!r}: text cannot be tokenized; give token ids instead"
        )
    if missing:
        raise ModelError(f"no tokenizer.json in {folder!r}, and no {missing[0]} beside the other")
