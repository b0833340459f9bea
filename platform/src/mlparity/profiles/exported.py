"""The mark that ``mlparity env`` leaves in a shell, so that one profile's variables never leak into another's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

# "embedded:AWS_ENDPOINT_URL,AWS_ACCESS_KEY_ID,...": the profile, and the variables that it set.
MARK = "MLPARITY_EXPORTED"
# Choices of the person, not of the profile: they stay.
_KEPT = frozenset({"MLPARITY_DATA_DIR", "NO_PROXY", "no_proxy"})


def mark(profile: str, names: Iterable[str]) -> str:
    """The value of ``MARK``."""
    return f"{profile}:{','.join(sorted(set(names) - _KEPT))}"


def exported_names(environment: Mapping[str, str]) -> tuple[str, frozenset[str]]:
    """The profile that the shell's variables are of, and their names; ("", {}) where there is no mark."""
    profile, _, names = environment.get(MARK, "").partition(":")
    return profile, frozenset(filter(None, names.split(",")))


def without_other_profile(environment: Mapping[str, str], profile: str) -> dict[str, str]:
    """``environment`` without what another profile than ``profile`` exported into it."""
    source, names = exported_names(environment)
    if source in ("", profile):
        return dict(environment)
    return {name: value for name, value in environment.items() if name not in names and name != MARK}
