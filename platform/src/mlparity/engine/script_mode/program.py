"""The ``train`` program: code, requirements, environment, the script, and how it ended.

Ends with 0 and an empty ``output/success``, or with 1 and the reason in ``output/failure``.
"""

from __future__ import annotations

import importlib.util
import logging
import signal
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path

from mlparity.engine.script_mode import code, process
from mlparity.engine.script_mode.environment import TrainingEnvironment
from mlparity.engine.script_mode.errors import ClientError, ExecuteUserScriptError, InstallRequirementsError

# Set where the job's environment was built with the script's requirements in it (``job_run``, which is not imported
# here: this program has the standard library only).
REQUIREMENTS_INSTALLED = "MLPARITY_REQUIREMENTS_INSTALLED"
_DISTRIBUTIONS = (
    *("sagemaker_mpi_enabled", "sagemaker_parameter_server_enabled", "sagemaker_distributed_dataparallel_enabled"),
    *("sagemaker_pytorch_ddp_enabled", "sagemaker_pytorch_xla_multi_worker_enabled"),
    *("sagemaker_multi_worker_mirrored_strategy_enabled", "sagemaker_torch_distributed_enabled"),
)
_LOG = logging.getLogger("sagemaker-training-toolkit")


def run(
    root: Path, environment: Mapping[str, str], *, framework_module: str | None = None, as_module: bool = False
) -> int:
    """Run the job whose files lie under ``root``; the exit code. ``as_module``: ``python -m`` for any script."""
    try:
        training = TrainingEnvironment.read(root, environment, framework_module)
    except (OSError, ValueError) as error:
        print(  # noqa: T201
            f"mlparity: this image's own program trains, and there is no training job here ({error}). "
            "Another kind of job names its command (ContainerEntrypoint).",
            file=sys.stderr,
        )
        return 1
    _log_to_the_job(training.log_level)
    try:
        _train(training, environment, as_module=as_module)
    except ClientError as error:
        return _fail(root, str(error))
    except Exception as error:  # noqa: BLE001 - whatever it is goes to the failure file
        return _fail(root, f"Framework Error: \n{traceback.format_exc()}\n{error}")
    _LOG.info("Reporting training SUCCESS")
    (root / "output").mkdir(parents=True, exist_ok=True)
    (root / "output" / "success").touch()
    return 0


def _log_to_the_job(level: int) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)-12s %(levelname)-8s %(message)s"))
    _LOG.handlers[:] = [handler]
    _LOG.propagate = False
    _LOG.setLevel(level)


def _fail(root: Path, reason: str) -> int:
    _LOG.error("Reporting training FAILURE")
    _LOG.error("%s", reason)
    output = root / "output"
    output.mkdir(parents=True, exist_ok=True)
    if not (output / "failure").exists():  # the script's own reason is the better one
        (output / "failure").write_text(reason, "utf-8")
    return 1


def _train(training: TrainingEnvironment, environment: Mapping[str, str], *, as_module: bool) -> None:
    asked = [name for name in _DISTRIBUTIONS if training.framework.get(name)]
    if asked:
        raise ClientError(
            f"mlparity does not run a distribution strategy ({asked[0]}): each instance runs the script by itself. "
            "Leave out the estimator's `distribution`, or use the hosts in SM_HOSTS."
        )
    code.place(training.submit_directory, training.code_dir)
    name = code.require_entry_point(training.entry_point, training.code_dir)
    told = training.variables()
    path = code.python_path(training.code_dir, environment.get("PYTHONPATH", ""))
    variables = {**environment, **told, "PYTHONPATH": path}
    _install_requirements(name, training.code_dir, variables)
    command = code.command(name, training.code_dir, training.arguments(), as_module=as_module)
    shown = "\n".join(f"{name}={value}" for name, value in told.items())
    _LOG.info("Invoking user script\n\nEnvironment variables:\n\n%s\n\nInvoking script with the following command:"
              "\n\n%s\n", shown, " ".join(command))  # fmt: skip
    exit_code, said = process.run(command, training.code_dir, variables)
    if exit_code:
        killed = exit_code in {137, -signal.SIGKILL}
        info = "OutOfMemory: Process killed by SIGKILL (signal 9)" if killed else ""
        raise ExecuteUserScriptError(command, exit_code, said, info)


def _install_requirements(name: str, folder: Path, variables: Mapping[str, str]) -> None:
    if code.is_command(name, folder) or not (folder / "requirements.txt").exists():
        return
    if variables.get(REQUIREMENTS_INSTALLED):
        _LOG.info("requirements.txt is installed in the job's own environment")
        return
    _LOG.info("Installing dependencies from requirements.txt")
    command = [sys.executable, "-m", "pip", "install", "-r", "requirements.txt"]
    if importlib.util.find_spec("pip") is None:
        raise InstallRequirementsError(command, 1, "this environment has no pip")
    exit_code, said = process.run(command, folder, variables)
    if exit_code:
        raise InstallRequirementsError(command, exit_code, said)
