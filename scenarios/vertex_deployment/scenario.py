"""Vertex AI from an approved version to production and back to training: the story."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

from mlparity.scenarios import Platform, Report
from mlparity.scenarios.loops import Loops, loops_of
from scenarios.vertex_deployment import retraining, watch
from scenarios.vertex_deployment.cleanup import clean_up, left_over
from scenarios.vertex_deployment.flights import Flights
from scenarios.vertex_deployment.rollout import climb, deploy, measure, shift, smoke_test
from scenarios.vertex_deployment.settings import (
    ENDPOINT,
    FOLDER,
    LABEL,
    LOOP,
    NIGHTLY_MODEL,
    STRONG,
    SUMMER,
    WEAK,
    WINTER,
    case_of,
)
from scenarios.vertex_deployment.training import Version, approve, approved, careless, registered, trained
from scenarios.vertex_training.pipeline import compile_to
from scenarios.vertex_training.runs import Ended

_SUMMER_FLIGHTS = 300


def run(platform: Platform) -> Report:
    """Every step is checked; the first that does not hold ends the scenario. What was made is taken away at the end."""
    case_of(platform.arguments)
    loops = loops_of(platform) if platform.local else None
    platform.on_google.init()
    began = time.monotonic()
    logging.disable(logging.INFO)  # the SDK's loggers say every call
    try:
        clean_up(platform, loops)  # of an earlier run that was cut off
        try:
            facts = _Story(platform, loops).tell()
        finally:
            platform.say("8. Everything is taken away again")
            clean_up(platform, loops)
        left = left_over(platform)
    finally:
        logging.disable(logging.NOTSET)
    platform.check(not left, f"something is left: {left}")
    platform.say("   no endpoint, model, job, schedule or object is left")
    facts.append(("all of it", f"{time.monotonic() - began:.0f} s"))
    look = [f"logged requests: gs://{platform.on_google.bucket}/request-response-logging/"] if platform.local else []
    if platform.local:
        look.append(f"while it runs, from step 5 on: mlparity loop show {LOOP}")
    return Report("Vertex deployment: everything was checked and held", facts, look)


class _Story:
    def __init__(self, platform: Platform, loops: Loops | None) -> None:
        self._platform = platform
        self._loops = loops
        self._case = case_of(platform.arguments)
        self._package: Path = compile_to(platform.workdir / "pipeline.yaml")
        self._winter = Flights.of_month(WINTER, platform.workdir)
        self._endpoint: Any = None

    def tell(self) -> list[tuple[str, str]]:
        """The facts for the report."""
        say, platform = self._platform.say, self._platform
        parameters = {"months": [WINTER], "every": self._case.sample, "model_id": NIGHTLY_MODEL}
        schedule = retraining.create_schedule(platform, self._package, parameters)
        say("1. A schedule that begins a training on the next full minute; February's models, the first is deployed")
        weak = self._train("weak", WEAK)
        blue = self._first(weak)
        strong = self._train("strong", STRONG)
        say("2. The better one beside it: blue/green, and back in one call")
        green, model = self._blue_green(blue, strong)
        say("3. The same step by step: a canary ladder with checks of errors and latency")
        wrong = climb(platform, self._endpoint, blue, green, self._winter, self._case.requests)
        platform.check(not wrong, f"the good version went back {wrong}")
        self._endpoint.undeploy(blue)
        smoke_test(platform, self._endpoint, green, model, self._winter.part(0, 50))
        say("4. A careless version: its canary goes back")
        back = self._careless(green)
        say("5. July meets February's model: a monitoring job")
        monitor = watch.create(platform, self._endpoint, green, strong.training_data)
        facts = [("deployed", strong.name.rpartition("/")[2]), ("bad version", back)]
        facts += self._july(monitor, green, strong) if self._loops else self._not_here(monitor)
        say("7. What the schedule has done meanwhile")
        self._scheduled(schedule)
        return facts

    def _train(self, name: str, iterations: int) -> Version:
        parameters = {"every": self._case.sample, "iterations": iterations}
        made = trained(self._platform, self._package, f"{ENDPOINT}-{name}", parameters)
        self._platform.say(f"   version {made.number} ({iterations} rounds of boosting): ROC AUC {made.roc_auc:.4f}")
        return made

    def _first(self, version: Version) -> str:
        from google.cloud import aiplatform

        platform = self._platform
        approve(version.name, "ana")
        model = approved(platform)
        platform.check(model.version_id == version.number, f"the approved version is {model.version_id}")
        self._endpoint = aiplatform.Endpoint.create(display_name=ENDPOINT, labels=LABEL)
        deployed = deploy(self._endpoint, model, percentage=100)
        smoke_test(platform, self._endpoint, deployed, model, self._winter.part(0, 50))
        platform.say(f"   version {version.number} serves: 50 flights predicted as by its model here")
        return deployed

    def _blue_green(self, blue: str, version: Version) -> tuple[str, Any]:
        platform = self._platform
        approve(version.name, "ana")
        model = approved(platform)
        green = deploy(self._endpoint, model, percentage=0)
        flights = self._winter.part(0, 20)
        for serving, idle in ((blue, green), (green, blue), (blue, green)):
            shift(self._endpoint, {serving: 100, idle: 0})
            seen = measure(self._endpoint, flights)
            platform.check(dict(seen.answered) == {serving: 20}, f"{dict(seen.answered)}, {seen.failures} failed")
        platform.say("   all traffic on blue, on green, on blue again; no request failed or went astray")
        return green, model

    def _careless(self, good: str) -> str:
        platform, endpoint = self._platform, self._endpoint
        bad = careless(platform, self._winter)
        approve(bad.name, "ben")
        model = approved(platform)
        platform.check(model.version_id == bad.number, f"the approved version is {model.version_id}")
        deployed = deploy(endpoint, model, percentage=0)
        why = climb(platform, endpoint, good, deployed, self._winter, self._case.requests)
        platform.check(bool(why), "the careless version went all the way up")
        platform.check("unknown categories" in why or not platform.local, f"it failed for another reason: {why}")
        endpoint.undeploy(deployed)
        after = measure(endpoint, self._winter.part(0, 50))
        platform.check(
            dict(after.answered) == {good: 50}, f"afterwards: {dict(after.answered)}, {after.failures} failed"
        )
        platform.say(f"   it went back {why}; afterwards every request succeeds")
        return why

    def _scheduled(self, schedule: Any) -> None:
        platform = self._platform
        job = retraining.scheduled_run(platform, schedule)
        schedule.delete()
        made = registered(platform, Ended(job, 0.0, ""))
        platform.check(f"/{NIGHTLY_MODEL}@" in made.name, f"it registered {made.name}")
        platform.say(
            f"   it began {job.name}, which registered {made.name.rpartition('/')[2]}; the schedule is deleted"
        )

    def _july(self, monitor: Any, deployed: str, champion: Version) -> list[tuple[str, str]]:
        platform, endpoint, loops = self._platform, self._endpoint, self._loops
        assert loops is not None
        loops.create(retraining.definition(platform, endpoint, monitor, self._package, self._case))
        july = Flights.of_month(SUMMER, platform.workdir)
        watch.send(endpoint, july.part(0, _SUMMER_FLIGHTS))
        watch.logged(platform, endpoint, _SUMMER_FLIGHTS)
        drifted = watch.run_once(platform, loops, monitor, deployed)
        told = ", ".join(f"{name} {value:.3f}" for name, value in drifted.items())
        platform.say(f"   {_SUMMER_FLIGHTS} flights of July; far from the training data: {told}")
        platform.check("month" in drifted, f"July's month did not drift: {told}")
        platform.say("6. The loop: retrain, gate, approve, roll out")
        cycle = retraining.follow(platform, loops, endpoint, july.part(_SUMMER_FLIGHTS, 1000), "ana")
        for item in cycle["history"]:
            platform.say(f"   {item['at'][11:19]}  {item['state']:18s} {item['reason']}")
        facts = self._promoted(cycle, champion, july)
        watch.retire(platform, monitor)
        return [("drift", told), *facts]

    def _promoted(self, cycle: dict[str, Any], champion: Version, july: Flights) -> list[tuple[str, str]]:
        from google.cloud import aiplatform

        platform, facts = self._platform, cycle["facts"]
        endpoint = aiplatform.Endpoint(self._endpoint.resource_name)
        (serving,) = endpoint.list_models()
        name = f"{serving.model}@{serving.model_version_id}"
        platform.check(
            name == facts["package"] != champion.name, f"{name} serves, the loop promoted {facts['package']}"
        )
        model = aiplatform.Model(LOOP, version=serving.model_version_id)
        smoke_test(platform, endpoint, serving.id, model, july.part(0, 50))
        platform.say(f"   version {serving.model_version_id} serves alone; 50 flights predicted as by its model here")
        numbers = (
            f"ROC AUC {facts['candidate_metric']:.4f} on July's flights, the champion's {facts['champion_metric']:.4f}"
        )
        return [
            ("promoted", f"{name.rpartition('/')[2]}: {numbers}"),
            ("approved by", f"{facts['actor']}; {cycle['sent']} requests in the rollout, none failed"),
        ]

    def _not_here(self, monitor: Any) -> list[tuple[str, str]]:
        """On Google Cloud a job runs each hour at most, and there is no loop: that is mlparity's."""
        self._platform.say(
            f"   {monitor.resource_name} is RUNNING; its first results come after an hour, so it ends here"
        )
        self._platform.say("6. The loop is run by mlparity's local control plane: not on this profile")
        return [
            ("monitoring", "created, RUNNING, deleted"),
            ("loop", f"only on a local profile; gs://…/{FOLDER} is its"),
        ]
