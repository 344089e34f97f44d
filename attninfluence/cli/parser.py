"""argparse, with errors of one sentence that say which word was meant."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Iterable, Sequence
from itertools import takewhile
from typing import Any, NoReturn


class Parser(argparse.ArgumentParser):
    """The parser of a command: an error is one line, and names the help instead of printing it.

    summary: the line that the program's help has for it.
    """

    summary = ""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            name = "/".join(action.option_strings) or action.metavar or action.dest
            choices = [str(choice) for choice in action.choices]
            told = f"{name}: {value!r} is none of {', '.join(choices)}{_meant(value, choices)}"
            raise argparse.ArgumentError(None, told)

    @property
    def options(self) -> list[str]:
        """The names of its options, like --help."""
        return [name for action in self._actions for name in action.option_strings]


class Help(argparse.RawDescriptionHelpFormatter):
    """Help whose second column begins after the longest command, whose indent argparse forgets."""

    def __init__(self, prog: str, **how: Any) -> None:
        super().__init__(prog, **how)
        self._action_max_length = 16


class Program(Parser):
    """The parser of the program: `commands` by their names."""

    def __init__(self, **how: Any) -> None:
        super().__init__(**how)
        self._subparsers_action = self.add_subparsers(
            title="commands", metavar="COMMAND", required=True, dest="command", parser_class=Parser
        )
        self.commands: dict[str, Parser] = {}

    def add_command(self, name: str, summary: str, **how: Any) -> Parser:
        """A command's parser, to be given its arguments."""
        command: Parser = self._subparsers_action.add_parser(name, help=summary, **how)
        command.summary = summary
        self.commands[name] = command
        return command

    def parse(self, words: Sequence[str]) -> argparse.Namespace:
        """The arguments of the command that the words give; SystemExit, told, where they do not."""
        name = words[0] if words else ""
        parser = self.commands.get(name, self)
        _check_encoding(words, parser)
        if name.startswith("-") or parser is not self:
            self._check_options(words, parser)
        arguments, left = self.parse_known_args(words)
        if left:
            what = "option" if left[0].startswith("-") else "argument"
            parser.error(f"unexpected {what} {left[0]!r}{_meant(left[0], parser.options)}")
        return arguments

    def _check_options(self, words: Sequence[str], parser: Parser) -> None:
        """Misspelt options come first: argparse would rather miss the argument they stand for."""
        for word in takewhile(lambda word: word != "--", words):
            option = word.partition("=")[0]
            if option.startswith("--") and option not in parser.options:
                parser.error(self._unknown(option, parser))
        if parser is self and words[0] not in parser.options:
            parser.error(f"no option {words[0]}")

    def _unknown(self, option: str, parser: Parser) -> str:
        if parser is self and any(option in one.options for one in self.commands.values()):
            return f"{option} comes after the command"
        owners = [name for name, command in self.commands.items() if option in command.options]
        meant = _meant(option, parser.options)
        if owners and not meant:
            return f"no option {option} here; it belongs to {_listed(owners)}"
        return f"no option {option}{meant}"


def _check_encoding(words: Sequence[str], parser: Parser) -> None:
    for word in words:
        if not word.isascii() and word != word.encode(errors="replace").decode():
            parser.error(f"{word!a} is not valid UTF-8; rename it")


def _listed(names: Sequence[str]) -> str:
    """At most three of the names."""
    return ", ".join(names[:3]) + (" and others" if len(names) > 3 else "")


def _meant(word: Any, names: Iterable[str]) -> str:
    """Which of the names was probably meant."""
    near = difflib.get_close_matches(str(word), list(names), n=1, cutoff=0.7)
    return f"; did you mean {near[0]}?" if near else ""
