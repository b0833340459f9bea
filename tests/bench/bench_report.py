"""The table for people, and the same as JSON."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import psutil
from bench_measure import Result
from rich.console import Console
from rich.table import Table

_PACKAGES = ("mlparity", "mlflow", "moto", "kfp", "boto3", "scikit-learn", "sagemaker")


def machine() -> dict[str, Any]:
    """The machine's class, and how busy it is."""
    return {
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "cpu": _cpu_name(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load_average": [round(value, 2) for value in os.getloadavg()],
    }


def document(results: Sequence[Result], started: datetime, before: dict[str, Any]) -> dict[str, Any]:
    """Everything measured, samples included."""
    return {
        "started": started.isoformat(timespec="seconds"),
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": before,
        "load_average_at_end": machine()["load_average"],
        "packages": {name: found for name in _PACKAGES if (found := _version(name))},
        "results": [_as_json(result) for result in results],
    }


def show(results: Sequence[Result], about: dict[str, Any]) -> None:
    """Print the table to standard output."""
    load = " ".join(str(value) for value in about["load_average"])
    title = f"{about['cpus']} cores ({about['cpu']}), {about['memory_gib']} GiB, Python {about['python']}, load {load}"
    table = Table(title=title, title_justify="left", pad_edge=False)
    for name, justify in (
        ("what", "left"), ("mlparity", "right"), ("min..max", "right"), ("peer", "left"), ("its median", "right"),
        ("ratio", "right"), ("budget", "right"), ("kept", "left"),
    ):  # fmt: skip
        table.add_column(name, justify=justify, no_wrap=name not in {"what", "peer"})  # type: ignore[arg-type]
    bench = ""
    for result in results:
        if bench and result.bench != bench:
            table.add_section()
        bench = result.bench
        for row in _rows(result):
            table.add_row(*row)
    Console(width=None if Console().is_terminal else 140).print(table)


def _rows(result: Result) -> list[list[str]]:
    ours = [
        result.what,
        _number(result.median, result.unit),
        f"{_plain(min(result.ours))}..{_plain(max(result.ours))}" if len(result.ours) > 1 else "",
    ]
    absolute = [budget for budget in result.budgets if not budget.peer]
    lines: list[list[str]] = []
    for name in result.peers or ("",):
        budgets = [budget for budget in result.budgets if budget.peer == name] if name else []
        limits = [f"{'>=' if result.more_is_better else '<='} {budget.limit:.3g} x" for budget in budgets]
        if not lines:  # a limit of our own stands in the first line
            budgets += absolute
            limits += [f"<= {_number(budget.limit, result.unit)}" for budget in absolute]
        kept = _kept([result.meets(budget) for budget in budgets])
        theirs = [_number(result.peer_median(name), result.unit), f"{result.ratio(name):.3g} x"] if name else ["", ""]
        lines.append([name or result.note, *theirs, ", ".join(limits), kept])
    return [[*(ours if index == 0 else ["", "", ""]), *line] for index, line in enumerate(lines)]


def _kept(outcomes: Sequence[bool]) -> str:
    return "" if not outcomes else "yes" if all(outcomes) else "NO"


def _number(value: float, unit: str) -> str:
    return f"{_plain(value)} {unit}"


def _plain(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _as_json(result: Result) -> dict[str, Any]:
    return {
        "bench": result.bench,
        "what": result.what,
        "unit": result.unit,
        "more_is_better": result.more_is_better,
        "median": result.median,
        "samples": list(result.ours),
        "peers": {
            name: {"median": statistics.median(samples), "ratio": result.ratio(name), "samples": list(samples)}
            for name, samples in result.peers.items()
        },
        "budgets": [
            {"limit": budget.limit, "of": budget.peer or result.unit, "kept": result.meets(budget)}
            for budget in result.budgets
        ],
        "note": result.note,
    }


def _cpu_name() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:  # noqa: PTH123 - one read
            for line in lines:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
