"""The block that selects: the best documents of each domain pass."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

from datatrove.pipeline.filters.base_filter import BaseFilter

from attninfluence.integrations.datatrove.domains import (
    Cut,
    DomainSketches,
    Fields,
    QuantilesError,
    read_merged,
)
from attninfluence.select.rule import as_fraction

if TYPE_CHECKING:
    from datatrove.data import Document
    from datatrove.io import DataFolderLike
    from datatrove.pipeline.writers.disk_base import DiskWriter


class AttentionInfluenceFilter(BaseFilter):
    """Keeps the documents with the highest scores of their domain.

    Where no two scores are equal, the share that is kept differs from `fraction` by at most the
    error of the quantile sketches (of tokens: and by the one document at the cut). Documents with
    the score at the cut are kept or dropped by a digest of their id and text, each for itself, so
    that a document's fate depends neither on its task nor on the order; of these the wanted share
    is kept on average only, and the more there are, the further the count may be from it.
    Dropped documents have one of the reasons "no_score" and "below_cut".

    Args:
        quantiles_folder: that of DomainQuantiles and MergeQuantiles, which decide whether
            `fraction` is of documents or of tokens.
        fraction: in (0, 1], as written in decimals.
        prefix: as given to DomainQuantiles, with `domain_key`.
        exclusion_writer: writes the dropped documents.
    """

    name = "AttentionInfluence, best of each domain"

    def __init__(
        self,
        quantiles_folder: DataFolderLike,
        fraction: float | str | Fraction = 0.2,
        prefix: str = "ai_",
        domain_key: str | None = "domain",
        exclusion_writer: DiskWriter | None = None,
    ) -> None:
        from datatrove.io import get_datafolder

        super().__init__(exclusion_writer)
        self.quantiles_folder = get_datafolder(quantiles_folder)
        self.fraction = as_fraction(fraction)
        self.fields = Fields(prefix, domain_key)
        self._sketches: DomainSketches | None = None
        self._cuts: dict[str | None, Cut] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_sketches": None, "_cuts": {}}

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        """Whether the document is kept; QuantilesError for one that was not among the sketched."""
        score = self.fields.score(doc)
        if score is None:
            return False, "no_score"
        return self._cut(self.fields.domain(doc)).keeps(score, doc) or (False, "below_cut")

    def _cut(self, domain: str | None) -> Cut:
        if domain not in self._cuts:
            if self._sketches is None:
                self._sketches = self._read()
            try:
                self._cuts[domain] = self._sketches.cut(domain, self.fraction)
            except KeyError:
                raise QuantilesError(
                    f"{self.quantiles_folder.path}: has no quantiles of the domain {domain!r}"
                ) from None
        return self._cuts[domain]

    def _read(self) -> DomainSketches:
        sketches = read_merged(self.quantiles_folder)
        if sketches.fields != self.fields:
            raise QuantilesError(
                f"{self.quantiles_folder.path}: has quantiles of {sketches.fields}, the filter is "
                f"for {self.fields}"
            )
        return sketches
