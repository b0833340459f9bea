"""The commands and their options. Bodies only import and call: what they need is loaded when they run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mlparity.cli.loop_commands import loops

app = typer.Typer(
    name="mlparity",
    help="Your ML clouds on your laptop: the vendors' own APIs, with real computation behind them.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
profiles = typer.Typer(help="Show profiles and every value in force.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(profiles, name="profile")
app.add_typer(loops, name="loop")

DataDir = Annotated[
    Path | None, typer.Option("--data-dir", metavar="DIR", help="The data folder (also MLPARITY_DATA_DIR).")
]
ProfileName = Annotated[
    str | None, typer.Option("--profile", "-p", metavar="NAME", help="The profile (also MLPARITY_PROFILE).")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
AwsPort = Annotated[int | None, typer.Option("--aws-port", metavar="PORT", help="Port of the AWS APIs.")]
MlflowPort = Annotated[int | None, typer.Option("--mlflow-port", metavar="PORT", help="Port of MLflow.")]
GatewayPort = Annotated[int | None, typer.Option("--gateway-port", metavar="PORT", help="Port of the gateway.")]
GcpPort = Annotated[int | None, typer.Option("--gcp-port", metavar="PORT", help="Port of the Google APIs.")]
PipelinesPort = Annotated[
    int | None, typer.Option("--pipelines-port", metavar="PORT", help="Port of the Kubeflow Pipelines API.")
]
Region = Annotated[str | None, typer.Option("--region", metavar="NAME", help="The region that clients see.")]


@app.callback(invoke_without_command=True)
def common(
    context: typer.Context,
    data_dir: DataDir = None,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Your ML clouds on your laptop: the vendors' own APIs, with real computation behind them."""
    context.obj = data_dir
    if version:
        print_version()
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command()
def up(  # noqa: PLR0913 - one parameter a flag
    context: typer.Context,
    profile: ProfileName = None,
    data_dir: DataDir = None,
    aws_port: AwsPort = None,
    mlflow_port: MlflowPort = None,
    gcp_port: GcpPort = None,
    pipelines_port: PipelinesPort = None,
    gateway_port: GatewayPort = None,
    region: Region = None,
    foreground: Annotated[bool, typer.Option("--foreground", help="Stay; Ctrl-C stops the stack.")] = False,
    json: Json = False,
) -> None:
    """Start the local stack and print its endpoints.

    Waits until every part answers. Running it again changes nothing.
    """
    from mlparity.cli.choice import Choice
    from mlparity.cli.up import up as run

    ports = {
        "roles.aws_api.port": aws_port,
        "roles.tracking.port": mlflow_port,
        "roles.gcp_api.port": gcp_port,
        "roles.pipelines_api.port": pipelines_port,
        "gateway.port": gateway_port,
    }
    flags = {**ports, "roles.aws_api.region": region}
    run(Choice(profile, data_dir or context.obj, flags), foreground=foreground, as_json=json)


@app.command()
def down(context: typer.Context, data_dir: DataDir = None) -> None:
    """Stop the local stack and the jobs that run; leaves no process."""
    from mlparity.cli.choice import Choice
    from mlparity.cli.up import down as run

    run(Choice(None, data_dir or context.obj))


@app.command()
def status(context: typer.Context, data_dir: DataDir = None, json: Json = False) -> None:
    """Show what runs, its health, and what it uses.

    Exit code 1 where the stack is not up or a part does not answer.
    """
    from mlparity.cli.choice import Choice
    from mlparity.cli.status import status as run

    raise typer.Exit(run(Choice(None, data_dir or context.obj), as_json=json))


@app.command()
def env(
    context: typer.Context,
    profile: ProfileName = None,
    data_dir: DataDir = None,
    shell: Annotated[str, typer.Option("--shell", metavar="SHELL", help="bash (any POSIX shell), fish or json.")] = "",
) -> None:
    """Print what points the vendors' SDKs at the profile.

    For a shell: eval "$(mlparity env)"
    """
    from mlparity.cli.choice import Choice
    from mlparity.cli.env import env as run

    run(Choice(profile, data_dir or context.obj), shell)


