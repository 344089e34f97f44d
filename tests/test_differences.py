"""What differs between two descriptions of a run."""

from __future__ import annotations

from attninfluence.differences import differences


def test_names_each_value_that_differs_and_no_other() -> None:
    recorded = {"model": {"fingerprint": "a", "path": "x"}, "scoring": {"mask": "uniform"}}
    given = {"model": {"fingerprint": "b", "path": "x"}, "scoring": {"mask": "zero", "bos": "auto"}}
    assert differences(recorded, given) == [
        "model.fingerprint: 'a' recorded, 'b' given",
        "scoring.mask: 'uniform' recorded, 'zero' given",
        "scoring.bos: None recorded, 'auto' given",
    ]
    assert differences(recorded, recorded) == []


def test_true_is_not_one() -> None:
    assert differences({"a": 1}, {"a": True}) == ["a: 1 recorded, True given"]


def test_long_values_are_cut() -> None:
    (line,) = differences({"heads": [[1, 2]] * 100}, {"heads": []})
    assert len(line) < 130 and line.endswith("recorded, [] given")
