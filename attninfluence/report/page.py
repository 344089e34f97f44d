"""The page itself: a template filled with words that are made visible and escaped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from markupsafe import Markup

from attninfluence.views.style import style
from attninfluence.views.words import visible

TEMPLATES = Path(__file__).parent / "templates"


def render(context: dict[str, Any]) -> str:
    """The page of `templates/report.html`.

    `Markup` in the context is HTML that is escaped already or our own; every other string is made
    visible and escaped.
    """
    import jinja2

    loader = jinja2.FileSystemLoader(TEMPLATES)
    environment = jinja2.Environment(
        loader=loader,
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    css = Markup(style() + (TEMPLATES / "report.css").read_text(encoding="utf-8"))
    template = environment.get_template("report.html")
    return template.render(_shown({"css": css, **context}))


def _shown(value: Any) -> Any:
    """The context with every string made visible that is not `Markup`."""
    if isinstance(value, Markup):
        return value
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, dict):
        return {key: _shown(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_shown(item) for item in value]
    return value
