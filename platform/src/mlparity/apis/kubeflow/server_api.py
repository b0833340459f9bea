"""The API's routes and messages, read out of the installed ``kfp_server_api``.

The generated client carries every path, parameter, type and enum of the vendor's OpenAPI document. Its files are read
as text (a few milliseconds): importing it costs a tenth of a second and megabytes in the control plane's process.
"""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from mlparity.errors import MissingDependencyError

_PACKAGE = "kfp_server_api"
_METHOD = re.compile(r"^    def (\w+)_with_http_info\(", re.MULTILINE)
_CALL = re.compile(r"call_api\(\s*'([^']+)', '([A-Z]+)',")
_RESPONSE = re.compile(r"response_type='([^']+)'")
_PATH = re.compile(r"path_params\['([^']+)'\] = local_var_params\['([^']+)'\]")
_QUERY = re.compile(r"query_params\.append\(\('([^']+)', local_var_params\['([^']+)'\]\)\)")
_BODY = re.compile(r"body_params = local_var_params\['([^']+)'\]")
_FILE = re.compile(r"local_var_files\['([^']+)'\]")
_TYPE = re.compile(r":type (\w+): (\S+)")
_TYPES = re.compile(r"openapi_types = (\{.*?\})", re.DOTALL)
_JSON_NAMES = re.compile(r"attribute_map = (\{.*?\})", re.DOTALL)
_CLASS = re.compile(r"^class (\w+)\(object\):", re.MULTILINE)
_ENUM = re.compile(r"^    [A-Z][A-Z0-9_]* = \"([A-Z0-9_]+)\"$", re.MULTILINE)


@dataclass(frozen=True)
class Route:
    """One operation. ``query`` maps a parameter's wire name to its type; ``body`` is its message's type, "" for none.

    ``path`` has its parameters in braces: ``/apis/v2beta1/runs/{run_id}:archive``. ``file`` is the form field of an
    upload.
    """

    name: str  # "RunService.ArchiveRun"
    method: str
    path: str
    query: Mapping[str, str]
    body: str
    file: str
    response: str

    @property
    def pattern(self) -> re.Pattern[str]:
        """What a request's path must match whole; the groups are ``path_parameters``, in order."""
        parts = re.split(r"\{[^}]+\}", self.path)
        return re.compile(r"([^/:]+)".join(re.escape(part) for part in parts))

    @property
    def path_parameters(self) -> tuple[str, ...]:
        """The names in the path, in order."""
        return tuple(re.findall(r"\{([^}]+)\}", self.path))


@dataclass(frozen=True)
class Model:
    """A message: the type of every field by its JSON name; or an enum: its values."""

    name: str
    fields: Mapping[str, str]
    values: tuple[str, ...]


@dataclass(frozen=True)
class ServerApi:
    """Every operation by name, every message and enum by type."""

    routes: Mapping[str, Route]
    models: Mapping[str, Model]


@lru_cache(maxsize=1)
def server_api() -> ServerApi:
    """The installed package's API. Raises ``MissingDependencyError``."""
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise MissingDependencyError(
            "the Kubeflow Pipelines API cannot be served",
            f"{_PACKAGE}, whose routes and types it follows, is not installed",
            "install mlparity[kubeflow]",
        )
    root = Path(spec.origin).parent
    routes = [route for file in sorted((root / "api").glob("*_api.py")) for route in _routes(file.read_text())]
    models = [_model(file.read_text()) for file in sorted((root / "models").glob("[!_]*.py"))]
    return ServerApi({route.name: route for route in routes}, {model.name: model for model in models})


def _routes(source: str) -> list[Route]:
    found = _CLASS.search(source)
    if found is None:
        return []
    service = found[1].removesuffix("Api")
    starts = [*_METHOD.finditer(source)]
    ends = [*(match.start() for match in starts[1:]), len(source)]
    return [_route(service, match[1], source[match.start() : end]) for match, end in zip(starts, ends, strict=True)]


def _route(service: str, method: str, source: str) -> Route:
    call, response, body, file = (
        _CALL.search(source),
        _RESPONSE.search(source),
        _BODY.search(source),
        _FILE.search(source),
    )
    if call is None:
        raise ValueError(f"{_PACKAGE}: {method} calls nothing")
    types = dict(_TYPE.findall(source))
    prefix = re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", service).lower() + "_"
    words = method.removeprefix(prefix).split("_")
    return Route(
        name=f"{service}.{''.join(word.capitalize() for word in words)}",
        method=call[2],
        path=call[1],
        query={wire: types.get(python, "str") for wire, python in _QUERY.findall(source)},
        body=types.get(body[1], "") if body else "",
        file=file[1] if file else "",
        response=response[1] if response else "object",
    )


def _model(source: str) -> Model:
    found, types, names = _CLASS.search(source), _TYPES.search(source), _JSON_NAMES.search(source)
    if found is None or types is None or names is None:
        raise ValueError(f"{_PACKAGE}: a model without a class or types")
    by_python: dict[str, str] = ast.literal_eval(types[1])
    json_names: dict[str, str] = ast.literal_eval(names[1])
    values = tuple(_ENUM.findall(source)) if not by_python else ()
    return Model(found[1], {json_names[name]: kind for name, kind in by_python.items()}, values)
