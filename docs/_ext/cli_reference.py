"""The reference of the command line, from its parsers: `{commands}` describes every command.

Each command becomes a section with its description, usage, arguments and example, and each
argument an object that `{option}` links to: {option}`attninfluence score --mask`.
"""

from __future__ import annotations

import argparse
import itertools
import re
import textwrap
from collections.abc import Iterable, Iterator

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from attninfluence.cli import build_parser


class Commands(SphinxDirective):
    """A section for each command of `attninfluence`."""

    def run(self) -> list[nodes.Node]:
        """The sections, in the order of `attninfluence --help`."""
        commands = build_parser().commands
        return [self._section(name, parser) for name, parser in commands.items()]

    def _section(self, name: str, parser: argparse.ArgumentParser) -> nodes.section:
        section = nodes.section("", nodes.title(text=name), ids=[f"attninfluence-{name}"])
        section += _prose(parser.description or "")
        section += _block(_usage(parser), "none")
        section += _prose(_capitalised(parser.epilog or ""))
        for group in parser._action_groups:
            shown = [action for action in group._group_actions if _is_shown(action)]
            if shown:
                section += nodes.rubric(text=_capitalised(group.title or ""))
                section += self._arguments(parser.prog, shown)
        self.state.document.note_explicit_target(section)
        return section

    def _arguments(self, program: str, actions: Iterable[argparse.Action]) -> nodes.definition_list:
        arguments = nodes.definition_list(classes=["arguments"])
        for action in actions:
            term = nodes.term("", "", *_joined(_spellings(action)))
            self._register(program, action, term)
            meaning = nodes.definition("", *_prose(_expanded(action)))
            arguments += nodes.definition_list_item("", term, meaning)
        return arguments

    def _register(self, program: str, action: argparse.Action, term: nodes.term) -> None:
        """Give the argument an anchor, and tell the domain of it."""
        domain = self.env.domains.standard_domain
        for spelling in action.option_strings or [action.dest]:
            anchor = f"{program}-{spelling}".replace(" ", "-")
            term["ids"].append(anchor)
            domain.add_program_option(program, spelling, self.env.docname, anchor)


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]


def _is_shown(action: argparse.Action) -> bool:
    return action.help != argparse.SUPPRESS and "--help" not in action.option_strings


def _usage(parser: argparse.ArgumentParser) -> str:
    """The usage without the word itself; lines of a length that a narrow page still holds."""
    formatter = argparse.HelpFormatter(parser.prog, width=72)
    formatter.add_usage(parser.usage, parser._actions, parser._mutually_exclusive_groups, "")
    return formatter.format_help().strip()


def _spellings(action: argparse.Action) -> Iterator[str]:
    """The forms that the argument is given in: `-o OUT`, `--output OUT`."""
    if not action.option_strings:
        yield str(action.metavar or action.dest)
        return
    value = ""
    if action.nargs != 0:
        choices = action.choices and "{" + ",".join(map(str, action.choices)) + "}"
        value = f" {action.metavar or choices or action.dest.upper()}"
    for spelling in action.option_strings:
        yield spelling + value


def _joined(spellings: Iterable[str]) -> Iterator[nodes.Node]:
    for index, spelling in enumerate(spellings):
        if index:
            yield nodes.Text(", ")
        yield nodes.literal(text=spelling)


def _expanded(action: argparse.Action) -> str:
    """The help text as `--help` prints it."""
    return (action.help or "") % {**vars(action), "prog": ""}


def _prose(text: str) -> list[nodes.Node]:
    """Paragraphs of plain text; lines that are indented are a block as they stand."""
    made: list[nodes.Node] = []
    for is_block, lines in itertools.groupby(text.splitlines(), lambda line: line.startswith(" ")):
        part = "\n".join(lines).strip("\n")
        if is_block:
            made.append(_block(textwrap.dedent(part), "sh"))
        else:
            paragraphs = [words for words in re.split(r"\n[ \t]*\n", part) if words.strip()]
            made += [nodes.paragraph("", "", *_with_code(words)) for words in paragraphs]
    return made


def _with_code(text: str) -> Iterator[nodes.Node]:
    """Text in which `words` between backquotes and --flags are code."""
    for part in re.split(r"(`[^`]+`|(?<![\w-])--[a-z][a-z-]+)", text):
        if part.startswith(("`", "--")):
            yield nodes.literal(text=part.strip("`"))
        elif part:
            yield nodes.Text(part)


def _block(text: str, language: str) -> nodes.literal_block:
    return nodes.literal_block(text, text, language=language)


def setup(app: Sphinx) -> dict[str, bool]:
    """Make the directive known."""
    app.add_directive("commands", Commands)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
