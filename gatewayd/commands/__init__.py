"""What the command line can do: one file per command, called by `gatewayd.cli`."""
