"""Keeping the vendor's SDK from talking over a scenario."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet() -> Iterator[None]:
    """Leave the terminal to the scenario: errors alone are logged.

    The SDK turns the root logger to INFO when it is imported, tells of each default it applies and each name it leaves
    to the service, and warns that a pipeline session starts no job, which is what a pipeline session is for.
    """
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Running within a PipelineSession", category=UserWarning)
            yield
    finally:
        logging.disable(before)
