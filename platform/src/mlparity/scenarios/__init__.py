"""What a scenario is written against: ``run(platform: Platform) -> Report`` in ``scenarios/<name>/scenario.py``.

The folder also holds ``scenario.yaml`` (title, system, profiles, summary; parts, by name with a line each) and, where a
cloud's profile is among the profiles, ``plan.py`` (see ``mlparity.scenarios.plan``): without a plan a scenario runs in
no cloud. ``platform.parts`` and ``platform.story`` say what was asked for. The module is imported as
``scenarios.<name>.scenario`` in a fresh process, so its neighbours are ``from scenarios.<name> import steps``.
"""

from mlparity.scenarios.platform import Platform
from mlparity.scenarios.report import Report

__all__ = ["Platform", "Report"]
