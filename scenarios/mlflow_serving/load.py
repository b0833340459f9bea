"""Requests while something happens: a bounded number at a time, none tried twice, every answer looked at."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import boto3
import pandas as pd
from botocore.config import Config

from mlparity.scenarios import Platform
from scenarios.mlflow_serving.contract import Predictions, forms, invoke

_THREADS = 3
_PAUSE_SECONDS = 0.03  # each thread's, between two requests
_PATIENCE_SECONDS = 30.0


@dataclass
class Answers:
    """Who answered how often: a version's number, or what went wrong."""

    count: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def wait_for(self, number: str, count: int) -> bool:
        """Wait until the version has answered ``count`` times; False where it has not in time."""
        with self.changed:
            return self.changed.wait_for(lambda: self.count[number] >= count, _PATIENCE_SECONDS)

    def text(self) -> str:
        """In words."""
        shares = ", ".join(f"{count} by version {who}" for who, count in sorted(self.count.items()))
        return f"{self.count.total()} requests answered ({shares}), {len(self.failed)} failed"


@contextmanager
def under_load(platform: Platform, flights: pd.DataFrame, expected: dict[str, Predictions]) -> Iterator[Answers]:
    """Ask the endpoint all the time; ``expected`` says by version's number what a right answer is."""
    session: Any = boto3.Session(region_name=platform.region)
    config = Config(retries={"total_max_attempts": 1}, max_pool_connections=_THREADS, read_timeout=20)
    runtime = session.client("sagemaker-runtime", config=config)  # a client may be shared by threads
    answers, stop = Answers(), threading.Event()
    content_type, body = forms(flights)["dataframe_split"]

    def ask() -> None:
        while not stop.wait(_PAUSE_SECONDS):
            try:
                said = invoke(runtime, content_type, body)
                who = next((number for number, right in expected.items() if right == said), "")
                wrong = "" if who else f"no version says {said[:1]}"
            except Exception as error:  # noqa: BLE001 - whatever it is, the request failed
                who, wrong = "", f"{type(error).__name__}: {error}"
            with answers.changed:
                answers.count.update([who] if who else [])
                answers.failed.extend([wrong] if wrong else [])
                answers.changed.notify_all()

    with ThreadPoolExecutor(_THREADS) as pool:
        workers = [pool.submit(ask) for _ in range(_THREADS)]
        try:
            yield answers
        finally:
            stop.set()
    for worker in workers:
        worker.result()
