"""Resource names: ``projects/{project}/locations/{location}/endpoints/{endpoint}``."""

from __future__ import annotations

import hashlib
import re

from mlparity.ids import IdSource

_LOCATION = re.compile(r"projects/[^/]+/locations/[^/]+")
_DIGITS = 19  # of the ids that Vertex makes


def location_of(name: str) -> str:
    """``projects/p/locations/l`` of any resource's name ("" where it has none)."""
    found = _LOCATION.match(name)
    return found[0] if found else ""


def project_of(name: str) -> str:
    """The project's id in a resource's name."""
    return name.split("/")[1] if name.startswith("projects/") else ""


def region_of(name: str) -> str:
    """The location's id in a resource's name: "us-central1"."""
    return location_of(name).rpartition("/")[2]


def parent_of(name: str) -> str:
    """What a resource belongs to: its name without the last collection and id."""
    return "/".join(name.split("/")[:-2])


def id_of(name: str) -> str:
    """The last part of a resource's name."""
    return name.rpartition("/")[2]


def new_id(ids: IdSource) -> str:
    """A numeric id as Vertex makes them."""
    number = int(hashlib.sha256(ids.uuid().encode()).hexdigest(), 16) % 10**_DIGITS
    return str(number).zfill(_DIGITS).replace("0", "1", 1) if number < 10 ** (_DIGITS - 1) else str(number)


def project_number(project: str) -> str:
    """A project's number, made from its id: twelve digits, always the same."""
    return str(10**11 + int(hashlib.sha256(project.encode()).hexdigest(), 16) % (9 * 10**11))
