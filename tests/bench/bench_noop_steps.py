"""What a pipeline step costs that does nothing: a chain of Processing steps whose script is empty."""

from __future__ import annotations

from bench_kfp import PEER, chain, quietly, ready
from bench_measure import OURS, Budget, Options, Result, in_turns, timed
from bench_sagemaker import BUCKET, ROLE_ARN, PipelineRunner, client, definition, processing, sagemaker_client

from mlparity.testing.stack import running_stack

_ROUNDS = 5
_LENGTH = 10
_PEER_LENGTH = 3  # a step of the peer takes a second
_BUDGET_MS = 50
_NAME = "bench-noop"


def run(options: Options) -> list[Result]:
    """Wall time of an execution, divided by its steps."""
    ready(options.folder)
    peer = chain(_PEER_LENGTH)
    with running_stack(options.folder / "stack") as stack:
        sagemaker = sagemaker_client(stack.aws_url)
        client("s3", stack.aws_url).put_object(Bucket=BUCKET, Key="noop/code/nothing.py", Body=b"")
        sagemaker.create_pipeline(PipelineName=_NAME, PipelineDefinition=_chain(_LENGTH), RoleArn=ROLE_ARN)
        runner = PipelineRunner(sagemaker, _NAME)
        for _ in range(3):  # unmeasured: the workers import what they keep warm
            runner.run()
        samples = in_turns(
            options.rounds_or(_ROUNDS),
            {
                OURS: lambda: [runner.run() * 1000 / _LENGTH for _ in range(2)],
                PEER: lambda: [timed(lambda: quietly(peer)) * 1000 / _PEER_LENGTH],
            },
        )
    peers = {PEER: samples[PEER]}
    return [Result("noop_steps", f"no-op step, chain of {_LENGTH}", "ms", samples[OURS], peers, [Budget(_BUDGET_MS)])]


def _chain(length: int) -> str:
    arguments = ["python3", "/opt/ml/processing/input/code/nothing.py"]
    steps = [
        processing(
            f"nothing-{number}",
            arguments,
            {"code": f"s3://{BUCKET}/noop/code/"},
            DependsOn=[f"nothing-{number - 1}"] if number else [],
        )
        for number in range(length)
    ]
    return definition(steps)
