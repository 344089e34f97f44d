"""The lines in which a person is told what `Model.describe` holds."""

from __future__ import annotations

from pathlib import Path

from attninfluence.heads.stored import FOLDER
from attninfluence.model.description import Described
from attninfluence.views.facts import Fact

MAX_HEADS = 20
FINGERPRINT_DIGITS = 12  # as errors tell it


def lines_of(described: Described) -> list[Fact]:
    """(label, text) of each line; both are empty between two groups."""
    groups = (_identity, _shape, _attention, _text, _cost)
    lines: list[Fact] = []
    for group in groups:
        lines += [*([("", "")] if lines else []), *group(described)]
    return lines


def _identity(of: Described) -> list[Fact]:
    tied = "; embeddings and output are one matrix" if of["tied_embeddings"] else ""
    return [
        ("path", of["path"]),
        *([("commit", of["commit"])] if of["commit"] else []),
        ("fingerprint", _fingerprint(of["fingerprint"])),
        *_gguf(of["gguf"]),
        ("family", of["family"]),
        ("parameters", f"{of['parameters']:,}{tied}"),
    ]


def _fingerprint(digits: str | None) -> str:
    if digits is None:
        return "not computed yet; model.fingerprint reads all files once"
    return digits[:FINGERPRINT_DIGITS]


def _gguf(of: Described | None) -> list[Fact]:
    """What a GGUF file says of itself, and in which types it keeps its values."""
    if of is None:
        return []
    named = f"{of['name']}, " if of["name"] else ""
    files = f", in {of['files']} files" if of["files"] > 1 else ""
    values = ", ".join(f"{kind} {count:,}" for kind, count in of["values"].items())
    split = f", split {of['split']}" if of["split"] else ""
    return [
        ("GGUF", f"{named}architecture {of['architecture']}{files}"),
        ("values", values),
        ("", f"tokenizer {of['tokenizer'] or 'none'}{split}"),
    ]


def _shape(of: Described) -> list[Fact]:
    lines = [
        ("layers", f"{of['layers']:,}"),
        ("hidden size", f"{of['hidden_size']:,}"),
        ("inner size", f"{of['intermediate_size']:,}"),
        ("vocabulary", f"{of['vocabulary']:,}"),
    ]
    if of["experts"]:
        count, used = of["experts"]["count"], of["experts"]["per_token"]
        lines.append(("experts", f"{count:,}, {used} of them for a token"))
    return lines


def _attention(of: Described) -> list[Fact]:
    place = "beside the file" if of["gguf"] else "in the folder"
    heads = f"{of['heads']} a layer, {of['key_value_heads']} for keys and values"
    return [
        ("heads", f"{heads}, {of['head_dim']} dimensions each"),
        ("retrieval heads", _retrieval_heads(of["retrieval_heads"], place)),
        *_about_heads(of),
        ("attention", _window(of)),
        ("context", f"{of['context']:,} tokens"),
        *_positions(of),
    ]


def _about_heads(of: Described) -> list[Fact]:
    """Where the heads come from, whether samples tell them apart, what rounding does to losses."""
    if of["retrieval_heads"] is None:
        return []
    lines = [("enough samples?", of["stability"]["sentence"])]
    if Path(of["heads_file"]).parent == FOLDER:
        lines.insert(0, ("", "as the package has them stored for this model"))
    if of["rounding"] is not None:
        moves = [f"{_nats(value)} in {name}" for name, value in of["rounding"].items()]
        lines.append(("rounding", f"moves a token's loss by {', '.join(moves)}, on average"))
    return lines


def _nats(value: float | None) -> str:
    return "more than can be told" if value is None else f"{value:g} nat"


def _retrieval_heads(found: list[list[int]] | None, place: str = "in the folder") -> str:
    if found is None:
        return f"no heads.json {place}, nor any of this model in the package"
    # A space that does not break holds a head together where the list goes over lines.
    named = [f"({layer},\N{NO-BREAK SPACE}{head})" for layer, head in found[:MAX_HEADS]]
    named += [f"and {len(found) - MAX_HEADS:,} more"] if len(found) > MAX_HEADS else []
    return ", ".join(named) or "none"


def _window(of: Described) -> str:
    if of["window"] is None:
        return "whole context"
    count, layers = of["window"]["layers"], of["layers"]
    where = "all layers" if count == layers else f"{count} of {layers} layers"
    return f"a window of {of['window']['tokens']:,} tokens in {where}"


def _positions(of: Described) -> list[Fact]:
    rope = of["rope"]
    if rope is None:
        return [("RoPE", "none; positions are learned")]
    lines = [("RoPE", _rope(rope))]
    if rope["windowed_theta"] is not None:
        lines[0] = ("RoPE", f"{_rope(rope)} in layers without a window")
        lines.append(("", f"base {_number(rope['windowed_theta'])} in layers with one"))
    if rope["dimensions"] < of["head_dim"]:
        lines.append(("", f"on {rope['dimensions']} of {of['head_dim']} dimensions of a head"))
    if rope["layers_without"]:
        lines.append(("", f"not in {rope['layers_without']} of {of['layers']} layers"))
    return lines


def _rope(rope: Described) -> str:
    parts = [rope["type"], f"base {_number(rope['theta'])}"]
    if rope["factor"] is not None:
        parts.append(f"factor {_number(rope['factor'])}")
    if rope["original_context"] is not None:
        parts.append(f"original context {rope['original_context']:,}")
    return ", ".join(parts)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:g}"


def _text(of: Described) -> list[Fact]:
    if of["tokenizer"] is None:
        return [("tokenizer", "none in the file" if of["gguf"] else "none in the folder")]
    tokenizer = of["tokenizer"]
    named = [f"{text} ({token})" for text, token in zip(of["bos"], of["bos_ids"], strict=True)]
    rule = "as the file says" if of["gguf"] else "as transformers' tokenizer of the folder"
    return [
        ("tokenizer", f"{tokenizer['kind']}, {tokenizer['vocabulary']:,} tokens"),
        *_beyond(tokenizer["vocabulary"], of["vocabulary"]),
        ("BOS", f"{', '.join(named)} before each text, {rule}" if named else f"none, {rule}"),
    ]


def _beyond(tokenizer: int, model: int) -> list[Fact]:
    """What a tokenizer with more ids than the model means for texts."""
    if tokenizer <= model:
        return []
    return [("", f"the model has {model:,}; a text with another token is not scored")]


def _cost(of: Described) -> list[Fact]:
    memory = (f"{_bytes(size)} in {name}" for name, size in of["weight_bytes"].items())
    return [
        ("weights", ", ".join(memory)),
        ("kernel", f"{of['kernel']} in {of['precision']}"),
        ("", f"this CPU has {', '.join(of['kernels'])}"),
        *_speed(of.get("speed")),
    ]


def _speed(speed: Described | None) -> list[Fact]:
    """Of a description to which a measured speed was added."""
    if speed is None:
        return []
    threads = f"{speed['threads']} thread{'s' * (speed['threads'] > 1)}"
    return [
        ("speed", f"about {_rounded(speed['tokens_per_second'])} tokens/s, {threads}"),
        ("", "both readings of random tokens, an estimate; attninfluence bench measures it"),
    ]


def _bytes(size: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 999.5:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"


def _rounded(value: float) -> str:
    """Two significant digits: it is an estimate."""
    return f"{float(f'{value:.2g}'):,.0f}" if value >= 10 else f"{value:.2g}"
