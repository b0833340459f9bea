"""Which local runtime stands for a container image: ``stacks/runtimes.yaml``, validated."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mlparity.engine.process import Runtime
from mlparity.errors import ConfigurationError, RuntimeUnavailableError


class _Runtime(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["host", "builtin", "venv", "container"]
    module: str = ""
    preload: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    python: str = ""
    requirements: tuple[str, ...] = ()  # kind venv: what is installed in it
    image: str = ""  # kind container: another image than the one asked for
    python_version: str = Field("", pattern=r"^(3\.1[1-9])?$")  # kind venv; warm workers need 3.11 or newer

    @model_validator(mode="after")
    def _members_go_with_the_kind(self) -> _Runtime:
        if self.kind == "builtin" and not self.module:
            raise ValueError("kind `builtin` needs a `module`")
        if self.module and self.kind not in {"builtin", "venv"}:
            raise ValueError("`module` goes with the kinds `builtin` and `venv`, and with no other")
        if bool(self.requirements) is not (self.kind == "venv"):
            raise ValueError("`requirements` goes with kind `venv`, and with no other")
        return self


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    image: str = Field(min_length=1)
    runtime: str


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1]
    preloads: dict[str, tuple[str, ...]] = {}  # only a place for YAML anchors
    runtimes: dict[str, _Runtime] = {}
    exact_images: tuple[_Line, ...] = ()  # come first where the profile asks for exact runtimes
    images: tuple[_Line, ...]

    @model_validator(mode="after")
    def _lines_name_runtimes(self) -> _File:
        for line in (*self.images, *self.exact_images):
            if line.runtime not in self.runtimes:
                raise ValueError(f"the line of image {line.image!r} names no runtime of this file: {line.runtime!r}")
        return self


@dataclass(frozen=True)
class RuntimeMap:
    """Image pattern -> runtime, in the order of the file."""

    path: Path
    lines: Sequence[tuple[str, Runtime]]

    @classmethod
    def load(cls, path: Path, *, own: Path | None = None, exact: bool = False) -> RuntimeMap:
        """Read and validate ``path``; the lines of ``own`` (a person's file, if it exists) come first.

        ``exact`` puts the lines of ``exact_images`` before the others. Raises ``ConfigurationError`` naming the
        file and the entry.
        """
        lines: list[tuple[str, Runtime]] = []
        for source in ([own] if own is not None and own.exists() else []) + [path]:
            content = _read(source)
            runtimes = {name: _as_runtime(name, entry) for name, entry in content.runtimes.items()}
            chosen = (*(content.exact_images if exact else ()), *content.images)
            lines += [(line.image, runtimes[line.runtime]) for line in chosen]
        return cls(path, tuple(lines))

    @property
    def runtimes(self) -> Mapping[str, Runtime]:
        """The runtimes that some image maps to, by name."""
        return {runtime.name: runtime for _, runtime in self.lines}

    def resolve(self, image: str) -> Runtime:
        """The runtime of the first pattern that matches ``image``. Raises ``RuntimeUnavailableError`` if none does."""
        for pattern, runtime in self.lines:
            if fnmatch.fnmatchcase(image, pattern):
                return replace(runtime, image=runtime.image or image) if runtime.kind == "container" else runtime
        raise RuntimeUnavailableError(
            f"no local runtime stands for the image {image}",
            f"no pattern in {self.path} matches it",
            f'add a line under `images:` there, for example: - {{image: "{_suggestion(image)}", runtime: host}}',
        )


def _read(path: Path) -> _File:
    import yaml

    try:
        return _File.model_validate(yaml.safe_load(path.read_text("utf-8")))
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read", error.strerror or str(error), "it maps images to local runtimes"
        ) from error
    except (yaml.YAMLError, ValidationError) as error:
        raise ConfigurationError(f"{path} is not a valid runtime map", _reason(error), "correct it") from error


def _as_runtime(name: str, entry: _Runtime) -> Runtime:
    return Runtime(name, **entry.model_dump())


def _suggestion(image: str) -> str:
    """The image with any registry and any tag: "*/name:*"."""
    registry, slash, rest = image.rpartition("/")
    name = rest.partition("@")[0].partition(":")[0]
    return f"*/{name}:*" if slash and registry else f"{name}:*"


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors())
    return str(error)
