"""What an endpoint would cost, from a price list with a date. An estimate, and it says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import yaml

from mlparity.errors import ConfigurationError

_HOURS_A_MONTH = 730
_OLD_DAYS = 180


@dataclass(frozen=True)
class PriceList:
    """USD an hour by instance type, in one region, as of a day."""

    as_of: date
    source: str
    region: str
    per_hour: Mapping[str, float]

    def estimate(self, instance_type: str, count: int, region: str, today: date) -> str:
        """In words: an hour, a month, how old the list is. What is not on the list is not guessed."""
        price = self.per_hour.get(instance_type)
        listed = f"the list of {self.as_of.isoformat()}"
        if price is None:
            return f"the price of {instance_type} is not known: {listed} does not name it"
        hour = price * count
        words = f"about {hour:.3f} USD an hour, {hour * _HOURS_A_MONTH:.0f} USD a month ({count} x {instance_type})"
        words += f", by {listed} for {self.region}"
        if region != self.region:
            words += f"; {region} has other prices"
        age = (today - self.as_of).days
        if age > _OLD_DAYS:
            words += f"; the list is {age} days old: prices may have changed"
        return words


def price_list(path: Path) -> PriceList:
    """Read the file. Raises ``ConfigurationError`` where a member is missing or wrong."""
    try:
        document = yaml.safe_load(path.read_text("utf-8"))
        per_hour = {str(name): float(price) for name, price in document["per_hour"].items()}
        as_of = date.fromisoformat(str(document["as_of"]))
        return PriceList(as_of, document["source"].strip(), document["region"], per_hour)
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConfigurationError(f"{path.name} is no price list", f"{type(error).__name__}: {error}") from error
