"""The probe task on which heads are told apart: sentences, and samples made of them."""

from __future__ import annotations

from attninfluence.probe.samples import Sample, iter_samples, make_samples
from attninfluence.probe.sentences import read_sentences

__all__ = ["Sample", "iter_samples", "make_samples", "read_sentences"]
