"""Where a text can be cut so that its parts have the tokens of the whole.

A place is asked about by the two characters around it, `before` and `after`. Each step of the
tokenizer is followed with them, and says what they become: a step *keeps the place* when it does
to the two parts what it does to the whole. The place is a cut when all steps keep it and one of
them, or the model, surely separates what stands on its two sides: the model then reads on both
sides what it reads in the whole.

A part behind a cut is encoded with the character before it, `before`, whose tokens are dropped.
So what a step does to the beginning of a text alone (a space put before it, white space stripped)
it does to that character, and a step that looks back by one character sees what it sees in the
whole. `before` is no white space, so what is done to white space at the end of a text, or next to
an added token, does not depend on the cut either.

What is not known here keeps no place, and the text is tokenised whole.
"""

from __future__ import annotations

import string
import unicodedata
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any, NamedTuple

from attninfluence.tokenizer.patterns import WHITE_SPACE, Pattern, Unproven, is_several, literal

# What the pre-tokenizer ByteLevel splits by.
_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_FORMS = ("NFC", "NFD", "NFKC", "NFKD")

_Json = dict[str, Any]


class _Place(NamedTuple):
    """What the characters around a place may have become, and whether they are apart by now."""

    before: frozenset[str]
    after: frozenset[str]
    is_apart: bool = False

    def mapped(self, change: Callable[[str], str]) -> _Place:
        """After a step that changes each character alone."""
        before, after = ([change(char) for char in side] for side in (self.before, self.after))
        if not all(before) or not all(after):
            raise Unproven("a character that is taken out")
        return _Place(
            frozenset(text[-1] for text in before),
            frozenset(text[0] for text in after),
            self.is_apart,
        )

    def apart(self, is_apart: bool) -> _Place:
        return self._replace(is_apart=self.is_apart or is_apart)


_Step = Callable[[_Place], _Place]


class Cuts:
    """The places at which the texts of one tokenizer can be cut.

    settings: the tokenizer as JSON. normalize: what its normalizer does to a text.
    """

    def __init__(self, settings: _Json, normalize: Callable[[str], str]) -> None:
        self._known: dict[str, bool] = {}
        self._steps: list[_Step] = []
        try:
            added = [token["content"] for token in settings["added_tokens"]]
            normalizers = _steps(settings["normalizer"], "normalizers", _NORMALIZERS)
            splitters = _steps(settings["pre_tokenizer"], "pretokenizers", _PRE_TOKENIZERS)
            given, normal = _AddedTokens(added), _AddedTokens([*added, *map(normalize, added)])
            model = _model(settings["model"])
            self._steps = [given, *normalizers, normal, *splitters, model]
        except Unproven:
            pass

    def between(self, pair: str) -> bool:
        """Whether a text can be cut wherever these two characters follow each other."""
        found = self._known.get(pair)
        if found is None:
            found = self._known[pair] = self._is_proven(pair)
        return found

    def _is_proven(self, pair: str) -> bool:
        if not self._steps or pair[0] in WHITE_SPACE or not all(map(_is_settled, pair)):
            return False
        place = _Place(frozenset(pair[0]), frozenset(pair[1]))
        try:
            for step in self._steps:
                place = step(place)
        except Unproven:
            return False
        return place.is_apart


def _is_settled(char: str) -> bool:
    """Whether every library says the same of it: its category has been the same since Unicode 3.2,
    it joins none before it, and it is one character in every case.
    """
    if char.isascii():
        return True
    kind = unicodedata.category(char)
    joins_back = kind[0] == "M" or "\u1100" <= char <= "\u11ff"  # marks; vowels of Hangul
    return (
        kind[0] != "C"
        and not joins_back
        and unicodedata.ucd_3_2_0.category(char) == kind
        and not is_several(char)
    )


def _steps(
    settings: _Json | None, plural: str, known: dict[str, Callable[[_Json], _Step]]
) -> list[_Step]:
    """The steps of a normalizer or pre-tokenizer in order."""
    if settings is None:
        return []
    kind = settings["type"]
    if kind == "Sequence":
        return [step for one in settings[plural] for step in _steps(one, plural, known)]
    if kind not in known:
        raise Unproven(kind)
    return [known[kind](settings)]


