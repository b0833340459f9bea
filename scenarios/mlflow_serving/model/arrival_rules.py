"""What is done to a flight before the estimator sees it, and to its minutes afterwards. Logged with the model."""

from __future__ import annotations

from typing import Any

import pandas as pd

ORIGINS = {"EWR": 0, "JFK": 1, "LGA": 2}
CARRIERS = ("9E", "AA", "AS", "B6", "DL", "EV", "F9", "FL", "HA", "MQ", "OO", "UA", "US", "VX", "WN", "YV")
_NUMBERS = ("weekday", "distance", "temp", "humid", "wind_speed", "precip", "visib")
_LATE_MINUTES = 15  # the US Department of Transportation's own line


def prepared(flights: pd.DataFrame) -> pd.DataFrame:
    """Numbers alone: the scheduled time in minutes, airports and carriers as codes; what is unknown is missing."""
    time = flights["scheduled"].astype("int64")  # 1435 is 14:35
    table = pd.DataFrame({"minute": time // 100 * 60 + time % 100}, index=flights.index)
    table["origin"] = flights["origin"].str.strip().str.upper().map(ORIGINS)
    table["carrier"] = flights["carrier"].str.strip().str.upper().map({code: at for at, code in enumerate(CARRIERS)})
    for name in _NUMBERS:
        table[name] = flights[name].astype("float64")
    return table


def late(minutes: Any) -> Any:
    """Whether so many minutes count as late."""
    return minutes >= _LATE_MINUTES
