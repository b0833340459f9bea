"""``mlparity loop``: retraining loops and everything that they have done, with the reasons."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mlparity.cli import output
from mlparity.cli.choice import Choice
from mlparity.errors import ConfigurationError
from mlparity.stack.loop_client import Loops
from mlparity.stack.running import require_running

_SECOND = 19  # characters of an ISO time


def create(choice: Choice, path: Path) -> None:
    """Make a loop of a YAML (or JSON) file, or change it."""
    document = _read(path)  # first: a file that is wrong needs no stack to say so
    made = _loops(choice).create(document)
    definition = made["definition"]
    output.line(
        f"loop {made['name']} watches {definition['endpoint']}; it retrains with pipeline "
        f"{definition['retrain']['pipeline']}. See: mlparity loop show {made['name']}"
    )


def list_loops(choice: Choice, *, as_json: bool) -> None:
    """Every loop with its last cycle."""
    loops = _loops(choice).list()
    if as_json:
        output.as_json(loops)
    elif not loops:
        output.line("there is no loop yet; `mlparity loop create FILE` makes one")
    else:
        rows = [(item["name"], item["definition"]["endpoint"], _activity(item), _last(item)) for item in loops]
        output.table(("loop", "endpoint", "active", "last cycle"), rows)


def show(choice: Choice, name: str, *, as_json: bool) -> None:
    """One loop: each cycle's steps, newest cycle first, each with its reason."""
    loop = _loops(choice).show(name)
    if as_json:
        output.as_json(loop)
        return
    definition = loop["definition"]
    retrain, gate = definition["retrain"], definition["gate"]
    told = definition["trigger"]
    trigger = told["alarm"] or told.get("monitoring_job") or json.dumps(told["pattern"])
    champion = " and better than the champion" + (f" by {gate['margin']:.0%}" if gate["margin"] else "")
    vendor = definition.get("vendor", "sagemaker")
    output.line(f"loop {loop['name']} on {vendor}" + (" (paused)" if loop["paused"] else ""))
    output.line(f"  watches   endpoint {definition['endpoint']}, model group {definition['model_group']}")
    output.line(f"  trigger   {trigger}")
    output.line(
        f"  retrains  pipeline {retrain['pipeline']}; cool-down {retrain['cool_down_seconds']} s, "
        f"at most {retrain['daily_cap']} a day"
    )
    words = "at most" if gate["better"] == "lower" else "at least"
    output.line(f"  gate      {gate['metric']} {words} {gate['threshold']:g}{champion}")
    output.line(f"  approval  {definition['approval']['mode']}")
    if not loop["cycles"]:
        output.line("  no cycle yet")
    for cycle in loop["cycles"]:
        output.line()
        output.line(f"cycle {cycle['number']}: {cycle['state']}")
        rows = [(item["at"][:_SECOND], item["state"], item["reason"]) for item in cycle["history"]]
        output.table(("at (UTC)", "state", "reason"), rows)


def act(choice: Choice, name: str, action: str, reason: str = "") -> None:
    """Pause, resume, trigger or stop a loop."""
    answer = _loops(choice).act(name, action, reason)
    if action in {"trigger", "stop"}:
        output.line(f"cycle {answer['number']}: {answer['state']} ({answer['history'][-1]['reason']})")
    else:
        output.line(f"loop {name}: {_activity(answer)}")


def delete(choice: Choice, name: str) -> None:
    """Forget a loop and what it has done."""
    _loops(choice).delete(name)
    output.line(f"loop {name} is gone; its models, endpoints and pipelines stay")


def _read(path: Path) -> Any:
    import yaml

    try:
        return yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConfigurationError(f"{path} cannot be read", why or "", "give a YAML file") from error
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path} is not YAML", " ".join(str(error).split()), "mend the file") from error


def _loops(choice: Choice) -> Loops:
    record = require_running(choice.folder())
    return Loops(next(child.url for child in record.children if child.name == "control-plane"))


def _activity(loop: Any) -> str:
    return "paused" if loop["paused"] else "yes"


def _last(loop: Any) -> str:
    return f"{loop['last'][0]['number']}: {loop['last'][0]['state']}" if loop["last"] else "none"
