"""One field of a cron expression, which all dialects write alike: lists, ranges, steps and names."""

from __future__ import annotations

from collections.abc import Mapping

MONTH_NAMES = {
    name: number
    for number, name in enumerate(
        ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"), 1
    )
}


class CronError(ValueError):
    """The expression is not one of the dialect; the message says which field."""


def numbers(
    field: str, low: int, high: int, names: Mapping[str, int] | None = None, *, wraps: bool = False
) -> tuple[int, ...]:
    """The numbers of a field in order; upper case. With ``wraps``, FRI-MON goes round the end. Raises ``CronError``."""
    found: set[int] = set()
    for item in field.split(","):
        found |= _item(item, low, high, names or {}, wraps=wraps)
    return tuple(sorted(found))


def number(text: str, low: int, high: int, names: Mapping[str, int]) -> int:
    """One number or name. Raises ``CronError``."""
    value = names.get(text, int(text) if text.isascii() and text.isdigit() else None)
    if value is None or not low <= value <= high:
        raise CronError(f"{text!r} is not between {low} and {high}")
    return value


def _item(item: str, low: int, high: int, names: Mapping[str, int], *, wraps: bool) -> set[int]:
    span, slash, step_text = item.partition("/")
    if slash and (not step_text.isdigit() or int(step_text) == 0):
        raise CronError(f"{item!r} has no step")
    step = int(step_text) if slash else 1
    if span == "*":
        begin, end = low, high
    elif "-" in span:
        left, _, right = span.partition("-")
        begin, end = number(left, low, high, names), number(right, low, high, names)
    else:
        begin = number(span, low, high, names)
        end = high if slash else begin
    if begin <= end:
        return set(range(begin, end + 1, step))
    if not wraps:
        raise CronError(f"{item!r} runs backwards")
    return {low + (value - low) % (high - low + 1) for value in range(begin, end + high - low + 2, step)}
