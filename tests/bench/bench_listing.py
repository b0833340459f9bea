"""Ten thousand executions of a pipeline and ten thousand training jobs: the first page, the last, a step, a start.

One of each has really run. The others are copies of it, put into the database through the repositories while the
stack is down. The peer's jobs are created by its API; they run nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bench_describe import JOB, create_job, training_request
from bench_measure import OURS, Budget, Options, Result, in_turns, percentile, timed
from bench_peers import moto_server
from bench_sagemaker import BUCKET, ROLE_ARN, PipelineRunner, client, definition, processing, sagemaker_client

from mlparity.engine.job_repository import JobRepository
from mlparity.engine.jobs import NewJob, Phase
from mlparity.engine.run_repository import NewRun, RunRepository
from mlparity.engine.runs import RunStatus, StepStatus, StepUpdate
from mlparity.ids import SystemIds
from mlparity.state import Database
from mlparity.testing import TestClock
from mlparity.testing.stack import running_stack

MANY = 10_000
_ROUNDS = 5
_CALLS = 20  # a round
_RUNS = 12  # of the one-step pipeline
_BATCH = 500  # rows a transaction
_PAGE = 100
_PIPELINE = "bench-listing"
_MOTO, _ALONE, _FIRST = "moto_server", "with one of each", "the first page"
_FLAT = 1.5  # of what it costs with one
_Page = Callable[[str | None], dict[str, Any]]


def run(options: Options) -> list[Result]:
    """Whether pages, steps and starts cost what they did."""
    folder = options.folder / "stack"
    with running_stack(folder, mlflow=False) as stack:
        _prepare(stack.aws_url)
        database = stack.config.database_path
    alone = _started(folder)
    options.say(f"  inserting {MANY} runs and {MANY} jobs")
    _insert(database)
    options.say("  starting with them")
    many = _started(folder)
    with running_stack(folder, mlflow=False) as stack, moto_server(options.folder) as moto:
        options.say(f"  creating {MANY} jobs in {_MOTO}")
        theirs = sagemaker_client(moto.url)
        for number in range(MANY):
            theirs.create_training_job(**training_request(f"copy-{number:05}"))
        ours = sagemaker_client(stack.aws_url)
        executions = {OURS: _executions(ours)}
        return [
            *_pages(options, "ListPipelineExecutions", executions),
            *_pages(options, "ListTrainingJobs", {OURS: _jobs(ours), _MOTO: _jobs(theirs)}),
            *(
                Result(
                    "listing", f"{what}, {MANY} of each there", unit, after, {_ALONE: before}, [Budget(_FLAT, _ALONE)]
                )
                for what, unit, after, before in (
                    ("a start", "s", [many.start], [alone.start]),
                    ("a step", "ms", many.steps, alone.steps),
                )
            ),
        ]


@dataclass(frozen=True)
class _Costs:
    """Of a stack that finds its data folder as it is: seconds until it answers, milliseconds of one-step executions."""

    start: float
    steps: list[float]


def _prepare(url: str) -> None:
    """A training job and an execution, both run to their ends."""
    create_job(url)
    client("s3", url).put_object(Bucket=BUCKET, Key="listing/code/nothing.py", Body=b"")
    arguments = ["python3", "/opt/ml/processing/input/code/nothing.py"]
    steps = [processing("nothing", arguments, {"code": f"s3://{BUCKET}/listing/code/"})]
    sagemaker = sagemaker_client(url)
    sagemaker.create_pipeline(PipelineName=_PIPELINE, PipelineDefinition=definition(steps), RoleArn=ROLE_ARN)
    PipelineRunner(sagemaker, _PIPELINE).run()


def _started(folder: Path) -> _Costs:
    begun = time.monotonic()
    with running_stack(folder, mlflow=False) as stack:
        seconds = time.monotonic() - begun
        runner = PipelineRunner(sagemaker_client(stack.aws_url), _PIPELINE)
        for _ in range(3):  # unmeasured: the workers import what they keep warm
            runner.run()
        return _Costs(seconds, [runner.run() * 1000 for _ in range(_RUNS)])


def _insert(path: Path) -> None:
    """Copies of the execution and of the job, a second apart, ended as they did."""
    database, clock, ids = Database.open(path), TestClock(), SystemIds()
    runs, jobs = RunRepository(database, clock), JobRepository(database, clock, ids)
    (job,) = jobs.find_by_name(JOB)
    with database.read() as connection:
        run_id = connection.exec_driver_sql("SELECT id FROM runs LIMIT 1").scalar_one()
    model = runs.get(run_id)
    for start in range(0, MANY, _BATCH):
        with database.write():
            for number in range(start, start + _BATCH):
                clock.advance(1)
                copy = runs.create(
                    NewRun(
                        f"c{number:011}",
                        model.api,
                        model.kind,
                        model.parent,
                        f"copy-{number}",
                        model.request,
                        model.plan,
                    )
                )
                for step in model.plan.steps:
                    runs.update_step(copy.id, step.name, StepUpdate(StepStatus.SUCCEEDED))
                runs.set_status(copy.id, RunStatus.SUCCEEDED)
                request = {**job.request, "TrainingJobName": f"copy-{number:05}"}
                made = jobs.create(NewJob(job.api, job.kind, f"copy-{number:05}", request, job.spec))
                jobs.enter(made.id, Phase.COMPLETED, results=job.results)
    database.close()


def _executions(sagemaker: Any) -> _Page:
    def page(token: str | None) -> dict[str, Any]:
        more = {"NextToken": token} if token else {}
        answer: dict[str, Any] = sagemaker.list_pipeline_executions(PipelineName=_PIPELINE, MaxResults=_PAGE, **more)
        return answer

    return page


def _jobs(sagemaker: Any) -> _Page:
    def page(token: str | None) -> dict[str, Any]:
        more = {"NextToken": token} if token else {}
        answer: dict[str, Any] = sagemaker.list_training_jobs(MaxResults=_PAGE, **more)
        return answer

    return page


def _pages(options: Options, what: str, pages: dict[str, _Page]) -> list[Result]:
    """Milliseconds of the first page and of the last that is full, in turns."""
    tokens = {who: _last_token(page) for who, page in pages.items()}
    first = {who: partial(_sampled, page, None) for who, page in pages.items()}
    last = {who: partial(_sampled, page, tokens[who]) for who, page in pages.items()}
    actions = {f"{end} {who}": action for end, of in (("first", first), ("last", last)) for who, action in of.items()}
    in_turns(1, actions)  # unmeasured
    samples = in_turns(options.rounds_or(_ROUNDS), actions)
    results = []
    for end in ("first", "last"):
        ours = samples[f"{end} {OURS}"]
        peers = {who: samples[f"{end} {who}"] for who in pages if who != OURS}
        budgets = []
        if end == "last":
            peers[_FIRST] = samples[f"first {OURS}"]
            budgets = [Budget(_FLAT, _FIRST)]
        results.append(Result("listing", f"{what} of {MANY}, {end} page, p50", "ms", ours, peers, budgets))
        slow = {who: [percentile(values, 0.99)] for who, values in peers.items()}
        results.append(Result("listing", f"{what} of {MANY}, {end} page, p99", "ms", [percentile(ours, 0.99)], slow))
    return results


def _sampled(page: _Page, token: str | None) -> list[float]:
    return [timed(partial(page, token)) * 1000 for _ in range(_CALLS)]


def _last_token(page: _Page) -> str:
    """Of the last page that is full; every page is read. Raises ``RuntimeError`` where runs are missing."""
    before, token, count = "", None, 0
    while True:
        answer = page(token)
        (summaries,) = (value for key, value in answer.items() if key.endswith("Summaries"))
        count += len(summaries)
        if len(summaries) == _PAGE and token:
            before = token
        token = answer.get("NextToken")
        if token is None:
            break
    if count < MANY:
        raise RuntimeError(f"only {count} of {MANY} were listed")
    return before
