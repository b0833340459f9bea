"""What training, processing and transform jobs have in common: their names, and being listed, stopped and deleted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mlparity.apis.sagemaker.context import API, Request, Response, SageMaker
from mlparity.apis.sagemaker.errors import in_use, not_found, validation
from mlparity.apis.sagemaker.job_status import job_status
from mlparity.apis.sagemaker.listing import page_request, times, with_token
from mlparity.engine.job_repository import JobFilter
from mlparity.engine.jobs import Job, Phase
from mlparity.errors import NotFoundError

_SORT = {"Name": "name", "CreationTime": "created_at", "Status": "phase"}


@dataclass(frozen=True)
class JobFamily:
    """One kind. ``stem`` is the first word of its members ("Training" of "TrainingJobName") and of its name."""

    stem: str

    @property
    def kind(self) -> str:
        """Of its jobs in the repository: "TrainingJob"."""
        return f"{self.stem}Job"

    @property
    def words(self) -> str:
        """For a sentence: "training job"."""
        return f"{self.stem.lower()} job"

    def arn(self, api: SageMaker, name: str) -> str:
        """A job's ARN."""
        return api.arns.of(f"{self.stem.lower()}-job", name)

    def listed(self, api: SageMaker, request: Request, more: Callable[[Job], Response]) -> Response:
        """The List operation; ``more`` is what a summary has beside the members of every kind."""
        page = api.jobs.repository.list(
            _filter(self.kind, request),
            page_request(request, _SORT, default_sort="CreationTime", default_order="Descending"),
        )
        return with_token({f"{self.kind}Summaries": [self._summary(api, job) | more(job) for job in page.items]}, page)

    def _summary(self, api: SageMaker, job: Job) -> Response:
        ended = {} if job.ended_at is None else {f"{self.stem}EndTime": job.ended_at}
        return {
            f"{self.kind}Name": job.name,
            f"{self.kind}Arn": self.arn(api, job.name),
            f"{self.kind}Status": job_status(job),
            "CreationTime": job.created_at,
            "LastModifiedTime": job.modified_at,
            **ended,
        }

    def stop(self, api: SageMaker, job: Job) -> Response:
        """The Stop operation: asks; a job that has ended is refused."""
        if job.phase.is_final:
            raise validation(f"The request was rejected because the {self.words} is in status {job_status(job)}.")
        api.jobs.stop(job.id)
        return {}

    def delete(self, api: SageMaker, request: Request) -> Response:
        """The Delete operation: forgets a job that has ended; what it has made stays."""
        try:
            job = api.jobs.repository.find(API, self.kind, request[f"{self.kind}Name"])
        except NotFoundError:
            raise not_found("Requested resource not found.") from None
        if not job.phase.is_final:
            raise in_use(
                f"{self.words.capitalize()} {job.name} is in status {job_status(job)}: stop it before you delete it"
            )
        api.jobs.repository.delete(job.id)
        api.tags.remove(self.arn(api, job.name))
        return {}


def _filter(kind: str, request: Request) -> JobFilter:
    phases, stopping = _phases(request.get("StatusEquals"))
    return JobFilter(
        API,
        kind,
        name_contains=request.get("NameContains"),
        phases=phases,
        stopping=stopping,
        modified_after=request.get("LastModifiedTimeAfter"),
        modified_before=request.get("LastModifiedTimeBefore"),
        **times(request),
    )


def _phases(status: str | None) -> tuple[list[Phase] | None, bool | None]:
    active = [phase for phase in Phase if not phase.is_final]
    known: dict[str, tuple[list[Phase], bool | None]] = {
        "Completed": ([Phase.COMPLETED], None),
        "Failed": ([Phase.FAILED], None),
        "Stopped": ([Phase.STOPPED], None),
        "InProgress": (active, False),
        "Stopping": (active, True),
    }
    if status is None:
        return None, None
    return known.get(status, ([], None))
