"""The values of the registry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class ModelGroup:
    """A line of versions of one model."""

    api: str
    name: str
    description: str
    last_version: int
    request: Mapping[str, Any]  # the vendor's create request
    created_at: datetime


@dataclass(frozen=True)
class ModelVersion:
    """One version of a group. Version 0 is the vendor's unversioned model called ``group_name``, of no group."""

    api: str
    group_name: str
    version: int
    approval: str  # the vendor's word
    approval_description: str
    request: Mapping[str, Any]
    created_at: datetime
    modified_at: datetime


@dataclass(frozen=True)
class Approval:
    """One change of a version's approval: who, when, from what to what."""

    before: str
    after: str
    actor: str
    comment: str
    at: datetime
