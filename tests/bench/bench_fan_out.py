"""A hundred steps: one, then 98 that wait only for it, then one that waits for them all. No step does anything."""

from __future__ import annotations

from bench_kfp import PEER, fan, quietly, ready
from bench_measure import OURS, Budget, Options, Result, in_turns, timed
from bench_sagemaker import BUCKET, ROLE_ARN, PipelineRunner, client, definition, processing, sagemaker_client

from mlparity.testing.stack import running_stack

STEPS = 100
_ROUNDS = 3
_PEER_STEPS = 12  # they run one after another, and each takes as long as another: a hundred would be no truer
_BUDGET_MS = 50
_NAME = "bench-fan-out"
_CODE = "fan-out/code/"


def run(options: Options) -> list[Result]:
    """The whole, and the whole divided by the steps."""
    ready(options.folder)
    peer = fan(_PEER_STEPS)
    with running_stack(options.folder / "stack") as stack:
        runner = fan_out(stack.aws_url)
        runner.run()  # unmeasured: the workers import what they keep warm
        quietly(peer)
        samples = in_turns(
            options.rounds_or(_ROUNDS),
            {OURS: lambda: [runner.run()], PEER: lambda: [timed(lambda: quietly(peer))]},
        )
    each = {PEER: [seconds * 1000 / _PEER_STEPS for seconds in samples[PEER]]}
    ours = [seconds * 1000 / STEPS for seconds in samples[OURS]]
    return [
        Result("fan_out", f"fan-out of {STEPS} steps", "s", samples[OURS], {}),
        Result("fan_out", "of it each step", "ms", ours, each, [Budget(_BUDGET_MS), Budget(1, PEER)]),
    ]


def fan_out(url: str) -> PipelineRunner:
    """Create the pipeline."""
    sagemaker = sagemaker_client(url)
    client("s3", url).put_object(Bucket=BUCKET, Key=f"{_CODE}nothing.py", Body=b"")
    sagemaker.create_pipeline(PipelineName=_NAME, PipelineDefinition=_definition(), RoleArn=ROLE_ARN)
    return PipelineRunner(sagemaker, _NAME)


def _definition() -> str:
    middle = [f"middle-{number}" for number in range(STEPS - 2)]
    waits = {"first": [], **{name: ["first"] for name in middle}, "last": middle}
    arguments = ["python3", "/opt/ml/processing/input/code/nothing.py"]
    inputs = {"code": f"s3://{BUCKET}/{_CODE}"}
    return definition([processing(name, arguments, inputs, DependsOn=before) for name, before in waits.items()])
