"""What an analysis may say went wrong."""

from __future__ import annotations


class CustomerError(Exception):
    """Something in the data, the constraints or a script that its owner can mend."""
