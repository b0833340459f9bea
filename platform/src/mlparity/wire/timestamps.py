"""Moments as HTTP and the storage protocols write them."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime


def http_date(moment: datetime) -> str:
    """Wed, 21 Oct 2015 07:28:00 GMT."""
    return format_datetime(moment.astimezone(UTC), usegmt=True)


def iso_date(moment: datetime) -> str:
    """2015-10-21T07:28:00.000Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def read_http_date(text: str | None) -> datetime | None:
    """An HTTP date; None where there is none or it cannot be read, which RFC 9110 says to ignore."""
    if text is None:
        return None
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
