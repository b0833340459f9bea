"""Selective execution: a stricter gate asked of an earlier run's model, without preparing or training again."""

from __future__ import annotations

from sagemaker.mlops.workflow.selective_execution_config import SelectiveExecutionConfig

from scenarios.sagemaker_common.execution import run_to_the_end
from scenarios.sagemaker_training import checks
from scenarios.sagemaker_training.accepted import Accepted
from scenarios.sagemaker_training.parts.cached import jobs_of
from scenarios.sagemaker_training.work import Work

SELECTED = ("Evaluate", "CheckMse", "RejectModel")
KEPT = ("Preprocess", "Train")


def run(work: Work, accepted: Accepted) -> list[tuple[str, str]]:
    """Run the evaluation and the gate on what the accepted execution left."""
    platform = work.platform
    source = accepted.ended
    selection = SelectiveExecutionConfig(list(SELECTED), source_pipeline_execution_arn=source.arn)
    before = work.package_arns()
    ended = run_to_the_end(
        platform,
        work.pipeline,
        "stricter-gate",
        {"MseThreshold": work.strict},
        selective_execution_config=selection,
    )
    message = checks.rejected(platform, ended, work.strict, accepted.mse)
    for step in KEPT:
        kept = ended.steps[step].get("SelectiveExecutionResult", {}).get("SourcePipelineExecutionArn")
        platform.check(kept == source.arn, f"{step} has the results of {kept}, not of {source.arn}")
        same = ended.steps[step]["Metadata"] == source.steps[step]["Metadata"]
        platform.check(same, f"{step} names another job than the one whose results it has")
    ran = jobs_of(work, ended)
    platform.check(
        len(ran) == 1 and "Evaluate" in ran[0], f"it ran {', '.join(ran) or 'no job'}, not the evaluation alone"
    )
    described = ended.description["SelectiveExecutionConfig"]
    platform.check(
        [step["StepName"] for step in described["SelectedSteps"]] == list(SELECTED),
        f"DescribePipelineExecution names the selection {described}",
    )
    platform.check(work.package_arns() == before, "the rejected run registered a model")
    platform.say(f"  the gate stopped it, as it should: {message}")
    platform.say(f"  {ended.seconds:.1f} s instead of {source.seconds:.1f} s; one job ran: {ran[0]}")
    return [
        ("selective run", f"{ended.seconds:.1f} s instead of {source.seconds:.1f} s, same MSE {accepted.mse:.1f} min2")
    ]
