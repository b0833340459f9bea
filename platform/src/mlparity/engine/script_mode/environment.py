"""What a training script is told: the toolkit's environment variables and command-line arguments.

https://github.com/aws/sagemaker-training-toolkit/blob/master/ENVIRONMENT_VARIABLES.md
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_PREFIX = "sagemaker_"
# The toolkit's own hyperparameters; every other one that starts with the prefix is a framework's.
_OWN = frozenset(
    {f"{_PREFIX}{name}" for name in ("program", "submit_directory", "enable_cloudwatch_metrics", "region")}
    | {f"{_PREFIX}{name}" for name in ("container_log_level", "job_name", "s3_output")}
    | {"default_user_module_name", "_tuning_objective_metric"}
)
_INFO = 20


@dataclass(frozen=True)
class TrainingEnvironment:
    """One job as its files under ``root`` (/opt/ml) describe it. Hyperparameters are decoded."""

    root: Path
    hyperparameters: Mapping[str, Any]  # the script's own
    own: Mapping[str, Any]  # the toolkit's
    framework: Mapping[str, Any]  # a framework's: "sagemaker_mpi_enabled", ...
    resources: Mapping[str, Any]
    channels: Mapping[str, Any]
    job_name: str | None
    entry_point: str | None
    framework_module: str | None
    region: str
    cpus: int
    gpus: int

    @classmethod
    def read(cls, root: Path, environment: Mapping[str, str], framework_module: str | None) -> TrainingEnvironment:
        """From the contract's files. Raises ``OSError`` or ``ValueError`` where they are not there or not JSON."""
        config = root / "input" / "config"
        given = {name: decoded(value) for name, value in _json(config / "hyperparameters.json").items()}
        own = {name: value for name, value in given.items() if name in _OWN}
        return cls(
            root=root,
            hyperparameters={n: v for n, v in given.items() if n not in _OWN and not n.startswith(_PREFIX)},
            own=own,
            framework={n: v for n, v in given.items() if n not in _OWN and n.startswith(_PREFIX)},
            resources=_json(config / "resourceconfig.json"),
            channels=_json(config / "inputdataconfig.json"),
            job_name=environment.get("TRAINING_JOB_NAME"),
            entry_point=environment.get("SAGEMAKER_PROGRAM") or own.get("sagemaker_program"),
            framework_module=framework_module,
            region=str(own.get("sagemaker_region") or environment.get("AWS_REGION", "")),
            cpus=os.cpu_count() or 1,
            gpus=_gpus(),
        )

    @property
    def code_dir(self) -> Path:
        """Where the script lies."""
        return self.root / "code"

    @property
    def submit_directory(self) -> str:
        """Where the script came from: an object's URI, or a path in the job."""
        return str(self.own.get("sagemaker_submit_directory") or self.code_dir)

    @property
    def module_name(self) -> str | None:
        """The entry point without ".py"."""
        return self.entry_point.removesuffix(".py") if self.entry_point else self.entry_point

    @property
    def log_level(self) -> int:
        """As the logging module counts: 20 is INFO."""
        level = self.own.get("sagemaker_container_log_level", _INFO)
        return level if isinstance(level, int) else _INFO

    def arguments(self) -> list[str]:
        """``--name value`` for each of the script's hyperparameters, by name; ``-n`` for a name of one letter."""
        words: list[str] = []
        for name in sorted(self.hyperparameters):
            words += [f"--{name}" if len(name) > 1 else f"-{name}", _argument(self.hyperparameters[name])]
        return words

    def variables(self) -> dict[str, str]:
        """The SM_* variables, and those that the toolkit takes from its own hyperparameters."""
        facts = self.facts()
        told = {
            **{name: facts[name] for name in _TOLD},
            "hps": self.hyperparameters,
            "framework_params": self.framework,
            "channels": sorted(self.channels),
            "training_env": facts,
            "user_args": self.arguments(),
            **{f"channel_{name}": path for name, path in facts["channel_input_dirs"].items()},
            **{f"hp_{name}": value for name, value in self.hyperparameters.items()},
        }
        return {
            "SAGEMAKER_JOB_NAME": str(self.own.get("sagemaker_job_name") or ""),
            "SAGEMAKER_REGION": self.region,
            "CURRENT_HOST": facts["current_host"],
            **{f"SM_{name.upper()}": _variable(value) for name, value in told.items()},
        }

    def facts(self) -> dict[str, Any]:
        """SM_TRAINING_ENV: all there is to know."""
        path = {name: str(self.root / name) for name in ("input", "output", "model")}
        hosts = list(self.resources["hosts"])
        groups = self.resources.get("instance_groups", [])
        group = self.resources.get("current_group_name", "homogeneousCluster")
        host = self.resources["current_host"]
        return {
            "additional_framework_parameters": dict(self.framework),
            "channel_input_dirs": {name: f"{path['input']}/data/{name}" for name in self.channels},
            "current_host": host,
            "current_instance_group": group,
            "current_instance_group_hosts": next(
                (each["hosts"] for each in groups if each["instance_group_name"] == group), []
            ),
            "current_instance_type": self.resources.get("current_instance_type", "local"),
            "distribution_hosts": [],
            "distribution_instance_groups": [],
            "framework_module": self.framework_module,
            "hosts": hosts,
            "hyperparameters": dict(self.hyperparameters),
            "input_config_dir": f"{path['input']}/config",
            "input_data_config": dict(self.channels),
            "input_dir": path["input"],
            "instance_groups": [each["instance_group_name"] for each in groups],
            "instance_groups_dict": {each["instance_group_name"]: each for each in groups},
            "is_hetero": len(groups) > 1,
            "is_master": host == hosts[0],
            "is_modelparallel_enabled": None,
            "is_smddpmprun_installed": False,
            "is_smddprun_installed": False,
            "job_name": self.job_name,
            "log_level": self.log_level,
            "master_hostname": hosts[0],
            "model_dir": path["model"],
            "module_dir": self.submit_directory,
            "module_name": self.module_name,
            "network_interface_name": self.resources.get("network_interface_name", "eth0"),
            "num_cpus": self.cpus,
            "num_gpus": self.gpus,
            "num_neurons": 0,
            "output_data_dir": f"{path['output']}/data",
            "output_dir": path["output"],
            "output_intermediate_dir": f"{path['output']}/intermediate",
            "resource_config": dict(self.resources),
            "topology": [],
            "user_entry_point": self.entry_point,
        }


