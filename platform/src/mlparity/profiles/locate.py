"""Where the files are that come with the package: in a checkout beside it, in a wheel inside it."""

from __future__ import annotations

from pathlib import Path

import mlparity
from mlparity.errors import ConfigurationError

# In stacks/ but not a profile: which local runtime stands for which image.
_NOT_PROFILES = frozenset({"runtimes"})


def shipped(name: str) -> Path:
    """The folder ``name`` ("stacks", "scenarios") that came with this installation.

    Raises ``ConfigurationError`` where the installation lacks it.
    """
    package = Path(mlparity.__file__).resolve().parent
    for candidate in (package / "_shipped" / name, package.parents[2] / name):
        if candidate.is_dir():
            return candidate
    raise ConfigurationError(
        f"the folder {name}/ of mlparity is missing",
        f"neither {package / '_shipped'} nor {package.parents[2]} has it",
        "install mlparity again, or run it from a complete checkout",
    )


def user_profiles() -> Path:
    """The folder of the person's own profile files ($XDG_CONFIG_HOME/mlparity/profiles on Linux). May not exist."""
    from platformdirs import user_config_path

    return user_config_path("mlparity") / "profiles"


def user_runtimes() -> Path:
    """The person's own runtime map, whose lines come first. May not exist."""
    from platformdirs import user_config_path

    return user_config_path("mlparity") / "runtimes.yaml"


def default_data_dir() -> Path:
    """The data folder where nothing says otherwise ($XDG_DATA_HOME/mlparity on Linux)."""
    from platformdirs import user_data_path

    return user_data_path("mlparity")


def profile_files(name: str, stacks: Path, user: Path) -> tuple[Path | None, Path | None]:
    """The shipped and the person's file of profile ``name``; None where there is none."""
    found = [folder / f"{name}.yaml" for folder in (stacks, user)]
    shipped_file, user_file = (path if path.is_file() else None for path in found)
    return shipped_file, user_file


def profile_names(stacks: Path, user: Path) -> list[str]:
    """Every profile there is a file for, by name."""
    names = {path.stem for folder in (stacks, user) if folder.is_dir() for path in folder.glob("*.yaml")}
    return sorted(names - _NOT_PROFILES)
