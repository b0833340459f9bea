"""Processing job: join flights with weather and planes, split by time, encode, write what training and evaluation need.

Runs in the sagemaker-scikit-learn image, or anywhere with pandas:

    python preprocess.py --input FOLDER --output FOLDER

Reads flights.csv.zip, weather.csv and planes.csv from the input folder. Writes under the output folder:
    train/train.csv, validation/validation.csv, test/test.csv   no header, the label first (SageMaker's XGBoost layout)
    features/features.json                                      names, encodings, split, what was dropped

Every flight of the year is used. Only what is known before departure becomes a feature; the observed weather of the
scheduled hour stands in for its forecast. The split is by month, and everything that is learnt from labels (the
encodings) is learnt from the training months alone.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

LABEL = "arr_delay"
TRAIN_MONTHS = tuple(range(1, 10))
VALIDATION_MONTHS = (10,)
TEST_MONTHS = (11, 12)

# Recorded at or after departure: reading them is the mistake this list is here to prevent.
AFTER_DEPARTURE = ("dep_time", "dep_delay", "arr_time", "air_time")

CALENDAR = ("weekday", "hour", "scheduled_departure_minute", "scheduled_arrival_minute", "scheduled_minutes")
ROUTE = ("distance", "origin_ewr", "origin_jfk", "origin_lga", "flights_that_hour", "flights_that_day")
PLANE = ("plane_age", "seats", "engines", "turbo_jet", "plane_known")
WEATHER = ("temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib")
ENCODED = (("carrier",), ("dest",), ("carrier", "dest"), ("carrier", "hour"), ("origin", "hour"))
# A group counts as much as this many flights of the overall mean, so that rare ones are not taken at their word.
SMOOTHING = 200.0


def encoding_name(columns: tuple[str, ...]) -> str:
    """The feature's name: ("carrier", "hour") -> "carrier_hour_mean"."""
    return "_".join(columns) + "_mean"


FEATURES = CALENDAR + ROUTE + PLANE + WEATHER + tuple(encoding_name(columns) for columns in ENCODED)


def minute_of_day(hhmm: pd.Series) -> pd.Series:
    """517 (5:17) -> 317 minutes after midnight."""
    return hhmm // 100 * 60 + hhmm % 100


def prepare(flights: pd.DataFrame, weather: pd.DataFrame, planes: pd.DataFrame) -> pd.DataFrame:
    """One row per flight that arrived: the label, `month`, the keys of the encodings, and every feature but those.

    Cancelled and diverted flights have no arrival delay and are left out; they still count in the scheduled traffic.
    """
    flights = flights.drop(columns=list(AFTER_DEPARTURE), errors="ignore")
    flights["flights_that_hour"] = flights.groupby(["origin", "time_hour"])["flight"].transform("size")
    flights["flights_that_day"] = flights.groupby(["origin", "month", "day"])["flight"].transform("size")
    rows = flights.dropna(subset=[LABEL])
    rows = rows.merge(weather[["origin", "time_hour", *WEATHER]], on=["origin", "time_hour"], how="left")
    fleet = planes[["tailnum", "year", "seats", "engines", "engine"]].rename(columns={"year": "built"})
    rows = rows.merge(fleet, on="tailnum", how="left")

    date = pd.to_datetime(rows[["year", "month", "day"]])
    departure, arrival = minute_of_day(rows["sched_dep_time"]), minute_of_day(rows["sched_arr_time"])
    rows["weekday"] = (date - pd.Timestamp("2013-01-07")).dt.days % 7  # a Monday
    rows["scheduled_departure_minute"] = departure
    rows["scheduled_arrival_minute"] = arrival
    rows["scheduled_minutes"] = (arrival - departure) % 1440
    for origin in ("EWR", "JFK", "LGA"):
        rows[f"origin_{origin.lower()}"] = (rows["origin"] == origin).astype("int8")
    rows["plane_age"] = rows["year"] - rows["built"]
    rows["turbo_jet"] = (rows["engine"] == "Turbo-jet").astype("int8")
    rows["plane_known"] = rows["seats"].notna().astype("int8")
    keys = sorted({column for columns in ENCODED for column in columns} - {"hour"})
    return rows[[LABEL, "month", *keys, *CALENDAR, *ROUTE, *PLANE, *WEATHER]]