# The facts that are variables of their own, under their own name.
_TOLD = (
    *("hosts", "network_interface_name", "user_entry_point", "resource_config", "input_data_config"),
    *("output_data_dir", "current_host", "current_instance_type", "current_instance_group"),
    *("current_instance_group_hosts", "instance_groups", "instance_groups_dict", "distribution_instance_groups"),
    *("is_hetero", "module_name", "log_level", "framework_module", "input_dir", "input_config_dir", "output_dir"),
    *("num_cpus", "num_gpus", "num_neurons", "model_dir", "module_dir", "output_intermediate_dir"),
)


def decoded(value: Any) -> Any:
    """A hyperparameter's value: JSON where it is JSON, the text itself where it is not."""
    try:
        return json.loads(value)
    except (ValueError, TypeError):
        return value


def _json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return content


def _argument(value: Any) -> str:
    if isinstance(value, Mapping):
        return ",".join(f"{name}={item}" for name, item in sorted(value.items()))
    return "" if value is None else str(value)


def _variable(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, separators=(",", ":"))


def _gpus() -> int:
    program = shutil.which("nvidia-smi")
    if program is None:
        return 0
    listed: Sequence[str] = subprocess.run(  # noqa: S603
        [program, "--list-gpus"], capture_output=True, text=True, check=False
    ).stdout.splitlines()
    return sum(line.startswith("GPU ") for line in listed)
