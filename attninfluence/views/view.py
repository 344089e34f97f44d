"""A picture with its words, as a notebook shows it and as a page of its own."""

from __future__ import annotations

import os
from dataclasses import dataclass

from attninfluence.base.replacing import replacing
from attninfluence.views.style import style
from attninfluence.views.words import escape, visible

PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{style}</style>
</head>
<body class="ati">
<main class="ati-view">
<h1>{title}</h1>
{body}
</main>
</body>
</html>
"""


def quiet(sentence: str) -> str:
    """A paragraph that stands back, as HTML; nothing for no sentence."""
    return f'<p class="quiet">{escape(sentence)}</p>' if sentence else ""


@dataclass(frozen=True, repr=False)
class View:
    """What a person looks at: HTML without script or network, in light and in dark.

    A notebook shows it; `print` and a terminal show its words.

    Attributes:
        title: of the page, plain text.
        body: HTML, escaped; its headings begin at the second level.
        words: the same for those who do not see the picture: plain text of some lines.
    """

    title: str
    body: str
    words: str

    def __repr__(self) -> str:
        return visible(self.words)

    def _repr_html_(self) -> str:
        """The piece with its style sheet, for a notebook's cell."""
        heading = f'<h2 class="title">{escape(self.title)}</h2>'
        return f'<div class="ati ati-view"><style>{style()}</style>{heading}{self.body}</div>'

    def to_html(self) -> str:
        """A whole page that needs nothing else."""
        return PAGE.format(title=escape(self.title), style=style(), body=self.body)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the page of `to_html`, whole or not at all; an older file is replaced.

        OSError, naming the file, when it cannot be written.
        """
        page = self.to_html()
        with replacing(path) as file:
            file.write_text(page, encoding="utf-8")
