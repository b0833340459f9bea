"""The scenario's own story: an accepted run, a rejected one, and an approval that is heard of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mlparity.scenarios import Platform
from scenarios.sagemaker_common.execution import Ended, run_to_the_end
from scenarios.sagemaker_training import checks
from scenarios.sagemaker_training.accepted import Accepted, accepted_run
from scenarios.sagemaker_training.approval import DETAIL_TYPE, Approvals, approvals
from scenarios.sagemaker_training.work import Work


@dataclass(frozen=True)
class Told:
    """How the story went."""

    accepted: Accepted
    refused: Ended
    event: dict[str, Any]

    def facts(self, strict: float) -> list[tuple[str, str]]:
        """For the report."""
        best = self.accepted.report["best_baseline"]
        baseline = self.accepted.report["baselines"][best]["mse"]["value"]
        quality = f"MSE {self.accepted.mse:.1f} min2; best baseline ({best}) {baseline:.1f}"
        return [
            ("accepted run", f"{self.accepted.ended.seconds:.1f} s, {quality}"),
            ("rejected run", f"{self.refused.seconds:.1f} s, stopped by the gate at {strict:.0f} min2"),
            ("model package", f"{self.accepted.package} (Approved)"),
            ("approval event", f"{self.event['id']}, received through EventBridge and SQS"),
        ]


def tell_story(work: Work) -> Told:
    """Run twice and approve. Every result is checked."""
    platform = work.platform
    with approvals(platform, work.case.package_group) as queue:
        platform.say(f"3. A run whose model is accepted (MSE <= {work.threshold:.0f} min2)")
        accepted = accepted_run(work)
        platform.say(f"4. The same data against a stricter gate (MSE <= {work.strict:.0f} min2)")
        before = work.package_arns()
        refused = run_to_the_end(platform, work.pipeline, "rejected", {"MseThreshold": work.strict})
        message = checks.rejected(platform, refused, work.strict, accepted.mse)
        platform.check(work.package_arns() == before, "the rejected run registered a model")
        platform.say(f"  the execution failed, as it should: {message}")
        platform.say("5. A person approves the model")
        event = approve(platform, queue, accepted.package)
    return Told(accepted, refused, event)


def approve(platform: Platform, queue: Approvals, package: str) -> dict[str, Any]:
    """Approve the package and wait for EventBridge to say so."""
    sagemaker = platform.client("sagemaker")
    note = "MSE and baselines checked"
    sagemaker.update_model_package(ModelPackageArn=package, ModelApprovalStatus="Approved", ApprovalDescription=note)
    described = sagemaker.describe_model_package(ModelPackageName=package)
    platform.check(described["ModelApprovalStatus"] == "Approved", f"{package} is not approved")
    platform.check(described["ApprovalDescription"] == note, f"{package} lost the approval's description")
    event = queue.wait_for(package)
    platform.check(event is not None, f"no event told of the approval of {package}")
    event = event or {}
    platform.check(event["source"] == "aws.sagemaker", f"the event comes from {event['source']}")
    platform.check(event["detail-type"] == DETAIL_TYPE, f"the event is a {event['detail-type']}")
    status = event["detail"]["ModelApprovalStatus"]
    platform.check(status == "Approved", f"the event tells of {status}")
    platform.say(
        f"  {event['detail-type']}: version {event['detail']['ModelPackageVersion']} is {status} ({event['time']})"
    )
    return event
