"""An object of 5 GB, the most that one PUT may carry: up whole, up in parts, and down; and what the server held.

moto_server is no peer here: it would hold the object in memory. Where the disk has no room, a smaller one is moved.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from bench_measure import Budget, Options, Result, timed
from bench_sagemaker import client

from mlparity.testing.peak import forget_peak, peak
from mlparity.testing.stack import running_stack

_SIZE = 5 * 10**9
_ROOM = 3  # times the size: what is replaced goes after what replaces it
_CHUNK = 1 << 20
_BUDGET_MB = 64
_BUCKET, _KEY = "bench-large", "large"


def run(options: Options) -> list[Result]:
    """One round, whatever was asked for."""
    size = min(_SIZE, shutil.disk_usage(options.folder).free // _ROOM)
    source = options.folder / "source"
    with source.open("wb") as file:
        file.truncate(size)  # a hole: it costs the stack's disk only
    with running_stack(options.folder / "stack", mlflow=False) as stack:
        server = next(child.pid for child in stack.record().children if child.name == "control-plane")
        s3 = client("s3", stack.aws_url)
        s3.create_bucket(Bucket=_BUCKET)
        client("iam", stack.aws_url).list_roles()  # what the first requests import is not the object's
        ways = {"put whole": partial(_whole, s3, source), "put in parts": partial(_parts, s3, source)}
        results = []
        for way, action in [*ways.items(), ("get", partial(_download, s3, size))]:
            options.say(f"  {size / 1e9:.1f} GB, {way}")
            results += _measured(f"{size / 1e9:.1f} GB, {way}", server, size, action)
    return results


def _measured(what: str, server: int, size: int, action: Callable[[], None]) -> list[Result]:
    before = forget_peak(server)
    seconds = timed(action)
    grown = (peak(server) - before) / 1e6
    note = f"of {before / 1e6:.0f} MB before"
    return [
        Result("large_object", f"{what}: speed", "MB/s", [size / 1e6 / seconds], {}, more_is_better=True),
        Result("large_object", f"{what}: peak RSS grew by", "MB", [grown], {}, [Budget(_BUDGET_MB)], note=note),
    ]


def _whole(s3: Any, source: Path) -> None:
    with source.open("rb") as body:
        s3.put_object(Bucket=_BUCKET, Key=_KEY, Body=body)


def _parts(s3: Any, source: Path) -> None:
    s3.upload_file(str(source), _BUCKET, _KEY)


def _download(s3: Any, size: int) -> None:
    body = s3.get_object(Bucket=_BUCKET, Key=_KEY)["Body"]
    found = sum(len(piece) for piece in body.iter_chunks(_CHUNK))
    if found != size:
        raise RuntimeError(f"{found} bytes came back of {size}")
