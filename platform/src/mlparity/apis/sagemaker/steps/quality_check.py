"""QualityCheck steps: a new baseline is always calculated; it is held against the one there is unless that is skipped.

https://docs.aws.amazon.com/sagemaker/latest/dg/pipelines-quality-clarify-baseline-lifecycle.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from mlparity.apis.sagemaker import processing_jobs
from mlparity.apis.sagemaker.context import SageMaker
from mlparity.apis.sagemaker.errors import SageMakerError, validation
from mlparity.apis.sagemaker.monitoring_jobs import CONSTRAINTS_PATH, STATISTICS_PATH, file_input
from mlparity.apis.sagemaker.steps import faults
from mlparity.apis.sagemaker.steps.jobs import PROCESSING, JobStep
from mlparity.apis.sagemaker.steps.resolution import resolver
from mlparity.engine.jobs import Job
from mlparity.engine.runs import StepContext, StepStatus, StepUpdate
from mlparity.errors import MlparityError
from mlparity.registry.repository import VersionFilter
from mlparity.state.paging import PageRequest

_DATA, _MODEL = "DATA_QUALITY", "MODEL_QUALITY"
_DRIFT_MEMBER = {_DATA: "ModelDataQuality", _MODEL: "ModelQuality"}
_SETTINGS = (
    "CheckType", "ModelPackageGroupName", "SkipCheck", "FailOnViolation", "RegisterNewBaseline",
    "SuppliedBaselineStatistics", "SuppliedBaselineConstraints",
)  # fmt: skip
# A member of the job's own record: what the step decided when it started. Described by nothing.
_RECORD = "QualityCheck"


@dataclass(frozen=True)
class _Check:
    """What a step was told, resolved; ``statistics`` and ``constraints`` are the baseline that there is."""

    kind: str
    group: str | None
    skipped: bool
    fails: bool
    registers: bool
    statistics: str | None = None
    constraints: str | None = None


@dataclass(frozen=True)
class QualityCheckStep:
    """A processing job of the analyzer, and what its results mean."""

    api: Callable[[], SageMaker]

    def start(self, context: StepContext) -> StepUpdate:
        """Find the baseline and start the job; after a crash, find the job."""
        api = self.api()
        try:
            check = _with_baseline(api, _read(resolver(api, context).resolve(_told(context.plan.body))))
        except (SageMakerError, MlparityError) as error:
            return faults.of_creation("CreateProcessingJob", error)
        update = JobStep(self.api, replace(PROCESSING, submit=partial(_submit, check))).start(context)
        if update.job_id is None:
            return update
        job = api.jobs.repository.get(update.job_id)
        if job.phase.is_final:
            return self.on_job(context, job)
        return replace(update, details=_details(api, job))

    def on_job(self, context: StepContext, job: Job) -> StepUpdate:
        """The step fails where its job failed, and where the check did."""
        api = self.api()
        update = JobStep(self.api, PROCESSING).on_job(context, job)
        update = replace(update, details=_details(api, job), outputs={**(update.outputs or {}), **_outputs(job)})
        violated = (job.results.get("message") or "").startswith("CompletedWithViolations")
        if update.status is StepStatus.SUCCEEDED and violated and job.request[_RECORD]["fails"]:
            reason = (
                f"ClientError: Quality check failed. {job.results['message']} See the violation report: {_report(job)}"
            )
            return replace(update, status=StepStatus.FAILED, failure_reason=reason)
        return update

    def stop(self, context: StepContext) -> None:
        """Stop the job."""
        JobStep(self.api, PROCESSING).stop(context)

    def cache_inputs(self, context: StepContext) -> Mapping[str, Any]:
        """The job's, and how the check is made."""
        settings = resolver(self.api(), context).resolve(_told(context.plan.body))
        return {**JobStep(self.api, PROCESSING).cache_inputs(context), **settings}


def _told(body: Mapping[str, Any]) -> dict[str, Any]:
    return {name: body[name] for name in _SETTINGS if body.get(name) is not None}


