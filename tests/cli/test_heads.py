"""attninfluence heads: the heads found, in which precision, and of how many samples."""

from __future__ import annotations

from attninfluence.heads.head_scores import HeadScores
from attninfluence.model import load
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
    from attninfluence.retrieval.find import PRECISIONS

    actions = {action.dest: action for action in command_actions("heads")}
    assert tuple(actions["precision"].choices) == PRECISIONS
