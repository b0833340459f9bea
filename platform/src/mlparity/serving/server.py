"""The program: ``python -m mlparity.serving.server``. Loads the model, then answers until it is told to stop.

Listens on ``--socket PATH``, else on the loopback port ``--port`` or SAGEMAKER_BIND_TO_PORT (8080). The model is in
SM_MODEL_DIR (/opt/ml/model). A model that does not load ends the program with code 1 and the reason in its log.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from mlparity.serving.app import ServingApp
from mlparity.serving.contract import Contract
from mlparity.serving.exchange import RefusedError
from mlparity.serving.loading import ModelFolder, load
from mlparity.serving.sagemaker import SageMakerContract

_LOG = logging.getLogger("mlparity.serving")
CONTRACTS: Mapping[str, type[Contract]] = {"sagemaker": SageMakerContract}
_PORT = "8080"


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until SIGTERM."""
    options = _options(arguments)
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(levelname)s %(name)s: %(message)s")
    environment = os.environ
    folder = Path(environment.get("SM_MODEL_DIR", "/opt/ml/model"))
    code = environment.get("SAGEMAKER_SUBMIT_DIRECTORY", "")
    source = ModelFolder(folder, environment, Path(code) if code.startswith("/") else None)
    try:
        model = load(source)
    except RefusedError as error:
        _LOG.error("the model cannot be loaded: %s", error.message)
        sys.exit(1)
    workers = int(environment.get("SAGEMAKER_MODEL_SERVER_WORKERS") or os.cpu_count() or 1)
    _serve(ServingApp(CONTRACTS[options.contract]().routes(model), workers), options)


def _serve(app: ServingApp, options: argparse.Namespace) -> None:
    import uvicorn

    where = {"uds": options.socket} if options.socket else {"host": "127.0.0.1", "port": options.port}
    config = uvicorn.Config(app, **where, lifespan="off", access_log=False, log_config=None, timeout_keep_alive=75)
    uvicorn.Server(config).run()


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="mlparity.serving.server")
    parser.add_argument("--contract", choices=sorted(CONTRACTS), default="sagemaker")
    parser.add_argument("--socket", default="")
    parser.add_argument("--port", type=int, default=int(os.environ.get("SAGEMAKER_BIND_TO_PORT", _PORT)))
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
