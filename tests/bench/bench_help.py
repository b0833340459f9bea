"""How long the command takes to say what it can do."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from bench_measure import OURS, Budget, Options, Result, in_turns, timed
from bench_peers import command

_BUDGET_SECONDS = 0.2
_ROUNDS = 9


def run(options: Options) -> list[Result]:
    """``mlparity --help`` beside ``dvc --help`` where dvc is installed, else ``mlflow --help``."""
    peer = "dvc" if Path(command("dvc")).exists() or shutil.which("dvc") else "mlflow"
    programs = {OURS: command("mlparity"), peer: command(peer) if Path(command(peer)).exists() else peer}
    for program in programs.values():  # once unmeasured: byte code is compiled, files are cached
        _help(program)
    samples = in_turns(
        options.rounds_or(_ROUNDS),
        {name: lambda program=program: [timed(lambda: _help(program))] for name, program in programs.items()},  # type: ignore[misc]
    )
    peers = {f"{peer} --help": samples[peer]}
    return [Result("help", "mlparity --help", "s", samples[OURS], peers, [Budget(_BUDGET_SECONDS)])]


def _help(program: str) -> None:
    subprocess.run([program, "--help"], check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, timeout=60)
