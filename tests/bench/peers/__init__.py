"""The gateways that can be measured, one class each."""
