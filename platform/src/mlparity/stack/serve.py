"""The control plane's process: ``python -m mlparity.stack.serve --spec FILE --fd N``."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import signal
import socket
import sys
import time
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

from mlparity.errors import ConfigurationError, MlparityError
from mlparity.stack.config import ControlPlaneConfig
from mlparity.stack.gateway import gateway, prepare_gateway
from mlparity.stack.hand_over import HandOver
from mlparity.stack.http_port import HttpPort
from mlparity.stack.listening import Beside, serve
from mlparity.stack.spec import StackSpec


class ControlPlane(Protocol):
    """What a factory ``build(config)`` returns."""

    app: Any  # ASGI, of the AWS port

    def start(self) -> None:
        """Recover what was interrupted and start the threads. Called before the first request is taken."""
        ...

    def close(self) -> None:
        """Stop the threads and jobs; called after the last request was answered."""
        ...


def build(factory: str, config: ControlPlaneConfig) -> ControlPlane:
    """Call ``factory`` ("package.module:function", or "/path/to/file.py:function") with the configuration."""
    name, _, function = factory.rpartition(":")
    if name.endswith(".py"):
        spec = importlib.util.spec_from_file_location("mlparity_control_plane", name)
        if spec is None or spec.loader is None:
            raise ConfigurationError(f"{name} cannot be imported", "it is not a Python file")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    else:
        module = importlib.import_module(name)
    made: ControlPlane = getattr(module, function)(config)
    return made


def _beside(plane: ControlPlane, config: ControlPlaneConfig, arguments: argparse.Namespace) -> list[Beside]:
    """The other ports of this process. A plane that has no app for one (a test's) answers there as its own."""
    opened: list[Beside] = []
    google = getattr(plane, "google_app", None) or plane.app
    pipelines = getattr(plane, "pipelines_app", None) or plane.app
    if arguments.gcp_fd is not None:
        hand_over: HandOver | None = getattr(plane, "google_hand_over", None)
        port = HttpPort(google, socket.socket(fileno=arguments.gcp_fd), hand_over)
        opened += [port.open, port.open_for_router] if hand_over is not None else [port.open]
    if arguments.pipelines_fd is not None:
        opened.append(HttpPort(pipelines, socket.socket(fileno=arguments.pipelines_fd)).open)
    if arguments.gateway_fd is not None:
        made = gateway(plane.app, config, google, getattr(plane, "grpc_port", lambda: 0))
        opened.append(partial(made.open, socket.socket(fileno=arguments.gateway_fd)))
    return opened


def _exit_on_sigterm() -> None:
    """Unwind on SIGTERM, so that ``close`` runs.

    uvicorn takes the signal while it serves, and raises it again when it has shut down.
    """

    def leave(_number: int, _frame: FrameType | None) -> None:
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, leave)


def main() -> int:
    """Serve until SIGTERM. Exit code 1 with the error's lines where the control plane cannot start."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--spec", type=Path, required=True)
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--gateway-fd", type=int)
    parser.add_argument("--gcp-fd", type=int)
    parser.add_argument("--pipelines-fd", type=int)
    arguments = parser.parse_args()
    spec = StackSpec.read(arguments.spec)
    started = time.monotonic()
    _exit_on_sigterm()
    try:
        if arguments.gateway_fd is not None:  # before any job starts, for it gets the certificate
            prepare_gateway(spec.config)
        plane = build(spec.control_plane, spec.config)
        beside = _beside(plane, spec.config, arguments)
        try:
            plane.start()
            hand_over: HandOver | None = getattr(plane, "hand_over", None)  # a plane without a router has none
            serve(plane.app, arguments.fd, started, beside, hand_over)
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough
            plane.close()
    except MlparityError as error:
        sys.stderr.write("\n".join(error.lines()) + "\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
