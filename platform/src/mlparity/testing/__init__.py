"""What users import in their own tests: a clock to move by hand, and a whole real stack.

The stack is ``mlparity.testing.stack.running_stack``; it is not imported here, so that the clock costs nothing.
"""

from mlparity.testing.clock import TestClock

__all__ = ["TestClock"]
