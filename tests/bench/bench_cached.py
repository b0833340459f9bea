"""The five steps of ``five_steps`` once more with nothing changed: every job's result comes from the cache."""

from __future__ import annotations

from bench_five_steps import create_pipeline, diabetes
from bench_kfp import CACHED_PEER, five_steps_cached, ready
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
    ready(options.folder, cached=True)
    peer = five_steps_cached(source, _THRESHOLD, registry)
    with running_stack(options.folder / "stack") as stack:
        create_pipeline(stack.aws_url, _NAME, source, _THRESHOLD, cached=True)
        runner = PipelineRunner(sagemaker_client(stack.aws_url), _NAME)
        for _ in range(2):  # unmeasured: the first fills the cache
            runner.run()
            peer()
        samples = in_turns(
            options.rounds_or(_ROUNDS), {OURS: lambda: [runner.run()], CACHED_PEER: lambda: [timed(peer)]}
        )
        _check(stack.aws_url)
    budgets = [Budget(_BUDGET_SECONDS), Budget(1, CACHED_PEER)]
    what = "five-step pipeline again, cached"
    return [Result("cached", what, "s", samples[OURS], {CACHED_PEER: samples[CACHED_PEER]}, budgets)]


def _check(url: str) -> None:
    """The last execution took every job's result from the cache. Raises ``RuntimeError``."""
    sagemaker = sagemaker_client(url)
    last = sagemaker.list_pipeline_executions(PipelineName=_NAME)["PipelineExecutionSummaries"][0]
    steps = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=last["PipelineExecutionArn"])
    hit = {step["StepName"] for step in steps["PipelineExecutionSteps"] if "CacheHitResult" in step}
    if hit != set(_JOBS):
        raise RuntimeError(f"from the cache came {sorted(hit)}, not {sorted(_JOBS)}")
