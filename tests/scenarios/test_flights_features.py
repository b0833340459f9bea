"""The preparation of features: nothing known only after departure, splits that follow one another, no label leaks."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from scenarios.sagemaker_training.jobs import preprocess

CARRIERS, DESTINATIONS = ("UA", "AA", "DL"), ("LAX", "ORD", "MIA")


def small_year(seed: int = 3, per_month: int = 40) -> pd.DataFrame:
    """Flights with the raw table's columns: 40 in each month, one in each month without an arrival."""
    random = np.random.default_rng(seed)
    rows = []
    for month in range(1, 13):
        for number in range(per_month):
            hour = int(random.integers(5, 23))
            delay = float(random.normal(5, 30))
            cancelled = number == 0
            rows.append(
                {
                    "year": 2013,
                    "month": month,
                    "day": 1 + number % 28,
                    "dep_time": np.nan if cancelled else hour * 100 + 7,
                    "sched_dep_time": hour * 100 + 5,
                    "dep_delay": np.nan if cancelled else delay - 3,
                    "arr_time": np.nan if cancelled else hour * 100 + 250,
                    "sched_arr_time": (hour + 2) % 24 * 100 + 30,
                    "arr_delay": np.nan if cancelled else delay,
                    "carrier": CARRIERS[number % 3],
                    "flight": number,
                    "tailnum": f"N{number % 5}",
                    "origin": ("EWR", "JFK", "LGA")[number % 3],
                    "dest": DESTINATIONS[number % 3],
                    "air_time": np.nan if cancelled else 120.0,
                    "distance": 700 + number,
                    "hour": hour,
                    "minute": 5,
                    "time_hour": f"2013-{month:02d}-{1 + number % 28:02d}T{hour:02d}:00:00Z",
                }
            )
    return pd.DataFrame(rows)


def weather_of(flights: pd.DataFrame) -> pd.DataFrame:
    table = flights[["origin", "time_hour"]].drop_duplicates().reset_index(drop=True)
    for position, name in enumerate(preprocess.WEATHER):
        table[name] = np.arange(len(table), dtype=float) + position
    return table


def planes() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "tailnum": ["N0", "N1", "N2"],
            "year": [2000.0, np.nan, 2010.0],
            "seats": [100, 150, 200],
            "engines": [2, 2, 4],
            "engine": ["Turbo-fan", "Turbo-jet", "Turbo-fan"],
        }
    )


def prepared(flights: pd.DataFrame | None = None) -> pd.DataFrame:
    flights = small_year() if flights is None else flights
    return preprocess.prepare(flights, weather_of(flights), planes())


def test_nothing_recorded_after_departure_is_a_feature() -> None:
    forbidden = {*preprocess.AFTER_DEPARTURE, preprocess.LABEL}
    assert forbidden.isdisjoint(preprocess.FEATURES)
    assert set(preprocess.AFTER_DEPARTURE).isdisjoint(prepared().columns)


def test_what_happened_after_departure_does_not_reach_the_features() -> None:
    flights = small_year()
    changed = flights.copy()
    for name in preprocess.AFTER_DEPARTURE:
        changed[name] = 1.0
    pd.testing.assert_frame_equal(prepared(flights), prepared(changed))


def test_months_are_no_feature_because_the_test_months_are_unseen() -> None:
    assert {"month", "day", "year"}.isdisjoint(preprocess.FEATURES)


def test_splits_follow_one_another_and_cover_the_year() -> None:
    rows = prepared()
    splits = preprocess.split_by_time(rows)
    months = {name: set(part["month"]) for name, part in splits.items()}
    assert months == {"train": set(range(1, 10)), "validation": {10}, "test": {11, 12}}
    assert max(months["train"]) < min(months["validation"]) <= max(months["validation"]) < min(months["test"])
    assert sum(map(len, splits.values())) == len(rows)


def test_flights_that_never_arrived_are_left_out_but_count_as_traffic() -> None:
    flights = small_year()
    rows = prepared(flights)
    assert len(rows) == len(flights) - 12
    day = flights[(flights["origin"] == "EWR") & (flights["month"] == 1) & (flights["day"] == 1)]
    assert day["arr_delay"].isna().any()
    same = rows[(rows["origin_ewr"] == 1) & (rows["month"] == 1) & (rows["flights_that_day"] == len(day))]
    assert len(same) >= len(day) - 1


def test_scheduled_times_become_minutes_across_midnight() -> None:
    flights = small_year(per_month=2)
    flights["sched_dep_time"], flights["sched_arr_time"] = 2350, 115
    rows = prepared(flights)
    assert set(rows["scheduled_departure_minute"]) == {23 * 60 + 50}
    assert set(rows["scheduled_arrival_minute"]) == {75}
    assert set(rows["scheduled_minutes"]) == {85}


