"""Where the traceback of an unexpected error goes."""

from __future__ import annotations

import os
import tempfile
import traceback
from datetime import UTC, datetime
from pathlib import Path


def save_traceback(error: BaseException) -> Path:
    """Append the traceback to ``cli.log`` in the data folder, or in the temporary folder; the path."""
    text = "".join(traceback.format_exception(error))
    entry = f"{datetime.now(UTC).isoformat(timespec='seconds')}\n{text}\n"
    for folder in (_logs_dir(), Path(tempfile.gettempdir())):
        path = folder / ("cli.log" if folder.name == "logs" else f"mlparity-cli-{os.getuid()}.log")
        try:
            with path.open("a", encoding="utf-8") as log:
                log.write(entry)
        except OSError:
            continue
        return path
    return Path(os.devnull)


def _logs_dir() -> Path:
    """The data folder's, where it exists; nothing is created for an error."""
    from mlparity.profiles.locate import default_data_dir

    return Path(os.environ.get("MLPARITY_DATA_DIR") or default_data_dir()).expanduser() / "logs"
