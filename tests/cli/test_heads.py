"""attninfluence heads: the heads found, in which precision, and of how many samples."""

from __future__ import annotations

import pytest

from attninfluence.cli import main
from attninfluence.heads.head_scores import HeadScores
from attninfluence.model import load
from attninfluence.retrieval import readings
from tests.cli.test_cli import command_actions, run


def test_heads_are_those_of_fp32(capsys, tmp_path, tiny_folder):
    from attninfluence.retrieval.find import find_retrieval_heads

    path = tmp_path / "heads.json"
    arguments = ["--samples", "2", "--max-length", "700", "--no-require-success"]
    status, summary, told = run(capsys, "heads", str(tiny_folder), "-o", str(path), *arguments)
    assert status == 0
    assert summary["stability"]["enough"] is None
    assert summary["stability"]["sentence"] in " ".join(told.split())
    opened = load(tiny_folder, precision="fp32")
    assert (summary["precision"], summary["kernel"]) == ("fp32", opened.kernel)
    found = find_retrieval_heads(
        load(tiny_folder, precision="bf16"),
        samples=2,
        max_length=700,
        require_success=False,
        progress=False,
    )
    found.save(tmp_path / "same.json")
    assert path.read_bytes() == (tmp_path / "same.json").read_bytes()


def test_heads_of_as_many_samples_as_it_takes(capsys, monkeypatch, tmp_path, tiny_folder):
    monkeypatch.setattr("attninfluence.retrieval.find.MOST_SAMPLES", 150)
    arguments = ["--samples", "auto", "--max-length", "700", "--no-require-success"]
    arguments += ["--threshold", "0.9", "--precision", "bf16", "-o", str(tmp_path / "heads.json")]
    status, summary, told = run(capsys, "heads", str(tiny_folder), *arguments)
    assert status == 0
    assert summary["samples"] < 150 and summary["precision"] == "bf16"
    assert f"After {summary['samples']} of 150 samples it was settled" in told
    assert HeadScores.load(tmp_path / "heads.json").options["samples"] == "auto"


def test_heads_are_found_in_every_precision_but_auto():
    from attninfluence.model.model import EXPLICIT_PRECISIONS

    actions = {action.dest: action for action in command_actions("heads")}
    assert tuple(actions["precision"].choices) == EXPLICIT_PRECISIONS


def test_an_interrupted_search_goes_on(capsys, monkeypatch, tmp_path, tiny_folder):
    """What was read is kept beside heads.json, read no second time, and removed at the end."""
    monkeypatch.setattr(readings, "TOKENS_A_THREAD", 700)
    path, kept = tmp_path / "heads.json", tmp_path / "heads.json.readings"
    arguments = ["heads", str(tiny_folder), "--samples", "5", "--max-length", "700", "--threads"]
    arguments += ["1", "--no-require-success", "-o"]
    real, calls = readings._read_teacher_forced, []

    def interrupted(model, samples):
        calls.append(len(samples))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(model, samples)

    monkeypatch.setattr(readings, "_read_teacher_forced", interrupted)
    status, _, told = run(capsys, *arguments, str(path))
    assert status == 130 and not path.exists()
    assert told.endswith(
        f"interrupted; {kept} has what was read: the same command goes on from there\n"
    )
    status, summary, _ = run(capsys, *arguments, str(path))
    assert (status, summary["samples"], calls) == (0, 5, [1] * 6)
    assert not kept.exists()
    assert run(capsys, *arguments, str(tmp_path / "whole.json"))[0] == 0
    assert path.read_bytes() == (tmp_path / "whole.json").read_bytes()


def test_nothing_is_left_where_nothing_was_read_or_found(
    capsys, monkeypatch, tmp_path, tiny_folder
):
    arguments = ["heads", str(tiny_folder), "--samples", "1", "--max-length", "700", "-o"]
    assert run(capsys, *arguments, str(tmp_path / "heads.json"))[0] == 2  # no sample counts

    def interrupted(model, samples):
        raise KeyboardInterrupt

    monkeypatch.setattr(readings, "_read_teacher_forced", interrupted)
    status, _, told = run(capsys, *arguments, str(tmp_path / "heads.json"))
    assert status == 130 and told.endswith("interrupted; nothing was written\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("samples", ["AUTO", "0", "3.5"])
def test_samples_that_are_none_are_told_of_auto(samples, capsys):
    assert main(["heads", "folder", "-o", "h.json", "--samples", samples]) == 2
    told = capsys.readouterr().err
    assert f"argument --samples: '{samples}' " in told and ", or auto" in told
