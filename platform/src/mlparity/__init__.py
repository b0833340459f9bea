"""mlparity: the ML clouds' wire APIs on one machine, with real computation behind them."""

__version__ = "0.1.0"
