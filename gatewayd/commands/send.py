"""`gatewayd send`: one SMS by sendsms, the way any caller would send it."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from gatewayd.commands import configuration
from gatewayd.commands.http import Unreachable, base_url, call
from gatewayd.config.passwords import is_hash
from gatewayd.errors import ConfigError

PASSWORD = "GATEWAYD_PASSWORD"  # noqa: S105 - the name of the variable


@dataclass(frozen=True, slots=True)
class Message:
    """What is to be sent, and as whom."""

    to: str
    sender: str
    text: str
    dlr_url: str = ""
    dlr_mask: int = 0
    smsc: str = ""
    user: str = ""
    password_file: str = ""


class WrongUse(Exception):
    """What was asked for cannot be done; the text says what would be right."""


def send(message: Message, *, config: str, url: str, as_json: bool) -> int:
    """0 when the gateway took it, 1 when it refused or did not answer, 2 for wrong use."""
    try:
        url, user, password = _where(message, config, url)
        status, body = call("POST", url, _headers(message, user, password), message.text.encode())
    except ConfigError as error:
        configuration.complain(error)
        return 2
    except (WrongUse, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    except Unreachable as error:
        return _told(0, str(error), as_json=as_json)
    return _told(status, body.decode("utf-8", "replace").strip(), as_json=as_json)


def _told(status: int, answer: str, *, as_json: bool) -> int:
    taken = 200 <= status < 300
    if as_json:
        print(json.dumps({"accepted": taken, "status": status, "answer": answer}))
    elif taken:
        print(answer)
    else:
        print(f"refused ({status}): {answer}" if status else answer, file=sys.stderr)
    return 0 if taken else 1


def _where(message: Message, path: str, url: str) -> tuple[str, str, str]:
    """URL, user and password: from the configuration, unless they are given."""
    user, password = message.user, None
    if message.password_file:
        password = Path(message.password_file).read_text().rstrip("\r\n")
    if path:
        config = configuration.read(path)
        if not url:
            if config.http.sendsms is None:
                raise WrongUse(f"{path} has no sendsms listener; name one with --url")
            url = base_url(config.http.sendsms) + config.http.sendsms_path
        known = next((u for u in config.users if user in ("", u.username)), None)
        if known is None and password is None and PASSWORD not in os.environ:
            raise WrongUse(f"{path} has no user {user!r}" if user else f"{path} has no users")
        if known is not None:
            user = user or known.username
            written = known.password.reveal()
            password = written if password is None and not is_hash(written) else password
    if not url:
        raise WrongUse("name the gateway with -c FILE or --url URL")
    if urlsplit(url).scheme not in ("http", "https"):
        raise WrongUse(f"{url} is no URL; right would be http://127.0.0.1:13013/cgi-bin/sendsms")
    if urlsplit(url).path in ("", "/"):
        url = url.rstrip("/") + "/cgi-bin/sendsms"
    if not user:
        raise WrongUse("name the user with --user")
    if password is None:
        password = os.environ.get(PASSWORD)
    if password is None:
        raise WrongUse(
            f"the password comes from -c FILE (unless a hash stands there), --password-file FILE "
            f"or ${PASSWORD}"
        )
    return url, user, password


def _headers(message: Message, user: str, password: str) -> dict[str, str]:
    """As a POST with headers, so that the password is in no URL that somebody might log."""
    fields = {
        "Username": user,
        "Password": password,
        "To": message.to,
        "From": message.sender,
        "DLR-Url": message.dlr_url,
        "DLR-Mask": str(message.dlr_mask) if message.dlr_mask else "",
        "SMSC": message.smsc,
    }
    headers = {f"X-Kannel-{name}": value for name, value in fields.items() if value}
    return {**headers, "Content-Type": "text/plain; charset=UTF-8"}
