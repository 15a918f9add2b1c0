"""Twisted's TCP without TLS: imported before anything else of Twisted's (see `tls_later`).

Twisted loads OpenSSL with TCP, and does without where OpenSSL is not installed. That is how it
looks while this is imported. TLS as we use it is wrapped around TCP and asks nothing of it.
"""

from __future__ import annotations

import sys
from typing import Any

_modules: dict[str, Any] = sys.modules

if "OpenSSL" not in _modules:
    _modules["OpenSSL"] = None  # an import of it raises ImportError
    try:
        # All of Twisted that looks for OpenSSL and that we use without TLS.
        import twisted.internet.endpoints
        import twisted.internet.posixbase  # noqa: F401
    finally:
        del _modules["OpenSSL"]
