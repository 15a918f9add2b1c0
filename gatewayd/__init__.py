"""gatewayd: an SMS gateway that speaks SMPP to operators and Kannel's HTTP to platforms."""

__version__ = "0.1.0"
