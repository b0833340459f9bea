"""MLflow's tracking server as one process: ``python -m mlparity.stack.serve_mlflow --spec FILE --fd N``.

``mlflow server`` starts four workers and a job runner (2.2 GB). Its application under one uvicorn, with the environment
that ``mlflow server`` sets, is the same server in one process (260 MB). The environment comes from ``stack.children``.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import uuid
from pathlib import Path

from mlparity.stack.listening import serve


def main() -> int:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--spec", type=Path, required=True)
    parser.add_argument("--fd", type=int, required=True)
    arguments = parser.parse_args()
    started = time.monotonic()
    os.environ["_MLFLOW_SERVER_BOOT_ID"] = uuid.uuid4().hex
    from mlflow.server.fastapi_app import app
    from mlflow.server.handlers import initialize_backend_stores

    database = os.environ["_MLFLOW_SERVER_FILE_STORE"]
    initialize_backend_stores(database, database, os.environ["_MLFLOW_SERVER_ARTIFACT_ROOT"])
    serve(app, arguments.fd, started)
    return 0


if __name__ == "__main__":
    sys.exit(main())
