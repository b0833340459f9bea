"""What a job is: an image, a command, files in, folders out, limits. Vendor APIs translate into this.

A vendor's contract (SageMaker's ``/opt/ml``, Vertex's ``/gcs``, …) is expressed through ``files``, ``inputs``
and ``outputs``; the engine knows none of them by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class Phase(StrEnum):
    """Where a job is. The last three are final."""

    PENDING = "pending"
    STARTING = "starting"
    DOWNLOADING = "downloading"
    RUNNING = "running"
    UPLOADING = "uploading"
    INTERRUPTED = "interrupted"  # its machine was taken away; it starts again
    COMPLETED = "completed"
    FAILED = "failed"
    STOPPED = "stopped"

    @property
    def is_final(self) -> bool:
        """Whether nothing follows."""
        return self in {Phase.COMPLETED, Phase.FAILED, Phase.STOPPED}


class FailureKind(StrEnum):
    """Whose fault a failure is; vendors word the reason by it."""

    NONE = ""
    INPUT = "input"  # an input could not be read
    PROGRAM = "program"  # the job's own program failed
    OUTPUT = "output"  # an output could not be written
    RUNTIME = "runtime"  # no runtime for the image, or no sandbox on this machine
    INTERRUPTED = "interrupted"  # the control plane or a worker died under it
    INTERNAL = "internal"  # a defect of mlparity


@dataclass(frozen=True)
class JobInput:
    """Objects to place in the job before it starts."""

    name: str
    uri: str  # s3://bucket/prefix
    path: str  # absolute, inside the job
    # "prefix": every key that starts with the URI's; "manifest": a JSON list of keys; "archive": what the .tar.gz
    # at the URI holds; "tree": one object becomes the file at the path, a folder of objects a folder there
    kind: str = "prefix"
    sharded: bool = False  # of several instances, each takes a share of the objects
    unpack: bool = False  # gzip-compressed objects arrive uncompressed
    required: bool = True
    # a named pipe an epoch instead of files, PATH_0, PATH_1, …, that are fed while the job runs (``engine.pipes``)
    stream: bool = False
    record_io: bool = False  # streamed objects arrive as one RecordIO record each
    shuffle_seed: int | None = None  # each epoch streams the objects in another order


@dataclass(frozen=True)
class JobOutput:
    """A folder of the job to store when it ends."""

    name: str
    path: str  # absolute, inside the job
    uri: str  # s3://bucket/prefix, or the archive's own key
    archive: bool = False  # one .tar.gz instead of the files
    on_failure: bool = False  # store it also when the program failed
    required: bool = False  # an empty folder still makes an (empty) archive
    continuous: bool = False  # files are stored while the job runs, too
    tree: bool = False  # the program makes a file of the path or a folder, and so become one object or several
    changes_only: bool = False  # of the files that inputs placed there, those alone that the program has changed


@dataclass(frozen=True)
class MetricDefinition:
    """A metric read from the log: the last match of the first group is its final value."""

    name: str
    pattern: str


@dataclass(frozen=True)
class LogStream:
    """Where the vendor's log service shows the job's output."""

    group: str
    stream: str


@dataclass(frozen=True)
class TrackingRequest:
    """The experiment-tracking run that the job gets."""

    experiment: str
    run_name: str
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Instance:
    """One of a job's machines: a process of its own, with folders, an address and a log of its own."""

    name: str  # its host name: "algo-1"
    log: LogStream
    environment: Mapping[str, str] = field(default_factory=dict)  # beside the job's
    files: Mapping[str, str] = field(default_factory=dict)  # beside the job's
    command: Sequence[str] | None = None  # None: the job's, as are its arguments
    arguments: Sequence[str] = ()


@dataclass(frozen=True)
class Retries:
    """When a job that lost its machine starts again, instead of having failed."""

    attempts: int = 0  # how often, at most; a defect here or a dead worker counts
    interruptible: bool = False  # an interruption (spot) does not count
    max_wait_seconds: int = 0  # from creation to the end of the last attempt; 0: no limit


