"""What a batch transform job is to do, as its ``plan.json`` says."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class ContainerPlan:
    """One model container of the pipeline. Paths are the job's own."""

    model: str  # the folder that the server loads
    archive: str  # a folder with the model's .tar.gz; "" where ``model`` holds the files already
    code: str  # a folder with the code's .tar.gz; "" where there is none
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Settings:
    """How files become requests and answers become files. None: the container may choose (execution parameters)."""

    content_type: str
    accept: str
    split_lines: bool
    gzip: bool
    assemble_lines: bool
    multi_record: bool | None
    max_payload_mb: int | None  # 0: no limit
    max_concurrent: int | None  # 0 or None: the container's choice, or 1
    timeout_seconds: float
    max_retries: int
    input_filter: str = "$"
    output_filter: str = "$"
    join_input: bool = False


@dataclass(frozen=True)
class TransformPlan:
    """The whole job. Every file under ``input`` gives ``output``/NAME.out."""

    containers: Sequence[ContainerPlan]
    settings: Settings
    input: str
    output: str
    failure: str  # the file for the reason of a failure
    source: str  # where the inputs came from, for the log: "bucket/prefix"

    def to_json(self) -> str:
        """As the job's file has it."""
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, path: Path) -> TransformPlan:
        """The inverse of ``to_json``."""
        values = json.loads(path.read_text("utf-8"))
        values["containers"] = tuple(ContainerPlan(**item) for item in values["containers"])
        values["settings"] = Settings(**values["settings"])
        return cls(**values)
