"""What every test may rely on: nothing of the person's own cloud, profiles or data folder is in reach."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# So that the plugin below is found however pytest was started, and scenarios as `mlparity run` imports them.
for _folder in (Path(__file__).parent, Path(__file__).parents[1]):
    if str(_folder) not in sys.path:
        sys.path.insert(0, str(_folder))
pytest_plugins = ["stack_fixture"]

_PERSONAL = (
    "AWS_", "MLPARITY_", "MLFLOW_", "SAGEMAKER_", "XDG_", "GOOGLE_", "GCE_", "CLOUDSDK_", "STORAGE_EMULATOR_", "KF_",
    "GRPC_", "grpc_proxy", "no_grpc_proxy",
)  # fmt: skip


@pytest.fixture(scope="session", autouse=True)
def _nothing_personal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Take the person's settings out of the environment for the session, and put them back."""
    home = tmp_path_factory.mktemp("xdg")
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(_PERSONAL):
                patch.delenv(name)
        patch.setenv("XDG_CONFIG_HOME", str(home / "config"))
        patch.setenv("XDG_DATA_HOME", str(home / "data"))
        patch.setenv("AWS_CONFIG_FILE", os.devnull)
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield
