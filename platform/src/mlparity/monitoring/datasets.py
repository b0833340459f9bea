"""The dataset that an analysis looks at, as a frame, from each ``dataset_format`` of the analyzer's contract."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlparity.monitoring import captured, scripts
from mlparity.monitoring.captured import Capture
from mlparity.monitoring.errors import CustomerError

if TYPE_CHECKING:
    import pandas as pd

CAPTURE = "sagemakerCaptureJson"
Window = tuple[datetime | None, datetime | None]


def read_table(folder: Path, form: Mapping[str, Any]) -> pd.DataFrame:
    """Every file under ``folder`` in one frame. ``form`` is {"csv": {...}}, {"json": {...}} or {"parquet": {}}.

    Raises ``CustomerError``.
    """
    import pandas as pd

    ((kind, options),) = form.items() if len(form) == 1 else (("", {}),)
    reader = {"csv": _read_csv, "json": _read_json, "parquet": _read_parquet}.get(kind)
    if reader is None:
        raise CustomerError(f"dataset_format must be one of csv, json, parquet and {CAPTURE}, not {json.dumps(form)}")
    if folder.is_file():
        files = [folder]
    else:
        files = sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size)
    if not files:
        raise CustomerError(f"There is no data in {folder}")
    try:
        frames = [reader(path, options or {}) for path in files]
    except CustomerError:
        raise
    except (ValueError, UnicodeDecodeError) as error:
        raise CustomerError(f"The dataset is no {kind}: {error}") from error
    return pd.concat(frames, ignore_index=True)


def _read_csv(path: Path, options: Mapping[str, Any]) -> pd.DataFrame:
    import pandas as pd

    header = 0 if _true(options.get("header")) else None
    frame = pd.read_csv(path, header=header, dtype=str, keep_default_na=False, na_values=[""], skipinitialspace=True)
    if header is None:
        frame.columns = pd.Index([f"_c{index}" for index in range(frame.shape[1])])
    return frame


def _read_json(path: Path, options: Mapping[str, Any]) -> pd.DataFrame:
    text = path.read_text("utf-8")
    lines = _true(options.get("line", options.get("lines", True)))
    values = captured.json_values(text) if lines else json.loads(text)
    return frame_of(captured.flat_records(values if isinstance(values, list) else [values], "The dataset"))


def _read_parquet(path: Path, options: Mapping[str, Any]) -> pd.DataFrame:  # noqa: ARG001 - the readers' form
    import pandas as pd

    return pd.read_parquet(path)


def _true(value: object) -> bool:
    return value is True or str(value).lower() == "true"


def in_window(captures: Iterable[Capture], window: Window) -> list[Capture]:
    """Those of the window (from its start, before its end); a capture without a time is kept."""
    start, end = window
    return [
        capture
        for capture in captures
        if (at := capture.time) is None or ((start is None or at >= start) and (end is None or at < end))
    ]


def capture_rows(
    captures: Iterable[Capture], preprocessor: Path | None, *, output_first: bool = True
) -> list[dict[str, Any]]:
    """The rows of captured invocations, by the user's script where there is one. Raises ``CustomerError``."""
    make: Callable[[Capture], list[dict[str, Any]]] = partial(captured.rows, output_first=output_first)
    if preprocessor is not None:
        function = scripts.handler(preprocessor, "preprocess_handler")

        def make(capture: Capture) -> list[dict[str, Any]]:
            return scripts.preprocess(function, capture)

    return [row for capture in captures for row in make(capture)]


def capture_frame(rows: Sequence[Mapping[str, Any]], baseline_names: Sequence[str]) -> pd.DataFrame:
    """Rows of captured invocations as a frame.

    Columns known by their position alone (CSV has no names) get the baseline's names in the baseline's order, as the
    analyzer does; more of them are called ``_c5`` and so on.
    """
    frame = frame_of(rows)
    if frame.shape[1] and all(str(name).isdigit() for name in frame.columns):
        frame = frame[sorted(frame.columns, key=lambda name: int(str(name)))]
        frame.columns = type(frame.columns)([f"_c{index}" for index in range(frame.shape[1])])
    return named(frame, baseline_names)


def named(frame: pd.DataFrame, baseline_names: Sequence[str]) -> pd.DataFrame:
    """A frame whose columns have no names of their own (``_c0``, ``_c1``, ...) with the baseline's, in its order."""
    positions = [f"_c{index}" for index in range(frame.shape[1])]
    if list(frame.columns) == positions:
        frame.columns = type(frame.columns)([*baseline_names[: len(positions)], *positions[len(baseline_names) :]])
    return frame


def frame_of(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows as a frame whose cells keep their own kinds: 5 stays 5 beside a missing value."""
    import pandas as pd

    names = list(dict.fromkeys(name for row in rows for name in row))
    return pd.DataFrame({name: pd.Series([row.get(name) for row in rows], dtype=object) for name in names})
