"""Every view of the package, as the browser tests open them: one line of `VIEWS` each.

A view has an ordinary form, one of nothing, one at the largest size that it has by default, and one
of hostile text. `make` gets an empty folder to work in and returns a `View`, or the path of a page.
"""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import attninfluence as ai
from attninfluence.probe.samples import make_samples
from attninfluence.views.heatmap import heatmap_svg
from attninfluence.views.histogram import histogram_svg
from attninfluence.views.tokens import colored_tokens_html, tokens_scale_svg
from attninfluence.views.view import View
from attninfluence.views.words import visible
from tests.kit.made_heads import head_scores

if TYPE_CHECKING:
    from attninfluence.heads.head_scores import HeadScores
    from attninfluence.model.model import Model
    from attninfluence.probe.samples import Sample

Make = Callable[[Path], "View | Path"]

# An element made of this text would run a script, or be there to find.
MARKUP = "<script>window.attacked=1</script><b class=made onclick=attacked=1>"
HOSTILE_LINES = (
    MARKUP,
    "</style></title></svg></textarea><img src=x onerror=window.attacked=1>",
    '" onmouseover="window.attacked=1" x=\'\' <!-- --> ]]> &amp; &#60;b&#62; {{ 7*7 }}',
    "left \u202eto right\u202c \u2066isolated\u2069 \u200emarks\u200f zero\u200bwidth \ufeff",
    "control \x00\x07\x1b[31m\x7f\x9b surrogate \ud83d and noncharacter \uffff",
    "emoji \U0001f469\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea",
    "漢字 テスト 한국어 עברית العربية",
    "stacked Z" + "\u0300\u0301\u0302\u0303\u0304\u0305" * 30 + "algo",
)
HOSTILE = "\n".join(HOSTILE_LINES)
HOSTILE_NAME = "<b class=made onclick=attacked=1>\u202e\x1b[31m" + "long" * 40  # of a folder
LONG_LINE = "A" * 100_000
LONG_NAME = "a-very-long-host-name-without-a-single-space." * 8 + "example"


@dataclass(frozen=True)
class Entry:
    """A view to open. `says` is what its visible text must contain."""

    name: str
    make: Make
    says: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.name

    @property
    def is_page(self) -> bool:
        """Whether it is a page of its own, which no notebook's cell shows."""
        return self.name.startswith("report")


# ------------------------------------------------------------------------------------------ data

PROSE = (
    "The engine house was quiet. Ann had the key of the engine house in her left pocket, and the "
    "key of the store in her right one. At nine she went to the engine house and took the key from "
    "her left pocket.\n\nNobody answered. The store, to which she had the other key, was open."
)
CODE = (
    "def total(prices):\n    result = 0\n    for price in prices:\n        result += price\n"
    "    return result\n\n\ndef mean(prices):\n    return total(prices) / len(prices)\n"
)
MATHS = (
    "Ann has 3 boxes of 4 pens. That makes 12 pens. She gives 5 of the 12 pens away: 7 are left."
)
TEXTS = (PROSE, CODE, MATHS, "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich.")


@functools.cache
def model() -> Model:
    return ai.load()


def corpus(count: int, domains: int = 3) -> list[dict[str, Any]]:
    """Rows of a corpus: text, id, domain."""
    return [
        {
            "id": f"doc-{i}",
            "domain": ("prose", "code", "maths")[i % 3] if domains == 3 else f"host-{i % domains}",
            "text": f"{i}. " + TEXTS[i % 3] + f" So {i} is {i}." * (i % 5),
        }
        for i in range(count)
    ]


# ----------------------------------------------------------------------------------------- pieces


def pieces(title: str, body: Iterable[str]) -> View:
    """Pieces that no object shows alone, as a view of their own."""
    regions = (
        f'<div class="wide" tabindex="0" role="region" aria-label="piece {i}">{piece}</div>'
        for i, piece in enumerate(body)
    )
    return View(title, "".join(regions), title)


def ordinary_pieces(folder: Path) -> View:
    random = np.random.default_rng(0)
    values = random.normal(0.05, 0.02, 400)
    rises = random.normal(0, 0.5, 60)
    body = [
        heatmap_svg(random.beta(0.4, 2, (6, 8)), [(1, 2), (5, 7)]),
        histogram_svg(values, (0.0, 0.12), cut=0.06, control=values - 0.04, label="A histogram"),
        tokens_scale_svg(1.5),
        colored_tokens_html([f"word{i} " for i in range(60)], np.ones(60), 1 + rises),
    ]
    return pieces("Pieces", body)


def hostile_pieces(folder: Path) -> View:
    tokens = [*HOSTILE_LINES, LONG_LINE, "\n", LONG_NAME]
    rises = np.linspace(-3, 3, len(tokens))
    return pieces("Hostile " + MARKUP, [colored_tokens_html(tokens, rises * 0, rises)])


# ------------------------------------------------------------------------------- heads, model


def found(layers: int, heads: int, selected: int = 0) -> HeadScores:
    """Made-up scores of so many heads, the best of them selected."""
    scores = np.random.default_rng(layers).beta(0.2, 2, (layers, heads))
    result = head_scores(scores, model_fingerprint=MARKUP, options={"corpus": MARKUP})
    return result.select(count=selected) if selected else result


