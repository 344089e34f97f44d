"""Files of documents: which ones an argument names, and their rows, streamed.

A corpus is a list of files: Parquet, Arrow, JSON, CSV or text (`files.py`). A document is
known by its key ``(file, row)``, the row counted from 0 within its file; an id is a label that may
repeat. A file that cannot be read to its last row raises :class:`CorpusError` and counts as a
whole, since a shard of which only the beginning was seen must never pass for a finished one.

This package knows nothing about models, scores or output folders.
"""

from attninfluence.corpus.columns import Columns, resolve_columns
from attninfluence.corpus.files import CorpusError, file_format, file_size
from attninfluence.corpus.inputs import FoundInputs, InputFile, find_inputs
from attninfluence.corpus.kept import kept_types
from attninfluence.corpus.rows import RowBatch, iter_rows
from attninfluence.corpus.survey import Survey, survey_file

__all__ = [
    "Columns",
    "CorpusError",
    "FoundInputs",
    "InputFile",
    "RowBatch",
    "Survey",
    "file_format",
    "file_size",
    "find_inputs",
    "iter_rows",
    "kept_types",
    "resolve_columns",
    "survey_file",
]
