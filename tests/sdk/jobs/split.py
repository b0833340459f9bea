"""A user's processing script: several inputs, several outputs, arguments, and an exit message."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

import pandas as pd

ROOT = Path("/opt/ml/processing")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--fraction", type=float, required=True)
    parser.add_argument("--label")
    given = parser.parse_args()
    table = pd.concat([pd.read_csv(path) for path in sorted((ROOT / "input" / "tables").rglob("*.csv"))])
    weights = json.loads((ROOT / "input" / "weights" / "weights.json").read_text())
    table["score"] = sum(table[column] * weight for column, weight in weights.items())
    cut = int(len(table) * given.fraction)
    table.iloc[:cut].to_csv(ROOT / "output" / "train" / "train.csv", index=False)
    (ROOT / "output" / "test" / "deep").mkdir()
    table.iloc[cut:].to_csv(ROOT / "output" / "test" / "deep" / "test.csv", index=False)
    seen = {"arguments": sys.argv[1:], "environment": dict(os.environ), "cwd": str(Path.cwd())}
    config = Path("/opt/ml/config")
    seen["config"] = {path.name: json.loads(path.read_text()) for path in config.iterdir()}
    (ROOT / "output" / "test" / "seen.json").write_text(json.dumps(seen))
    Path("/opt/ml/output/message").write_text(f"{len(table)} rows")
    print(f"rows={len(table)}", flush=True)


if __name__ == "__main__":
    main()