@app.command(name="exec", context_settings={"allow_interspersed_args": False})
def exec_(
    context: typer.Context,
    command: Annotated[list[str] | None, typer.Argument(metavar="-- CMD ARGS", help="The command.")] = None,
    profile: ProfileName = None,
    data_dir: DataDir = None,
) -> None:
    """Run any command, unchanged, against the profile.

    The clouds' own hosts are answered on this machine and every other host is refused. A local profile is brought up
    first. Exit code and signals are the command's.
    """
    if not command:
        why, hint = "it stands after the options, or after --", "mlparity exec -- python my_script.py"
        typer.echo(f"error: there is no command to run\n  why: {why}\n  try: {hint}", err=True)
        raise typer.Exit(2)
    from mlparity.cli.choice import Choice
    from mlparity.cli.exec import exec_command

    raise typer.Exit(exec_command(Choice(profile, data_dir or context.obj), command))


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def run(
    context: typer.Context,
    scenario: Annotated[str, typer.Argument(metavar="SCENARIO", help="A name that `mlparity scenarios` lists.")],
    profile: ProfileName = None,
    data_dir: DataDir = None,
    parts: Annotated[str, typer.Option("--parts", metavar="NAME,NAME", help="Only these parts of it.")] = "",
    everything: Annotated[bool, typer.Option("--all", help="Its story and every part.")] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Print what it would create, and end. Works offline.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Agree to the plan of a cloud profile.")] = False,
) -> None:
    """Run a reference system.

    What follows its name (or --) goes to the scenario. A local profile is brought up first; for a cloud profile the
    plan is printed, and nothing is created until it is agreed to.
    """
    from mlparity.cli.choice import Choice
    from mlparity.cli.run import Wish, run_scenario

    wish = Wish(scenario, tuple(context.args), parts, everything=everything, plan_only=plan, agreed=yes)
    raise typer.Exit(run_scenario(Choice(profile, data_dir or context.obj), wish))


@app.command()
def scenarios(json: Json = False) -> None:
    """List the reference systems and which of them are there."""
    from mlparity.cli.scenarios import list_scenarios

    list_scenarios(as_json=json)


@app.command()
def logs(
    context: typer.Context,
    job: Annotated[str, typer.Argument(metavar="JOB", help="A job or an endpoint; without it, the latest jobs.")] = "",
    data_dir: DataDir = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job ends.")] = False,
) -> None:
    """Print the log of a job, or of an endpoint's workers."""
    from mlparity.cli.choice import Choice
    from mlparity.cli.logs import logs as run

    run(Choice(None, data_dir or context.obj), job, follow=follow)


@app.command()
def interrupt(
    context: typer.Context,
    job: Annotated[str, typer.Argument(metavar="JOB", help="A running training job on spot capacity.")],
    data_dir: DataDir = None,
) -> None:
    """Take a spot job's machine away, as the cloud does.

    To see whether it goes on from its checkpoints.
    """
    from mlparity.cli.choice import Choice
    from mlparity.cli.interrupt import interrupt as run

    run(Choice(None, data_dir or context.obj), job)


@app.command()
def doctor(
    context: typer.Context,
    profile: ProfileName = None,
    data_dir: DataDir = None,
    online: Annotated[bool, typer.Option("--online", help="For a cloud profile: ask the cloud as well.")] = False,
    json: Json = False,
) -> None:
    """Check this machine for a profile.

    Exit code 1 where something is missing. Local profiles are checked without the network.
    """
    from mlparity.cli.choice import Choice
    from mlparity.cli.doctor import doctor as run

    raise typer.Exit(run(Choice(profile, data_dir or context.obj), online=online, as_json=json))


@app.command()
def parity(
    api: Annotated[str, typer.Argument(metavar="API", help="sagemaker, s3, sts, iam, ...; without it, all.")] = "",
    json: Json = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a Markdown table.")] = False,
    absent: Annotated[bool, typer.Option("--absent", help="List what is absent as well.")] = False,
) -> None:
    """Show how far the vendors' APIs are covered.

    By operation: works, partial, refused (with the reason), absent.
    """
    from mlparity.cli.parity import parity as run

    run(api, as_json=json, as_markdown=markdown, with_absent=absent)


@app.command(name="version")
def print_version() -> None:
    """Print the version."""
    from mlparity import __version__

    typer.echo(f"mlparity {__version__}")


@profiles.command(name="list")
def list_(json: Json = False) -> None:
    """List the profiles."""
    from mlparity.cli.profiles import list_profiles

    list_profiles(as_json=json)


@profiles.command()
def show(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="The profile; without it, the active one.")] = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Print every value in force and where it came from (secrets masked)."""
    from mlparity.cli.choice import Choice
    from mlparity.cli.profiles import show_profile

    inherited = context.parent.parent.obj if context.parent and context.parent.parent else None
    show_profile(Choice(name, data_dir or inherited), as_json=json)
