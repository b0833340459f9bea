"""When a schedule's runs are due: five fields of cron, on the clock of the time zone that stands before them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from mlparity.apis.vertex.errors import invalid
from mlparity.wire.cron_field import CronError
from mlparity.wire.unix_cron import UnixCron, parse_unix_cron

_ZONED = re.compile(r"(?:CRON_)?TZ=(\S+)\s+(.*)", re.DOTALL)
_SOME_DAY = datetime(2024, 1, 1, tzinfo=UTC)
_TICK = timedelta(microseconds=1)
_WINDOWS = tuple(timedelta(hours=hours) for hours in (1, 24, 24 * 31, 24 * 366, 24 * 366 * 9))


@dataclass(frozen=True)
class Cron:
    """The times of one schedule, in UTC."""

    fields: UnixCron
    zone: tzinfo

    def after(self, moment: datetime) -> datetime | None:
        """The first time after ``moment``; None where there is none for years."""
        return self.fields.next_after(moment, self.zone)

    def at_or_after(self, moment: datetime) -> datetime | None:
        """The first time that is not before ``moment``."""
        return self.after(moment - _TICK)

    def latest(self, due: datetime, now: datetime) -> datetime:
        """The last time up to ``now``, where ``due`` is one of them; without going over all between them."""
        found = due
        for window in _WINDOWS:
            start = max(due, now - window)
            following = self.at_or_after(start)
            while following is not None and following <= now:
                found, following = following, self.after(following)
            if found > due or start == due:
                break
        return found


def parse(text: str) -> Cron:
    """``TZ=Europe/Berlin 0 3 * * *``. Raises ``GoogleError`` INVALID_ARGUMENT."""
    zoned = _ZONED.fullmatch(text.strip())
    zone: tzinfo = UTC
    if zoned is not None:
        try:
            zone = ZoneInfo(zoned[1])
        except (KeyError, ValueError, OSError):  # unknown, no name of a zone, or a folder of the database
            raise _wrong(f"The time zone {zoned[1]!r} is not in the IANA time zone database.") from None
    try:
        cron = Cron(parse_unix_cron(zoned[2] if zoned else text), zone)
    except CronError as error:
        raise _wrong(f"The cron expression is invalid: {error}.") from None
    if cron.after(_SOME_DAY) is None:  # it looks ahead for more years than leap days are apart
        raise _wrong(f"The cron expression {text!r} never comes true.")
    return cron


def _wrong(text: str) -> Exception:
    return invalid({"schedule.cron": text})
