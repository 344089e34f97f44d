"""What the documentation says can be done, can be done: its code runs, its links lead somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from attninfluence.cli import EPILOG, build_parser
from tests.house.doc_blocks import blocks_of, commands_of, differs, make_corpus, run_page
from tests.kit.child import ROOT

PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
FENCE = re.compile(r"^(```+|:::+).*?^\1$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^]]*\]\(([^)\s]+)\)|\bsrc(?:set)?=\"([^\"]+)\"")
FLAG = re.compile(r"(?<![\w-])(--[a-z][a-z-]+)")


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def with_code(pages: list[Path]) -> list[str]:
    """The pages of which some block is run."""
    return [
        name
        for name, page in zip(NAMES, pages, strict=True)
        if any(block.reason is None for block in blocks_of(read(page)))
    ]


@pytest.mark.parametrize("name", with_code(PAGES))
def test_code_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every block in order, in a folder that has corpus/documents.jsonl; outputs are as shown."""
    make_corpus(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    if "load_dataset" in read(ROOT / name):
        monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    for block, printed in run_page(ROOT / name):
        if block.output is not None:
            assert not (told := differs(printed, block.output)), (
                f"{name}, line {block.line}: {told}"
            )


def test_outputs_are_compared_but_for_rounding_and_columns() -> None:
    shown = "b      0.25   1,190 tokens\n"
    assert not differs("\nb  0.251  1,200 tokens\n", shown)
    for other in (
        "b 0.31 1,190 tokens",
        "b 0.25 1,300 tokens",
        "c 0.25 1,190 tokens",
        "",
        2 * shown,
    ):
        assert differs(other, shown)


def test_few_blocks_are_not_run() -> None:
    skipped = [block for page in PAGES for block in blocks_of(read(page)) if block.reason]
    assert len(skipped) <= 8, [block.source for block in skipped]


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_to_files_and_headings(name: str) -> None:
    page = ROOT / name
    for target in map("".join, LINK.findall(COMMENT.sub("", FENCE.sub("", read(page))))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        assert file.exists(), f"{name}: {target}"
        if anchor:
            assert anchor in anchors(read(file)), f"{name}: {target}"


def anchors(text: str) -> set[str]:
    """Of the headings, as GitHub and MyST make them."""
    titles = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


# ------------------------------------------------------------------------------------------- files


def rows_below(page: Path, heading: str) -> list[list[str]]:
    """The cells of the table below a heading, without its head."""
    section = read(page).split(f"{heading}\n")[1].partition("\n#")[0]
    rows = [line[1:-1].split("|") for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows[2:]]


def named(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def listed_files(heading: str) -> set[str]:
    """Each file that a table of ARCHITECTURE.md names, with its room: "heads/view"."""
    room, found = "", set()
    for first, second, *_ in rows_below(ROOT / "ARCHITECTURE.md", heading):
        room = (named(first) or [room])[0]
        found |= {room + name for name in named(second)}
    return found


def test_architecture_names_every_file_of_the_package() -> None:
    """But for the faces of the rooms and for the commands, of which there is a file each."""
    package = ROOT / "attninfluence"
    there = {
        path.relative_to(package).with_suffix("").as_posix()
        for path in package.rglob("*.py")
        if path.parent != package and path.name != "__init__.py"
    }
    commands = {f"cli/{name}" for name in COMMANDS} | {"cli/__main__"}
    listed = listed_files("### The package, `attninfluence/`")
    assert listed - {"cli/__init__"} == there - commands


def test_architecture_names_every_file_of_the_core() -> None:
    core = ROOT / "csrc" / "core"
    there = {path.relative_to(core).with_suffix("").as_posix() for path in core.glob("*/*.[ch]")}
    assert listed_files("### The core, `csrc/core/`") == there


ADDING = ROOT / "docs" / "project" / "adding.md"


@pytest.mark.parametrize("heading", re.findall(r"^## .+$", read(ADDING), re.MULTILINE))
def test_what_is_to_be_added_has_its_place(heading: str) -> None:
    rows = rows_below(ADDING, heading)
    assert len(rows) >= 5
    for first, second, *_ in rows:
        (file,), (name,) = named(first), named(second)
        word = rf"(?<![\w-]){re.escape(name)}(?![\w-])"
        assert re.search(word, read(ROOT / file)), f"{file} has no {name}"


# ------------------------------------------------------------------------------------------- flags


PROGRAM = build_parser()
COMMANDS = {name: set(command.options) for name, command in PROGRAM.commands.items()}


def named_flags(text: str) -> Iterator[tuple[str | None, str]]:
    """(command, flag) in code, the command None where the text does not say."""
    prose = FENCE.sub("", text)
    for code in [
        *re.findall(r"`([^`\n]+)`", prose),
        *re.findall(r"^    (.+)$", prose, re.MULTILINE),
    ]:
        first, _, rest = code.partition(" ")
        command = rest.split(" ")[0] if first == "attninfluence" else first
        if command in COMMANDS:
            yield from ((command, flag) for flag in FLAG.findall(code))
        elif first.startswith("--"):
            yield from ((None, flag) for flag in FLAG.findall(code))


@pytest.mark.parametrize("name", NAMES)
def test_flags_exist(name: str) -> None:
    text = read(ROOT / name)
    named = list(named_flags(text))
    for block in blocks_of(text):
        if block.language == "sh":
            lines = [words for words in commands_of(block.source) if words[0] == "attninfluence"]
            named += [(w[1], flag) for w in lines for flag in w[2:] if FLAG.fullmatch(flag)]
    everywhere = set().union(*COMMANDS.values(), PROGRAM.options)
    for command, flag in named:
        assert flag in (COMMANDS[command] if command else everywhere), f"{name}: {command} {flag}"


def test_exit_statuses_are_those_of_the_help() -> None:
    """The page of the commands has a row for each status that `attninfluence --help` tells of."""
    told = re.findall(r"\b(\d+) [a-zA-Z]", EPILOG.partition("Exit status:")[2])
    page = read(ROOT / "docs" / "reference" / "cli.md")
    assert len(told) == 5
    assert re.findall(r"^\| (\d+) \|", page, re.MULTILINE) == told
