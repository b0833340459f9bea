"""A user's script that fails after it has logged something."""

from __future__ import annotations

import os

import mlflow


def main() -> None:
    mlflow.start_run()
    mlflow.log_metric("reached", 1.0)
    print("about to fail", flush=True)
    raise ValueError(f"the column {os.environ['MISSING']} is not in the data")


if __name__ == "__main__":
    main()
