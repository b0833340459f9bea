"""Resolution: built-in default < profile file < user file < environment < flags."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr, ValidationError

from mlparity.errors import ConfigurationError
from mlparity.profiles import locate
from mlparity.profiles.exported import without_other_profile
from mlparity.profiles.layers import Layers, Origin, flatten, read_yaml
from mlparity.profiles.model import Profile
from mlparity.profiles.settings import for_kind, from_environment, how_to_set

DEFAULT_PROFILE = "embedded"
_MASK = "********"
_UNIONS = ("aws_api", "tracking", "gcp_api", "pipelines_api")  # roles whose provider decides what they have


@dataclass(frozen=True)
class EffectiveValue:
    """One value in force; a secret's value is a mask."""

    key: str
    value: str
    origin: Origin


@dataclass(frozen=True)
class LoadedProfile:
    """A valid profile and where each of its values came from."""

    profile: Profile
    values: tuple[EffectiveValue, ...]


@dataclass(frozen=True)
class Sources:
    """Where profiles are looked for and what overrides them; ``flags`` by dotted key."""

    environment: Mapping[str, str]
    stacks: Path
    user: Path
    flags: Mapping[str, Any]

    @classmethod
    def usual(cls, environment: Mapping[str, str], flags: Mapping[str, Any] | None = None) -> Sources:
        """The files that came with this installation and the person's own."""
        return cls(environment, locate.shipped("stacks"), locate.user_profiles(), flags or {})


def chosen_name(flag: str | None, environment: Mapping[str, str]) -> str:
    """The active profile's name: the flag, else MLPARITY_PROFILE, else ``embedded``."""
    return flag or environment.get("MLPARITY_PROFILE", "") or DEFAULT_PROFILE


def load_profile(name: str, sources: Sources) -> LoadedProfile:
    """The profile ``name`` with every value in force.

    Raises ``ConfigurationError`` for an unknown name, an unreadable file, or a wrong value, naming the place.
    """
    layers = _file_layers(name, sources)
    environment = without_other_profile(sources.environment, name)
    kind = str(layers.get("kind"))
    for setting in for_kind(kind):
        role = ".".join(setting.key.split(".")[:2])
        if role.removeprefix("roles.") in _UNIONS and not setting.is_of(layers.get(f"{role}.provider")):
            continue
        found = from_environment(setting, environment)
        if found is not None:
            layers.put(setting.key, found[1], Origin("environment", found[0]))
        value = sources.flags.get(setting.key)
        if value is not None:
            layers.put(setting.key, value, Origin("flag", setting.flag))
    if layers.get("data_dir") is None:
        layers.put("data_dir", str(locate.default_data_dir()), Origin("built-in"))
    layers.put("data_dir", str(_absolute(layers.get("data_dir"))), layers.origin("data_dir"))
    try:
        profile = Profile.model_validate({**layers.nested(), "name": name})
    except ValidationError as error:
        raise _explained(error, name, kind, layers) from error
    return LoadedProfile(profile, _effective(profile, layers))


def _file_layers(name: str, sources: Sources) -> Layers:
    known = locate.profile_names(sources.stacks, sources.user)
    if name not in known:
        raise ConfigurationError(
            f"there is no profile {name!r}",
            f"known profiles: {', '.join(known)}",
            "choose one with --profile or MLPARITY_PROFILE",
        )
    shipped, user = locate.profile_files(name, sources.stacks, sources.user)
    layers = Layers()
    for path, kind in ((shipped, "profile file"), (user, "user file")):
        if path is not None:
            layers.put_mapping(read_yaml(path), Origin(kind, str(path)))
    return layers


def _absolute(value: Any) -> Path:
    return Path(str(value)).expanduser().absolute()


def _effective(profile: Profile, layers: Layers) -> tuple[EffectiveValue, ...]:
    values = []
    for key, value in flatten(profile.model_dump()).items():
        shown = _MASK if isinstance(value, SecretStr) else str(value)
        values.append(EffectiveValue(key, shown, layers.origin(key) if key != "name" else Origin("flag")))
    return tuple(value for value in values if value.key != "name")


def _explained(error: ValidationError, name: str, kind: str, layers: Layers) -> ConfigurationError:
    """The first mistake, in terms of the file or variable that made it."""
    first = error.errors(include_url=False)[0]
    key = _key_of(first["loc"], layers)
    if not key:
        message = str(first["msg"]).removeprefix("Value error, ")
        return ConfigurationError(f"profile {name}: {message}", "", f"see `mlparity profile show {name}`")
    origin = layers.origin(key)
    where = origin.place or f"profile {name}"
    value = layers.get(key)
    shown = _MASK if "secret" in key else repr(value)
    what = f"{where}: {key} is {shown}" if value is not None else f"{where}: {key} is missing"
    if first["type"] == "extra_forbidden":
        what = f"{where}: unknown key {key}"
    if origin.kind in ("environment", "flag"):
        return ConfigurationError(what, _allowed(first), f"correct {origin.place}")
    ways = how_to_set(key, kind)
    return ConfigurationError(what, _allowed(first), f"correct the file{f' (or set {ways})' if ways else ''}")


def _key_of(location: tuple[int | str, ...], layers: Layers) -> str:
    """The dotted key of a pydantic location: without the union tags, which are no part of the file."""
    parts = [str(part) for part in location]
    if len(parts) > 2 and parts[0] == "roles" and parts[1] in _UNIONS:  # noqa: PLR2004
        del parts[2]
    if len(parts) == 2 and parts[0] == "roles" and layers.get(".".join(parts)) is None:  # noqa: PLR2004
        parts.append("provider")
    return ".".join(parts)


def _allowed(error: Any) -> str:
    """The rule that was broken, with the values that would be right."""
    context = error.get("ctx", {})
    if error["type"] in ("literal_error", "union_tag_invalid"):
        return f"allowed: {context.get('expected') or context.get('expected_tags')}"
    if error["type"] == "string_pattern_mismatch":
        return f"it must match {context['pattern']}"
    if error["type"] == "extra_forbidden":
        return "no such setting here; keys are spelled as in `mlparity profile show`"
    if error["type"] in ("missing", "union_tag_not_found"):
        return "a value is required"
    return str(error["msg"])
