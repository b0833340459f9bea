"""The ``loop`` commands and their options."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mlparity.cli.choice import Choice

loops = typer.Typer(
    help="Retraining loops: what they watch, and every step that they took.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

DataDir = Annotated[
    Path | None, typer.Option("--data-dir", metavar="DIR", help="The data folder (also MLPARITY_DATA_DIR).")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="A loop's name.")]


@loops.command()
def create(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="YAML: see the scenarios' READMEs.")],
    data_dir: DataDir = None,
) -> None:
    """Make a loop, or change it."""
    from mlparity.cli.loop import create as run

    run(_choice(context, data_dir), file)


@loops.command(name="list")
def list_(context: typer.Context, data_dir: DataDir = None, json: Json = False) -> None:
    """List the loops."""
    from mlparity.cli.loop import list_loops

    list_loops(_choice(context, data_dir), as_json=json)


@loops.command()
def show(context: typer.Context, name: Name, data_dir: DataDir = None, json: Json = False) -> None:
    """Show every step of a loop's cycles with its reason."""
    from mlparity.cli.loop import show as run

    run(_choice(context, data_dir), name, as_json=json)


@loops.command()
def trigger(
    context: typer.Context,
    name: Name,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is recorded.")] = "asked for",
    data_dir: DataDir = None,
) -> None:
    """Start a cycle by hand; cool-down and cap hold."""
    from mlparity.cli.loop import act

    act(_choice(context, data_dir), name, "trigger", reason)


@loops.command()
def stop(
    context: typer.Context,
    name: Name,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is recorded.")] = "asked for",
    data_dir: DataDir = None,
) -> None:
    """End the cycle under way; what it started is left."""
    from mlparity.cli.loop import act

    act(_choice(context, data_dir), name, "stop", reason)


@loops.command()
def pause(context: typer.Context, name: Name, data_dir: DataDir = None) -> None:
    """Let a loop record what it sees and start nothing."""
    from mlparity.cli.loop import act

    act(_choice(context, data_dir), name, "pause")


@loops.command()
def resume(context: typer.Context, name: Name, data_dir: DataDir = None) -> None:
    """Let a paused loop act again."""
    from mlparity.cli.loop import act

    act(_choice(context, data_dir), name, "resume")


@loops.command()
def delete(context: typer.Context, name: Name, data_dir: DataDir = None) -> None:
    """Forget a loop and its history."""
    from mlparity.cli.loop import delete as run

    run(_choice(context, data_dir), name)


def _choice(context: typer.Context, data_dir: Path | None) -> Choice:
    from mlparity.cli.choice import Choice

    inherited = context.parent.parent.obj if context.parent and context.parent.parent else None
    return Choice(None, data_dir or inherited)