def split_by_time(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Training, validation and test rows: three stretches of the year that follow one another."""
    months = {"train": TRAIN_MONTHS, "validation": VALIDATION_MONTHS, "test": TEST_MONTHS}
    return {name: rows[rows["month"].isin(wanted)].copy() for name, wanted in months.items()}


def group_key(rows: pd.DataFrame, columns: tuple[str, ...]) -> pd.Series:
    """One text per row that names its group, e.g. "UA|7"."""
    key = rows[columns[0]].astype(str)
    for column in columns[1:]:
        key = key + "|" + rows[column].astype(str)
    return key


def fit_encodings(train: pd.DataFrame) -> dict[str, dict[str, float]]:
    """The smoothed mean delay of every group of the training rows: feature name -> group -> minutes."""
    overall = float(train[LABEL].mean())
    encodings = {}
    for columns in ENCODED:
        groups = train[LABEL].groupby(group_key(train, columns)).agg(["sum", "count"])
        means = (groups["sum"] + SMOOTHING * overall) / (groups["count"] + SMOOTHING)
        encodings[encoding_name(columns)] = {str(key): round(float(value), 6) for key, value in means.items()}
    return encodings


def encode(rows: pd.DataFrame, encodings: dict[str, dict[str, float]], overall: float) -> pd.DataFrame:
    """Add the encoded features to rows whose labels were not used to fit them. Unknown groups get the overall mean."""
    for columns in ENCODED:
        name = encoding_name(columns)
        rows[name] = group_key(rows, columns).map(encodings[name]).fillna(overall)
    return rows


def encode_training_rows(train: pd.DataFrame) -> pd.DataFrame:
    """Add the encoded features to the training rows, each month from the other months.

    A training row must not see its own label in its features, or the model trusts them more than they deserve later.
    """
    months = []
    for month in sorted(train["month"].unique()):
        others, own = train[train["month"] != month], train[train["month"] == month].copy()
        months.append(encode(own, fit_encodings(others), float(others[LABEL].mean())))
    return pd.concat(months)


def describe(
    splits: dict[str, pd.DataFrame], encodings: dict[str, dict[str, float]], arrived: int, scheduled: int
) -> dict[str, Any]:
    """What the model needs beside its trees, and what a reader needs to judge it."""
    return {
        "label": LABEL,
        "features": list(FEATURES),
        "train_mean": float(splits["train"][LABEL].mean()),
        "encodings": encodings,
        "smoothing": SMOOTHING,
        "months": {"train": TRAIN_MONTHS, "validation": VALIDATION_MONTHS, "test": TEST_MONTHS},
        "rows": {name: len(rows) for name, rows in splits.items()},
        "scheduled_flights": scheduled,
        "without_arrival": scheduled - arrived,
    }


def write_csv(rows: pd.DataFrame, path: Path) -> None:
    """Label first, no header, six significant digits where a value is not whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = rows[[LABEL, *FEATURES]].copy()
    for name in (encoding_name(columns) for columns in ENCODED):
        table[name] = np.round(table[name], 4)
    table.to_csv(path, header=False, index=False)


def main(arguments: list[str] | None = None) -> None:
    """Read, prepare, split, encode, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", type=Path, default=Path("/opt/ml/processing/input/flights"))
    parser.add_argument("--output", type=Path, default=Path("/opt/ml/processing"))
    paths = parser.parse_args(arguments)

    flights = pd.read_csv(paths.input / "flights.csv.zip")
    rows = prepare(flights, pd.read_csv(paths.input / "weather.csv"), pd.read_csv(paths.input / "planes.csv"))
    splits = split_by_time(rows)
    encodings = fit_encodings(splits["train"])
    facts = describe(splits, encodings, arrived=len(rows), scheduled=len(flights))
    splits["train"] = encode_training_rows(splits["train"])
    for name in ("validation", "test"):
        splits[name] = encode(splits[name], encodings, facts["train_mean"])
    for name, part in splits.items():
        write_csv(part, paths.output / name / f"{name}.csv")
        print(f"{name}: {len(part)} flights, mean arrival delay {part[LABEL].mean():.2f} min")
    (paths.output / "features").mkdir(parents=True, exist_ok=True)
    (paths.output / "features" / "features.json").write_text(json.dumps(facts))
    print(
        f"{len(FEATURES)} features; {facts['without_arrival']} of {len(flights)} flights never arrived and are left out"
    )


if __name__ == "__main__":
    main()
