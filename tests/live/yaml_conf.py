"""A gatewayd.yaml for the rig, where a kannel.conf cannot say what a test needs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.live.harness import Rig


@dataclass(frozen=True, slots=True)
class Channel:
    """The one channel: `url` may hold escapes. Its pauses are short, so that a test ends."""

    first: str = "500ms"
    cap: str = "1s"
    timeout: str = "35s"
    parallel: int = 32
    horizon: str = "1d"


def yaml_conf(
    rig: Rig,
    *,
    smscs: Mapping[str, Mapping[str, Any]] | None = None,
    channel: Channel = Channel(),
    limits: Mapping[str, str] | None = None,
) -> str:
    """A gatewayd.yaml: SMSCs by id with what differs from a plain one (JSON is YAML)."""
    retry = {"first": channel.first, "cap": channel.cap, "horizon": channel.horizon}
    to_platform = {"retry": retry, "timeout": channel.timeout, "parallel": channel.parallel}
    plain = {
        "host": "127.0.0.1",
        "port": rig.smsc_port,
        "system-id": "u",
        "password": "p",
        "reconnect": {"first": "300ms", "cap": "1s"},
    }
    configuration = {
        "smscs": [
            {**plain, "id": name, **fields} for name, fields in (smscs or {"live": {}}).items()
        ],
        "users": [{"username": "u", "password": "p", "text": {"max-messages": 10}}],
        "channels": [
            {
                "name": "web",
                "format": "kannel",
                "get-url": f"http://127.0.0.1:{rig.platform_port}/mo?from=%p&text=%a&id=%I",
                **to_platform,
            }
        ],
        "reports": to_platform,
        "http": {
            "sendsms": f"127.0.0.1:{rig.sendsms_port}",
            "admin": f"127.0.0.1:{rig.admin_port}",
            "admin-password": "live-password",
            "dlr-url-allow": ["any"],
        },
        "limits": dict(limits or {}),
    }
    return json.dumps(configuration, indent=1)
