"""Documents token by token, and the best, a middle one and the worst of each domain."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from attninfluence.report.description import Description
from attninfluence.report.documents import TOKENS_READ_AGAIN, Documents, ShownDocument
from attninfluence.report.domains import Domains
from attninfluence.report.given import left_out
from attninfluence.report.reading import row_name
from attninfluence.run.examples import (
    EXTREME_DOCUMENTS,
    MOST_DOMAINS,
    MOST_TOKENS,
    RANDOM_DOCUMENTS,
)
from attninfluence.views.tokens import tokens_scale_svg
from attninfluence.views.words import count, number, plural


def tokens_section(documents: Documents) -> dict[str, Any] | None:
    """The documents that are open, token by token."""
    if not any(document.tokens for document in documents.shown):
        return None
    return {
        "scale": Markup(tokens_scale_svg(documents.limit)),
        "documents": [
            {
                "anchor": _anchor(document),
                "name": row_name(document.chosen.row),
                **_tokens(document),
            }
            for document in documents.open
        ],
    }


def _tokens(document: ShownDocument) -> dict[str, str]:
    assert document.tokens is not None
    return {"sentence": document.tokens.view.sentence, "body": Markup(document.tokens.html)}


def _anchor(document: ShownDocument) -> str:
    return f"tokens-{document.chosen.domain}"


TITLES = {"highest": "Highest scores", "middle": "Near the median", "lowest": "Lowest scores"}


def documents_section(
    domains: Domains, description: Description, documents: Documents
) -> dict[str, Any] | None:
    """Best, middle and worst documents of each domain that is drawn."""
    if not domains.drawn:
        return None
    return {
        "source": " ".join(filter(None, [_most_shown(description), _source(documents)])),
        "no_text": ""
        if documents.has_text
        else ("The run did not keep the text; score with --keep-text to read the documents here."),
        "domains": [_domain(domains.name(at), documents.of(at)) for at in domains.drawn],
        "more": left_out(domains.not_drawn, "domain", "shown"),
    }


def _domain(name: str, shown: list[ShownDocument]) -> dict[str, Any]:
    lists = [
        (title, [_entry(document) for document in shown if document.chosen.standing == standing])
        for standing, title in TITLES.items()
    ]
    return {
        "name": name,
        "lists": [(title, entries) for title, entries in lists if entries],
        "folded": [_folded(one) for one in shown if one.tokens is not None and not one.is_open],
    }


def _most_shown(description: Description) -> str:
    """Whether fewer documents are shown than were asked for."""
    if description.has_room:
        return ""
    return f"At most {description.room} at either end of a domain fit this page."


def _source(documents: Documents) -> str:
    """Where tokens and middle documents come from, and what did not fit."""
    sentences = []
    if documents.has_examples:
        sentences.append(
            "Tokens and middle documents come from the examples that the run kept while it scored: "
            f"of each of the first {MOST_DOMAINS} domains the {EXTREME_DOCUMENTS} highest, the "
            f"{EXTREME_DOCUMENTS} lowest and {RANDOM_DOCUMENTS} at random, up to "
            f"{count(MOST_TOKENS)} tokens of each."
        )
    if documents.is_read_again and documents.open:
        most = count(TOKENS_READ_AGAIN)
        sentences.append(
            f"The documents above were read again by the model; up to {most} tokens are shown."
        )
    if documents.left_out:
        sentences.append(
            f"The tokens of {plural(documents.left_out, 'document')} did not fit this page."
        )
    return " ".join(sentences)


def _entry(document: ShownDocument) -> dict[str, Any]:
    row = document.chosen.row
    return {
        "score": number(row["score"]),
        "losses": f"{number(row['base_loss'])} → {number(row['ref_loss'])} nats",
        "name": row_name(row),
        "tokens_of": plural(row["n_tokens"], "token"),
        "excerpt": document.excerpt,
        "anchor": _anchor(document) if document.is_open else "",
    }


def _folded(document: ShownDocument) -> dict[str, Any]:
    row = document.chosen.row
    return {
        "summary": f"{number(row['score'])} token by token: {row_name(row)}",
        **_tokens(document),
    }
