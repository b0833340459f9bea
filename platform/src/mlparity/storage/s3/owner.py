"""The canonical user that owns everything here."""

from __future__ import annotations

import hashlib
from functools import cache


@cache
def owner_id(account_id: str) -> str:
    """A canonical user id: 64 hex characters, always the same for an account."""
    return hashlib.sha256(f"mlparity canonical user {account_id}".encode()).hexdigest()
