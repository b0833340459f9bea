"""SageMaker from an approved package to production and back to training: the story."""

from __future__ import annotations

import time
from typing import Any

import boto3
from sagemaker.core import image_uris
from sagemaker.core.s3 import S3Uploader
from sagemaker.core.workflow.pipeline_context import PipelineSession

from mlparity.scenarios import Platform, Report
from mlparity.scenarios.loops import Loops, loops_of
from scenarios.flights.data import flights_files
from scenarios.sagemaker_common.execution import run_to_the_end
from scenarios.sagemaker_common.quiet import quiet
from scenarios.sagemaker_deployment import drift, packages, retraining
from scenarios.sagemaker_deployment.bad_version import canary_goes_back
from scenarios.sagemaker_deployment.cleanup import clean_up, left_over
from scenarios.sagemaker_deployment.environments import Environment, environments
from scenarios.sagemaker_deployment.flights import Flights
from scenarios.sagemaker_deployment.names import LOOP, PREFIX
from scenarios.sagemaker_deployment.pipeline import Builder
from scenarios.sagemaker_deployment.promotion import alarms_are_quiet, create_alarms, promote, serving_package
from scenarios.sagemaker_deployment.roles import pipeline_role
from scenarios.sagemaker_deployment.smoke import smoke_test

_BASELINE_DRIFT = 0.1  # the monitor's own comparison threshold
_SUMMER_FLIGHTS = 300
_CANARY_FLIGHTS = 400


def run(platform: Platform) -> Report:
    """Every step is checked; the first that does not hold ends the scenario. What was made is taken away at the end."""
    stages, loops = environments(platform.folder / "environments"), loops_of(platform)
    began = time.monotonic()
    with quiet():
        clean_up(platform, stages, loops)  # of an earlier run that was cut off
        try:
            facts = _Story(platform, stages, loops).tell()
        finally:
            platform.say("8. Everything is taken away again")
            clean_up(platform, stages, loops)
    left = left_over(platform)
    platform.check(not left, f"something is left: {left}")
    platform.say("  no endpoint, configuration, model or schedule is left")
    facts.append(("all of it", f"{time.monotonic() - began:.0f} s"))
    return Report("SageMaker deployment: everything was checked and held", facts, _where(platform))


