"""What a DAG run is: steps with dependencies and gates, whatever vendor's file they were read from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

from mlparity.engine.jobs import Job
from mlparity.engine.retry import RetryRule

# The fault of a step whose work took longer than it may: it fails its run even while that is being stopped.
TIMEOUT = "timeout"


class RunStatus(StrEnum):
    """Where a run is. The last three are final."""

    EXECUTING = "executing"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"
    SUCCEEDED = "succeeded"

    @property
    def is_final(self) -> bool:
        """Whether nothing follows."""
        return self in {RunStatus.STOPPED, RunStatus.FAILED, RunStatus.SUCCEEDED}


class StepStatus(StrEnum):
    """Where a step is.

    PENDING steps have not begun; RETRYING ones failed and wait for their next attempt; SKIPPED ones lie on a
    branch not taken, or were left out of the run.
    """

    PENDING = "pending"
    STARTING = "starting"
    EXECUTING = "executing"
    RETRYING = "retrying"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"
    SUCCEEDED = "succeeded"
    SKIPPED = "skipped"

    @property
    def is_final(self) -> bool:
        """Whether nothing follows."""
        return self in {StepStatus.STOPPED, StepStatus.FAILED, StepStatus.SUCCEEDED, StepStatus.SKIPPED}

    @property
    def is_active(self) -> bool:
        """Whether it has begun and not ended."""
        return self in {StepStatus.STARTING, StepStatus.EXECUTING, StepStatus.RETRYING, StepStatus.STOPPING}


@dataclass(frozen=True)
class ChildRun:
    """A run inside a step, as that step's handler sees it."""

    id: str
    iteration: int  # of a loop's runs; -1: the only one
    status: RunStatus
    failure_reason: str


class Reuse(StrEnum):
    """Why a step has another run's results: it was cached, or the run was asked to do only other steps."""

    NONE = ""
    CACHE = "cache"
    SELECTION = "selection"


@dataclass(frozen=True)
class Gate:
    """A step behind a condition: it begins only where the condition took ``branch``."""

    step: str
    branch: str


@dataclass(frozen=True)
class StepPlan:
    """One step as planned. ``body`` is the vendor's own definition of it.

    ``reuse_within_seconds``: how old an equal step's result may be to stand for this one's; None: never.
    """

    name: str
    kind: str
    depends_on: Sequence[str]
    body: Mapping[str, Any]
    gate: Gate | None = None
    reuse_within_seconds: float | None = None
    retries: Sequence[RetryRule] = ()
    after_failure: bool = False  # begins when all that it depends on has ended, however


@dataclass(frozen=True)
class RunPlan:
    """The steps of a run, in the order they were written, and the values that they may refer to."""

    steps: Sequence[StepPlan]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    context: Mapping[str, Any] = field(default_factory=dict)
    max_parallel_steps: int = 0  # 0: as many as are ready
    fail_slow: bool = False  # after a failure, what does not depend on it still begins

    def to_json(self) -> dict[str, Any]:
        """As stored in the database."""
        return {
            "steps": [
                {
                    "name": step.name,
                    "kind": step.kind,
                    "depends_on": list(step.depends_on),
                    "body": dict(step.body),
                    "gate": [step.gate.step, step.gate.branch] if step.gate else None,
                    "reuse_within_seconds": step.reuse_within_seconds,
                    "retries": [rule.to_json() for rule in step.retries],
                    "after_failure": step.after_failure,
                }
                for step in self.steps
            ],
            "parameters": dict(self.parameters),
            "context": dict(self.context),
            "max_parallel_steps": self.max_parallel_steps,
            "fail_slow": self.fail_slow,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> RunPlan:
        """The inverse of ``to_json``."""
        steps = tuple(
            StepPlan(
                item["name"],
                item["kind"],
                tuple(item["depends_on"]),
                item["body"],
                Gate(*item["gate"]) if item["gate"] else None,
                item["reuse_within_seconds"],
                tuple(RetryRule.from_json(rule) for rule in item["retries"]),
                item["after_failure"],
            )
            for item in document["steps"]
        )
        return cls(
            steps,
            document["parameters"],
            document["context"],
            document["max_parallel_steps"],
            document["fail_slow"],
        )


@dataclass(frozen=True)
class Run:
    """A run as the database knows it.

    A run may lie inside a step of another one (a loop's iteration, a nested pipeline): ``enclosing_run`` and
    ``enclosing_step`` say which, and ``root_run`` is the outermost.
    """

    id: str
    api: str
    kind: str
    parent: str
    name: str
    request: Mapping[str, Any]
    plan: RunPlan
    status: RunStatus
    failure_reason: str
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    modified_at: datetime
    enclosing_run: str | None
    enclosing_step: str
    iteration: int  # -1: none
    root_run: str


@dataclass(frozen=True)
class Step:
    """A step of a run as the database knows it.

    ``past_jobs`` are the jobs of earlier attempts; ``due_at`` is when the engine must look at it again: the next
    attempt of a RETRYING step, the deadline of one that runs without a job.
    """

    run_id: str
    name: str
    position: int
    kind: str
    status: StepStatus
    attempt: int
    branch: str
    failure_reason: str
    job_id: str | None
    outputs: Mapping[str, Any]
    details: Mapping[str, Any]
    cache_key: str | None
    fault: str
    past_jobs: Sequence[str]
    due_at: datetime | None
    reuse: Reuse
    reused_from: str | None  # the run whose results it has
    started_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True)
class StepUpdate:
    """What a handler says of a step: its new status, and what changed with it. None leaves a value as it is.

    ``fault`` names a failure's kind for the plan's retry rules. ``due_at`` is set by every update, None included.
    """

    status: StepStatus
    outputs: Mapping[str, Any] | None = None
    details: Mapping[str, Any] | None = None
    branch: str | None = None
    failure_reason: str | None = None
    job_id: str | None = None
    fault: str | None = None
    due_at: datetime | None = None
    cache_key: str | None = None
    reuse: Reuse | None = None
    reused_from: str | None = None


@dataclass(frozen=True)
class StepContext:
    """What a handler gets: the run, the step's plan and record, and the records of all steps by name."""

    run: Run
    plan: StepPlan
    step: Step
    steps: Mapping[str, Step]


class StepHandler(Protocol):
    """Gives one kind of step its meaning. Must return soon: it runs in the engine's one thread."""

    def start(self, context: StepContext) -> StepUpdate:
        """Begin the step: with a job (EXECUTING and its id), or at once with its end.

        Called again for the same step after a crash: it must find what it began before; and for every attempt
        after the first: then the jobs in ``context.step.past_jobs`` are not this attempt's.
        """
        ...

    def on_job(self, context: StepContext, job: Job) -> StepUpdate:
        """The step's job has ended: what the step is now."""
        ...

    def stop(self, context: StepContext) -> None:
        """Ask the step's work to stop; its end arrives as usual."""
        ...


@runtime_checkable
class NestingHandler(Protocol):
    """A step handler whose steps consist of runs of their own, which ``start`` submits.

    Their ids must follow from the step: ``start`` is called again after a crash, and ``submit`` then finds them.
    """

    def on_runs(self, context: StepContext, children: Sequence[ChildRun]) -> StepUpdate:
        """One of the step's runs has ended, or the stack was restarted: what the step is now.

        EXECUTING, or STOPPING while it is stopped, where some still go on; it may submit more.
        """
        ...


@runtime_checkable
class DeadlineHandler(Protocol):
    """A step handler whose steps run without a job, until a deadline (``due_at``)."""

    def expire(self, context: StepContext) -> StepUpdate:
        """The deadline has passed: what the step is now."""
        ...
