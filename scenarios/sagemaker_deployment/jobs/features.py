"""What the model sees of a flight: thirteen numbers. Used by the jobs, and by whoever calls the endpoint."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

TARGET = "arr_delay"
FEATURES = [
    "hour", "minute", "weekday", "distance", "origin", "carrier",
    "temp", "dewp", "humid", "wind_speed", "precip", "pressure", "visib",
]  # fmt: skip
_WEATHER = FEATURES[6:]
_HOUR = ["origin", "year", "month", "day", "hour"]
_ORIGINS = {"EWR": 0, "JFK": 1, "LGA": 2}
_CARRIERS = ["9E", "AA", "AS", "B6", "DL", "EV", "F9", "FL", "HA", "MQ", "OO", "UA", "US", "VX", "WN", "YV"]


def flights_between(folder: Path, first: str, last: str) -> pd.DataFrame:
    """The flights that arrived, from ``first`` to ``last`` (dates, inclusive): the target, the features, the date.

    ``folder`` holds flights.csv.zip and weather.csv. The weather is that of the scheduled hour at the origin; where
    there is no record the values are missing.
    """
    flights = pd.read_csv(folder / "flights.csv.zip").dropna(subset=[TARGET])
    flights["date"] = pd.to_datetime(flights[["year", "month", "day"]])
    flights = flights[(flights["date"] >= first) & (flights["date"] <= last)]
    weather = pd.read_csv(folder / "weather.csv").drop_duplicates(_HOUR)
    joined = flights.merge(weather[_HOUR + _WEATHER], on=_HOUR, how="left")
    joined["weekday"] = joined["date"].dt.dayofweek
    joined["origin"] = joined["origin"].map(_ORIGINS)
    joined["carrier"] = joined["carrier"].map({code: number for number, code in enumerate(_CARRIERS)})
    return joined[[TARGET, *FEATURES, "date"]]
