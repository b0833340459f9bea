"""Ctrl-C while `mlparity exec` brings the stack up: nothing is left, and the command was not started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from mlparity.stack.folder import DataFolder
from mlparity.stack.listen import free_port
from mlparity.stack.running import lock_is_held
from mlparity.stack.stop import stop

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="process supervision is tested on Linux"),
]
# As a terminal starts it, whatever this process was started with: a shell's `&` has SIGINT ignored.
PROGRAM = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from mlparity.cli.main import main
main()
"""


def test_ctrl_c_while_the_stack_comes_up_leaves_no_process(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "data")
    ports = {f"MLPARITY_{name}_PORT": str(free_port()) for name in ("AWS", "MLFLOW", "GATEWAY")}
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "exec", "--", "touch", str(tmp_path / "started")],
        env={**os.environ, **ports, "MLPARITY_DATA_DIR": str(folder.path)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        deadline, tick = time.monotonic() + 60, threading.Event()
        while not lock_is_held(folder):
            assert time.monotonic() < deadline
            tick.wait(0.02)
        os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does: to the whole foreground group
        _, error = process.communicate(timeout=60)
        assert process.returncode == 130
        assert error.endswith("interrupted\n")
        assert "Traceback" not in error
        assert not (tmp_path / "started").exists()
        assert not lock_is_held(folder)
        assert [p for p in psutil.process_iter(["cmdline"]) if str(folder.path) in (p.info["cmdline"] or [])] == []
    finally:
        stop(folder)
        process.kill()
        process.wait()
