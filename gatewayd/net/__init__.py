"""Twisted at work: binds and the HTTP client."""
