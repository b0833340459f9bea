"""An MLflow model behind an endpoint that follows the registry's alias: the story, and its single steps."""

from __future__ import annotations

import json
import logging
import os
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from mlparity.errors import ConfigurationError
from mlparity.scenarios import Platform, Report
from scenarios.flights.data import flights_files
from scenarios.mlflow_serving import container, contract, ecs, endpoint, engine, reaper, versions
from scenarios.mlflow_serving.arguments import Wish, wish
from scenarios.mlflow_serving.cleanup import clean_up, left_over
from scenarios.mlflow_serving.flights import COLUMNS, sample_of
from scenarios.mlflow_serving.load import under_load
from scenarios.mlflow_serving.names import CHALLENGER, CHAMPION, ENDPOINT, REGISTERED_MODEL, VARIANT
from scenarios.mlflow_serving.prices import price_list
from scenarios.sagemaker_common.endpoints import exists

_GOLDEN = 12
_ASKED = 30  # answers before the alias moves, and after
_METRIC_SECONDS = 60.0


def run(platform: Platform) -> Report:
    """The whole story, or the one step that was asked for. The first result that does not hold ends it."""
    asked = wish(platform.arguments)
    platform.check(bool(platform.tracking_uri), "the scenario needs MLflow, and the profile has none")
    with _quiet():
        if asked.clean:
            return _clean(platform)
        if asked.reap:
            return _reap(platform, asked)
        if asked.build:
            engine.require()
        if asked.back or asked.promote:
            return _one_move(platform, asked)
        return _whole(platform, asked)


def _whole(platform: Platform, asked: Wish) -> Report:
    began = time.monotonic()
    clean_up(platform)  # of an earlier run that was kept or cut off
    over = False
    try:
        facts = _Story(platform, asked).tell()
        over = True
    finally:
        if not (over and asked.keep):
            clean_up(platform)
    look = [f"the image's build contexts: {platform.workdir / 'image'}", f"for ECS: {_definition_path(platform)}"]
    if asked.keep:
        command = "mlparity run mlflow_serving --"
        look += [f"{command} {step}" for step in ("--promote 2", "--back", "--reap [--delete]", "--clean")]
    else:
        _nothing_left(platform)
    facts.append(("all of it", f"{time.monotonic() - began:.0f} s"))
    return Report("MLflow serving: everything was checked and held", facts, look)


def _nothing_left(platform: Platform) -> None:
    left = left_over(platform)
    platform.check(not left, f"something is left: {left}")
    platform.say("  no endpoint, configuration, model, image, container, object or registered version is left")


def _clean(platform: Platform) -> Report:
    clean_up(platform)
    _nothing_left(platform)
    return Report("MLflow serving: everything was taken away")


class _Story:
    def __init__(self, platform: Platform, asked: Wish) -> None:
        self._platform = platform
        self._asked = asked

    def tell(self) -> list[tuple[str, str]]:
        """The facts for the report."""
        platform, say = self._platform, self._platform.say
        say("1. A model with its own code, in two versions")
        golden = self._register()
        say(f"2. What the endpoint would cost on AWS: {_estimate(platform, self._asked)}")
        say("3. The image and the endpoint, from models:/" + f"{REGISTERED_MODEL}@{CHAMPION}")
        champion = versions.fetch(platform, f"{REGISTERED_MODEL}@{CHAMPION}")
        uri, config = endpoint.prepare(platform, champion, self._asked.instance_type, build=self._asked.build)
        facts = self._as_container(_write_definition(platform, uri), champion, golden)
        seconds = endpoint.deploy(platform, config, _now() + timedelta(hours=self._asked.ttl_hours))
        say(f"  {ENDPOINT} InService after {seconds:.1f} s")
        say("4. Its answers")
        same = contract.compare(platform, champion, golden)
        say(f"  {same}")
        for told in contract.refuses(platform, golden):
            say(f"  400: ...{told[-160:]}")
        say("5. The alias moves, and back, under load")
        challenger = versions.aliases(platform)[CHALLENGER]
        there = move(platform, self._asked, challenger, golden)
        back = move(platform, self._asked, champion.number, golden)
        facts += [("predictions", same), ("promoted", there), ("and back", back)]
        if not self._asked.keep:
            say("6. The reaper")
            facts.append(("reaped", self._reaped()))
        return facts

    def _as_container(
        self, definition: Mapping[str, Any], version: versions.Version, golden: pd.DataFrame
    ) -> list[tuple[str, str]]:
        """The built image alone, before any endpoint has it; nothing where none was built."""
        if not self._asked.build:
            return []
        same = container.compare(self._platform, definition, version, golden)
        self._platform.say(f"  as a container by itself: {same}")
        return [("the image alone", same)]

    def _register(self) -> pd.DataFrame:
        """Two versions and their aliases; the flights to compare with."""
        platform = self._platform
        flights = sample_of(flights_files())
        january = flights[flights["month"] == 1]
        first = versions.register(platform, versions.train(january, rounds=40), january)
        second = versions.register(platform, versions.train(flights, rounds=80), flights)
        versions.point(platform, first, second)
        platform.say(f"  version {first} ({len(january)} flights of January) is {CHAMPION}")
        platform.say(f"  version {second} ({len(flights)} of January and February) is {CHALLENGER}")
        return flights.sample(_GOLDEN, random_state=5)[list(COLUMNS)].reset_index(drop=True)

    def _reaped(self) -> str:
        platform, now, hours = self._platform, _now(), self._asked.ttl_hours
        _wait_for_metric(platform)
        idle = self._asked.idle_minutes
        platform.check(not reaper.find(platform, now, max(idle, 5)), "the reaper takes what is in use")
        # Earlier than its time to live, but nobody asks any more. The clock is an argument: nobody waits for it.
        quiet = reaper.find(platform, now + timedelta(minutes=3), 1)
        platform.check([one.endpoint for one in quiet] == [ENDPOINT], f"idle are {quiet}")
        found = reaper.find(platform, now + timedelta(hours=hours, minutes=1), int(hours * 60) + 60)
        platform.check([one.endpoint for one in found] == [ENDPOINT], f"the reaper finds {found}")
        for moment, one in (("in 3 minutes", quiet[0]), (f"in {hours:g} hours", found[0])):
            platform.say(f"  dry run, {moment}: {one.endpoint} would go: {one.reason}")
        gone = reaper.reap(platform, ENDPOINT)
        for thing in gone:
            platform.say(f"  removed {thing}")
        kinds = [thing.partition(" ")[0] for thing in gone]
        order = ["endpoint", "configuration", "configuration", "model", "model", "image", "image"]
        platform.check(kinds == order, f"it removed {kinds}")
        return f"{len(gone)} things; {found[0].reason}"


