"""The grammar of Google's list filters: text to a tree that knows no fields yet.

https://google.aip.dev/160 and its EBNF. Two things that the grammar leaves out are read as Google's documentation
writes them: an unquoted argument may hold colons (``create_time > 2020-11-19T11:30:00Z``), and a comparison may name
several arguments (``parent_contexts:"a","b"``), which must all hold.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

COMPARATORS = ("<=", ">=", "!=", "=", "<", ">", ":")

_SPACE = re.compile(r"\s*")
_SEGMENT = re.compile(r"[^\s().,:=<>!\"']+")
_ARGUMENT = re.compile(r"[^\s(),=<>!\"']+")
_KEYWORDS = ("AND", "OR", "NOT")
_MOST_NESTED = 64  # far above what any API allows, far below Python's own limit
_MOST_RESTRICTIONS = 256


class FilterSyntaxError(ValueError):
    """The text is no filter; the message says what was expected and where."""


@dataclass(frozen=True)
class Literal:
    """An argument. ``parts`` is its text cut at the asterisks that are wildcards: one part where there is none."""

    text: str
    quoted: bool
    parts: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """``path`` against ``argument``; segments of the path are without their quotes."""

    path: tuple[str, ...]
    operator: str
    argument: Literal


@dataclass(frozen=True)
class Function:
    """A call: ``in_context("…")``."""

    name: str
    arguments: tuple[Literal, ...]


@dataclass(frozen=True)
class Negated:
    """``NOT`` or ``-``."""

    item: Syntax


@dataclass(frozen=True)
class Conjunction:
    """All of the items."""

    items: tuple[Syntax, ...]


@dataclass(frozen=True)
class Disjunction:
    """Any of the items."""

    items: tuple[Syntax, ...]


Syntax = Comparison | Function | Negated | Conjunction | Disjunction


def parse(text: str, most_nested: int = 0) -> Syntax | None:
    """The tree of ``text``; None for an empty filter. Raises ``FilterSyntaxError``.

    ``most_nested``: how deep brackets may nest; 0 leaves it to the parser's own bound.
    """
    parser = _Parser(text, most_nested or _MOST_NESTED)
    if parser.at_end():
        return None
    tree = parser.expression()
    if not parser.at_end():
        raise parser.error("an operator or the end")
    return tree


class _Parser:
    """Recursive descent over the text itself: what ends a word depends on where it stands."""

    def __init__(self, text: str, most_nested: int) -> None:
        self._text = text
        self._most_nested = most_nested
        self._at = 0
        self._depth = 0
        self._restrictions = 0

    def at_end(self) -> bool:
        self._skip()
        return self._at >= len(self._text)

    def error(self, expected: str) -> FilterSyntaxError:
        found = self._text[self._at : self._at + 20]
        seen = f"found {found!r}" if found else "it ends there"
        return FilterSyntaxError(f"expected {expected} at position {self._at + 1}, {seen}")

    def expression(self) -> Syntax:
        items = [self._sequence()]
        while self._word("AND"):
            items.append(self._sequence())
        return _joined(Conjunction, items)

    def _sequence(self) -> Syntax:
        items = [self._factor()]
        while not self.at_end() and not self._text.startswith(")", self._at) and not self._is_word("AND"):
            items.append(self._factor())
        return _joined(Conjunction, items)

    def _factor(self) -> Syntax:
        items = [self._term()]
        while self._word("OR"):
            items.append(self._term())
        return _joined(Disjunction, items)

    def _term(self) -> Syntax:
        self._skip()
        if self._word("NOT") or self._take("-"):
            return Negated(self._simple())
        return self._simple()

    def _simple(self) -> Syntax:
        self._skip()
        if not self._take("("):
            return self._restriction()
        self._depth += 1
        if self._depth > self._most_nested:
            raise FilterSyntaxError(f"it nests deeper than {self._most_nested} levels")
        inner = self.expression()
        self._skip()
        if not self._take(")"):
            raise self.error("')'")
        self._depth -= 1
        return inner

    def _restriction(self) -> Syntax:
        self._restrictions += 1
        if self._restrictions > _MOST_RESTRICTIONS:
            raise FilterSyntaxError(f"it has more than {_MOST_RESTRICTIONS} restrictions")
        path = self._path()
        if self._take("("):
            return Function(".".join(path), self._arguments_to_bracket())
        self._skip()
        operator = next((sign for sign in COMPARATORS if self._text.startswith(sign, self._at)), None)
        if operator is None:
            raise self.error(f"a comparison operator after {'.'.join(path)!r}")
        self._at += len(operator)
        return _joined(Conjunction, [Comparison(path, operator, argument) for argument in self._arguments()])

    def _path(self) -> tuple[str, ...]:
        if any(self._is_word(word) for word in _KEYWORDS):
            raise self.error("a field")
        segments = [self._segment()]
        while self._take("."):
            segments.append(self._segment())
        return tuple(segments)

    def _segment(self) -> str:
        if (quoted := self._string()) is not None:
            return quoted.text
        found = _SEGMENT.match(self._text, self._at)
        if found is None:
            raise self.error("a field")
        self._at = found.end()
        return found.group()

    def _arguments_to_bracket(self) -> tuple[Literal, ...]:
        self._skip()
        arguments = [] if self._text.startswith(")", self._at) else self._arguments()
        self._skip()
        if not self._take(")"):
            raise self.error("')'")
        return tuple(arguments)

    def _arguments(self) -> list[Literal]:
        arguments = [self._argument()]
        self._skip()
        while self._take(","):
            arguments.append(self._argument())
            self._skip()
        return arguments

    def _argument(self) -> Literal:
        self._skip()
        if (quoted := self._string()) is not None:
            return quoted
        found = _ARGUMENT.match(self._text, self._at)
        if found is None or found.group() in _KEYWORDS:
            raise self.error("a value")
        self._at = found.end()
        return Literal(found.group(), quoted=False, parts=tuple(found.group().split("*")))

    def _string(self) -> Literal | None:
        """A quoted string. A backslash takes the meaning from a quote, an asterisk or a backslash."""
        quote = self._text[self._at : self._at + 1]
        if quote not in {'"', "'"}:
            return None
        parts, at = [""], self._at + 1
        while at < len(self._text) and self._text[at] != quote:
            sign = self._text[at]
            if sign == "\\" and self._text[at + 1 : at + 2] in {'"', "'", "\\", "*"}:
                at += 1
                parts[-1] += self._text[at]
            elif sign == "*":
                parts.append("")
            else:
                parts[-1] += sign
            at += 1
        if at >= len(self._text):
            raise FilterSyntaxError(f"the string that begins at position {self._at + 1} has no end")
        self._at = at + 1
        return Literal("*".join(parts), quoted=True, parts=tuple(parts))

    def _skip(self) -> None:
        found = _SPACE.match(self._text, self._at)
        self._at = found.end() if found else self._at

    def _take(self, sign: str) -> bool:
        if not self._text.startswith(sign, self._at):
            return False
        self._at += len(sign)
        return True

    def _is_word(self, word: str) -> bool:
        self._skip()
        found = _SEGMENT.match(self._text, self._at)
        return found is not None and found.group() == word

    def _word(self, word: str) -> bool:
        if not self._is_word(word):
            return False
        self._at += len(word)
        return True


def _joined(kind: type[Conjunction | Disjunction], items: list[Syntax]) -> Syntax:
    """The items as one node; a node of the same kind among them is dissolved."""
    if len(items) == 1:
        return items[0]
    flat: list[Syntax] = []
    for item in items:
        flat += item.items if isinstance(item, Conjunction | Disjunction) and isinstance(item, kind) else (item,)
    return kind(tuple(flat))
