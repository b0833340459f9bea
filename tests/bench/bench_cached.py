"""The five steps of ``five_steps`` once more with nothing changed: every job's result comes from the cache.

kfp.local keeps the outcome of the pipeline as a whole: it asks for no step, and registers nothing again.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from bench_five_steps import create_pipeline, diabetes
from bench_kfp import NEW_PEER, five_steps_cached
from bench_measure import OURS, Budget, Options, Result, in_turns, timed
from bench_sagemaker import PipelineRunner, sagemaker_client

from mlparity.testing.stack import running_stack

_ROUNDS = 8
_THRESHOLD = 6000.0
_BUDGET_SECONDS = 0.15
_NAME = "bench-cached"
_JOBS = ("Prepare", "Train", "Evaluate")


def run(options: Options) -> list[Result]:
    """The gate and the registration have no cache on SageMaker: they are done each time, and a model is registered."""
    source = diabetes(options.folder / "diabetes.csv")
    registry = options.folder / "registry"
    registry.mkdir()
    peers = five_steps_cached(options.folder, source, _THRESHOLD, registry)
    with running_stack(options.folder / "stack") as stack:
        create_pipeline(stack.aws_url, _NAME, source, _THRESHOLD, cached=True)
        runner = PipelineRunner(sagemaker_client(stack.aws_url), _NAME)
        for _ in range(2):  # unmeasured: the first fills the cache
            runner.run()
            for again in peers.values():
                again()
        actions = {name: partial(_sample, again) for name, again in peers.items()}
        samples = in_turns(options.rounds_or(_ROUNDS), {OURS: lambda: [runner.run()], **actions})
        _check(stack.aws_url)
    ours, budgets = samples.pop(OURS), [Budget(_BUDGET_SECONDS), Budget(1, NEW_PEER)]
    return [Result("cached", "five-step pipeline again, cached", "s", ours, samples, budgets)]


def _sample(action: Callable[[], Any]) -> list[float]:
    return [timed(action)]


def _check(url: str) -> None:
    """The last execution took every job's result from the cache. Raises ``RuntimeError``."""
    sagemaker = sagemaker_client(url)
    last = sagemaker.list_pipeline_executions(PipelineName=_NAME)["PipelineExecutionSummaries"][0]
    steps = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=last["PipelineExecutionArn"])
    hit = {step["StepName"] for step in steps["PipelineExecutionSteps"] if "CacheHitResult" in step}
    if hit != set(_JOBS):
        raise RuntimeError(f"from the cache came {sorted(hit)}, not {sorted(_JOBS)}")
