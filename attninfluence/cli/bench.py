"""attninfluence bench: how fast a model scores on this machine, and what a corpus would cost."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from attninfluence.cli import console, options
from attninfluence.cli.numbers import positive, price_range, seconds

if TYPE_CHECKING:
    from attninfluence.bench import Cost, MaskedHeads, Speed

HELP = "measure the speed, and estimate what a corpus costs"
DESCRIPTION = """\
Measure how many document tokens a second this machine scores with a model: both
readings of documents of random tokens, each token counted once, with the heads
of a heads.json or, without one, a random 5 % of all heads. With --estimate, say
what a corpus of that many tokens takes.

GFLOP/s counts a multiply-add as two. Reading S tokens takes, in each layer,
2 S w + 2 h e S (S + 1), less where rows see a window, and at the end
2 (S - 1) d V: w weights that a token meets in the layer, h heads of dimension
e, hidden size d, vocabulary V. Layers below the first masked head count once
for both readings.
"""
EXAMPLE = "attninfluence bench HuggingFaceTB/SmolLM2-135M --estimate 241B --machines 100"

PRICE = (0.01, 0.05)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this command."""
    options.add_model_argument(parser)
    parser.add_argument(
        "--heads",
        metavar="FILE",
        help="heads.json (default: the model's own, else 5 %% of all heads at random, which do"
        " where only the time matters)",
    )
    parser.add_argument(
        "--seconds",
        type=seconds,
        default=20.0,
        help="how long to measure in each precision, about (default: 20)",
    )
    parser.add_argument(
        "--mean-length",
        type=positive,
        metavar="TOKENS",
        help="tokens of a document on average, log-normal within the model's context (default:"
        " 550, or the context)",
    )
    parser.add_argument(
        "--estimate",
        type=positive,
        metavar="TOKENS",
        help="core-hours and a range of prices for a corpus of so many tokens, like 241B",
    )
    parser.add_argument(
        "--price",
        type=price_range,
        metavar="LOW,HIGH",
        help="USD an hour of one rented core, for --estimate (default: 0.01,0.05, an assumption:"
        " give your own)",
    )
    parser.add_argument(
        "--machines",
        type=positive,
        metavar="N",
        help="how many machines like this one share the corpus, for --estimate: days",
    )
    parser.add_argument(
        "--tasks",
        type=positive,
        metavar="N",
        help="how many tasks of one core the corpus is split into, for --estimate: tokens and hours"
        " of a task",
    )
    options.add_loading_options(parser, precisions=(*options.PRECISIONS, "all"))


def run(arguments: argparse.Namespace) -> int:
    """Measure in each precision asked for, and print the speeds."""
    for name in ("price", "machines", "tasks"):
        if getattr(arguments, name) is not None and arguments.estimate is None:
            raise ValueError(f"--{name} needs --estimate, the tokens that are to be scored")
    measured = [_measure(precision, arguments) for precision in _precisions(arguments.precision)]
    speeds = [speed for speed, _, _ in measured]
    _, heads, model = measured[0]
    _report(speeds, heads)
    summary = {**model, **_conditions(speeds, heads), "speeds": [one.as_dict() for one in speeds]}
    if arguments.estimate is not None:
        summary["estimate"] = _estimate(arguments, speeds)
    console.print_json(summary)
    return 0


def _precisions(asked: str) -> Sequence[str]:
    """The precisions to measure in; "all" are those that have a kernel on this CPU."""
    if asked != "all":
        return [asked]
    from attninfluence._core import kernels

    return [name for name in options.PRECISIONS if name != "auto" and kernels(name)]


def _measure(
    precision: str, arguments: argparse.Namespace
) -> tuple[Speed, MaskedHeads, dict[str, Any]]:
    """The speed in one precision, the heads masked, and which model that was; it is let go."""
    from attninfluence.bench import choose_heads, measure

    model = options.load_model(arguments, precision=precision)
    heads = choose_heads(model, arguments.heads)
    console.say(f"measuring {model.precision} for about {arguments.seconds:g} s")
    speed = measure(model, heads, seconds=arguments.seconds, mean_length=arguments.mean_length)
    return speed, heads, {"model": model.path, "commit": model.commit}