@dataclass(frozen=True)
class JobSpec:
    """Everything needed to run a job; stored before it starts."""

    image: str
    command: Sequence[str]  # entry point and arguments; empty: the image's own
    environment: Mapping[str, str]
    instances: Sequence[Instance]
    roots: Sequence[str]  # absolute folders that are the job's own: ("/opt/ml",)
    shared_roots: Sequence[str] = ()  # of ``roots``, those that its instances have in common
    primary_decides: bool = False  # the job ends well as soon as its first instance does, not only when all do
    arguments: Sequence[str] = ()  # what the image's own entry point is given, where command is empty
    role: str = ""  # whose credentials it gets, in the vendor's own naming; "": the stack's own
    files: Mapping[str, str] = field(default_factory=dict)  # absolute path -> text
    folders: Sequence[str] = ()  # made before the start
    inputs: Sequence[JobInput] = ()
    outputs: Sequence[JobOutput] = ()
    working_directory: str = "/"  # "": that of the container image, / where there is no container
    max_runtime_seconds: int = 86400
    stop_grace_seconds: int = 120  # between SIGTERM and SIGKILL
    failure_file: str = ""  # its text is the program's own failure reason
    message_file: str = ""  # its text is the program's exit message
    # a requirements.txt among the inputs: a runtime that is an environment of its own (kind "venv") gets them, too
    requirements_file: str = ""
    result_file: str = ""  # its text, whole, is kept as the job's result: what a function returned
    # name -> a file whose text is kept under that name in the job's results, where the program wrote it
    result_files: Mapping[str, str] = field(default_factory=dict)
    # Packages that the program needs: a host runtime that has them all is used as it is, else one is built with them.
    requirements: Sequence[str] = ()
    cpu_limit: float = 0  # cores, rounded up; 0: all there are
    memory_limit_bytes: int = 0  # of private memory, each process of the job; 0: none
    metrics: Sequence[MetricDefinition] = ()
    tracking: TrackingRequest | None = None
    retries: Retries = Retries()

    @property
    def log(self) -> LogStream:
        """The first instance's log: the one that people mean."""
        return self.instances[0].log

    def to_json(self) -> dict[str, Any]:
        """As stored in the database."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> JobSpec:
        """The inverse of ``to_json``."""
        values = dict(document)
        values["instances"] = tuple(
            Instance(**{**item, "log": LogStream(**item["log"])}) for item in values["instances"]
        )
        values["retries"] = Retries(**values["retries"])
        values["inputs"] = tuple(JobInput(**item) for item in values["inputs"])
        values["outputs"] = tuple(JobOutput(**item) for item in values["outputs"])
        values["metrics"] = tuple(MetricDefinition(**item) for item in values["metrics"])
        values["tracking"] = TrackingRequest(**values["tracking"]) if values["tracking"] else None
        return cls(**values)


@dataclass(frozen=True)
class PhaseEntry:
    """One phase that a job entered."""

    phase: Phase
    at: datetime
    message: str = ""


@dataclass(frozen=True)
class Job:
    """A job as the database knows it."""

    id: str
    api: str
    kind: str
    name: str
    request: Mapping[str, Any]
    spec: JobSpec
    phase: Phase
    history: Sequence[PhaseEntry]
    failure_reason: str
    exit_code: int | None
    results: Mapping[str, Any]
    stop_requested_at: datetime | None
    created_at: datetime
    started_at: datetime | None  # when its program started
    ended_at: datetime | None
    modified_at: datetime
    run_id: str | None
    step: str | None

    @property
    def failure_kind(self) -> FailureKind:
        """Whose fault the failure is."""
        return FailureKind(self.results.get("failure_kind", ""))


@dataclass(frozen=True)
class NewJob:
    """A job to create."""

    api: str
    kind: str
    name: str
    request: Mapping[str, Any]
    spec: JobSpec
    run_id: str | None = None
    step: str | None = None