def _read(told: Mapping[str, Any]) -> _Check:
    kind = told.get("CheckType")
    if kind not in _DRIFT_MEMBER:
        raise validation(f"CheckType must be one of {', '.join(_DRIFT_MEMBER)}, not {kind!r}")
    return _Check(
        str(kind),
        told.get("ModelPackageGroupName"),
        _true(told.get("SkipCheck", False)),
        _true(told.get("FailOnViolation", True)),
        _true(told.get("RegisterNewBaseline", False)),
        told.get("SuppliedBaselineStatistics"),
        told.get("SuppliedBaselineConstraints"),
    )


def _true(value: object) -> bool:
    return value is True or str(value).lower() == "true"


def _with_baseline(api: SageMaker, check: _Check) -> _Check:
    """The supplied baseline, or that of the group's latest approved version."""
    if check.statistics is None and check.constraints is None and check.group:
        page = PageRequest("name", descending=True, limit=1)
        approved = api.registry.list_versions(VersionFilter(group=check.group, approval="Approved"), page).items
        kept = approved[0].request.get("DriftCheckBaselines", {}) if approved else {}
        found = kept.get(_DRIFT_MEMBER[check.kind], {})
        check = replace(
            check,
            statistics=found.get("Statistics", {}).get("S3Uri"),
            constraints=found.get("Constraints", {}).get("S3Uri"),
        )
    if not check.skipped and (check.constraints is None or (check.kind == _DATA and check.statistics is None)):
        raise validation(
            "There is no baseline to check against: none was supplied, and there is no approved model package with "
            f"DriftCheckBaselines.{_DRIFT_MEMBER[check.kind]}. Set skip_check to calculate the first one"
        )
    return check


def _submit(check: _Check, api: SageMaker, request: dict[str, Any], *, run_id: str, step: str) -> Job:
    inputs, environment = list(request.get("ProcessingInputs", ())), dict(request.get("Environment") or {})
    files = (
        ("baseline_statistics", check.statistics if check.kind == _DATA else None, STATISTICS_PATH),
        ("baseline_constraints", check.constraints, CONSTRAINTS_PATH),
    )
    for name, uri, path in files:
        if uri and not check.skipped:
            inputs.append(file_input(name, uri, path))
            environment[name] = f"{path}/{uri.rpartition('/')[2]}"
    record = {
        "kind": check.kind, "group": check.group, "skipped": check.skipped, "fails": check.fails,
        "registers": check.registers, "statistics": check.statistics, "constraints": check.constraints,
    }  # fmt: skip
    wanted = {**request, "ProcessingInputs": inputs, "Environment": environment}
    return processing_jobs.submit(api, wanted, run_id=run_id, step=step, record={_RECORD: record})


def _outputs(job: Job) -> dict[str, str]:
    """The step's properties."""
    folder, record = _folder(job), job.request[_RECORD]
    calculated = {"Statistics": f"{folder}/statistics.json", "Constraints": f"{folder}/constraints.json"}
    kept = {"Statistics": record["statistics"], "Constraints": record["constraints"]}
    used = calculated if record["registers"] else kept
    found = {f"CalculatedBaseline{name}": uri for name, uri in calculated.items()}
    return {**found, **{f"BaselineUsedForDriftCheck{name}": uri for name, uri in used.items() if uri}}


def _details(api: SageMaker, job: Job) -> dict[str, Any]:
    """``Metadata`` of the step."""
    record = job.request[_RECORD]
    found: dict[str, Any] = {
        "CheckType": record["kind"],
        "CheckJobArn": api.arns.processing_job(job.name),
        "SkipCheck": record["skipped"],
        "RegisterNewBaseline": record["registers"],
        **_outputs(job),
    }
    if record["group"]:
        found["ModelPackageGroupName"] = record["group"]
    if not record["skipped"]:
        found["ViolationReport"] = _report(job)
    return {"QualityCheck": found}


def _report(job: Job) -> str:
    return f"{_folder(job)}/constraint_violations.json"


def _folder(job: Job) -> str:
    uri: str = job.request["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3Uri"]
    return uri.rstrip("/")
