"""moto in this process: loaded service by service, called as a WSGI application, seeded and dated from outside.

moto keeps everything in module globals, so everything here happens under one lock for the whole process, and two
runtimes in one process are kept apart by their account ids. It is given no network: HTTP deliveries are refused
before they reach it, and its events go through ``events`` of this package.
"""

from __future__ import annotations

import datetime as dt
import io
import json
import logging
import os
import sys
import threading
import time as real_time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, tzinfo
from types import ModuleType
from typing import Any
from urllib.parse import unquote

from mlparity.apis.aws.message import AwsError, AwsRequest, AwsResponse, unknown_operation, unsigned
from mlparity.apis.aws.table import ServiceEntry
from mlparity.clock import Clock

_LOG = logging.getLogger(__name__)
# moto's state belongs to the process, so its lock does too.
_LOCK = threading.RLock()
_MOMENT: list[datetime] = []  # what the time is for moto; empty: the real one

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Any]


class MotoRuntime:
    """The moto services of one account."""

    def __init__(self, account_id: str, clock: Clock) -> None:
        self._account_id = account_id
        self._clock = clock
        self._apps: dict[str, Wsgi] = {}
        self._operations: dict[str, frozenset[str]] = {}

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Make several calls one: nothing else uses moto meanwhile. Re-entrant."""
        with _LOCK:
            yield

    def load(self, entry: ServiceEntry) -> None:
        """Import the service and start it empty for this account. The first one takes most of a second."""
        with _LOCK:
            if entry.signing_name in self._apps:
                return
            _import_core()
            from moto import backends
            from moto.moto_server.werkzeug_app import create_backend_app

            app = create_backend_app(entry.moto)
            _install_clock()
            accounts = backends.get_backend(entry.moto)
            accounts.pop(self._account_id, None)
            _state(entry).pop(self._account_id, None)
            with _at(self._clock.now()):
                _seed(f"start of {entry.name}")  # what exists from the start keeps its ids, too
                regions = accounts[self._account_id]
                backend = regions["us-east-1"] if "us-east-1" in regions else regions["aws"]
            self._apps[entry.signing_name] = app.wsgi_app
            self._operations[entry.signing_name] = _implemented(entry, backend)

    def unload(self, entry: ServiceEntry) -> None:
        """Drop what the service holds for this account; the next ``load`` starts it empty."""
        with _LOCK:
            self._apps.pop(entry.signing_name, None)

    def backend(self, entry: ServiceEntry, region: str) -> Any:
        """Moto's own object for a service and a region ("aws" for the global ones). Use it inside ``exclusive()``."""
        return _state(entry)[self._account_id][region]

    def backends(self, entry: ServiceEntry) -> dict[str, Any]:
        """Moto's own objects by region: those that were used. Use them inside ``exclusive()``."""
        return dict(_state(entry)[self._account_id])

    def operations(self, entry: ServiceEntry) -> frozenset[str]:
        """What moto has of the service. Loads it."""
        self.load(entry)
        return self._operations[entry.signing_name]

    def call(
        self, entry: ServiceEntry, operation: str, request: AwsRequest, *, seed: str = "", at: datetime | None = None
    ) -> AwsResponse:
        """One call. ``seed`` and ``at`` decide the ids and times that moto makes.

        Raises ``AwsError`` where moto does not have the operation, or breaks on it.
        """
        self.load(entry)
        if operation not in self._operations[entry.signing_name]:
            raise unknown_operation(request, operation, "is not served by mlparity")
        with _LOCK, _at(at or self._clock.now()):
            if seed:
                _seed(seed)
            try:
                return _call_wsgi(self._apps[entry.signing_name], self._environ(request))
            except NotImplementedError:
                raise unknown_operation(request, operation, "is not served by mlparity") from None
            except Exception as error:
                _LOG.exception("moto failed on %s:%s", entry.name, operation)
                raise AwsError(
                    "InternalFailure",
                    f"{entry.name}:{operation} failed inside the local service: {type(error).__name__}: {error}",
                    500,
                ) from error

    def _environ(self, request: AwsRequest) -> dict[str, Any]:
        """The WSGI form of a request, signed for nobody: moto takes account and region from these headers."""
        kept = ("accept", "content-encoding", "content-type", "host", "x-amz-target")
        headers = {name: request.headers[name] for name in kept if name in request.headers}
        headers["x-moto-account-id"] = self._account_id
        headers["authorization"] = unsigned(request.scope())
        host = headers.setdefault("host", "127.0.0.1")
        name, _, port = host.partition(":")
        environ: dict[str, Any] = {
            "REQUEST_METHOD": request.method,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote(request.path).encode().decode("latin-1"),
            "RAW_URI": request.path,
            "QUERY_STRING": request.query,
            "CONTENT_LENGTH": str(len(request.body)),
            "SERVER_NAME": name,
            "SERVER_PORT": port or "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(request.body),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        for header, value in headers.items():
            variable = header.upper().replace("-", "_")
            environ[variable if variable == "CONTENT_TYPE" else f"HTTP_{variable}"] = value
        return environ


def _call_wsgi(app: Wsgi, environ: dict[str, Any]) -> AwsResponse:
    status: list[str] = []
    headers: dict[str, str] = {}

    def start_response(line: str, pairs: list[tuple[str, str]], _error: object = None) -> None:
        status.append(line)
        headers.update({name.lower(): value for name, value in pairs})

    parts = app(environ, start_response)
    try:
        body = b"".join(parts)
    finally:
        close = getattr(parts, "close", None)
        if close is not None:
            close()
    code = int(status[0].split(" ", 1)[0])
    kept = {name: value for name, value in headers.items() if not _is_transport(name)}
    return AwsResponse(code, body, kept)


def _is_transport(name: str) -> bool:
    # Cross-origin headers would invite web pages to read the answers of a local endpoint.
    return name in {"content-length", "connection", "server", "date", "status"} or name.startswith("access-control-")


def _import_core() -> None:
    from moto.core.config import default_user_config

    # It would put every call into another account than ours.
    os.environ.pop("MOTO_ACCOUNT_ID", None)

    # AmazonSageMakerFullAccess and the rest exist; about 0.1 s.
    default_user_config["iam"]["load_aws_managed_policies"] = True
    # Containers are never started from here.
    default_user_config["lambda"]["use_docker"] = False
    default_user_config["batch"]["use_docker"] = False


def _state(entry: ServiceEntry) -> Any:
    """Where moto keeps what a service holds, by account: elsewhere for Lambda as long as it has no containers."""
    from moto import backends

    if entry.moto == "awslambda":
        from moto.awslambda_simple.models import lambda_simple_backends

        return lambda_simple_backends
    return backends.get_backend(entry.moto)


def implemented_operations(entry: ServiceEntry) -> frozenset[str]:
    """What moto has of a service. Imports it."""
    from moto import backends

    with _LOCK:
        _import_core()
        regions = backends.get_backend(entry.moto)["000000000000"]
        return _implemented(entry, regions["us-east-1"] if "us-east-1" in regions else regions["aws"])


def _implemented(entry: ServiceEntry, backend: Any) -> frozenset[str]:
    from moto.core.utils import camelcase_to_underscores, get_service_model, method_names_from_class

    owners = {getattr(handler, "__self__", None) for handler in backend.flask_paths.values()} - {None}
    classes = {owner if isinstance(owner, type) else type(owner) for owner in owners}
    methods = {name for each in classes for name in method_names_from_class(each)}
    names = get_service_model(entry.name).operation_names
    return frozenset(name for name in names if camelcase_to_underscores(name) in methods)


def _seed(seed: str) -> None:
    from moto.moto_api._internal import mock_random

    mock_random.seed(seed)


# -- time ------------------------------------------------------------------------------------------------------


@contextmanager
def _at(moment: datetime) -> Iterator[None]:
    _MOMENT.append(moment)
    try:
        yield
    finally:
        _MOMENT.pop()


class _AnyDatetime(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, datetime)


class _Datetime(datetime, metaclass=_AnyDatetime):
    """``datetime.datetime``, but for the current time."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return _MOMENT[-1].astimezone(tz or UTC).replace(tzinfo=tz) if _MOMENT else datetime.now(tz)


class _DatetimeModule(ModuleType):
    """The ``datetime`` module, but for the current time."""

    datetime = _Datetime

    def __getattr__(self, name: str) -> Any:
        return getattr(dt, name)


class _TimeModule(ModuleType):
    """The ``time`` module, but for the current time."""

    @staticmethod
    def time() -> float:
        return _MOMENT[-1].timestamp() if _MOMENT else real_time.time()

    def __getattr__(self, name: str) -> Any:
        return getattr(real_time, name)


def _install_clock() -> None:
    """Give moto's modules our time. Its own helpers all end in these few names; modules not loaded are skipped."""
    clock_names: Mapping[tuple[str, str], Any] = {
        ("moto.core.utils", "datetime"): _DatetimeModule("datetime"),
        ("moto.cloudwatch.models", "datetime"): _Datetime,
        ("moto.ecr.models", "datetime"): _Datetime,
        ("moto.secretsmanager.models", "time"): _TimeModule("time"),
        ("moto.applicationautoscaling.models", "time"): _TimeModule("time"),
    }
    for (module, name), replacement in clock_names.items():
        if module in sys.modules:
            setattr(sys.modules[module], name, replacement)
    ecr = sys.modules.get("moto.ecr.models")
    if ecr is not None:
        ecr.Image.get_image_size_in_bytes = _image_size
    kms = sys.modules.get("moto.kms.models")
    if kms is not None:
        from moto.moto_api._internal import mock_random

        # Key material must come out the same after a replay, or what it encrypted is lost.
        kms.generate_master_key = lambda: mock_random.randbytes(32)  # type: ignore[attr-defined]


def _image_size(image: Any) -> int | None:
    """The compressed size of an image by its manifest, as ECR has it; None for a list of manifests."""
    manifest = json.loads(image.image_manifest)
    if "layers" not in manifest:
        return None
    return sum(int(part.get("size", 0)) for part in [manifest.get("config", {}), *manifest["layers"]])
