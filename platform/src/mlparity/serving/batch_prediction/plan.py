"""What a batch prediction job is to do, as its ``plan.json`` says."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class InputFile:
    """One object of instances, where it lies in the job."""

    path: str
    uri: str


@dataclass(frozen=True)
class Conversion:
    """How what the files hold becomes instances; Vertex AI's InstanceConfig."""

    format: str  # "jsonl", "csv", "file-list"
    instance_type: str = ""  # "object", "array", or "": as the format has it
    key_field: str = ""
    included: Sequence[str] = ()
    excluded: Sequence[str] = ()


@dataclass(frozen=True)
class ServerPlan:
    """The model server: ours, of the folder in the environment's SM_MODEL_DIR, or the model's own program."""

    environment: Mapping[str, str]
    command: Sequence[str]
    health_route: str
    predict_route: str
    startup_seconds: float


@dataclass(frozen=True)
class BatchPlan:
    """The whole job. Results go to ``output``/prediction.results-N-of-M, counts to the file ``stats``."""

    server: ServerPlan
    replicas: int
    inputs: Sequence[InputFile]
    conversion: Conversion
    parameters: Any  # of every request; None: none
    batch_size: int
    output: str
    stats: str
    failure: str  # the file for the reason of a failure

    def to_json(self) -> str:
        """As the job's file has it."""
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, path: Path) -> BatchPlan:
        """The inverse of ``to_json``."""
        values = json.loads(path.read_text("utf-8"))
        values["server"] = ServerPlan(**values["server"])
        values["inputs"] = tuple(InputFile(**one) for one in values["inputs"])
        values["conversion"] = Conversion(**values["conversion"])
        return cls(**values)
