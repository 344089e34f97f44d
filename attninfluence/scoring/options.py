"""The scoring options, checked once; one name each, everywhere."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from attninfluence.base.whole_number import as_whole_number
from attninfluence.model.masking import check_mask
from attninfluence.model.model import Model
from attninfluence.scores.spans import SPAN_KINDS
from attninfluence.scoring.windows import check_window
from attninfluence.tokenizer.tokenizer import BOS_POLICIES, SPECIAL_POLICIES

ENCODING_ERRORS = ("replace", "strict")
COUNTS = ("window", "document")
DETAILS = ("document", "token", *SPAN_KINDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreOptions:
    """How documents are read; the defaults and meanings are those of `score`.

    max_length: None means the model's context, until `for_model` fills it in.
    detail: "document", "token", "line", "sentence", or "spans" (the caller's own).
    """

    mask: str = "uniform"
    bos: str = "auto"
    max_length: int | None = None
    long: str = "truncate"
    stride: int | None = None
    special: str = "text"
    encoding_errors: str = "replace"
    count: str = "window"
    detail: str = "document"

    def __post_init__(self) -> None:
        check_mask(self.mask)
        for name in ("max_length", "stride"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, as_whole_number(name, value))
        _check("bos", self.bos, BOS_POLICIES)
        _check("special", self.special, SPECIAL_POLICIES)
        _check("encoding_errors", self.encoding_errors, ENCODING_ERRORS)
        _check("count", self.count, COUNTS)
        _check("detail", self.detail, (*DETAILS, "spans"))

    def window_for(self, model: Model, n_bos: int) -> tuple[int, int | None]:
        """(max_length, stride) in tokens for this model.

        ValueError when they cannot be, or exceed the model's context.
        """
        max_length = model.context if self.max_length is None else self.max_length
        if max_length > model.context:
            raise ValueError(
                f"max_length={max_length} exceeds the model's context of {model.context} tokens"
            )
        check_window(max_length, self.long, self.stride, n_bos)
        if self.long == "stride" and self.stride is None:
            return max_length, max_length // 2
        return max_length, self.stride

    def as_dict(self) -> dict[str, Any]:
        """The options by name, as they are written into results."""
        return asdict(self)


# Those that a caller chooses; `detail` is how much of the result to keep.
OPTION_NAMES = tuple(field.name for field in fields(ScoreOptions) if field.name != "detail")


def _check(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")
