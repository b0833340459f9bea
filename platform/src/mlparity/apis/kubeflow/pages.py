"""Pages for the links that clients print: a run with its tasks, an experiment, a pipeline. Plain and of real data.

The links have the vendor's form, "/#/runs/details/<id>"; what stands behind the # never reaches a server, so the page
at "/" goes on to "ui/runs/details/<id>".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any
from urllib.parse import quote

import orjson

from mlparity.apis.kubeflow import bodies, experiments, pipelines, run_details, specs
from mlparity.apis.kubeflow.context import Kubeflow
from mlparity.apis.kubeflow.errors import not_found
from mlparity.apis.kubeflow.listing import member
from mlparity.apis.kubeflow.pipeline_versions import KIND as VERSION
from mlparity.apis.kubeflow.run_states import KIND as RUN
from mlparity.errors import NotFoundError
from mlparity.pipeline_ir.tasks import TaskDetail, TaskValues
from mlparity.state.document_search import Order
from mlparity.state.documents import Document

_NEWEST = 100
_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:75rem;padding:0 1rem;color:#222}"
    "table{border-collapse:collapse;width:100%}td,th{border-bottom:1px solid #ddd;padding:.3rem .6rem;text-align:left;"
    "vertical-align:top}code{font-size:13px;word-break:break-all}"
)
_GO_ON = "if(location.hash.startsWith('#/'))location.replace('ui'+location.hash.slice(1));"


def page(api: Kubeflow, path: str) -> str:
    """The page at this path. Raises ``KubeflowError`` where there is none."""
    parts = [part for part in path.split("/") if part]
    match parts:
        case [] | ["ui"]:
            return _runs(api, "Runs", "" if path.endswith("ui/") else "ui/")
        case ["ui", "runs", "details", run_id]:
            return _run(api, bodies.get(api, RUN, run_id))
        case ["ui", "experiments", "details", experiment_id]:
            found = bodies.get(api, experiments.KIND, experiment_id)
            return _runs(api, f"Experiment {found.body['display_name']}", "../../", experiment_id)
        case ["ui", "pipelines", "details", pipeline_id, *rest]:
            return _pipeline(api, bodies.get(api, pipelines.KIND, pipeline_id), rest[-1] if rest else "")
        case _:
            raise not_found("Page", path)


def told(message: str) -> str:
    """A page that says what is wrong."""
    return _html("Kubeflow Pipelines", f"<p>{escape(message)}</p>")


def _runs(api: Kubeflow, title: str, base: str, experiment_id: str = "") -> str:
    """A list of runs; ``base`` leads from the page to "ui/"."""
    conditions = [member("experiment_id", experiment_id)] if experiment_id else []
    order = Order(("created_at",), descending=True)
    found = api.search.page(RUN, conditions, order, _NEWEST).items
    rows = [
        (
            _link(f"{base}runs/details/{run.name}", run.body["display_name"]),
            *(escape(str(run.body[name])) for name in ("state", "created_at", "finished_at")),
        )
        for run in found
    ]
    back = _link(base, "all runs") if experiment_id else ""
    return _html(title, back + _table(("run", "state", "created", "finished"), rows), _GO_ON)


def _run(api: Kubeflow, run: Document) -> str:
    body = run.body
    facts = [("state", body["state"]), ("created", body["created_at"]), ("finished", body["finished_at"])]
    facts += [("id", run.name), ("error", body["error"])]
    parameters = body["runtime_config"]["parameters"]
    try:
        tasks = api.pipelines.tasks(run.name)
    except NotFoundError:
        tasks = ()
    parents = {task.id: task.parent_id for task in tasks}
    rows = [
        (
            "&nbsp;" * 4 * _depth(task.parent_id, parents) + escape(_name(task)),
            escape(run_details.state_of(task)) + (f"<br>{escape(task.error)}" if task.error else ""),
            escape(" to ".join(str(at)[11:19] if at else "" for at in (task.started_at, task.ended_at))),
            _values(run.name, task, task.inputs),
            _values(run.name, task, task.outputs),
            _link(f"../../../apis/v1alpha1/runs/{run.name}/nodes/{quote(task.id)}/log", "log") if task.job_ids else "",
        )
        for task in tasks
    ]
    head = ("task", "state", "from, to", "inputs", "outputs", "")
    given = f"<h2>Parameters</h2><pre>{escape(_json(parameters))}</pre>" if parameters else ""
    return _html(
        f"Run {body['display_name']}",
        _link("../../", "all runs") + _facts(facts) + given + "<h2>Tasks</h2>" + _table(head, rows),
    )


def _pipeline(api: Kubeflow, pipeline: Document, version_id: str) -> str:
    versions = api.search.all_of(VERSION, member("pipeline_id", pipeline.name))
    rows = [
        (escape(item.body["display_name"]), escape(item.name), escape(item.body["created_at"])) for item in versions
    ]
    shown = next((item for item in versions if item.name == version_id), versions[-1] if versions else None)
    text = _json(specs.kept(api, shown.name).struct) if shown else ""
    body = _table(("version", "id", "created"), rows)
    spec = f"<h2>{escape(shown.body['display_name'])}</h2><pre>{escape(text)}</pre>" if shown else ""
    return _html(f"Pipeline {pipeline.body['display_name']}", body + spec)


def _name(task: TaskDetail) -> str:
    name = task.display_name or task.name
    return f"{name} [{task.iteration}]" if task.iteration >= 0 else name


def _depth(parent: str, parents: Mapping[str, str]) -> int:
    depth = 0
    while parent in parents:
        depth, parent = depth + 1, parents[parent]
    return depth


def _values(run_id: str, task: TaskDetail, values: TaskValues) -> str:
    lines = [f"{escape(name)} = <code>{escape(_json(value)[:500])}</code>" for name, value in values.parameters.items()]
    for name, items in values.artifacts.items():
        read = f"../../../apis/v2beta1/runs/{run_id}/nodes/{quote(task.id)}/artifacts/{quote(name)}:read"
        lines += [
            f"{_link(read, name)} <code>{escape(item.uri)}</code>"
            + (f" <code>{escape(_json(item.metadata)[:500])}</code>" if item.metadata else "")
            for item in items
        ]
    return "<br>".join(lines)


def _json(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 if isinstance(value, Mapping) else 0).decode()


def _link(target: str, text: str) -> str:
    return f'<a href="{escape(target)}">{escape(str(text))}</a>'


def _facts(facts: Iterable[tuple[str, Any]]) -> str:
    return "<p>" + "<br>".join(f"{name}: {escape(str(value))}" for name, value in facts if value) + "</p>"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return "<table><tr>" + "".join(f"<th>{escape(name)}</th>" for name in head) + f"</tr>{body}</table>"


def _html(title: str, body: str, script: str = "") -> str:
    tag = f"<script>{script}</script>" if script else ""
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>'
        f"{tag}<h1>{escape(title)}</h1>{body}</html>"
    )
