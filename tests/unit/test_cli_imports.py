"""``mlparity --help`` stays quick: what it imports is held here, not a time."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {
    "alembic", "boto3", "botocore", "httpx", "mlflow", "moto", "numpy", "pandas", "psutil", "pydantic", "rich",
    "sagemaker", "sqlalchemy", "starlette", "uvicorn", "yaml",
}  # fmt: skip
PROGRAM = """
import sys
from mlparity.cli.main import run
code = run(sys.argv[1:])
sys.stderr.write("\\n" + ",".join(sorted({name.split(".")[0] for name in sys.modules})))
sys.exit(code)
"""


def imported(*arguments: str) -> set[str]:
    done = subprocess.run([sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, check=True)
    return set(done.stderr.rsplit("\n", 1)[-1].split(","))


@pytest.mark.parametrize("arguments", [("--help",), ("-h",), ()])
def test_help_imports_nothing_heavy(arguments: tuple[str, ...]) -> None:
    assert imported(*arguments) & HEAVY == set()


@pytest.mark.parametrize("arguments", [("up", "--help"), ("run", "--help"), ("version",)])
def test_a_command_imports_only_what_typer_itself_does(arguments: tuple[str, ...]) -> None:
    assert imported(*arguments) & (HEAVY - {"pydantic"}) == set()  # newer typers read options with pydantic


def test_the_supervisor_stays_light() -> None:
    program = "import sys, mlparity.stack.supervisor; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) & (HEAVY - {"psutil"}) == set()
