"""The one database: what exists, what runs, and what happened.

SQLite (WAL) embedded; the schema and statements keep to what Postgres also takes.
"""

from mlparity.state.database import Database

__all__ = ["Database"]