class _AddedTokens:
    """Added tokens are found from left to right, the longest first, and end what is normalised.

    So none may reach across the place (none has both characters side by side), and none may end
    there: what comes behind it begins anew. One that begins there is found in both.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        if not all(texts):
            raise Unproven("an added token without a character")
        self._ends = frozenset(text[-1] for text in texts)
        self._pairs = frozenset(text[at : at + 2] for text in texts for at in range(len(text) - 1))

    def __call__(self, place: _Place) -> _Place:
        across = any(one + other in self._pairs for one, other in product(*place[:2]))
        if across or place.before & self._ends:
            raise Unproven("an added token")
        return place


# ----------------------------------------------------------------------------- normalizers


def _normal_form(settings: _Json) -> _Step:
    """Composition and order of marks do not reach across a character that joins none before it."""
    form = settings["type"]

    def step(place: _Place) -> _Place:
        for char in place.before | place.after:
            if not _is_settled(char) or unicodedata.normalize(form, char) != char:
                raise Unproven(form)
        return place

    return step


def _lowercase(settings: _Json) -> _Step:
    """Each character alone; which ones have a small form is only known of ASCII."""

    def small(char: str) -> str:
        if not char.isascii() and char.lower() != char:
            raise Unproven("Lowercase")
        return char.lower()

    return lambda place: place.mapped(small)


def _replace(settings: _Json) -> _Step:
    """A match that reaches across is ruled out; what is matched beside the place is replaced."""
    ((kind, text),) = settings["pattern"].items()
    content = settings["content"]
    if kind == "String" and len(text) == 1:
        return lambda place: place.mapped(lambda char: content if char == text else char)
    pattern = literal(text) if kind == "String" else Pattern(text)

    def step(place: _Place) -> _Place:
        _check_apart(pattern, place)
        taken = any(map(pattern.takes, place.before | place.after))
        if taken and not content:
            raise Unproven("Replace")
        before = {content[-1]} if any(map(pattern.takes, place.before)) else set()
        after = {content[0]} if any(map(pattern.takes, place.after)) else set()
        return place._replace(before=place.before | before, after=place.after | after)

    return step


def _nmt(settings: _Json) -> _Step:
    """Some characters become a space or nothing; letters, digits and what ASCII prints do not."""

    def changed(char: str) -> str:
        if char in "\t\n\f\r":
            return " "
        if char.isprintable() and (char.isascii() or char.isalnum()):
            return char
        raise Unproven("Nmt")

    return lambda place: place.mapped(changed)


def _bert(settings: _Json) -> _Step:
    """Each character alone, as far as ASCII goes."""

    def changed(char: str) -> str:
        if char in "\t\n\r" and settings["clean_text"]:
            return " "
        if char.isascii() and char.isprintable():
            return char.lower() if settings["lowercase"] else char
        raise Unproven("BertNormalizer")

    return lambda place: place.mapped(changed)


def _strip(settings: _Json) -> _Step:
    """White space at the ends: there is none before the place."""

    def step(place: _Place) -> _Place:
        if place.before & WHITE_SPACE:
            raise Unproven("Strip")
        return place

    return step


def _strip_accents(settings: _Json) -> _Step:
    """Takes marks out, which do not stand at the place."""

    def step(place: _Place) -> _Place:
        if not all(map(_is_settled, place.before | place.after)):
            raise Unproven("StripAccents")
        return place

    return step


def _to_bytes(settings: _Json) -> _Step:
    return lambda place: place.mapped(_as_bytes)


def _byte_characters() -> dict[int, str]:
    """The character that ByteLevel writes for each byte."""
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in shown]
    return dict(zip(shown, map(chr, shown), strict=True)) | {
        byte: chr(256 + at) for at, byte in enumerate(others)
    }


_BYTES = _byte_characters()


def _as_bytes(char: str) -> str:
    return "".join(_BYTES[byte] for byte in char.encode())


def _unchanged(settings: _Json) -> _Step:
    return lambda place: place


_NORMALIZERS: dict[str, Callable[[_Json], _Step]] = {
    **dict.fromkeys(_FORMS, _normal_form),
    "BertNormalizer": _bert,
    "ByteLevel": _to_bytes,
    "Lowercase": _lowercase,
    "Nmt": _nmt,
    "Prepend": _unchanged,  # at the beginning alone
    "Replace": _replace,
    "Strip": _strip,
    "StripAccents": _strip_accents,
}


# -------------------------------------------------------------------------- pre-tokenizers


def _check_apart(pattern: Pattern, place: _Place) -> None:
    if any(pattern.joins(one, other) for one, other in product(*place[:2])):
        raise Unproven("a match that may reach across")


def _split(settings: _Json) -> _Step:
    """Matches on both sides are those of the whole; one that begins at the place separates."""
    ((kind, text),) = settings["pattern"].items()
    pattern = literal(text) if kind == "String" else Pattern(text)
    separates = settings["behavior"] in ("Isolated", "Removed") or (
        settings["behavior"] == "MergedWithNext" and not settings["invert"]
    )

    def step(place: _Place) -> _Place:
        _check_apart(pattern, place)
        return place.apart(separates and all(map(pattern.begins_with, place.after)))

    return step


def _by_character(is_match: Callable[[str], bool], behavior: str) -> _Step:
    """Every character is a match or none, whatever stands beside it."""

    def step(place: _Place) -> _Place:
        ends, begins = (all(map(is_match, side)) for side in place[:2])
        separates = {
            "Isolated": ends or begins,
            "Removed": ends or begins,
            "MergedWithPrevious": ends,
            "MergedWithNext": begins,
        }
        return place.apart(separates.get(behavior, False))

    return step


def _is_space(char: str) -> bool:
    return char in WHITE_SPACE


def _is_numeric(char: str) -> bool:
    return unicodedata.category(char)[0] == "N"


def _is_punctuation(char: str) -> bool:
    return char in string.punctuation or unicodedata.category(char)[0] == "P"


def _digits(settings: _Json) -> _Step:
    return _by_character(_is_numeric, "Isolated" if settings["individual_digits"] else "Contiguous")


def _punctuation(settings: _Json) -> _Step:
    return _by_character(_is_punctuation, settings["behavior"])


def _delimiter(settings: _Json) -> _Step:
    return _by_character(lambda char: char == settings["delimiter"], "Removed")


def _white_space(settings: _Json) -> _Step:
    return _by_character(_is_space, "Removed")


def _words(settings: _Json) -> _Step:
    """Runs of characters of words and of others; white space, which is in neither, is removed."""

    def step(place: _Place) -> _Place:
        if not place.after <= WHITE_SPACE:
            raise Unproven("Whitespace")
        return place.apart(True)

    return step


def _bert_words(settings: _Json) -> _Step:
    spaces, marks = _white_space(settings), _by_character(_is_punctuation, "Isolated")
    return lambda place: marks(spaces(place))


def _metaspace(settings: _Json) -> _Step:
    """A space is written as a visible one; what is put first goes before the first character."""
    space = settings["replacement"]

    def step(place: _Place) -> _Place:
        place = place.mapped(lambda char: space if char == " " else char)
        return place.apart(settings["split"] and place.after == {space})

    return step


def _byte_level(settings: _Json) -> _Step:
    """As `_split`, then each character alone becomes its bytes."""
    pattern = {"pattern": {"Regex": _GPT2}, "behavior": "Isolated", "invert": False}
    splits = _split(pattern) if settings["use_regex"] else _unchanged(settings)
    return lambda place: splits(place).mapped(_as_bytes)


_PRE_TOKENIZERS: dict[str, Callable[[_Json], _Step]] = {
    "BertPreTokenizer": _bert_words,
    "ByteLevel": _byte_level,
    "CharDelimiterSplit": _delimiter,
    "Digits": _digits,
    "Metaspace": _metaspace,
    "Punctuation": _punctuation,
    "Split": _split,
    "Whitespace": _words,
    "WhitespaceSplit": _white_space,
}


# ---------------------------------------------------------------------------------- models


def _model(settings: _Json) -> _Step:
    """A model reads what is apart by itself, unless chance has a part in it."""
    kind = settings["type"]
    if kind not in ("BPE", "Unigram", "WordLevel", "WordPiece"):
        raise Unproven(kind)
    if settings.get("dropout") or settings.get("alpha") or settings.get("nbest_size"):
        raise Unproven("tokens by chance")
    merges = _merges(settings) if kind == "BPE" else None

    def step(place: _Place) -> _Place:
        # Sums of a Unigram model over a long text are rounded, and might differ in a tie.
        if place.is_apart or merges is None:
            return place
        return merges(place)

    return step


def _merges(settings: _Json) -> _Step | None:
    """BPE within a word: what it merges is in the vocabulary, so nothing is merged across a place
    whose two characters no token has side by side, and the order of other merges has no part in it.

    A character that is no token is its bytes, "<0x0A>", where all of them are tokens. Without them
    runs of such characters may be one token, and keep no place; without a token for them they are
    left out, and move the offsets of what follows in the word.
    """
    changes_words = ("ignore_merges", "continuing_subword_prefix", "end_of_word_suffix")
    vocab = settings["vocab"]
    has_bytes = settings["byte_fallback"] and all(f"<0x{b:02X}>" in vocab for b in range(256))
    if any(map(settings.get, changes_words)) or not (has_bytes or settings["unk_token"]):
        return None
    single = {token for token in vocab if len(token) == 1}
    all_tokens = "\0".join(vocab)

    def spelled(char: str) -> str:
        if char not in single and not has_bytes:
            raise Unproven("an unknown character")
        return char if char in single else "<0x0A>"

    def step(place: _Place) -> _Place:
        place = place.mapped(spelled)
        across = any(one + other in all_tokens for one, other in product(*place[:2]))
        return place.apart(not across)

    return step
