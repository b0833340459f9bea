"""Splits a table, as a user of a processor writes it."""

import argparse
from pathlib import Path

import numpy as np

parser = argparse.ArgumentParser()
parser.add_argument("--share", type=float)
share = parser.parse_args().share
base = Path("/opt/ml/processing")
content = np.loadtxt(next((base / "input/data").glob("*.csv")), delimiter=",")
cut = int(len(content) * share)
for name, part in (("train", content[:cut]), ("test", content[cut:])):
    np.savetxt(base / name / "part.csv", part, delimiter=",", fmt="%.17g")
print(f"split {len(content)} rows at {cut}")