class _Story:
    def __init__(self, platform: Platform, stages: list[Environment], loops: Loops) -> None:
        self._platform = platform
        self._stages = stages
        self._prod = stages[-1]
        self._loops = loops
        self._prefix = f"{PREFIX}/{time.strftime('%Y%m%d-%H%M%S')}"  # an earlier run's requests are not this one's
        self._base = f"s3://{platform.bucket}/{self._prefix}"
        self._role = pipeline_role(platform)

    def tell(self) -> list[tuple[str, str]]:
        """The facts for the report."""
        say = self._platform.say
        say("1. February's model: a pipeline in a role of its own")
        execution = self._train()
        package = packages.newest(self._platform)
        say(f"2. The approval of {package.rpartition(':')[2]}")
        packages.approve(self._platform, package, "ana", "golden predictions and error on February checked")
        smoke = self._promote(package)
        self._loops.create(retraining.definition(self._prod))  # from here on nobody approves what his role has made
        say("4. A version that is bad, and prod's canary")
        back = self._bad_version(package)
        alarms_are_quiet(self._platform, self._prod)
        say("5. July arrives: the monitor")
        found = self._july(execution)
        say("6. The loop: retrain, gate, approve, roll out")
        cycle = retraining.follow(self._platform, self._loops, self._role)
        say("7. The better model is in production")
        return [*self._after(package, cycle), ("bad version", back), ("drift", found), ("smoke tests", smoke)]

    def _train(self) -> Any:
        platform = self._platform
        session = PipelineSession(
            boto_session=boto3.Session(region_name=platform.region), default_bucket=platform.bucket
        )
        for path in flights_files().named("flights", "weather").values():
            S3Uploader.upload(str(path), f"{self._base}/data", sagemaker_session=session)
        library = platform.folder / "jobs" / "features.py"
        S3Uploader.upload(str(library), f"{self._base}/library", sagemaker_session=session)
        # The first pipeline has no champion to compare with; a processing input must not be empty.
        platform.client("s3").put_object(Bucket=platform.bucket, Key=f"{self._prefix}/no-champion/none", Body=b"")
        packages.create_group(platform)
        pipeline = Builder(session, self._role, platform.folder / "jobs", self._base).pipeline()
        pipeline.upsert(role_arn=self._role)
        ended = run_to_the_end(platform, pipeline, "february", {})
        platform.check(ended.status == "Succeeded", f"the pipeline {ended.status}")
        return ended

    def _promote(self, package: str) -> str:
        platform, words = self._platform, ""
        platform.say("3. The latest approved version, by its ARN, through the three environments")
        pinned = packages.latest_approved(platform)
        platform.check(pinned == package, f"the latest approved version is {pinned}")
        winter = Flights.between("2013-02-22", "2013-02-28")
        for environment in self._stages:
            began = time.monotonic()
            create_alarms(platform, environment)
            described = promote(platform, environment, pinned, self._role, self._base)
            reason = described.get("FailureReason", "")
            platform.check(described["EndpointStatus"] == "InService", f"{environment.endpoint}: {reason}")
            seconds = time.monotonic() - began
            words = smoke_test(platform, environment, pinned, winter)
            platform.say(f"  {environment.name:8s} InService after {seconds:.1f} s; {words}")
        return words

    def _bad_version(self, good: str) -> str:
        platform, dev = self._platform, self._stages[0]
        bad = packages.register_careless_version(platform, good, self._base)
        packages.approve(platform, bad, "ben", "same model, new inference code")
        promote(platform, dev, bad, self._role, self._base)
        winter = Flights.between("2013-02-22", "2013-02-28")
        platform.say(f"  in dev it passes: {smoke_test(platform, dev, bad, winter)}")
        traffic = Flights.between("2013-01-01", "2013-02-28")
        gaps, rest = traffic.incomplete(), traffic.sample(_CANARY_FLIGHTS, seed=3)
        platform.say(f"  of the winter's flights, {len(gaps.table)} have no complete weather record")
        mixed = Flights(_mixed(rest, gaps))
        return canary_goes_back(platform, self._prod, bad, good, self._role, self._base, mixed)

    def _july(self, execution: Any) -> str:
        platform, prod = self._platform, self._prod
        image = image_uris.retrieve("model-monitor", platform.region)
        drift.baseline(platform, image, self._role, self._base, f"{self._base}/runs/{execution.id}/baseline")
        drift.create_alarm(platform, prod, _BASELINE_DRIFT)
        july = Flights.between("2013-07-01", "2013-07-15").sample(_SUMMER_FLIGHTS, seed=7)
        predicted = drift.send_flights(platform, prod.endpoint, july)
        error = sum((one - other) ** 2 for one, other in zip(predicted, july.delays, strict=True)) / len(predicted)
        kept = drift.captured(platform, self._base, prod.endpoint, len(predicted))
        platform.say(f"  {len(predicted)} flights of July predicted, MSE {error:.0f} min2; {kept} requests captured")
        ended = drift.monitor_once(platform, prod, image, self._role, self._base)
        status = ended["MonitoringExecutionStatus"]
        platform.check(status == "CompletedWithViolations", f"the monitor: {status} {ended.get('FailureReason')}")
        found = drift.violations(platform, self._base)
        kinds = sorted({f"{item['feature_name']} ({item['constraint_check_type']})" for item in found})
        platform.say(f"  {status}: {len(found)} violations, {', '.join(kinds)}")
        drifted = [item["feature_name"] for item in found if item["constraint_check_type"] == "baseline_drift_check"]
        platform.check("temp" in drifted, f"July's temperature did not drift: {kinds}")
        return f"{len(found)} violations; drifted: {', '.join(sorted(drifted))}"

    def _after(self, champion: str, cycle: dict[str, Any]) -> list[tuple[str, str]]:
        platform, facts = self._platform, cycle["facts"]
        serving = serving_package(platform, self._prod.endpoint)
        platform.check(serving == facts["package"], f"{serving} is in production")
        platform.check(serving != champion, "the champion is still in production")
        for item in cycle["history"]:
            platform.say(f"  {item['at'][11:19]}  {item['state']:18s} {item['reason']}")
        better = 1 - facts["candidate_metric"] / facts["champion_metric"]
        smoke_test(platform, self._prod, serving, Flights.between("2013-07-16", "2013-07-31"))
        return [
            ("champion", f"{champion.rpartition('/')[2]}, MSE {facts['champion_metric']:.0f} min2 on late July"),
            ("promoted", f"{serving}, MSE {facts['candidate_metric']:.0f} min2: {better:.1%} better"),
            ("approved by", f"{facts['actor'].rpartition(':')[2]}: {facts['comment']}"),
        ]


def _mixed(flights: Flights, gaps: Flights) -> Any:
    """Every tenth flight is one with a gap."""
    import pandas as pd

    some = gaps.table.head(max(1, len(flights.table) // 10))
    return pd.concat([flights.complete().table, some]).sample(frac=1, random_state=5)


def _where(platform: Platform) -> list[str]:
    look = [f"objects: s3://{platform.bucket}/{PREFIX}/ (captured requests, baseline, reports, models)"]
    if platform.local:
        look.append(f"while it runs, from step 4 on: mlparity loop show {LOOP}")
    return look
