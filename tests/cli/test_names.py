"""Names within an option: in a list, or any names at all in JSON."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from attninfluence import cli
from attninfluence.cli import names
from attninfluence.output.finished import open_finished
from tests.kit.score_tables import score_row, write_scores


def test_budgets():
    assert names.budgets(["50B"]) == 50 * 10**9
    assert names.budgets(["a=1K,b=c=2"]) == {"a": 1000, "b=c": 2}
    assert names.budgets(["a=1", "b=2"]) == {"a": 1, "b": 2}
    for texts in (["a=1,a=2"], ["a=1", "5"], ["a="], ["1B", "2B"]):
        with pytest.raises(argparse.ArgumentTypeError):
            names.budgets(texts)


ODD_NAMES = [
    *("a,b", "c=1", "c", "", " e", "f\ng", 'h"i', "j'k"),
    *("[l]", "{m", "@n", "1B", "null", "é\\"),
]


def test_names_of_any_characters_are_given_in_json(tmp_path, monkeypatch):
    given: dict[str | None, int] = {name: 1000 + at for at, name in enumerate(ODD_NAMES)}
    text = json.dumps(given)
    assert names.budgets([text]) == given
    assert names.budgets([json.dumps(given, ensure_ascii=False), "x=5"]) == given | {"x": 5}
    given[None] = 1
    entries = json.dumps([{"domain": name, "tokens": n} for name, n in given.items()])
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "b.json").write_bytes(b"\xef\xbb\xbf" + entries.encode())
    for texts in ([entries], [f"@{tmp_path / 'b.json'}"], ["@~/b.json"]):
        assert names.budgets(texts) == given
    assert names.budgets(['{"a": "1.5M"}']) == {"a": 1_500_000}
    assert names.columns("a,,b") == ["a", "b"]
    assert names.columns(json.dumps(ODD_NAMES)) == ODD_NAMES


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"a": 1, "a": 2}', "domain 'a' has two budgets"),
        ('{"a": 1}x', "is not valid JSON: Extra data"),
        ("{x}=5", "a name that begins with { or [ is given in JSON as well"),
        ("[" * 100_000, "is not valid JSON: "),
        ('{"a": true}', "holds no budgets like"),
        ('{"a": 1.5}', "'1.5' is no whole number"),
        ('{"a": -1}', "'-1' is no whole number"),
        ('{"a": 0}', "'0' must be at least 1"),
        ('["a"]', "holds no budgets like"),
        ('[{"domain": "a"}]', "holds no budgets like"),
        ('[{"domain": "a", "tokens": 1, "tokens": 2}]', "holds no budgets like"),
        ('[{"tokens": 1, "tokens": 2}]', "holds no budgets like"),
        ('[{"domain": ["a"], "tokens": 1}]', "holds no budgets like"),
        ("@b.json", "'@b.json': No such file or directory; @ names a file of JSON"),
        ("@latin.json", "is not valid JSON: 'utf-8' codec"),
        ("a,b=5", "'a' names no domain; give one budget like 50B, or each as DOMAIN=1B (name"),
    ],
)
def test_budgets_that_are_none_are_refused(tmp_path, monkeypatch, text, sentence):
    monkeypatch.chdir(tmp_path)
    Path("latin.json").write_bytes(b'{"\xe9": 1}')
    with pytest.raises(argparse.ArgumentTypeError) as told:
        names.budgets([text])
    assert sentence in str(told.value)


def test_a_file_is_read_to_a_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attninfluence.cli.names.MOST_LETTERS", 1 << 20, raising=False)
    stored = '{"a": "1B"}'
    (tmp_path / "b.json").write_text(stored.ljust(1 << 20))
    assert names.budgets([f"@{tmp_path}/b.json"]) == {"a": 10**9}
    (tmp_path / "b.json").write_text(stored.ljust((1 << 20) + 1))
    with pytest.raises(argparse.ArgumentTypeError, match="b.json' is not .* larger than 1 MiB"):
        names.budgets([f"@{tmp_path}/b.json"])


@pytest.mark.parametrize("text", ['{"a": 1}', "[1.5]x", '["a", null]', "@no"])
def test_columns_that_are_none_are_refused(text):
    with pytest.raises(argparse.ArgumentTypeError):
        names.columns(text)


def select(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = cli.main(["select", "scores", "-o", "sel", *arguments])
    return status, *capsys.readouterr()


def test_every_domain_can_be_given_a_budget(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    domains: list[str | None] = [*ODD_NAMES, None]
    rows = [score_row("a", at, domain=name, n_tokens=10 + at) for at, name in enumerate(domains)]
    write_scores(Path("scores"), [rows])
    entries = [{"domain": name, "tokens": 10 + at} for at, name in enumerate(domains)]
    status, printed, _ = select(capsys, "--tokens", json.dumps(entries))
    assert status == 0
    summary = json.loads(printed)
    found = {entry["domain"]: entry["budget"] for entry in summary["domains"]}
    assert found == {name: 10 + at for at, name in enumerate(domains)}
    assert summary["all"]["selected"] == len(domains)
    rule = open_finished("sel", "selection").run["rule"]
    assert rule["tokens"] == entries == summary["rule"]["tokens"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "x=1,y=2",
            "domain 'x'; the scores have none, \"it's, x=1\"; give a name with a comma or = in"
            """ JSON: --tokens '{"it'"'"'s, x=1": 1000}'""",
        ),
        ("z=1", "a budget is given for domain 'z'; the scores have none, \"it's, x=1\"\n"),
        ('[{"domain": "", "tokens": 1}]', "a budget is given for domain ''; the scores have none,"),
    ],
)
def test_a_domain_that_is_not_there_is_refused(tmp_path, monkeypatch, capsys, text, sentence):
    monkeypatch.chdir(tmp_path)
    rows = [score_row("a", 0, domain="it's, x=1"), score_row("a", 1, domain=None)]
    write_scores(Path("scores"), [rows])
    status, _, told = select(capsys, "--tokens", text)
    assert status == 2 and sentence in told


def test_of_many_domains_some_are_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_scores(Path("scores"), [[score_row("a", at, domain=f"{at:02d}") for at in range(15)]])
    told = select(capsys, "--tokens", "x=1")[2]
    assert "'08', '09' and 5 more\n" in told
    told = select(capsys, "--tokens", '[{"domain": null, "tokens": 1}]')[2]
    assert "a budget is given for documents without a domain; the scores have '00'" in told