def test_weekday_counts_from_monday() -> None:
    flights = small_year(per_month=7)
    rows = prepared(flights)
    dates = pd.to_datetime(flights.dropna(subset=["arr_delay"])[["year", "month", "day"]])
    assert list(rows["weekday"]) == [date.weekday() for date in dates]


def test_planes_that_are_not_in_the_register_stay_unknown() -> None:
    flights = small_year()
    rows = prepared(flights)
    known = flights.dropna(subset=["arr_delay"])["tailnum"].isin(["N0", "N1", "N2"]).to_numpy()
    assert (rows["plane_known"].to_numpy() == known).all()
    assert rows.loc[~known, "seats"].isna().all()
    assert set(rows["plane_age"].dropna()) == {13.0, 3.0}


def test_weather_is_that_of_the_origin_at_the_scheduled_hour() -> None:
    flights = small_year()
    weather = weather_of(flights)
    rows = preprocess.prepare(flights, weather, planes())
    by_place = weather.set_index(["origin", "time_hour"])["temp"]
    arrived = flights.dropna(subset=["arr_delay"])
    wanted = [by_place[origin, hour] for origin, hour in zip(arrived["origin"], arrived["time_hour"], strict=True)]
    assert list(rows["temp"]) == wanted


def test_encodings_come_from_the_training_months_alone() -> None:
    rows = prepared()
    before = preprocess.fit_encodings(preprocess.split_by_time(rows)["train"])
    rows.loc[rows["month"] > 9, preprocess.LABEL] += 1000.0
    assert preprocess.fit_encodings(preprocess.split_by_time(rows)["train"]) == before


def test_an_encoding_is_the_smoothed_mean() -> None:
    train = prepared()
    train = train[train["month"] <= 9]
    group = train[train["carrier"] == "UA"]["arr_delay"]
    smoothing, overall = preprocess.SMOOTHING, train["arr_delay"].mean()
    wanted = (group.sum() + smoothing * overall) / (len(group) + smoothing)
    assert preprocess.fit_encodings(train)["carrier_mean"]["UA"] == pytest.approx(wanted, abs=1e-5)


def test_a_training_row_does_not_see_its_own_months_labels() -> None:
    train = preprocess.split_by_time(prepared())["train"]
    changed = train.copy()
    changed.loc[changed["month"] == 4, preprocess.LABEL] += 500.0
    names = [preprocess.encoding_name(columns) for columns in preprocess.ENCODED]
    april = preprocess.encode_training_rows(train).query("month == 4")[names]
    april_changed = preprocess.encode_training_rows(changed).query("month == 4")[names]
    pd.testing.assert_frame_equal(april, april_changed)
    may = preprocess.encode_training_rows(train).query("month == 5")[names]
    assert not may.equals(preprocess.encode_training_rows(changed).query("month == 5")[names])


def test_a_group_that_training_never_saw_gets_the_overall_mean() -> None:
    rows = prepared()
    encodings = preprocess.fit_encodings(rows[rows["month"] <= 9])
    later = rows[rows["month"] == 12].copy()
    later["carrier"] = "ZZ"
    assert set(preprocess.encode(later, encodings, overall=4.25)["carrier_mean"]) == {4.25}


def test_the_job_writes_what_the_other_jobs_read(tmp_path) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    flights = small_year()
    flights.to_csv(
        source / "flights.csv.zip", index=False, compression={"method": "zip", "archive_name": "flights.csv"}
    )
    weather_of(flights).to_csv(source / "weather.csv", index=False)
    planes().to_csv(source / "planes.csv", index=False)
    preprocess.main(["--input", str(source), "--output", str(target)])

    facts = json.loads((target / "features" / "features.json").read_text())
    assert facts["features"] == list(preprocess.FEATURES)
    assert facts["rows"] == {"train": 9 * 39, "validation": 39, "test": 2 * 39}
    assert facts["without_arrival"] == 12
    arrived = flights.dropna(subset=["arr_delay"])
    for name, months in facts["months"].items():
        table = pd.read_csv(target / name / f"{name}.csv", header=None)
        assert table.shape == (facts["rows"][name], 1 + len(preprocess.FEATURES))
        wanted = arrived[arrived["month"].isin(months)]["arr_delay"]
        assert np.allclose(sorted(table[0]), sorted(wanted))
    assert facts["train_mean"] == pytest.approx(arrived[arrived["month"] <= 9]["arr_delay"].mean())
