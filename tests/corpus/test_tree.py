"""What is found below a folder: linked folders, unreadable ones, and what this package wrote."""

from __future__ import annotations

import ast
import json
import os
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.spec import AbstractFileSystem

from attninfluence.corpus import CorpusError, find_inputs, iter_rows, resolve_columns
from attninfluence.corpus import tree as tree_module
from attninfluence.corpus.passed_over import (
    DATASETS_CACHE,
    HIDDEN,
    LEADS_UP,
    NOT_NAMED,
    OTHER_KIND,
    OWN_OUTPUT,
    READ_ALREADY,
    SAME_FILE,
    WRITTEN,
    passed_over_in_words,
)
from tests.kit.child import run_python
from tests.kit.closed_folder import close_folder


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def touch(*paths: str) -> None:
    for path in map(Path, paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def write_output(folder: str, kind: str, *files: str) -> None:
    touch(*(f"{folder}/{name}" for name in files))
    Path(folder, "run.json").write_text(json.dumps({"format": f"attninfluence-{kind}"}))


def names(*patterns: str, **options: Any) -> list[str]:
    return [file.name for file in find_inputs(patterns, **options).files]


def passed_over(*patterns: str, **options: Any) -> dict[str, list[str]]:
    summary = find_inputs(patterns, **options).passed_over.summary()
    assert all(entry["count"] == len(entry["names"]) for entry in summary)
    return {entry["reason"]: entry["names"] for entry in summary}


# ---------------------------------------------------------------------------------- links


@pytest.mark.parametrize("pattern", ["c", "c/", ".", "c/*", "c/**", "c/*/*.jsonl", "**/*.jsonl"])
def test_a_linked_folder_is_followed(pattern):
    touch("c/web/a.jsonl", "elsewhere/deep/b.jsonl", "elsewhere/b.jsonl")
    Path("c/maths").symlink_to("../elsewhere")
    found = set(names(pattern)) - {"elsewhere/b.jsonl", "elsewhere/deep/b.jsonl"}
    expected = {"c/web/a.jsonl", "c/maths/b.jsonl", "c/maths/deep/b.jsonl"}
    if pattern in (".", "**/*.jsonl"):  # there the folder itself is below
        assert len(names(pattern)) == 3
        assert passed_over(pattern) == {READ_ALREADY: ["c/maths"]}
        expected = {"c/web/a.jsonl"}
    elif pattern == "c/*/*.jsonl":
        expected.discard("c/maths/deep/b.jsonl")
    assert found == expected


@pytest.mark.parametrize("pattern", ["c", "c/*", "c/**/*.jsonl"])
def test_links_that_lead_back_end(pattern):
    touch("c/a/x.jsonl", "c/b/y.jsonl")
    Path("c/a/up").symlink_to("..")
    Path("c/b/self").symlink_to("self")
    Path("c/b/over").symlink_to("../a")
    Path("c/b/out").symlink_to(Path.cwd())
    touch("beside.jsonl")
    assert names(pattern) == ["c/a/x.jsonl", "c/b/y.jsonl"]
    told = passed_over(pattern)
    assert told[LEADS_UP] == ["c/a/up", "c/b/out"]
    assert told[READ_ALREADY] == ["c/b/over"]


def test_a_folder_with_two_links_is_read_by_the_first(monkeypatch):
    touch("elsewhere/a.jsonl")
    os.mkdir("c")
    for name in ("one", "two"):
        Path("c", name).symlink_to("../elsewhere")
    assert names("c") == names("c/*/a.jsonl") == ["c/one/a.jsonl"]
    assert passed_over("c") == passed_over("c/*/*") == {READ_ALREADY: ["c/two"]}
    assert names("c/two", "c/one") == ["c/two/a.jsonl"]


def test_links_to_files_are_files_unless_these_are_read():
    """Those of a hub's snapshot lead to contents, which two files may have in common."""
    touch("store/0.jsonl", "c/last.jsonl")
    for name in ("a.jsonl", "b.jsonl"):
        Path("c", name).symlink_to("../store/0.jsonl")
    Path("c/first.jsonl").symlink_to("last.jsonl")
    Path("c/chain.jsonl").symlink_to("first.jsonl")
    Path("c/nowhere.jsonl").symlink_to("nothing")
    expected = ["c/a.jsonl", "c/b.jsonl", "c/last.jsonl", "c/nowhere.jsonl"]
    for pattern in ("c", "c/*.jsonl"):
        assert names(pattern) == expected
        assert passed_over(pattern) == {SAME_FILE: ["c/chain.jsonl", "c/first.jsonl"]}
    assert names("c/first.jsonl") == ["c/first.jsonl"]
    assert names("c/first.jsonl", "c/last.jsonl", "c/chain.jsonl") == ["c/last.jsonl"]
    assert names("c", "store") == ["c/last.jsonl", "c/nowhere.jsonl", "store/0.jsonl"]


def test_what_can_be_no_input_is_told_of_where_others_are_read():
    touch("c/a.jsonl", "c/b::c.jsonl")
    os.mkfifo("c/pipe.jsonl")
    for pattern in ("c", "c/*.jsonl", "c/p*"):
        with pytest.raises(CorpusError, match="c/pipe.jsonl: not a regular file"):
            find_inputs([pattern])
        found = find_inputs([pattern, "c/a.jsonl"], skip_unlisted=True)
        assert found.unlisted == {"c/pipe.jsonl": "not a regular file"}
        assert "c/a.jsonl" in [file.name for file in found.files]
    os.unlink("c/pipe.jsonl")
    assert names("c") == ["c/a.jsonl", "c/b::c.jsonl"]
    with pytest.raises(CorpusError, match=r"c/b::c.jsonl: '::' parts .*without file://"):
        find_inputs([f"file://{os.getcwd()}/c"])


def test_one_argument_is_not_its_letters():
    touch("c/a.jsonl", "a", "c.jsonl")
    for given in ("c", Path("c"), [Path("c")], iter(["c"])):
        assert [file.name for file in find_inputs(given).files] == ["c/a.jsonl"]


@pytest.mark.parametrize("argument", ["", " "])
def test_an_empty_argument_is_not_the_current_folder(argument):
    touch("a.jsonl")
    with pytest.raises(FileNotFoundError, match=f"^'{argument}': no "):
        find_inputs([argument])


def test_a_folder_above_a_linked_one_is_above_the_real_one():
    touch("store/deep/a.jsonl", "store/maths/b.jsonl", "maths/c.jsonl")
    Path("c").symlink_to("store/deep")
    for pattern in ("c/../maths", "./c//../maths/", "c/../maths/*.jsonl", "c/../maths/b.jsonl"):
        assert names(pattern) == ["c/../maths/b.jsonl"]
    assert [file.domain for file in find_inputs(["c/.."]).files] == ["deep", "maths"]
    assert names("store/../maths", "c/../../maths") == ["maths/c.jsonl"]


# ----------------------------------------------------------------------- folders not listed


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> str:
    """A folder that cannot be listed, for root neither."""
    touch("c/a/x.jsonl", "c/private/y.jsonl", "c/z.jsonl")
    close_folder(monkeypatch, "private")
    return "c/private"


@pytest.mark.parametrize(
    "pattern", ["c", "c/*", "c/**", "c/*/*.jsonl", "**/*.jsonl", "file://{}/c"]
)
def test_a_folder_that_cannot_be_listed_is_no_empty_one(closed, tmp_path, pattern):
    pattern = pattern.format(tmp_path)
    with pytest.raises(CorpusError, match=r"c/private: the folder cannot be listed \(Permission"):
        find_inputs([pattern])
    found = find_inputs([pattern], skip_unlisted=True)
    (name,) = found.unlisted
    assert name.endswith(closed)
    assert not any("private" in file.name for file in found.files)
    assert "a/x.jsonl" in "".join(file.name for file in found.files)


def test_a_name_is_found_where_nothing_can_be_listed(closed):
    assert names("c/p*/y.jsonl") == names("c/private/y.jsonl") == ["c/private/y.jsonl"]


def test_an_argument_that_cannot_be_listed_is_named(closed):
    with pytest.raises(CorpusError, match="c/private: the folder cannot be listed"):
        find_inputs(["c/private"])
    with pytest.raises(CorpusError, match="c/private: the folder cannot be listed"):
        find_inputs(["c/private/*.jsonl"])


class _Closed(AbstractFileSystem):
    """Tells of one folder at a time, and of one not at all."""

    protocol = "closed"

    def ls(self, path: str, detail: bool = True, **options: Any) -> list[Any]:
        path = self._strip_protocol(path)
        if path == "c/private":
            raise PermissionError(13, "Permission denied", path)
        held = {"": ["c"], "c": ["c/a", "c/private"], "c/a": ["c/a/x.jsonl"]}
        if path not in held:
            raise FileNotFoundError(path)
        kinds = {True: "directory", False: "file"}
        return [{"name": name, "type": kinds["." not in name], "size": 2} for name in held[path]]


@pytest.mark.parametrize("pattern", ["closed://c", "closed://c/", "closed://c/*", "closed://c/**"])
def test_a_remote_folder_that_cannot_be_listed_is_named(pattern):
    fsspec.register_implementation("closed", _Closed, clobber=True)
    with pytest.raises(CorpusError, match="closed://c/private: the folder cannot be listed"):
        find_inputs([pattern])
    found = find_inputs([pattern], skip_unlisted=True)
    assert list(found.unlisted) == ["closed://c/private"]
    assert [file.name for file in found.files] == ["closed://c/a/x.jsonl"]


# -------------------------------------------------------------------- what this package wrote


@pytest.mark.parametrize("kind", ["scores", "selection", "mix"])
@pytest.mark.parametrize(
    "pattern", [".", "*", "**", "*/*.parquet", "**/*.parquet", "*/*/*", "file://{}", "file://{}/*"]
)
def test_what_this_package_wrote_is_no_input(tmp_path, kind, pattern):
    touch("web/a.parquet", "maths/deep/a.parquet")
    write_output("out", kind, "part-00000.parquet", "corpus/00000-a.parquet", "selected/x.jsonl")
    pattern = pattern.format(tmp_path)
    found = names(pattern)
    assert found
    assert not any("out/" in name for name in found)
    assert [name[-3:] for name in passed_over(pattern)[WRITTEN]] == ["out"]


def test_what_the_arguments_name_alone_is_read():
    write_output("out", "mix", "corpus/a.jsonl", "selected/b.jsonl")
    assert names("out") == ["out/corpus/a.jsonl", "out/selected/b.jsonl"]
    assert names("out/corpus") == names("out/corpus/*.jsonl") == ["out/corpus/a.jsonl"]
    assert names("out/selected/b.jsonl", "out/corpus") == [
        "out/selected/b.jsonl",
        "out/corpus/a.jsonl",
    ]
    with pytest.raises(FileNotFoundError, match=r"passed over 1 \(written by attninfluence\): out"):
        find_inputs(["*/corpus/*.jsonl"])


def test_an_output_among_what_a_shell_expands_is_passed_over():
    touch("web/a.parquet", "b.jsonl")
    write_output("scores", "scores", "part-00000.parquet")
    write_output("mix", "mix", "corpus/a.jsonl")
    for patterns in (("b.jsonl", "mix", "scores", "web"), ("mix/corpus/a.jsonl", "b.jsonl", "web")):
        assert names(*patterns) == ["b.jsonl", "web/a.parquet"]
        assert set(passed_over(*patterns)[WRITTEN]) == set(patterns) - {"b.jsonl", "web"}
    assert names("scores/part-00000.parquet", "web/a.parquet") == ["web/a.parquet"]
    told = passed_over("scores/part-00000.parquet", "web/a.parquet", output="scores")
    assert told == {OWN_OUTPUT: ["scores/part-00000.parquet"]}


def test_a_run_never_reads_what_it_writes(tmp_path):
    touch("a.parquet")
    write_output("out", "scores", "part-00000.parquet")
    for pattern in (".", "*", "out", "out/*.parquet", "out/part-00000.parquet"):
        patterns = [pattern, "a.parquet"]
        assert names(*patterns, output=tmp_path / "out") == ["a.parquet"]
        told = passed_over(*patterns, output="out")[OWN_OUTPUT]
        assert told in (["out"], ["out/part-00000.parquet"], ["out/*.parquet"])
    for pattern in ("out", "out/part-00000.parquet", "out/*"):
        with pytest.raises(FileNotFoundError, match="the output of this very run"):
            find_inputs([pattern], output="out")
    Path("link").symlink_to("out")
    assert names("*", output="link") == ["a.parquet"]
    assert names("a.parquet", output="nothing-yet") == ["a.parquet"]


def test_a_run_never_reads_what_it_writes_though_its_description_is_damaged():
    touch("a.parquet", "out/part-00000.parquet", "out/run.json")
    assert names(".", output="out") == names("*", output="out") == ["a.parquet"]


@pytest.mark.parametrize("run", ["{}", "[]", "no JSON", '{"format": "other"}'])
def test_a_run_json_of_others_hides_nothing(run):
    touch("c/x/a.jsonl")
    Path("c/x/run.json").write_text(run)
    assert names("c") == ["c/x/a.jsonl"]


def test_what_this_package_wrote_behind_a_url():
    memory = fsspec.filesystem("memory")
    run = json.dumps({"format": "attninfluence-mix"}).encode()
    memory.pipe({"/m/web/a.jsonl": b"", "/m/mix/corpus/b.jsonl": b"", "/m/mix/run.json": run})
    try:
        for pattern in ("memory://m", "memory://m/*", "memory://m/**", "memory://m/*/*/*.jsonl"):
            if pattern.endswith("jsonl"):
                with pytest.raises(FileNotFoundError, match="written by attninfluence"):
                    find_inputs([pattern])
                continue
            assert names(pattern) == ["memory:///m/web/a.jsonl"]
            assert passed_over(pattern) == {WRITTEN: ["memory:///m/mix"]}
    finally:
        memory.rm("/m", recursive=True)


# --------------------------------------------------------------------------- what is told


def test_other_kinds_are_counted_and_named():
    touch("c/a.jsonl", "c/LICENSE", "c/b.MD", "c/d/c.md", "c/_x.jsonl", "c/.y.jsonl", "c/_SUCCESS")
    touch("c/.git/z.jsonl", "c/_tmp/z.jsonl")
    found = find_inputs(["c", "c/*"])
    assert [file.name for file in found.files] == ["c/a.jsonl"]
    hidden, other = found.passed_over.summary()
    assert hidden == {"reason": HIDDEN, "count": 2, "names": ["c/.y.jsonl", "c/_x.jsonl"]}
    assert other == {
        "reason": OTHER_KIND,
        "count": 3,
        "names": ["c/LICENSE", "c/b.MD", "c/d/c.md"],
        "suffixes": {".md": 2, "no suffix": 1},
    }
    assert passed_over_in_words(other) == (
        "passed over 3 (another kind of file; .md 2, no suffix 1): c/LICENSE, c/b.MD, c/d/c.md"
    )


def test_json_is_read_where_it_is_named():
    touch("c/a.jsonl", "c/dataset_info.json", "c/d/b.json", "c/e.json.gz")
    for pattern in ("c", "c/*", "c/**"):
        assert names(pattern) == ["c/a.jsonl", "c/e.json.gz"]
        assert passed_over(pattern) == {NOT_NAMED: ["c/d/b.json", "c/dataset_info.json"]}
    with pytest.raises(FileNotFoundError, match=r"where an argument ends in the suffix.*d/b\.json"):
        find_inputs(["c/d"])
    assert names("c/*.json") == ["c/dataset_info.json"]
    assert names("c/**/*.json") == ["c/d/b.json", "c/dataset_info.json"]
    assert names("c/d/b.json") == ["c/d/b.json"]
    assert names("c/*.gz") == ["c/e.json.gz"]


def test_a_dataset_that_was_saved_is_read_without_its_caches(monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", Path("home"))
    rows = datasets.Dataset.from_dict({"text": [f"text {i}" for i in range(6)]})
    datasets.DatasetDict({"train": rows, "test": rows.select(range(2))}).save_to_disk("saved")
    loaded = datasets.load_from_disk("saved")["train"]
    loaded.map(lambda row: {"length": len(row["text"])}, num_proc=2)
    loaded.filter(lambda row: "1" in row["text"])
    found = find_inputs(["saved"])
    assert [(file.name, file.domain) for file in found.files] == [
        ("saved/test/data-00000-of-00001.arrow", "test"),
        ("saved/train/data-00000-of-00001.arrow", "train"),
    ]
    told = {entry["reason"]: entry["count"] for entry in found.passed_over.summary()}
    assert told == {DATASETS_CACHE: 3, NOT_NAMED: 5}
    texts = [
        text
        for file in found.files
        for batch in iter_rows(file.name, resolve_columns(file.name))
        for text in batch.texts
    ]
    assert texts == ["text 0", "text 1", *(f"text {i}" for i in range(6))]


def test_what_another_argument_reads_is_not_passed_over():
    touch("c/a.jsonl", "c/_b.jsonl", "c/m.json", "c/n.json")
    absolute = os.path.abspath("c/m.json")
    for first, second in (("c", "c/m*.json"), ("c/m.json", "c"), ("c", absolute)):
        assert passed_over(first, second)[NOT_NAMED] == ["c/n.json"]
    assert passed_over("c", "c/_b.jsonl", "c/*.json") == {}


def test_the_lists_of_a_mix_are_no_documents():
    files = ("corpus/0.jsonl", "selected/0.jsonl", "corpus-json.txt", "selected-text.txt")
    touch(*(f"mix/{name}" for name in files))
    assert len(names("mix")) == 4
    Path("mix/run.json").write_text(json.dumps({"format": "attninfluence-mix"}))
    for pattern in ("mix", "mix/*", "mix/**/*.*", f"file://{os.getcwd()}/mix"):
        assert [name.rpartition("mix/")[2] for name in names(pattern)] == list(files[:2])
        assert len(passed_over(pattern)[WRITTEN]) == 2
    memory = fsspec.filesystem("memory")
    memory.pipe({f"/mix/{name}": b"" for name in (*files[2:], "a.jsonl")})
    memory.pipe("/mix/run.json", Path("mix/run.json").read_bytes())
    try:
        assert names("memory://mix") == ["memory:///mix/a.jsonl"]
    finally:
        memory.rm("/mix", recursive=True)


def test_of_many_the_first_are_named():
    touch("c/a.jsonl", *(f"c/{i:02d}.png" for i in range(25)))
    (entry,) = find_inputs(["c"]).passed_over.summary()
    assert entry["count"] == 25
    assert passed_over_in_words(entry).endswith("c/19.png and 5 more")


# ------------------------------------------------------------------------------ chained URLs


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    with zipfile.ZipFile("c.zip", "w") as file:
        for name in ("maths/a.jsonl", "web/deep/b.jsonl", "web/README.md"):
            file.writestr(name, json.dumps({"text": name}) + "\n")
    return tmp_path / "c.zip"


def damaged_archives() -> dict[str, bytes]:
    """By their names: cut archives, damaged ones, and what Python cannot read."""
    line = json.dumps({"text": os.urandom(200).hex()}).encode() + b"\n"
    with zipfile.ZipFile("a.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.jsonl", line)
    Path("a.jsonl").write_bytes(line)
    for kind in ("gz", "bz2", "xz"):
        with tarfile.open(f"a.tar.{kind}", f"w:{kind}") as tar:
            tar.add("a.jsonl")
    whole = {path.name: path.read_bytes() for path in Path().glob("a.*")}
    zipped = whole["a.zip"]
    directory = zipped.index(b"PK\1\2")
    locked = bytearray(zipped)
    locked[6] |= 1
    locked[directory + 8] |= 1
    method = bytearray(zipped)
    method[8] = method[directory + 10] = 99
    flipped = bytearray(zipped)
    flipped[60] ^= 255
    tars = {f"c.tar.{kind}": whole[f"a.tar.{kind}"][:200] for kind in ("gz", "bz2", "xz")}
    zips = {"c.zip": zipped[:100], "l.zip": locked, "m.zip": method, "f.zip": flipped, "e.zip": b""}
    return tars | {"b.tar.bz2": whole["a.tar.bz2"][:20] + bytes(90)} | zips


def read_all(argument: str) -> None:
    for name in names(argument):
        list(iter_rows(name, resolve_columns(name)))


def test_damage_of_an_archive_names_it():
    for name, content in damaged_archives().items():
        Path(name).write_bytes(content)
        url = f"{name.split('.')[1]}://a.jsonl::{name}"
        for argument in (url, url.replace("a.jsonl", "*")):
            with pytest.raises(CorpusError, match=f"{name}: the archive "):
                read_all(argument)
            found = find_inputs([argument, "a.jsonl"], skip_unlisted=True)
            assert len(found.files) + len(found.unlisted) == 2
            assert set(found.unlisted) <= {argument}


def test_an_archive_by_other_names_is_read_once(archive):
    chains = ("c.zip", "./c.zip", archive, f"file://{archive}")
    assert names(*(f"zip://maths/a.jsonl::{chain}" for chain in chains)) == [
        "zip://maths/a.jsonl::c.zip"
    ]


def test_files_of_an_archive(archive):
    web = "zip://web/deep/b.jsonl"
    for chain in ("::c.zip", f"::file://{archive}", f"::simplecache::file://{archive}"):
        maths = f"zip://maths/a.jsonl{chain}"
        found = find_inputs([maths]).files
        assert [(file.name, file.size, file.domain) for file in found] == [(maths, 26, "a")]
        assert names(f"zip://maths/*.jsonl{chain}") == [maths]
        for pattern in (f"zip://{chain}", f"zip://**/*.jsonl{chain}", f"zip://*{chain}"):
            assert names(pattern) == [maths, web + chain]
        assert [file.domain for file in find_inputs([f"zip://{chain}"]).files] == ["maths", "web"]
        (rows,) = iter_rows(maths, resolve_columns(maths))
        assert rows.texts == ["maths/a.jsonl"]
    assert passed_over("zip://::c.zip") == {OTHER_KIND: ["zip://web/README.md::c.zip"]}
    with pytest.raises(FileNotFoundError, match=r"zip://web/\*.jsonl::c.zip: no such file"):
        find_inputs(["zip://web/*.jsonl::c.zip"])
    with pytest.raises(CorpusError, match="not a known kind of file"):
        find_inputs(["zip://web/README.md::c.zip"])


# ------------------------------------------------------------------------------------- names


def test_domain_keys():
    touch("c/year=2024/domain=maths/a.jsonl", "c/domain=web/year=2024/b.jsonl", "c/domain=/d.jsonl")
    found = {file.name: file.domain for file in find_inputs(["c"]).files}
    assert list(found.values()) == ["domain", "web", "maths"]


def test_home_is_where_a_shell_has_it(monkeypatch, tmp_path):
    touch("home/c/a.jsonl", "home/d.jsonl")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert names("~/c", "~/*.jsonl") == [
        str(tmp_path / "home/c/a.jsonl"),
        str(tmp_path / "home/d.jsonl"),
    ]


NAMES_IN_A_LOCALE = """
import sys
from attninfluence.corpus import find_inputs, iter_rows, resolve_columns, survey_file
from attninfluence.run.reader import _check_is_as_before
assert sys.getfilesystemencoding() == sys.argv[2], sys.getfilesystemencoding()
pattern = sys.argv[1]
(file,) = find_inputs([pattern]).files
columns = resolve_columns(file.name)
(rows,) = iter_rows(file.name, columns)
survey_file(file.name, columns)
_check_is_as_before(file)
print(ascii([file.name, file.size, file.domain, rows.texts]))
"""


@pytest.mark.parametrize("pattern", ["é", "é/*", "*/?.jsonl", "é/ü.jsonl", "*/[ü].jsonl"])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_names_are_utf8_in_any_locale(tmp_path, pattern, encoding):
    Path("é").mkdir()
    Path("é/ü.jsonl").write_bytes('{"text": "ä"}\n'.encode())
    script = f"import os; os.chdir({str(tmp_path)!r})\n{NAMES_IN_A_LOCALE}"
    plain = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}
    env = plain if encoding == "ascii" else {"PYTHONUTF8": "1"}
    told = run_python(script, pattern, encoding, env=env)
    name, *others = ast.literal_eval(told)
    assert name.endswith("é/ü.jsonl")
    assert others == [15, "é" if "*/" in pattern else "ü", ["ä"]]


@pytest.mark.parametrize("kind", ["deep", "fifo", "large", "link to a fifo"])
def test_a_run_json_of_others_is_none_of_ours(tmp_path, monkeypatch, kind):
    """It is looked into below every input: it may neither stop the search nor be waited for."""
    folder = tmp_path / "c" / "web"
    folder.mkdir(parents=True)
    (folder / "a.jsonl").write_text('{"text": "a"}')
    if kind == "deep":
        (folder / "run.json").write_text("[" * 100_000)
    elif kind == "large":
        (folder / "run.json").write_text('{"format": "attninfluence-scores"}' + " " * 100)
        monkeypatch.setattr(tree_module, "MOST_OWN_BYTES", 100)
    else:
        os.mkfifo(place := (folder / "run.json" if kind == "fifo" else tmp_path / "fifo"))
        if place.parent != folder:
            (folder / "run.json").symlink_to(place)
    found = find_inputs([str(tmp_path / "c")])
    assert [file.name for file in found.files] == [str(folder / "a.jsonl")]
