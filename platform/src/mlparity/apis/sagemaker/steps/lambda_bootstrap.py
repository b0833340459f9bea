"""Runs inside the job of a Lambda step: unpacks the function, calls its handler, writes down what it returns.

It is sent as text and imports nothing but the standard library.
"""

from __future__ import annotations

import base64
import importlib
import io
import json
import os
import sys
import time
import traceback
import zipfile
from pathlib import Path

TASK = Path("/var/task")
RUNTIME = Path("/var/runtime")


class Context:
    """The second argument of a handler.

    https://docs.aws.amazon.com/lambda/latest/dg/python-context.html
    """

    def __init__(self, call: dict[str, str]) -> None:
        self.function_name = call["name"]
        self.function_version = "$LATEST"
        self.invoked_function_arn = call["arn"]
        self.memory_limit_in_mb = call["memory"]
        self.aws_request_id = call["request"]
        self.log_group_name = call["group"]
        self.log_stream_name = call["stream"]
        self.identity = None
        self.client_context = None
        self._end = time.monotonic() + float(call["timeout"])

    def get_remaining_time_in_millis(self) -> int:
        """Until the function is ended."""
        return max(0, int((self._end - time.monotonic()) * 1000))


def main() -> int:
    """0 where the handler returned something that JSON can say."""
    call = json.loads((RUNTIME / "call.json").read_text("utf-8"))
    with zipfile.ZipFile(io.BytesIO(base64.b64decode((RUNTIME / "code.b64").read_text("ascii")))) as code:
        code.extractall(TASK)
    os.chdir(TASK)
    sys.path.insert(0, str(TASK))
    event = json.loads((RUNTIME / "event.json").read_text("utf-8"))
    try:
        module, _, name = call["handler"].rpartition(".")
        handler = getattr(importlib.import_module(module.replace("/", ".")), name)
        answer = json.dumps(handler(event, Context(call)))
    except Exception as error:  # noqa: BLE001 - whatever the function raises is its failure
        traceback.print_exc()
        (RUNTIME / "failure").write_text(f"{type(error).__name__}: {error}", "utf-8")
        return 1
    (RUNTIME / "result.json").write_text(answer, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
