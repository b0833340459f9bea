"""The data folder: its layout, and whether it can be used."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from mlparity.errors import DataFolderError
from mlparity.profiles.atomic_file import write_atomically
from mlparity.stack.damage import in_words

FORMAT = 1  # of the folder's layout; a newer one is refused
_ELSEWHERE = "choose another folder with --data-dir or MLPARITY_DATA_DIR"
_KEPT_LOGS = 3
_OURS = frozenset(
    {
        "gateway",
        "stack",
        "logs",
        "state",
        "client",
        "objects",
        "jobs",
        "scenarios",
        "mlparity.json",
        "joblogs",
        "scratch",
        "environments",
        "environments.lock",
        "kubernetes",
    }
)


@dataclass(frozen=True)
class DataFolder:
    """Paths in the data folder, and the checks before it is used."""

    path: Path

    @property
    def stack_dir(self) -> Path:
        """What the supervisor keeps about itself."""
        return self.path / "stack"

    @property
    def lock_path(self) -> Path:
        """Held by the supervisor for as long as it lives."""
        return self.stack_dir / "lock"

    @property
    def starting_path(self) -> Path:
        """Held by a shell while it starts a supervisor."""
        return self.stack_dir / "starting"

    @property
    def record_path(self) -> Path:
        """``stack.json``: what runs."""
        return self.stack_dir / "stack.json"

    @property
    def spec_path(self) -> Path:
        """What the supervisor was told to run."""
        return self.stack_dir / "spec.json"

    @property
    def logs_dir(self) -> Path:
        """Logs of the stack's own processes."""
        return self.path / "logs"

    def log_path(self, name: str) -> Path:
        """The log of one process of the stack."""
        return self.logs_dir / f"{name}.log"

    def prepare(self) -> None:
        """Make the folder and check it. Raises ``DataFolderError`` saying what is wrong with which file."""
        self._check_ours()
        try:
            for folder in (self.path, self.stack_dir, self.logs_dir, self.path / "state"):
                folder.mkdir(parents=True, exist_ok=True)
                with tempfile.TemporaryFile(dir=folder):
                    pass
        except OSError as error:
            raise DataFolderError(
                f"the data folder {self.path} cannot be written", error.strerror or str(error), _ELSEWHERE
            ) from error
        if not self._check_format():
            write_atomically(self.path / "mlparity.json", json.dumps({"format": FORMAT}) + "\n")
        self._check_databases()

    def inspect(self) -> None:
        """Look without touching: nothing, or a folder of this version's. Raises ``DataFolderError``."""
        self._check_ours()
        self._check_format()

    def rotate_log(self, name: str) -> Path:
        """Put the last start's log aside (three are kept) and return the path of the new one."""
        path = self.log_path(name)
        if path.exists() and path.stat().st_size:
            for number in range(_KEPT_LOGS, 0, -1):
                older = path.with_name(f"{path.name}.{number - 1}") if number > 1 else path
                if older.exists():
                    older.replace(path.with_name(f"{path.name}.{number}"))
        return path

    def _check_ours(self) -> None:
        """Refuse to settle in a folder that holds someone else's files."""
        try:
            names = {path.name for path in self.path.iterdir() if not path.name.startswith(".")}
        except FileNotFoundError:
            return
        except NotADirectoryError as error:
            raise DataFolderError(f"{self.path} is no folder", "a file has that name", _ELSEWHERE) from error
        except OSError as error:
            raise DataFolderError(
                f"the data folder {self.path} cannot be read", error.strerror or str(error), _ELSEWHERE
            ) from error
        if "mlparity.json" not in names and names - _OURS:
            raise DataFolderError(
                f"{self.path} is not a data folder of mlparity",
                f"it holds other files ({', '.join(sorted(names - _OURS)[:3])})",
                _ELSEWHERE,
            )

    def _check_format(self) -> bool:
        """Whether the marker is there. Raises ``DataFolderError`` where it is damaged or of another version."""
        path = self.path / "mlparity.json"
        try:
            found = json.loads(path.read_text(encoding="utf-8"))["format"]
        except FileNotFoundError:
            return False
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataFolderError(
                f"{path} is damaged", in_words(error), f"delete that file if the folder is mlparity's, or {_ELSEWHERE}"
            ) from error
        if found != FORMAT:
            raise DataFolderError(
                f"the data folder {self.path} has another layout",
                f"it is of format {found}; this version knows {FORMAT}",
                f"upgrade mlparity, or {_ELSEWHERE}",
            )
        return True

    def _check_databases(self) -> None:
        for name in ("mlparity.db", "mlflow.db"):
            path = self.path / "state" / name
            if not path.exists() or not path.stat().st_size:
                continue
            try:
                if not os.access(path, os.W_OK):
                    raise PermissionError(errno.EACCES, "it cannot be written")
                with closing(sqlite3.connect(path, timeout=5)) as connection:
                    connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            except (sqlite3.Error, OSError) as error:
                raise DataFolderError(
                    f"the database {path} cannot be used", _told(error), f"move the folder away, or {_ELSEWHERE}"
                ) from error


def _told(error: sqlite3.Error | OSError) -> str:
    return f"SQLite says: {error}" if isinstance(error, sqlite3.Error) else in_words(error)
