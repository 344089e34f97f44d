"""The result of a search for retrieval heads: scores and the heads selected."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from attninfluence.base.frame import to_frame
from attninfluence.heads.file import read_heads, write_heads
from attninfluence.heads.head_table import HeadTable
from attninfluence.heads.stability import Stability, stability_of
from attninfluence.heads.view import heads_view, heads_words
from attninfluence.views.saving import Shown

if TYPE_CHECKING:
    import pandas
    import pyarrow

    from attninfluence.views.view import View


@dataclass(frozen=True, eq=False, repr=False)
class HeadScores(HeadTable, Shown):
    """Retrieval scores of all heads, and the heads selected by them.

    Attributes:
        scores: float64[layers, heads], each in 0..1; NaN when no sample counted.
        standard_error: float64[layers, heads] of the scores; NaN below two counted samples.
        selected: (layer, head) pairs, best first, both counted from 0.
        samples: probe samples read.
        n_counted: samples that the scores are the mean of.
        success_rate: share of the samples that the model answered.
        model_fingerprint: `Model.fingerprint` of the model they belong to.
        options: what `find_retrieval_heads` was asked, by name.
        interval: float64[2, layers, heads], low and high ends of the 95 % bootstrap intervals of
            the scores, over samples; NaN below two counted samples, None from an older heads.json.
        sample_share: float64[layers, heads], share of the counted samples in which a head copies
            at all; NaN when none counted, None from an older heads.json.
        rounding: by how many nats a token's loss moves on average in "bf16" and in "int8", with
            the heads first selected masked and without; None from an older heads.json.
    """

    def __repr__(self) -> str:
        return heads_words(self)

    def view(self, *, max_heads: int | None = 20) -> View:
        """The scores as a map, the best heads with their intervals, and whether samples suffice.

        max_heads: how many heads to list, those about the border among them; None lists all.
        """
        return heads_view(self, max_heads)

    def stability(self) -> Stability:
        """Are these samples enough to tell the selected heads from the others?"""
        return stability_of(self)

    def to_pandas(self) -> pandas.DataFrame:
        """A DataFrame of the columns, a row a head; ImportError, saying so, without pandas."""
        return to_frame(self.columns())

    def to_arrow(self) -> pyarrow.Table:
        """An Arrow table of the columns, a row a head, null where there is no number."""
        import pyarrow as pa

        columns = self.columns()
        return pa.table({name: pa.array(c, from_pandas=True) for name, c in columns.items()})

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes heads.json, or the page of `view()` to a name that ends in .html.

        The file is whole or not there at all; an older one is replaced.
        """
        if os.fspath(path).endswith(".html"):
            self.view().save(path)
        else:
            write_heads(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> HeadScores:
        """Reads what `save` wrote.

        Raises:
            OSError: the file cannot be read.
            ModelError: it is not a heads.json of a version known here, or its values cannot be.
        """
        return cls(**read_heads(path))
