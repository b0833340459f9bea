"""A task that is a container: one job an attempt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlparity.engine.jobs import FailureKind, Job, LogStream, NewJob, Phase
from mlparity.engine.runs import StepContext, StepStatus, StepUpdate
from mlparity.errors import MlparityError, NotFoundError, StateError
from mlparity.pipeline_ir import lightweight
from mlparity.pipeline_ir.definition import Container
from mlparity.pipeline_ir.errors import TaskFailedError
from mlparity.pipeline_ir.fingerprints import fingerprint_of, unlike_any
from mlparity.pipeline_ir.kubernetes import PodSettings, pod_settings
from mlparity.pipeline_ir.launch import Launch, job_spec
from mlparity.pipeline_ir.locations import task_root
from mlparity.pipeline_ir.log_tail import failure_text
from mlparity.pipeline_ir.plans import FAULT
from mlparity.pipeline_ir.program_outputs import read_outputs
from mlparity.pipeline_ir.reader import constant
from mlparity.pipeline_ir.task_context import LazyMeans, Means, TaskAt, dag_inputs, task_at
from mlparity.pipeline_ir.tasks import TaskState, TaskValues

JOB_KIND = "PipelineTask"


@dataclass(frozen=True)
class ContainerStep:
    """Starts the job, and reads what it made. Equal tasks of one pipeline share their results."""

    means: LazyMeans

    def start(self, context: StepContext) -> StepUpdate:
        """Begin an attempt: find the job begun before a crash, or submit one; SKIPPED where the condition is false."""
        means = self.means()
        at = task_at(means, context)
        earlier = means.jobs.repository.of_run(context.run.id, context.plan.name)
        since = context.run.created_at  # a run that was deleted may have had the same id
        mine = [job for job in earlier if job.id not in context.step.past_jobs and job.created_at >= since]
        if mine:
            job = mine[-1]
            known = job.request["inputs"]
        else:
            inputs = at.inputs()
            if not at.is_wanted(inputs):
                return StepUpdate(StepStatus.SKIPPED)
            known = inputs.to_json()
            means.recorder.task_began(at.root, at.record(inputs))
            try:
                job = self._submit(means, at, context, inputs)
            except StateError:
                raise
            except MlparityError as error:
                return self._failed(means, at, ". ".join(error.lines()), known)
        if job.phase.is_final:
            return self.on_job(context, job)
        return StepUpdate(StepStatus.EXECUTING, job_id=job.id, details={"inputs": known})

    def on_job(self, context: StepContext, job: Job) -> StepUpdate:
        """The step ends as its job did."""
        means = self.means()
        at = task_at(means, context)
        known = job.request["inputs"]
        details = {"inputs": known}
        record = at.record(TaskValues.from_json(known))
        if job.phase is Phase.STOPPED and job.stop_requested_at is not None:
            means.recorder.task_ended(at.root, record, TaskState.CANCELED, TaskValues())
            return StepUpdate(StepStatus.STOPPED, job_id=job.id, details=details)
        if job.phase is not Phase.COMPLETED:
            return self._failed(means, at, self._reason(means, job), known, job)
        try:
            made = read_outputs(at.component, job.request["root"], job.results.get("files", {}))
        except TaskFailedError as error:
            return self._failed(means, at, str(error), known, job)
        for items in made.artifacts.values():
            means.recorder.artifacts_made(at.root, items)
        means.recorder.task_ended(at.root, record, TaskState.SUCCEEDED, made)
        return StepUpdate(StepStatus.SUCCEEDED, job_id=job.id, outputs=made.to_json(), details=details)

    def stop(self, context: StepContext) -> None:
        """Stop the job."""
        if context.step.job_id is not None:
            self.means().jobs.stop(context.step.job_id)

    def fingerprint(self, context: StepContext) -> str:
        """What decides the task's results; a task that will be skipped equals nothing."""
        means = self.means()
        at = task_at(means, context)
        inputs = at.inputs()
        return fingerprint_of(means, at, inputs) if at.is_wanted(inputs) else unlike_any(at)

    def _submit(self, means: Means, at: TaskAt, context: StepContext, inputs: TaskValues) -> Job:
        earlier = len(context.step.past_jobs)
        own = f"{at.id}-{earlier + 1}" if earlier else at.id
        root = task_root(at.root.pipeline_root, at.root.pipeline_name, at.root.id, at.task.name, own)
        executor = at.root.pipeline.container(at.component)
        settings = self._settings(means, at, context)
        launch = Launch(
            at.component,
            executor,
            inputs,
            at.facts,
            root,
            settings,
            at.root.environment,
            at.root.role,
            at.root.artifact_names,
            at.root.seconds_left(means.clock.now()),
        )
        log = LogStream(f"/{means.api}/pipelines", f"{at.root.id}/{at.task.name}-{own}")
        spec = job_spec(launch, log, means.runtimes.resolve)
        request = {"inputs": inputs.to_json(), "root": root, "task": at.task.name, "run": at.root.id}
        name = f"{at.task.name[:120]}-{own}-{int(context.run.created_at.timestamp())}"
        new = NewJob(means.api, JOB_KIND, name, request, spec, context.run.id, context.plan.name)
        self._note(means, log, executor, settings)
        return means.jobs.submit(new)

    @staticmethod
    def _settings(means: Means, at: TaskAt, context: StepContext) -> PodSettings:
        config = at.root.pipeline.kubernetes.get(at.component.executor, {})
        values = dag_inputs(context.run)

        def resolve(item: Any) -> Any:
            if "taskOutputParameter" in item:
                output = item["taskOutputParameter"]
                made = context.steps[output["producerTask"]].outputs.get("parameters", {})
                return made.get(output["outputParameterKey"], "")
            if "componentInputParameter" in item:
                return values.parameters.get(item["componentInputParameter"], "")
            return constant(item.get("runtimeValue", {}))

        return pod_settings(config, means.pods, f"{at.task.name}-{at.id[:8]}", at.id, resolve)

    @staticmethod
    def _note(means: Means, log: LogStream, executor: Container, settings: PodSettings) -> None:
        """Tell in the task's log what has no meaning here."""
        program = lightweight.recognise(executor.command)
        notes = [*settings.notes, *(f"pip's {option} is ignored" for option in (program or _NONE).ignored_options)]
        if notes:
            means.logs.create(log)
            means.logs.append(log, "\n".join(f"mlparity: {note}" for note in notes))

    @staticmethod
    def _failed(means: Means, at: TaskAt, reason: str, known: Mapping[str, Any], job: Job | None = None) -> StepUpdate:
        record = at.record(TaskValues.from_json(known))
        means.recorder.task_ended(at.root, record, TaskState.FAILED, TaskValues(), reason)
        return StepUpdate(
            StepStatus.FAILED,
            failure_reason=reason,
            fault=FAULT if job is not None else None,
            job_id=job.id if job else None,
            details={"inputs": known},
        )

    @staticmethod
    def _reason(means: Means, job: Job) -> str:
        if job.phase is Phase.STOPPED or job.results.get("timed_out"):
            return f"The task did not end within the {job.spec.max_runtime_seconds} s that it may take"
        if job.failure_kind is not FailureKind.PROGRAM:
            return job.failure_reason
        try:
            return failure_text(means.logs.create(job.spec.log), job)
        except (OSError, NotFoundError):
            return f"The program ended with exit code {job.exit_code}"


_NONE = lightweight.Program("")
