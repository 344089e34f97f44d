"""The recipe of a mix: its files as sources that `datasets` and datatrove can open.

{
  "format": "attninfluence-recipe", "version": 1,
  "stopping_strategy": "all_exhausted_without_replacement",
  "sources": [{
    "part": "corpus",              or "selected"
    "builder": "json",             of datasets.load_dataset: json, parquet or text
    "options": {},                 its further arguments
    "files": [...],                relative to the recipe's folder, absolute, or URLs; its patterns:
                                   "[[]" is a "["
    "documents": 10, "tokens": 65,
    "weight": 0.5,                 share of all tokens
    "probability": 0.4,            share of all documents
    "datatrove": {
      "reader": "JsonlReader",     of datatrove.pipeline.readers
      "data_folder": "corpus",     relative to the recipe's folder, absolute, or a URL
      "paths_file": "corpus-json.txt",
      "text_key": "text"
    }                              null where datatrove has no reader of the format or the suffix,
                                   for a chained URL, and for a text within a struct or an object
  }, ...]
}
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from attninfluence.corpus.files import file_compression, file_format, is_url
from attninfluence.mix.names import pattern

RECIPE_NAME = "recipe.json"


class _Kind(NamedTuple):
    """How the files of one format are opened by others."""

    builder: str
    options: dict[str, Any]
    reader: str | None  # datatrove's


# datatrove's CSVReader takes no value of more than 128 KB; its IpcReader must be told which format.
KINDS = {
    "parquet": _Kind("parquet", {}, "ParquetReader"),
    "arrow": _Kind("arrow", {}, None),
    "jsonl": _Kind("json", {}, "JsonlReader"),
    "json": _Kind("json", {}, None),  # it may be an array
    "csv": _Kind("csv", {"keep_default_na": False}, None),  # a text may be "NA"
    "tsv": _Kind("csv", {"keep_default_na": False, "sep": "\t"}, None),
    "text": _Kind("text", {"sample_by": "document"}, None),  # one document a file
}


def _kind(file: str) -> _Kind:
    """How others open `file`; datatrove knows a compression by fsspec's suffixes alone."""
    from fsspec.utils import infer_compression

    kind = KINDS[file_format(file)]
    compression = file_compression(file)
    inferred = compression is None or infer_compression(file) == compression
    return kind if inferred and "::" not in file else kind._replace(reader=None)


@dataclass
class Count:
    """Documents and their tokens."""

    documents: int = 0
    tokens: int = 0

    def add(self, documents: int, tokens: int) -> None:
        self.documents += documents
        self.tokens += tokens


@dataclass
class _Source:
    part: str
    kind: _Kind
    columns: str
    number: int  # among those of the same part and kind, from 1
    files: list[str] = field(default_factory=list)
    count: Count = field(default_factory=Count)


class Recipe:
    """The files of a mix, grouped by part, by how others open them and by their columns.

    text_column  the column of the documents' text; datatrove knows none by a name with dots
    """

    def __init__(self, text_column: str = "text") -> None:
        self.text_column = text_column
        self._sources: list[_Source] = []

    def add(self, part: str, file: str, count: Count, columns: str = "") -> None:
        """Count a file of the part ``corpus`` or ``selected``; `file` as the recipe names it.

        columns: its columns and their types, where it states them: `datasets` opens no source of
        files that differ in these.

        One without documents is left out: `datasets` opens no Parquet file without a row group, nor
        a source of empty files alone.
        """
        if not count.documents:
            return
        source = self._source(part, _kind(file), columns)
        source.files.append(file)
        source.count.add(count.documents, count.tokens)

    def _source(self, part: str, kind: _Kind, columns: str) -> _Source:
        number = 1
        for source in self._sources:
            if (source.part, source.kind, source.columns) == (part, kind, columns):
                return source
            number += (source.part, source.kind) == (part, kind)
        self._sources.append(_Source(part, kind, columns, number))
        return self._sources[-1]

    @property
    def count(self) -> Count:
        """Documents and tokens of all files."""
        total = Count()
        for source in self._sources:
            total.add(source.count.documents, source.count.tokens)
        return total

    def describe(self) -> dict[str, Any]:
        """The recipe as JSON values."""
        total = self.count
        sources = [
            {
                "part": source.part,
                "builder": source.kind.builder,
                "options": source.kind.options,
                "files": [pattern(file) for file in source.files],
                "documents": source.count.documents,
                "tokens": source.count.tokens,
                "weight": source.count.tokens / (total.tokens or 1),
                "probability": source.count.documents / total.documents,
                "datatrove": self._datatrove(source),
            }
            for source in self._sources
        ]
        return {
            "format": "attninfluence-recipe",
            "version": 1,
            "stopping_strategy": "all_exhausted_without_replacement",
            "sources": sources,
        }

    def _datatrove(self, source: _Source) -> dict[str, Any] | None:
        """What a datatrove reader is given; None where none reads this, or in no folder of all."""
        start = common_folder(source.files)
        if source.kind.reader is None or start is None or "." in self.text_column:
            return None
        return {
            "reader": source.kind.reader,
            "data_folder": start,
            "paths_file": _paths_name(source),
            "text_key": self.text_column,
        }

    def paths_files(self) -> dict[str, str]:
        """The lists of files that `datatrove` sources name, by their own names."""
        lists = {}
        for source in self._sources:
            given = self._datatrove(source)
            if given is not None:
                names = (file[len(given["data_folder"]) :].lstrip("/") for file in source.files)
                lists[given["paths_file"]] = "".join(f"{_line(name)}\n" for name in names)
        return lists


def _line(name: str) -> str:
    """The name in a list of files, whose lines lose white space at their ends."""
    return name if name == name.lstrip() else f"./{name}"


def _paths_name(source: _Source) -> str:
    number = f"-{source.number}" if source.number > 1 else ""
    return f"{source.part}-{source.kind.builder}{number}.txt"


def common_folder(files: list[str]) -> str | None:
    """The deepest folder that all files lie below; None for files of unlike filesystems."""
    protocols = {file.split("://")[0] if is_url(file) else "" for file in files}
    if len(protocols) > 1:
        return None
    protocol = protocols.pop()
    names = [file.removeprefix(f"{protocol}://") if protocol else file for file in files]
    start = os.path.commonpath([os.path.dirname(name) for name in names])
    return f"{protocol}://{start}" if protocol else start
