"""The program: ``python -m mlparity.serving.server``. Loads the model, then answers until it is told to stop.

``--contract`` says which vendor's containers it is one of. ``--chain`` serves no model of its own, but those of other
servers, one after the other: see ``chain``. Listens on ``--socket PATH``, else on the loopback port ``--port`` or
SAGEMAKER_BIND_TO_PORT (8080). The model is in SM_MODEL_DIR (/opt/ml/model). A model that does not load ends the program
with code 1 and the reason in its log.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from mlparity.serving.chain import ChainModel
from mlparity.serving.contract import Contract
from mlparity.serving.exchange import RefusedError
from mlparity.serving.http_server import ModelServer
from mlparity.serving.model import Servable
from mlparity.serving.pace import Pace
from mlparity.serving.sagemaker import SageMakerContract
from mlparity.serving.vertex import VertexContract

_LOG = logging.getLogger("mlparity.serving")
CONTRACTS: Mapping[str, Callable[[Mapping[str, str]], Contract]] = {  # name -> made with the environment
    "sagemaker": lambda _environment: SageMakerContract(),
    "vertex": VertexContract,
}
_PORT = "8080"
_BACKLOG = 1024
_CHAIN_WORKERS = 32


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until SIGTERM."""
    options = _options(arguments)
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(levelname)s %(name)s: %(message)s")
    environment = os.environ
    contract = CONTRACTS[options.contract](environment)
    model: Servable
    if options.chain:
        model = ChainModel(options.chain, options.chain_timeout, tuple(options.chain_routes))
    else:
        model = _loaded(contract, environment)
    workers = int(environment.get("SAGEMAKER_MODEL_SERVER_WORKERS") or os.cpu_count() or 1)
    if options.chain:
        workers = max(workers, _CHAIN_WORKERS)  # they only wait
    server = ModelServer(contract.routes(model), workers, Pace(library=model.library))
    gc.collect()
    gc.freeze()  # what was loaded stays: later collections need not look at it
    _run(serve(server, options))


def _loaded(contract: Contract, environment: Mapping[str, str]) -> Servable:
    try:
        return contract.load(environment)
    except RefusedError as error:
        _LOG.error("the model cannot be loaded: %s", error.message)
        sys.exit(1)


async def serve(server: ModelServer, options: argparse.Namespace) -> None:
    """Listen and answer until SIGTERM or SIGINT; then answer what is under way."""
    loop = asyncio.get_running_loop()
    if options.socket:
        listener = await loop.create_unix_server(server.connection, options.socket, backlog=_BACKLOG)
    else:
        listener = await loop.create_server(server.connection, "127.0.0.1", options.port, backlog=_BACKLOG)
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    await ended.wait()
    listener.close()
    await server.close()


def _run(program: Coroutine[Any, Any, None]) -> None:
    try:
        import uvloop
    except ImportError:
        asyncio.run(program)
    else:
        uvloop.run(program)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="mlparity.serving.server")
    parser.add_argument("--contract", choices=sorted(CONTRACTS), default="sagemaker")
    parser.add_argument("--socket", default="")
    parser.add_argument("--port", type=int, default=int(os.environ.get("SAGEMAKER_BIND_TO_PORT", _PORT)))
    parser.add_argument("--chain", nargs="+", default=(), metavar="ADDRESS")
    parser.add_argument("--chain-routes", nargs=2, default=("/ping", "/invocations"), metavar="PATH")
    parser.add_argument("--chain-timeout", type=float, default=60.0, metavar="SECONDS")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
