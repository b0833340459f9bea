"""``python -m mlparity.serving.transform.driver PLAN``: runs a batch transform job inside its sandbox.

A file that fails gives no output, the others go on; the job fails in the end. Its log reads as SageMaker's.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from mlparity.serving.transform.association import Association
from mlparity.serving.transform.errors import AlgorithmError, TransformError
from mlparity.serving.transform.pipeline import Pipeline
from mlparity.serving.transform.plan import Settings, TransformPlan
from mlparity.serving.transform.records import Batch, Batching, batches, limit_of

_DEFAULT_PAYLOAD_MB = 6
_ALGORITHM = "AlgorithmError: See job logs for more information"
_CLIENT = "ClientError: Too many objects failed. See job logs for more information"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the plan and exit: 0, or 1 with the reason in the plan's failure file."""
    (path,) = sys.argv[1:] if arguments is None else arguments
    plan = TransformPlan.read(Path(path))
    reason = run(plan)
    if reason:
        Path(plan.failure).write_text(reason, "utf-8")
        sys.exit(1)


def run(plan: TransformPlan) -> str:
    """Transform every file. The reason of the failure, "" where there is none."""
    files = sorted(path for path in Path(plan.input).rglob("*") if path.is_file())
    try:
        with Pipeline(plan.containers, plan.settings, container_environment(plan.settings)) as pipeline:
            job = _Job(plan, pipeline, _settled(plan.settings, pipeline))
            failures = job.run(files)
    except TransformError as error:
        for line in error.lines:
            log(line)
        return _ALGORITHM if isinstance(error, AlgorithmError) else f"{error.kind}: {error}"
    if any(isinstance(failure, AlgorithmError) for failure in failures):
        return _ALGORITHM
    return _CLIENT if failures else ""


def container_environment(settings: Settings) -> dict[str, str]:
    """What SageMaker sets in the containers of a transform job, besides the model's and the job's own."""
    values = {"SAGEMAKER_BATCH": "true"}
    if settings.multi_record is not None:
        values["SAGEMAKER_BATCH_STRATEGY"] = "MULTI_RECORD" if settings.multi_record else "SINGLE_RECORD"
    if settings.max_payload_mb is not None:
        values["SAGEMAKER_MAX_PAYLOAD_IN_MB"] = str(settings.max_payload_mb)
    if settings.max_concurrent is not None:
        values["SAGEMAKER_MAX_CONCURRENT_TRANSFORMS"] = str(settings.max_concurrent)
    return values


def log(text: str) -> None:
    """A line of the job's log, in the form of SageMaker's own."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
    print(f"{now}:[sagemaker logs]: {text}", flush=True)  # noqa: T201 - the log is the job's output


def _settled(settings: Settings, pipeline: Pipeline) -> Settings:
    """What the request leaves open is the container's choice, else SageMaker's default."""
    proposed = {}
    if settings.multi_record is None or settings.max_payload_mb is None or not settings.max_concurrent:
        proposed = dict(pipeline.execution_parameters())
    multi, payload, concurrent = settings.multi_record, settings.max_payload_mb, settings.max_concurrent
    if multi is None:
        multi = proposed.get("BatchStrategy", "MULTI_RECORD") == "MULTI_RECORD"
    if payload is None:
        payload = int(proposed.get("MaxPayloadInMB", _DEFAULT_PAYLOAD_MB))
    if not concurrent:
        concurrent = max(1, int(proposed.get("MaxConcurrentTransforms", 1)))
    strategy = "MULTI_RECORD" if multi else "SINGLE_RECORD"
    log(f"MaxConcurrentTransforms={concurrent}, MaxPayloadInMB={payload}, BatchStrategy={strategy}")
    return replace(settings, multi_record=multi, max_payload_mb=payload, max_concurrent=concurrent)


class _Job:
    """Requests of all files share one pool; ``slots`` bounds how many wait in memory."""

    def __init__(self, plan: TransformPlan, pipeline: Pipeline, settings: Settings) -> None:
        self._plan = plan
        self._pipeline = pipeline
        self._settings = settings
        parallel = settings.max_concurrent or 1
        self._parallel = parallel
        self._slots = threading.BoundedSemaphore(2 * parallel)
        self._association = Association(
            settings.content_type,
            settings.accept or settings.content_type,
            settings.split_lines,
            settings.input_filter,
            settings.output_filter,
            settings.join_input,
        )
        self._rules = Batching(
            settings.split_lines,
            bool(settings.multi_record),
            limit_of(settings.max_payload_mb or 0),
            self._association.prepare,
        )

    def run(self, files: Sequence[Path]) -> list[TransformError]:
        with ThreadPoolExecutor(self._parallel) as requests, ThreadPoolExecutor(self._parallel) as readers:
            ended = list(readers.map(lambda path: self._file(path, requests), files))
        return [failure for failure in ended if failure is not None]

    def _file(self, path: Path, requests: ThreadPoolExecutor) -> TransformError | None:
        name = path.relative_to(self._plan.input).as_posix()
        target = Path(self._plan.output) / f"{name}.out"
        partial = Path(f"{self._plan.output}.partial") / f"{name}.out"  # only whole files are stored
        for folder in (target.parent, partial.parent):
            folder.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("wb") as out:
                self._transform(path, out, requests)
        except TransformError as error:
            for line in error.lines:
                log(f"{self._plan.source}{name}: {line}")
            return error
        partial.replace(target)
        return None

    def _transform(self, path: Path, out: BinaryIO, requests: ThreadPoolExecutor) -> None:
        pending: deque[tuple[Batch, Future[bytes]]] = deque()
        try:
            for batch in batches(path, compressed=self._settings.gzip, rules=self._rules):
                while not self._slots.acquire(blocking=not pending):
                    self._write_oldest(pending, out)
                pending.append((batch, requests.submit(self._pipeline.invoke, batch.body)))
            while pending:
                self._write_oldest(pending, out)
        finally:
            for _, future in pending:
                future.cancel()
                self._slots.release()

    def _write_oldest(self, pending: deque[tuple[Batch, Future[bytes]]], out: BinaryIO) -> None:
        batch, future = pending[0]
        answer = future.result()
        if self._association.per_record:
            answer = self._association.finish(batch.records, answer)
        out.write(answer)
        if self._settings.assemble_lines and not answer.endswith(b"\n"):
            out.write(b"\n")
        pending.popleft()
        self._slots.release()


if __name__ == "__main__":
    main()