def unanswered(folder: Path) -> View:
    nothing = np.full((2, 3), np.nan)
    return head_scores(nothing, standard_error=nothing, n_counted=0, success_rate=0.0).view()


def searched(folder: Path) -> View:
    return ai.find_retrieval_heads(model(), samples=20, progress=False).view()


def named_model(folder: Path) -> View:
    """A model whose folder's name is hostile as far as a file system allows."""
    place = folder / HOSTILE_NAME
    shutil.copytree(Path(model().path), place)
    return ai.load(place).view()


def attention(document: Any, **options: Any) -> View:
    return model().view_attention(document, 3, 0, **options)


def sample(length: int) -> Sample:
    return make_samples(model().tokenizer, samples=1, max_length=length)[0]


# ---------------------------------------------------------------------------- documents, scores


@functools.cache
def document(text: Any, **options: Any) -> View:
    return ai.score([text], model=model(), detail="token", control=0)[0].view(**options)


@functools.cache
def scores(count: int, domains: int = 0, **options: Any) -> View:
    """A set of scores, of texts with the names of their domains where there are any."""
    rows = corpus(count, domains or 3)
    names = [row["domain"] for row in rows] if domains else None
    texts = [row["text"] for row in rows]
    result = ai.score(texts, model=model(), control=0)
    return result.view(domains=names, texts=texts, **options)


def hostile_scores(folder: Path) -> View:
    texts = [*HOSTILE_LINES, LONG_LINE, LONG_NAME, "", None, HOSTILE, PROSE]
    names = [*HOSTILE_LINES, LONG_NAME, LONG_NAME, None, "", LONG_LINE, MARKUP]
    result = ai.score(texts, model=model(), max_length=128)
    return result.view(domains=names, texts=texts, names=names)


# ----------------------------------------------------------------------------------------- report


def report(folder: Path, rows: Iterable[dict[str, Any]], **options: Any) -> Path:
    """The report of a run over these rows on the bundled model."""
    from attninfluence.report import write_report
    from attninfluence.run.session import score_files
    from attninfluence.run.source import Source

    corpus = folder / "corpus.jsonl"
    corpus.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    score_files(Source([str(corpus)]), folder / "scores", model=model(), control=0, **options)
    return write_report(folder / "scores", folder / "report.html")


def demo_report(folder: Path) -> Path:
    from attninfluence.demo.steps import run_demo

    return Path(run_demo(folder / "demo", documents=4, samples=8, progress=False)["report"])


def hostile_report(folder: Path) -> Path:
    rows = [{"id": line, "domain": line, "text": line + " " + PROSE} for line in HOSTILE_LINES]
    rows += [{"id": LONG_NAME, "domain": LONG_NAME, "text": text} for text in (HOSTILE, LONG_LINE)]
    rows += [{"id": None, "domain": None, "text": text} for text in ("", "x", HOSTILE[::-1])]
    rows += 3 * [{"id": LONG_LINE, "domain": LONG_LINE, "text": PROSE}]  # of the largest domains
    return report(folder, rows, keep_text=True)


VIEWS: tuple[Entry, ...] = (
    Entry("pieces", ordinary_pieces),
    Entry("pieces, hostile", hostile_pieces, (MARKUP,)),
    Entry("heads", searched),
    Entry("heads, none answered", unanswered),
    Entry("heads, one", lambda folder: found(1, 1).view()),
    Entry("heads, 48 x 64", lambda folder: found(48, 64, 154).view()),
    Entry("heads, hostile", lambda folder: found(32, 32, 20).view()),
    Entry("model", lambda folder: model().view()),
    Entry("model, hostile", named_model, (visible(HOSTILE_NAME)[:40],)),
    Entry("attention, sample", lambda folder: attention(sample(600))),
    Entry("attention, long sample", lambda folder: attention(sample(1000))),
    Entry("attention, text", lambda folder: attention(PROSE, query=[20, -1])),
    Entry("attention, one token", lambda folder: attention("a")),
    Entry("attention, long text", lambda folder: attention(PROSE * 20)),
    Entry("attention, hostile", lambda folder: attention(HOSTILE, query=range(0, 300, 20))),
    Entry("document", lambda folder: document(PROSE)),
    Entry("document, code", lambda folder: document(CODE, spans="line")),
    Entry("document, without tokens", lambda folder: ai.score([PROSE], model=model())[0].view()),
    Entry("document, empty", lambda folder: document("")),
    Entry("document, no text", lambda folder: document(None)),
    Entry("document, long", lambda folder: document(PROSE * 8)),
    Entry("document, hostile", lambda folder: document(HOSTILE), (MARKUP,)),
    Entry("document, long line", lambda folder: document(MARKUP + LONG_LINE), (MARKUP,)),
    Entry("scores", lambda folder: scores(60)),
    Entry("scores, by domain", lambda folder: scores(60, 3)),
    Entry("scores, many domains", lambda folder: scores(80, 40)),
    Entry("scores, none", lambda folder: scores(0)),
    Entry("scores, hostile", hostile_scores, (MARKUP,)),
    Entry("report", demo_report),
    Entry("report, empty", lambda folder: report(folder, [])),
    Entry("report, many domains", lambda folder: report(folder, corpus(90, 30))),
    Entry("report, hostile", hostile_report, (MARKUP,)),
)
