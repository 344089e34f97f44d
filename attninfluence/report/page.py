"""The page itself: a template filled with words that are made visible and escaped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attninfluence.views.style import style
from attninfluence.views.words import visible

TEMPLATES = Path(__file__).parents[1] / "templates"


class Piece(str):
    """HTML or CSS that goes into the page as it is: escaped already, or our own."""


def render(context: dict[str, Any]) -> str:
    """The page of `templates/report.html`; every plain string of the context is escaped."""
    import jinja2

    loader = jinja2.FileSystemLoader(TEMPLATES)
    environment = jinja2.Environment(
        loader=loader,
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    css = Piece(style() + (TEMPLATES / "report.css").read_text(encoding="utf-8"))
    template = environment.get_template("report.html")
    return template.render(_shown({"css": css, **context}))


def _shown(value: Any) -> Any:
    """The context with every plain string made visible and pieces of HTML marked as such."""
    import markupsafe

    if isinstance(value, Piece):
        return markupsafe.Markup(value)
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, dict):
        return {key: _shown(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_shown(item) for item in value]
    return value
