"""Flights as people write them: EWR, UA, 1435. A sample of January and February 2013 with the hour's weather."""

from __future__ import annotations

import pandas as pd

from scenarios.flights.data import FlightsFiles

TARGET = "arr_delay"
TEXTS = ("origin", "carrier")
WEATHER = ("temp", "humid", "wind_speed", "precip", "visib")
COLUMNS = ("scheduled", "weekday", "distance", *TEXTS, *WEATHER)
_HOUR = ["origin", "year", "month", "day", "hour"]
_SAMPLE = 8_000


def sample_of(files: FlightsFiles) -> pd.DataFrame:
    """8,000 flights that arrived and whose weather is complete: COLUMNS, TARGET and ``month``."""
    flights = pd.read_csv(files.flights).dropna(subset=[TARGET])
    flights = flights[flights["month"] <= 2]
    weather = pd.read_csv(files.weather).drop_duplicates(_HOUR)
    joined = flights.merge(weather[[*_HOUR, *WEATHER]], on=_HOUR).dropna(subset=list(WEATHER))
    joined["scheduled"] = joined["sched_dep_time"].astype("int64")
    joined["weekday"] = pd.to_datetime(joined[["year", "month", "day"]]).dt.day_of_week.astype("int64")
    joined["distance"] = joined["distance"].astype("float64")
    chosen = joined.sample(_SAMPLE, random_state=11).reset_index(drop=True)
    return chosen[[*COLUMNS, TARGET, "month"]]
