"""What a scenario is written against: ``run(platform: Platform) -> Report`` in ``scenarios/<name>/scenario.py``.

The folder also holds ``scenario.yaml`` (title, system, profiles, summary). The module is imported as
``scenarios.<name>.scenario`` in a fresh process, so its neighbours are ``from scenarios.<name> import steps``.
"""

from mlparity.scenarios.platform import Platform
from mlparity.scenarios.report import Report

__all__ = ["Platform", "Report"]
