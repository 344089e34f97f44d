"""One head looked at: what is told of it is what the core counts, and any document can be shown."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import attninfluence as ai
from attninfluence.heads.reading import copy_steps, read_head
from attninfluence.model.model import Model
from attninfluence.probe.samples import Sample, make_samples
from attninfluence.views.matrix import (
    MAX_CELLS,
    Mark,
    enlarged_svg,
    matrix_svg,
    pooled,
    weight_level,
)
from attninfluence.views.words import number
from tests.kit.copier import RETRIEVAL_HEAD, make_copier_folder
from tests.kit.tiny_models import make_llama_folder, write_tokenizer
from tests.views.test_views_pieces import HOSTILE, tags

ALLOWED = "div style h2 h3 p b u i br span svg rect path text title table thead tbody tr th td"


@pytest.fixture(scope="module")
def tiny(tiny_folder: Path) -> Model:
    return ai.load(tiny_folder, precision="fp32", threads=2)


@pytest.fixture(scope="module")
def copier(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return ai.load(make_copier_folder(tmp_path_factory.mktemp("copier")), precision="fp32")


@pytest.fixture(scope="module")
def sample(copier: Model) -> Sample:
    return make_samples(copier.tokenizer, 1, 700, seed=3)[0]


def steps_of(model: Model, sample: Sample, layer: int, head: int) -> list:
    return copy_steps(read_head(model, sample, layer, head, None, None))


@pytest.mark.parametrize(("name", "samples"), [("tiny", 4), ("copier", 1)])
def test_steps_that_copy_are_those_that_the_core_counts(
    name: str, samples: int, request: pytest.FixtureRequest
) -> None:
    model = request.getfixturevalue(name)
    total = 0
    for sample in make_samples(model.tokenizer, samples, 700, seed=3):
        counts = model.core.copies([sample.ids], [sample.answer], [sample.needle])[0][0]
        for layer, head in np.ndindex(model.n_layers, model.n_heads):
            steps = steps_of(model, sample, layer, head)
            assert len(steps) == sample.answer[1] - sample.answer[0]
            assert sum(step.copies for step in steps) == counts[layer, head]
            total += int(counts[layer, head])
    assert total > 0


def test_a_retrieval_head_is_seen_to_copy(copier: Model, sample: Sample) -> None:
    steps = steps_of(copier, sample, *RETRIEVAL_HEAD)
    copied = sum(step.copies for step in steps)
    view = copier.view_attention(sample, *RETRIEVAL_HEAD)
    assert f"The head copies {copied} of {len(steps)} answer tokens" in view.body
    assert view.body.count(">yes<") == copied > len(steps) / 2
    assert view.words.count(", copies") == copied
    enlarged = re.findall(r"<svg.*?</svg>", view.body)[1]
    assert enlarged.count('class="outline"') == copied
    assert enlarged.count("<rect") == len(steps) ** 2 + copied
    for name in ("needle", "answer steps"):
        assert f'class="accent">{name}</text>' in view.body
    assert view.body.count('<u class="marked">') == 2


def test_the_numbers_of_a_step_are_those_of_its_row(copier: Model, sample: Sample) -> None:
    weights = copier.attention(sample.ids, *RETRIEVAL_HEAD)
    start, stop = sample.needle
    rows = re.findall(
        r'<tr><th scope="row">(\d+)</th>(.*?)</tr>',
        copier.view_attention(sample, *RETRIEVAL_HEAD).body,
    )
    assert len(rows) == stop - start
    for step, cells in rows:
        row = weights[sample.answer[0] - 2 + int(step)]
        where = re.findall(r"<td[^>]*>(.*?)</td>", cells)[2]
        key = int(row.argmax())
        assert f">{number(float(row.max()))}<" in cells
        inside = start <= key < stop
        assert where == (
            f"needle, {key - start + 1} of {stop - start}" if inside else f"token {key}"
        )


def test_a_head_that_does_not_copy_says_where_it_looks(tiny: Model) -> None:
    sample = make_samples(tiny.tokenizer, 1, 700, seed=3)[0]
    steps = steps_of(tiny, sample, 0, 0)
    outside = [step for step in steps if not step.in_needle]
    body = tiny.view_attention(sample, 0, 0).body
    assert outside
    for step in outside:
        assert f", token {step.key:,}</text>" in body


def test_a_text_shows_what_its_last_token_looks_at(tiny: Model) -> None:
    text = "the cat and the dog and the cat"
    ids = tiny.tokenizer.encode([text])[0].ids
    row = tiny.attention(ids, 1, 2)[-1]
    for document in (text, ids, ids.tolist(), text.encode()):
        body = tiny.view_attention(document, 1, 2).body
        assert f"{len(ids)} tokens read, in fp32." in body
        best = int(row.argmax())
        first = re.search(r'<tr><th scope="row">.*?</tr>', body)
        assert first and f">{best}</td><td>{number(float(row[best]))}<" in first.group()
    tokens = body[body.index('<div class="tokens"') :]
    shown = [float(w) for w in re.findall(r'title="weight ([\d.]+)"', tokens)]
    assert shown == [pytest.approx(w, abs=6e-4) for w in row if w >= 0.005]
    assert re.sub(r"<b.*?</b>|<[^>]*>", "", tokens).endswith("the cat")


def test_other_queries(tiny: Model) -> None:
    ids = np.arange(3, 43)
    weights = tiny.attention(ids, 0, 1)
    body = tiny.view_attention(ids, 0, 1, query=[5, -1, 39]).body
    assert re.findall(r'class="accent">(query \d+)<', body) == ["query 5", "query 39"]
    assert "; query 5: token 5; query 39: token 39" in body
    assert f">{number(float(weights[5].max()))}<" in body
    assert body.count('<u class="marked">') == 2
    shown = [float(weight) for weight in re.findall(r'title="weight ([\d.]+)"', body)]
    largest = np.maximum(weights[5], weights[39])
    assert shown == [pytest.approx(weight, abs=6e-4) for weight in largest if weight >= 0.005]
    many = tiny.view_attention(ids, 0, 1, query=range(20)).body
    assert "The first 12 of 20 queries are listed." in many
    for wrong in (40, -41):
        with pytest.raises(ValueError, match=f"query {wrong} is out of range: 40 tokens are read"):
            tiny.view_attention(ids, 0, 1, query=wrong)
    with pytest.raises(ValueError, match="query names no token"):
        tiny.view_attention(ids, 0, 1, query=[])
    with pytest.raises(TypeError, match="query must be an integer"):
        tiny.view_attention(ids, 0, 1, query=1.5)  # type: ignore[arg-type]


def test_a_long_document_is_cut_and_says_so(tiny: Model) -> None:
    ids = np.random.default_rng(0).integers(3, 300, 1500)
    view = tiny.view_attention(ids, 0, 0)
    assert "The first 1,024 of 1,500 tokens read" in view.body
    assert "max_tokens=None) reads all" in view.words
    assert len(view._repr_html_()) < 300_000
    assert "1,500 tokens read" in tiny.view_attention(ids, 0, 0, max_tokens=None).body
    with pytest.raises(ValueError, match="max_tokens must be at least 2"):
        tiny.view_attention(ids, 0, 0, max_tokens=1)
    with pytest.raises(TypeError, match="max_tokens must be an integer, got 2.5"):
        tiny.view_attention(ids, 0, 0, max_tokens=2.5)  # type: ignore[arg-type]


def test_a_sample_is_not_cut(copier: Model, sample: Sample) -> None:
    expected = f"the sample has {len(sample.ids)} tokens and cannot be cut.*max_length=100"
    with pytest.raises(ValueError, match=expected):
        copier.view_attention(sample, 0, 0, max_tokens=100)
    with pytest.raises(ValueError, match=r"give its ids \(sample.ids\)"):
        copier.view_attention(sample, 0, 0, query=3)


def test_what_has_no_attention_is_refused(tiny: Model) -> None:
    for ids in ([], [1]):
        with pytest.raises(ValueError, match=f"of at least 2 tokens, this has {len(ids)}"):
            tiny.view_attention(ids, 0, 0)
    with pytest.raises(ValueError, match=r"head \(3, 0\) is out of range"):
        tiny.view_attention([1, 2], 3, 0)
    with pytest.raises(ValueError, match="id 320 at position 1"):
        tiny.view_attention([1, 320], 0, 0)
    assert "2 tokens read" in tiny.view_attention([1, 1], 0, 0).body


def test_without_a_tokenizer_ids_are_numbers(plain_folder: Path) -> None:
    model = ai.load(plain_folder, precision="fp32")
    body = model.view_attention([7, 8, 300], 0, 0).body
    assert "‘300’, 2" in body
    tokens = body[body.index('<div class="tokens"') :]
    assert re.sub(r"<b.*?</b>|<[^>]*>", "", tokens).split() == ["7", "8", "300"]
    with pytest.raises(ai.ModelError, match="tokenizer"):
        model.view_attention("text", 0, 0)


def test_a_tokenizer_of_more_ids_than_the_model(misfit_folder: Path) -> None:
    model = ai.load(misfit_folder, precision="fp32")
    assert "4 tokens read" in model.view_attention("b c", 0, 0).body
    sample = make_samples(model.tokenizer, 1, max_length=900)[0]
    for document in ("on is", sample):
        with pytest.raises(ai.ModelError, match=r"of 270 ids, and the tokenizer in .* has 277"):
            model.view_attention(document, 0, 0)


def test_an_id_without_a_text_is_a_number(tmp_path: Path) -> None:
    folder = make_llama_folder(tmp_path / "model", vocab_size=400)
    write_tokenizer(folder, vocab_size=320)
    assert "‘399’" in ai.load(folder, precision="fp32").view_attention([5, 399], 0, 0).body


def test_hostile_text_shows_as_text(tiny: Model) -> None:
    view = tiny.view_attention(HOSTILE * 3, 0, 0)
    page = view.to_html()
    page.encode("utf-8")
    repr(view).encode("utf-8")
    found = tags(view._repr_html_())
    assert {tag for tag, _ in found} <= set(ALLOWED.split())
    assert not any(name.startswith("on") for _, attributes in found for name in attributes)
    assert "\u202e" not in page and "\x1b" not in page


@pytest.mark.parametrize("n", [1, 2, 24, 25, 96, 97, 300])
def test_pooling_keeps_the_brightest_point(n: int) -> None:
    weights = np.zeros((n, n), dtype=np.float32)
    at = (n - 1, min(n - 1, n // 3 + 1))
    weights[at] = 0.9
    cells, starts = pooled(weights)
    assert len(cells) == min(n, MAX_CELLS) and starts[0] == 0 and np.all(np.diff(starts) > 0)
    assert cells.max() == np.float32(0.9) and (cells > 0).sum() == 1
    row, column = np.argwhere(cells > 0)[0]
    assert starts[row] <= at[0] and starts[column] <= at[1]
    assert [*starts, n][row + 1] > at[0] and [*starts, n][column + 1] > at[1]


@pytest.mark.parametrize("n", [1, 24, 25, 300])
def test_marks_lie_where_their_tokens_are(n: int) -> None:
    start, stop = n // 3, n // 3 + 1
    weights = np.zeros((n, n), dtype=np.float32)
    weights[n - 1, start] = 1
    svg = matrix_svg(weights, ["a"] * n, [Mark(start, stop, "c")], [Mark(n - 1, n, "r")], "x")
    frame = re.search(r'class="frame" x="([\d.]+)" y="([\d.]+)" width="([\d.]+)"', svg)
    cell = re.search(
        r'<rect class="q8" x="([\d.]+)" y="([\d.]+)" width="([\d.]+)"[^>]*><title>', svg
    )
    assert frame and cell
    left, width = float(frame[1]) + 1, float(frame[3]) - 2
    assert float(cell[1]) - 0.1 <= left <= left + width <= float(cell[1]) + float(cell[3]) + 0.1
    assert float(cell[2]) - 0.1 <= float(frame[2]) + 1


def test_colours_of_weights() -> None:
    levels = [weight_level(w) for w in (0, 0.01, 0.02, 0.1, 0.25, 0.5, 0.81, 1.0)]
    assert levels == [0, 0, 1, 2, 4, 6, 8, 8]


def test_drawings_have_labels_and_nothing_active() -> None:
    weights = np.tril(np.full((3, 3), 0.4, dtype=np.float32))
    names = [HOSTILE, "\n", "\t"]
    for svg in (
        matrix_svg(weights, names, [Mark(0, 1, HOSTILE)], [Mark(2, 3, "r")], HOSTILE),
        enlarged_svg(weights, names, names, [(0, 0)], names, HOSTILE),
    ):
        found = tags(svg)
        assert found[0][1]["role"] == "img" and found[0][1]["aria-label"]
        assert {tag for tag, _ in found} <= {"svg", "rect", "path", "text", "title"}


def test_a_sample_tells_what_it_asks(sample: Sample) -> None:
    assert repr(sample).startswith(f"Sample({len(sample.ids)} tokens, {sample.n_pairs} pairs:")
    assert repr(sample.value) in repr(sample) and sample.key in repr(sample)
    assert "\n" not in repr(sample) and len(repr(sample)) < 500