def move(platform: Platform, asked: Wish, number: str, golden: pd.DataFrame) -> str:
    """Make version ``number`` the champion, under load; both aliases are put back where the endpoint does not follow.

    No request may fail meanwhile, and every answer must be one of the two versions' own. In words, with the seconds.
    """
    before = versions.aliases(platform)
    old = versions.fetch(platform, f"{REGISTERED_MODEL}@{CHAMPION}")
    new = versions.fetch(platform, f"{REGISTERED_MODEL}/{number}")
    expected = {one.number: contract.own_predictions(one, golden) for one in (old, new)}
    platform.check(expected[old.number] != expected[new.number], "the versions cannot be told apart")
    _, config = endpoint.prepare(platform, new, asked.instance_type, build=asked.build)
    with under_load(platform, golden, expected) as answers:
        platform.check(answers.wait_for(old.number, _ASKED), f"version {old.number} does not answer as it should")
        began = time.monotonic()
        versions.point(platform, new.number, old.number)
        try:
            endpoint.deploy(platform, config, _now() + timedelta(hours=asked.ttl_hours))
        except BaseException:
            versions.point(platform, before[CHAMPION], before.get(CHALLENGER, before[CHAMPION]))
            raise
        seconds = time.monotonic() - began
        platform.check(answers.wait_for(new.number, _ASKED), f"version {new.number} does not answer as it should")
    contract.compare(platform, new, golden)
    platform.check(not answers.failed, f"{len(answers.failed)} requests failed, first: {answers.failed[:1]}")
    words = f"version {old.number} → {new.number} in {seconds:.1f} s; {answers.text()}"
    platform.say(f"  {words}")
    return words


def _one_move(platform: Platform, asked: Wish) -> Report:
    if not exists(platform, ENDPOINT):
        raise ConfigurationError(
            f"there is no endpoint {ENDPOINT}", "the scenario takes it away", "mlparity run mlflow_serving -- --keep"
        )
    now = versions.aliases(platform)
    number = now[CHALLENGER] if asked.back else asked.promote
    if number == now[CHAMPION]:
        raise ConfigurationError(f"version {number} is the {CHAMPION} already")
    known = versions.numbers(platform)
    if number not in known:
        raise ConfigurationError(f"{REGISTERED_MODEL} has no version {number}", f"it has: {', '.join(known)}")
    golden = sample_of(flights_files()).sample(_GOLDEN, random_state=5)[list(COLUMNS)].reset_index(drop=True)
    platform.say(f"What the endpoint costs on AWS: {_estimate(platform, asked)}")
    return Report("MLflow serving: the alias has moved", [("moved", move(platform, asked, number, golden))])


def _reap(platform: Platform, asked: Wish) -> Report:
    found = reaper.find(platform, _now(), asked.idle_minutes)
    for one in found:
        platform.say(f"{one.endpoint}: {one.reason}")
        for gone in reaper.reap(platform, one.endpoint) if asked.delete else ():
            platform.say(f"  removed {gone}")
    done = "removed" if asked.delete else "dry run: nothing was touched; --delete removes"
    return Report("MLflow serving: the reaper", [("to go", str(len(found))), ("done", done)])


def _estimate(platform: Platform, asked: Wish) -> str:
    prices = price_list(platform.folder / "prices.yaml")
    words = prices.estimate(asked.instance_type, 1, platform.region, _now().date())
    return words + ("; here: nothing" if platform.local else "")


def _wait_for_metric(platform: Platform) -> None:
    """CloudWatch gets the requests some seconds after they were answered."""
    began = time.monotonic()
    while True:
        points = platform.client("cloudwatch").get_metric_statistics(
            Namespace="AWS/SageMaker",
            MetricName="Invocations",
            Dimensions=[{"Name": "EndpointName", "Value": ENDPOINT}, {"Name": "VariantName", "Value": VARIANT}],
            StartTime=_now() - timedelta(hours=1),
            EndTime=_now() + timedelta(minutes=1),
            Period=60,
            Statistics=["Sum"],
        )["Datapoints"]
        if points:
            return
        platform.check(time.monotonic() - began < _METRIC_SECONDS, "CloudWatch knows of no Invocations")
        time.sleep(0.5)


def _write_definition(platform: Platform, uri: str) -> dict[str, Any]:
    definition = ecs.task_definition(uri, platform.role_arn, platform.region)
    ecs.check(definition)
    _definition_path(platform).write_text(json.dumps(definition, indent=2) + "\n", encoding="utf-8")
    return definition


def _definition_path(platform: Platform) -> Path:
    return platform.workdir / "task-definition.json"


def _now() -> datetime:
    return datetime.now(UTC)


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave the terminal to the scenario: MLflow tells of its progress, and of its runs' addresses."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
