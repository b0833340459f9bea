"""What the person chose with flags, and the profile and data folder that follow from it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlparity.profiles.load import LoadedProfile
    from mlparity.stack.folder import DataFolder


@dataclass(frozen=True)
class Choice:
    """``flags`` are by the profile's dotted key; None stands for a flag that was not given."""

    profile: str | None
    data_dir: Path | None = None
    flags: Mapping[str, Any] = field(default_factory=dict)

    def load(self) -> LoadedProfile:
        """The chosen profile with every value in force. Raises ``ConfigurationError``."""
        from mlparity.profiles.load import Sources, chosen_name, load_profile

        flags = {**self.flags, "data_dir": str(self.data_dir) if self.data_dir else None}
        return load_profile(chosen_name(self.profile, os.environ), Sources.usual(os.environ, flags))

    def folder(self) -> DataFolder:
        """The data folder. The profile is only asked where neither flag nor variable names it."""
        from mlparity.stack.folder import DataFolder

        named = self.data_dir or os.environ.get("MLPARITY_DATA_DIR")
        path = Path(named).expanduser().absolute() if named else self.load().profile.data_dir
        return DataFolder(path)
