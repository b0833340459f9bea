"""Times written by Go's layouts: the layout shows how the reference time, Mon Jan 2 15:04:05 2006 UTC, would look.

https://pkg.go.dev/time#pkg-constants; the parts that placeholders of recurring runs use.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime

_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_NOON = 12
_PARTS: Mapping[str, Callable[[datetime], str]] = {
    "2006": lambda at: f"{at.year:04d}",
    "06": lambda at: f"{at.year % 100:02d}",
    "January": lambda at: _MONTHS[at.month - 1],
    "Jan": lambda at: _MONTHS[at.month - 1][:3],
    "01": lambda at: f"{at.month:02d}",
    "1": lambda at: str(at.month),
    "Monday": lambda at: _DAYS[at.weekday()],
    "Mon": lambda at: _DAYS[at.weekday()][:3],
    "002": lambda at: f"{at.timetuple().tm_yday:03d}",
    "02": lambda at: f"{at.day:02d}",
    "_2": lambda at: f"{at.day:2d}",
    "2": lambda at: str(at.day),
    "15": lambda at: f"{at.hour:02d}",
    "03": lambda at: f"{(at.hour - 1) % _NOON + 1:02d}",
    "3": lambda at: str((at.hour - 1) % _NOON + 1),
    "04": lambda at: f"{at.minute:02d}",
    "4": lambda at: str(at.minute),
    "05": lambda at: f"{at.second:02d}",
    "5": lambda at: str(at.second),
    "PM": lambda at: "AM" if at.hour < _NOON else "PM",
    "pm": lambda at: "am" if at.hour < _NOON else "pm",
    "MST": lambda _at: "UTC",
    "Z07:00": lambda _at: "Z",
    "Z0700": lambda _at: "Z",
    "-07:00": lambda _at: "+00:00",
    "-0700": lambda _at: "+0000",
    "-07": lambda _at: "+00",
}
# The longest first, as Go looks for them; ".000" and ",000" are fractions of a second.
_LAYOUT = re.compile("|".join([*sorted(map(re.escape, _PARTS), key=len, reverse=True), r"[.,](?:0+|9+)(?!\d)"]))


def format_time(at: datetime, layout: str) -> str:
    """``at`` (in UTC) by a Go layout."""
    return _LAYOUT.sub(lambda match: _part(at, match[0]), layout)


def _part(at: datetime, text: str) -> str:
    if text in _PARTS:
        return _PARTS[text](at)
    digits = f"{at.microsecond:06d}000"[: len(text) - 1]
    if text[1] == "9":
        digits = digits.rstrip("0")
        return f"{text[0]}{digits}" if digits else ""
    return f"{text[0]}{digits}"
