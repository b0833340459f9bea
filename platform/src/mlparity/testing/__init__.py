"""What users import in their own tests: a clock to move by hand."""

from mlparity.testing.clock import TestClock

__all__ = ["TestClock"]
