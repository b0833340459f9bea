"""``python -m mlparity.serving.batch_prediction.driver PLAN``: runs a batch prediction job inside its sandbox.

A request that fails makes errors of its instances, and the others go on; the job fails where none succeeds.
"""

from __future__ import annotations

import json
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from mlparity.serving.batch_prediction.instances import Instance, instances
from mlparity.serving.batch_prediction.plan import BatchPlan
from mlparity.serving.batch_prediction.results import Shards
from mlparity.serving.batch_prediction.servers import PredictionError, ServerError, Servers

RESULTS, ERRORS = "prediction.results", "prediction.errors_stats"
_INVALID_ARGUMENT = 3  # google.rpc.Code
_Batch = tuple[Sequence[Instance], "Future[list[Any]]"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the plan and exit: 0, or 1 with the reason in the plan's failure file."""
    (path,) = sys.argv[1:] if arguments is None else arguments
    plan = BatchPlan.read(Path(path))
    reason = run(plan)
    if reason:
        Path(plan.failure).write_text(reason, "utf-8")
        sys.exit(1)


def run(plan: BatchPlan) -> str:
    """Predict everything. The reason of the failure, "" where there is none."""
    folder = Path(plan.output)
    folder.mkdir(parents=True, exist_ok=True)
    results, errors = Shards(folder, RESULTS), Shards(folder, ERRORS)
    try:
        with Servers(plan.server, plan.replicas) as servers, ThreadPoolExecutor(plan.replicas) as pool:
            _predict(plan, servers, pool, results, errors)
    except ServerError as error:
        return str(error)
    results.close(always=True)
    errors.close(always=True)
    counts = {"successfulCount": results.written, "failedCount": errors.written, "incompleteCount": 0}
    Path(plan.stats).write_text(json.dumps(counts), "utf-8")
    if errors.written and not results.written:
        return f"The prediction of all {errors.written} instances failed. See the files {ERRORS}-*."
    return ""


def _predict(plan: BatchPlan, servers: Servers, pool: ThreadPoolExecutor, results: Shards, errors: Shards) -> None:
    """A few requests ahead of what is written, which has the order of the input."""
    pending: deque[_Batch] = deque()
    for batch in _batches(instances(plan.inputs, plan.conversion), plan.batch_size, errors):
        sent = [one.sent for one in batch]
        pending.append((batch, pool.submit(servers.predict, sent, plan.parameters)))
        if len(pending) > 2 * plan.replicas:
            _write(*pending.popleft(), results, errors)
    while pending:
        _write(*pending.popleft(), results, errors)


def _batches(found: Iterable[Instance], size: int, errors: Shards) -> Iterator[Sequence[Instance]]:
    batch: list[Instance] = []
    for one in found:
        if one.wrong:
            errors.write({**one.shown, "error": {"code": _INVALID_ARGUMENT, "message": one.wrong}})
            continue
        batch.append(one)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _write(batch: Sequence[Instance], answer: Future[list[Any]], results: Shards, errors: Shards) -> None:
    try:
        predictions = answer.result()
    except PredictionError as error:
        message = f"Post request fails. Cannot get predictions. Error: {error}"
        for one in batch:
            errors.write({**one.shown, "error": {"code": _INVALID_ARGUMENT, "message": message}})
        return
    for one, prediction in zip(batch, predictions, strict=True):
        results.write({**one.shown, "prediction": prediction})


if __name__ == "__main__":
    main()
