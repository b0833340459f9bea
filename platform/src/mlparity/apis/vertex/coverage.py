"""What of Vertex is served, by the installed package's own list of methods and the operation table."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from mlparity.apis.vertex.operations_table import BY_NAME
from mlparity.errors import MissingDependencyError

State = Literal["works", "partial", "absent"]
# Beside the methods of the package's services: those that every service of Google's has.
_SHARED = (
    *("Locations.GetLocation", "Locations.ListLocations"),
    *(f"Operations.{verb}Operation" for verb in ("Get", "Wait", "Cancel", "Delete")),
    "Operations.ListOperations",
    *(f"IAMPolicy.{verb}" for verb in ("GetIamPolicy", "SetIamPolicy", "TestIamPermissions")),
)


def coverage() -> Iterator[tuple[str, State, str]]:
    """Every method of v1 ("EndpointService.CreateEndpoint"), its state, and what of it is refused.

    Methods that only v1beta1 has come with a note. Raises ``MissingDependencyError`` without google-cloud-aiplatform.
    """
    v1 = {*_methods("v1"), *_SHARED}
    beta = set(_methods("v1beta1"))
    for name in sorted(v1 | (beta & BY_NAME.keys())):
        operation = BY_NAME.get(name)
        if operation is None:
            yield name, "absent", ""
            continue
        notes = (operation.partial, "" if name in v1 else "v1beta1 only")
        yield name, "partial" if operation.partial else "works", "; ".join(filter(None, notes))


def _methods(version: str) -> Iterator[str]:
    """The methods of one version, read from the package's list without importing it."""
    try:
        found = find_spec(f"google.cloud.aiplatform_{version}")
    except ModuleNotFoundError:
        found = None
    if found is None or found.origin is None:
        package = "google-cloud-aiplatform"
        raise MissingDependencyError(f"{package} is not installed", "it lists the methods", f"pip install {package}")
    listed = json.loads(Path(found.origin).with_name("gapic_metadata.json").read_text(encoding="utf-8"))
    for service, entry in listed["services"].items():
        yield from (f"{service}.{method}" for method in entry["clients"]["grpc"]["rpcs"])
