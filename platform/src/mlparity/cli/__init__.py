"""The command ``mlparity``. Command modules are imported when their command runs, so that ``--help`` is quick."""
