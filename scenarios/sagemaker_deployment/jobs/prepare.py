"""Processing: the flights of two spans of days, as XGBoost's built-in container reads them (label first, no header)."""

from __future__ import annotations

import argparse
from pathlib import Path

from features import FEATURES, TARGET, flights_between  # type: ignore[import-not-found]  # in the job: PYTHONPATH

_ROOT = Path("/opt/ml/processing")


def main() -> None:
    """Write train/train.csv, test/test.csv, and baseline/baseline.csv with a header for the monitor."""
    parser = argparse.ArgumentParser()
    for name in ("--train-from", "--train-to", "--test-from", "--test-to"):
        parser.add_argument(name, required=True)
    days = parser.parse_args()
    source = _ROOT / "input" / "data"
    train = flights_between(source, days.train_from, days.train_to)
    test = flights_between(source, days.test_from, days.test_to)
    for name, table in (("train", train), ("test", test)):
        if table.empty:
            raise SystemExit(f"there are no flights for {name}: {vars(days)}")
        folder = _ROOT / name
        folder.mkdir(parents=True, exist_ok=True)
        table[[TARGET, *FEATURES]].to_csv(folder / f"{name}.csv", index=False, header=False)
    baseline = _ROOT / "baseline"
    baseline.mkdir(parents=True, exist_ok=True)
    # The monitor reads a captured request as its answer followed by its features: so does its baseline.
    train[[TARGET, *FEATURES]].to_csv(baseline / "baseline.csv", index=False)
    print(f"train {len(train)} flights, test {len(test)} flights")


if __name__ == "__main__":
    main()
