"""A finished score run as one page of HTML that needs nothing else: no script, no network.

    statistics   the numbers, streamed: domains, description (sketches, lengths, samples,
                 extremes), cuts (as `attninfluence.select` makes them), bars
    documents    the documents that are shown: `chosen`, then read, then as far as they fit
    given        what the run was given
    sections     what each part of the page says; `page` fills `templates/report.html` with it
    write        all of it, one after the other

Nothing is scored here: the documents whose tokens are shown are examples that the run kept, unless
a model is given and the run kept all text, when the best ones are read again. The pictures come
from `attninfluence.views`.
"""

from __future__ import annotations

from attninfluence.report.write import write_report

__all__ = ["write_report"]
