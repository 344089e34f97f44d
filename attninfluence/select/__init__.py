"""What is selected: the rule, the order of rows, the cut, the rows picked."""

from __future__ import annotations

from attninfluence.select.rule import Rule, as_fraction, count_of_fraction
from attninfluence.select.selector import select

__all__ = ["Rule", "as_fraction", "count_of_fraction", "select"]
