"""Values by dotted key, layer over layer, each remembering where it came from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlparity.errors import ConfigurationError

_MAX_BYTES = 1_000_000


@dataclass(frozen=True)
class Origin:
    """Where a value came from."""

    kind: str  # "built-in" | "profile file" | "user file" | "environment" | "flag"
    place: str = ""  # the file, variable or flag

    def __str__(self) -> str:
        return f"{self.kind} {self.place}".strip()


BUILT_IN = Origin("built-in")


class Layers:
    """A nested mapping that grows by layers; the later layer wins, key by key."""

    def __init__(self) -> None:
        self._values: dict[str, tuple[Any, Origin]] = {}

    def put(self, key: str, value: Any, origin: Origin) -> None:
        """Set one dotted key. A value replaces the mapping that an earlier layer had there, and the reverse."""
        clashing = [known for known in self._values if known.startswith(f"{key}.") or key.startswith(f"{known}.")]
        for known in clashing:
            del self._values[known]
        self._values[key] = (value, origin)

    def put_mapping(self, mapping: Mapping[str, Any], origin: Origin) -> None:
        """Set every leaf of a nested mapping.

        Another provider for a role drops what earlier layers said about the old one.
        """
        leaves = dict(_leaves(mapping))
        for key, value in leaves.items():
            if key.endswith(".provider") and key in self._values and self._values[key][0] != value:
                role = key.removesuffix("provider")
                self._values = {known: kept for known, kept in self._values.items() if not known.startswith(role)}
        for key, value in leaves.items():
            self.put(key, value, origin)

    def get(self, key: str) -> Any:
        """The value in force; None where no layer set it."""
        return self._values.get(key, (None, BUILT_IN))[0]

    def origin(self, key: str) -> Origin:
        """Where the value in force (or the first one below ``key``) came from; built-in where no layer set it."""
        if key in self._values:
            return self._values[key][1]
        below = (origin for known, (_, origin) in self._values.items() if known.startswith(f"{key}."))
        return next(below, BUILT_IN)

    def nested(self) -> dict[str, Any]:
        """All values as nested dicts."""
        result: dict[str, Any] = {}
        for key, (value, _) in self._values.items():
            *parents, leaf = key.split(".")
            at = result
            for parent in parents:
                at = at.setdefault(parent, {})
            at[leaf] = value
        return result


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in the YAML file at ``path``. Raises ``ConfigurationError`` naming the file and line."""
    import yaml

    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ConfigurationError(f"{path} is too large for a profile", f"more than {_MAX_BYTES} bytes")
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "it cannot be read"
        raise ConfigurationError(f"{path}{line}: not valid YAML", str(problem), "correct the file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read", str(error), "check the file and its permissions") from error
    if not isinstance(document, dict):
        raise ConfigurationError(
            f"{path}: not a profile", "the file must hold keys and values", "see stacks/embedded.yaml"
        )
    return document


def flatten(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """Every leaf of a nested mapping by its dotted key."""
    return dict(_leaves(mapping))


def _leaves(mapping: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in mapping.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
