"""What differs between two descriptions of a run."""

from __future__ import annotations

from attninfluence.output.differences import differences, in_words


def test_names_each_value_that_differs_and_no_other() -> None:
    recorded = {"model": {"fingerprint": "a", "path": "x"}, "scoring": {"mask": "uniform"}}
    given = {"model": {"fingerprint": "b", "path": "x"}, "scoring": {"mask": "zero", "bos": "auto"}}
    assert differences(recorded, given) == [
        ("model.fingerprint", "a", "b"),
        ("scoring.mask", "uniform", "zero"),
        ("scoring.bos", None, "auto"),
    ]
    assert differences(recorded, recorded) == []


def test_words_name_both_sides() -> None:
    found = differences({"mask": "uniform"}, {"mask": "zero", "bos": "auto"})
    assert in_words(found, "recorded", "given") == (
        "mask: 'uniform' recorded, 'zero' given; bos: None recorded, 'auto' given"
    )
    assert in_words(found[:1]) == "mask: 'uniform' there, 'zero' here"


def test_names_and_values_stay_as_they_are() -> None:
    found = differences({"news given/a recorded": 1}, {"news given/a recorded": " given"})
    assert in_words(found) == "news given/a recorded: 1 there, ' given' here"


def test_true_is_not_one() -> None:
    assert differences({"a": 1}, {"a": True}) == [("a", 1, True)]


def test_long_values_are_cut() -> None:
    words = in_words(differences({"heads": [[1, 2]] * 100}, {"heads": []}), "recorded", "given")
    assert len(words) < 130 and words.endswith("recorded, [] given")


def test_many_differences_are_counted() -> None:
    found = differences({}, {f"name{at}": at for at in range(10)})
    assert in_words(found).endswith("name7: None there, 7 here; and 2 more")
    assert in_words(found[:8]).endswith("name7: None there, 7 here")
