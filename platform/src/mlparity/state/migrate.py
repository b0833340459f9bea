"""Schema migrations: Alembic does the work, and is imported only where there is work."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import inspect, text

from mlparity.errors import DataFolderError

if TYPE_CHECKING:
    from mlparity.state.database import Database

# The newest revision under migrations/versions; a test holds the two together.
HEAD = "0001"
MIGRATIONS = Path(__file__).parent / "migrations"


def upgrade(database: Database) -> None:
    """Bring the schema to ``HEAD``. Raises ``DataFolderError`` for a schema newer than this version knows."""
    current = revision(database)
    if current == HEAD:
        return
    from alembic import command
    from alembic.script import ScriptDirectory

    config = alembic_config(database.url)
    if current is not None:
        known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
        if current not in known:
            raise DataFolderError(
                "the data folder was written by a newer mlparity",
                f"its schema is {current}; this version knows up to {HEAD}",
                "upgrade mlparity, or point MLPARITY_DATA_DIR at another folder",
            )
    with database.engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, HEAD)
        connection.commit()


def revision(database: Database) -> str | None:
    """The schema revision of the database; None where it is empty."""
    with database.engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def alembic_config(url: str):  # type: ignore[no-untyped-def]  # Alembic must not be imported for an annotation
    """The Alembic configuration, made in code: there is no ini file to find."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    return config
