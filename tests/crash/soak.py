"""``make soak``: episodes with one seed after another until SOAK_SECONDS are over; SOAK_SEED repeats one.

Not collected by ``make test``, which runs the short form.
"""

from __future__ import annotations

import os
import secrets
import sys
import time
from pathlib import Path

import pytest

from tests.crash.episode import Episode


@pytest.mark.timeout(0)
def test_soak(tmp_path: Path) -> None:
    fixed = os.environ.get("SOAK_SEED")
    deadline = time.monotonic() + float(os.environ.get("SOAK_SECONDS") or 900)
    failed = []
    while True:
        seed = int(fixed) if fixed else secrets.randbelow(1_000_000)
        begun = time.monotonic()
        outcome = Episode(tmp_path / str(seed), seed, float(os.environ.get("SOAK_EPISODE") or 40)).run()
        verdict = "FAILED" if outcome.problems else "ok"
        sys.stderr.write(f"{verdict} in {time.monotonic() - begun:.0f} s: {outcome}\n")
        if outcome.problems:
            failed.append(seed)
        if fixed or time.monotonic() > deadline:
            break
    assert not failed, f"make soak SOAK_SEED={failed[0]} repeats it; the data folder stays in {tmp_path}"
