"""A pipeline's processing script: writes a table of a constant, and says what it was told."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path


def main() -> None:
    value, rows, *rest = sys.argv[1:]
    output = Path("/opt/ml/processing/table")
    lines = [f"{float(value) + index},{index},{index * index}" for index in range(int(rows))]
    (output / "table.csv").write_text("\n".join(lines) + "\n")
    seen = {"arguments": rest, "job": os.environ["PROCESSING_JOB_NAME"], "flag": os.environ.get("FLAG")}
    Path("/opt/ml/processing/seen/seen.json").write_text(json.dumps(seen))


if __name__ == "__main__":
    main()