def _report(speeds: Sequence[Speed], heads: MaskedHeads) -> None:
    """The speeds as a table, and what they were measured on."""
    longest = max(speeds, key=lambda speed: speed.tokens)
    header = ["", "kernel", "tokens/s", "a core", "GFLOP/s", "a core"]
    rows = [
        [
            speed.precision,
            speed.kernel,
            f"{speed.tokens_per_second:,.0f}",
            f"{speed.tokens_per_second_per_core:,.1f}",
            f"{speed.gflops:,.0f}",
            f"{speed.gflops / speed.threads:,.1f}",
        ]
        for speed in speeds
    ]
    title = (
        f"documents of {longest.tokens / len(longest.lengths):,.0f} tokens on average, at most"
        f" {max(longest.lengths):,}; {longest.threads} thread{'s' * (longest.threads > 1)}"
    )
    console.print_table(title, header, rows)
    console.say(_sentence(heads))


def _sentence(heads: MaskedHeads) -> str:
    count = len(heads.pairs)
    where = "1 head masked, in" if count == 1 else f"{count} heads masked, the first in"
    random = ": random, as there is no heads.json" if heads.origin == "random" else ""
    return f"{where} layer {heads.first_layer}{random}"


def _conditions(speeds: Sequence[Speed], heads: MaskedHeads) -> dict[str, Any]:
    """What all of the speeds were measured with."""
    return {
        "cpu": _cpu_name(),
        "threads": speeds[0].threads,
        "heads": {
            "origin": heads.origin,
            "count": len(heads.pairs),
            "first_layer": heads.first_layer,
        },
    }


def _estimate(arguments: argparse.Namespace, speeds: Sequence[Speed]) -> dict[str, Any]:
    """Print and return what the corpus takes at each speed."""
    from attninfluence.bench import estimate

    tokens: int = arguments.estimate
    low, high = PRICE if arguments.price is None else arguments.price
    costs = [estimate(tokens, speed, (low, high)) for speed in speeds]
    header = ["", "core-hours", "core-years", "USD from", "to"]
    rows = [
        [
            speed.precision,
            *(_rounded(value) for value in (cost.core_hours, cost.core_years, *cost.usd)),
        ]
        for speed, cost in zip(speeds, costs, strict=True)
    ]
    console.print_table(f"{console.short_count(tokens)} tokens at that speed", header, rows)
    assumed = "; an assumption, give yours with --price" if arguments.price is None else ""
    console.say(f"at {low:g} to {high:g} USD a core-hour{assumed}")
    return {
        "tokens": tokens,
        "usd_per_core_hour": [low, high],
        "price_is_assumed": arguments.price is None,
        "costs": [
            {
                "precision": speed.precision,
                "core_hours": cost.core_hours,
                "core_years": cost.core_years,
                "usd": list(cost.usd),
                **_split(arguments, speed, cost),
            }
            for speed, cost in zip(speeds, costs, strict=True)
        ],
    }


def _split(arguments: argparse.Namespace, speed: Speed, cost: Cost) -> dict[str, Any]:
    """Print and return what each machine and each task has of the corpus, where asked for."""
    split: dict[str, Any] = {}
    if arguments.machines is not None:
        cores = arguments.machines * speed.threads
        split |= {"machines": arguments.machines, "cores": cores, "days": cost.days(cores)}
        console.say(f"{speed.precision}: {_rounded(split['days'])} days of {cores:,} cores")
    if arguments.tasks is not None:
        tokens, hours = arguments.estimate / arguments.tasks, cost.core_hours / arguments.tasks
        split |= {"tasks": arguments.tasks, "tokens_per_task": tokens, "hours_per_task": hours}
        size = console.short_count(round(tokens))
        console.say(f"{speed.precision}: {size} tokens and {_rounded(hours)} hours a task")
    return split


def _rounded(value: float) -> str:
    """Three significant digits: 0.0123, 4.56, 223,000."""
    if value == 0:
        return "0"
    shown = float(f"{value:.3g}")
    return f"{shown:,.0f}" if shown >= 100 else f"{shown:g}"


def _cpu_name() -> str | None:
    """As Linux tells it, None where it does not."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            lines = [line.partition(":") for line in file]
    except OSError:
        return None
    names = [value.strip() for name, _, value in lines if name.strip() == "model name"]
    return names[0] if names else None
