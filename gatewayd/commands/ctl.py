"""`gatewayd ctl`: looks into a running gateway and gives it orders, over its admin listener."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from gatewayd.commands import configuration
from gatewayd.commands.http import Unreachable, base_url, call
from gatewayd.errors import ConfigError, GatewayError

PASSWORD = "GATEWAYD_PASSWORD"  # noqa: S105 - the name of the variable


class Refused(GatewayError):
    """The gateway answered, and it was no."""


class Admin:
    """The admin listener of the gateway that runs on a configuration."""

    def __init__(self, url: str, password: str) -> None:
        self._url = url
        self._password = password

    def ask(self, name: str, **fields: str) -> dict[str, Any]:
        return self._call("GET", f"{name}?{urlencode(fields)}" if fields else name, b"")

    def order(self, name: str, **fields: str) -> dict[str, Any]:
        return self._call("POST", name, urlencode(fields).encode())

    def _call(self, method: str, path: str, body: bytes) -> dict[str, Any]:
        headers = {"X-Password": self._password}
        status, answer = call(method, f"{self._url}/ctl/{path}", headers, body, verify=False)
        try:
            result = json.loads(answer)
        except ValueError:
            result = None
        if not isinstance(result, dict):
            raise Unreachable(f"{self._url} answers {status}, but not as a gatewayd")
        if status != 200:
            raise Refused(str(result.get("error", status)))
        return result


def ctl(
    path: str, what: str, uuid: str, *, everything: bool, password_file: str, as_json: bool
) -> int:
    """One look or one order; 0 done, 1 refused or nobody answers, 2 wrong configuration."""
    try:
        config = configuration.read(path)
        listener = config.http.admin
        if listener is None:
            print(f"{path} has no admin listener", file=sys.stderr)
            return 2
        password = config.http.admin_password.reveal() or config.http.status_password.reveal()
        password = password or os.environ.get(PASSWORD, "")
        if password_file:
            password = Path(password_file).read_text().rstrip("\r\n")
        admin = Admin(base_url(listener), password)
        result = _do(admin, what, uuid, everything=everything)
    except ConfigError as error:
        configuration.complain(error)
        return 2
    except OSError as error:
        print(error, file=sys.stderr)
        return 2
    except (Unreachable, Refused) as error:
        if as_json:
            print(json.dumps({"error": str(error)}))
        else:
            print(error, file=sys.stderr)
        return 1
    if as_json:
        print(json.dumps(result, ensure_ascii=False))
    else:
        _SHOWN[what](result)
    failed = what == "reload" and result["result"] not in ("applied", "unchanged")
    return 1 if result.get("stuck") or failed else 0


def _do(admin: Admin, what: str, uuid: str, *, everything: bool) -> dict[str, Any]:
    if what in ("status", "queue"):
        return admin.ask(what)
    if what == "message":
        return admin.ask("message", id=uuid)
    if what == "dead":
        return _dead(admin)
    if what == "held":
        return _held(admin)
    if what in ("release", "fail"):
        return _decide_all(admin, what) if everything else admin.order(what, id=uuid)
    if what == "replay":
        return _replay_all(admin) if everything else admin.order("replay", id=uuid)
    return admin.order(what)


def _dead(admin: Admin) -> dict[str, Any]:
    letters: list[Any] = []
    after = ""
    while True:
        page = admin.ask("dead", limit="1000", **({"after": after} if after else {}))
        letters += page["dead"]
        after = page["next"]
        if not after:
            return {"dead": letters}


def _held(admin: Admin) -> dict[str, Any]:
    rows: list[Any] = []
    after = ""
    while True:
        page = admin.ask("held", limit="1000", **({"after": after} if after else {}))
        rows += page["held"]
        after = page["next"]
        if not after:
            return {"held": rows}


def _decide_all(admin: Admin, what: str) -> dict[str, Any]:
    results = [admin.order(what, all="1", limit="1000")]
    while results[-1]["more"]:
        results.append(admin.order(what, all="1", limit="1000"))
    word = "released" if what == "release" else "failed"
    return {word: sum(result[word] for result in results), "stuck": results[-1]["stuck"]}


def _replay_all(admin: Admin) -> dict[str, Any]:
    results = [admin.order("replay", all="1")]
    while results[-1]["more"]:
        results.append(admin.order("replay", all="1", before=results[-1]["before"]))
    # the last answer names every one that stays
    replayed = sum(result["replayed"] for result in results)
    return {"replayed": replayed, "stuck": results[-1]["stuck"]}


# ---- for people


def _table(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    cells = [head, *([str(value) for value in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    for row in cells:
        line = "  ".join(value.ljust(width) for value, width in zip(row, widths, strict=True))
        print(line.rstrip())


def _show_status(told: Mapping[str, Any]) -> None:
    sms, dlr = told["sms"], told["dlr"]
    print(f"{told['state']}, up {told['uptime']:.0f} s")
    if told["problem"]:
        print(f"problem: {told['problem']}")
    print(f"SMS: {sms['received']} received ({sms['received_queued']} queued), ", end="")
    print(f"{sms['sent']} sent ({sms['sent_queued']} queued)")
    print(f"receipts: {dlr['received']} received; reports: {dlr['sent']} made, ", end="")
    print(f"{dlr['queued']} messages wait for receipts")
    if reload := told.get("reload"):
        print(f"configuration: {reload['result']} {reload['time']}: {reload['text']}")
    print()
    rows = [
        (s["id"], s["status"], s["received"], s["sent"], s["failed"], s["queued"])
        for s in told["smscs"]
    ]
    _table(("smsc", "status", "received", "sent", "failed", "queued"), rows)
    print()
    _table(
        ("bind", "state"),
        [(b["name"], "bound" if b["ready"] else f"down: {b['reason']}") for b in told["binds"]],
    )
    if paths := told.get("paths"):
        print()
        _table(
            ("smsc", "tunnel", "path"),
            [
                (
                    p["smsc"],
                    p["device"],
                    f"up, {p['address']}" if p["up"] else f"down: {p['reason']}",
                )
                for p in paths
            ],
        )


def _show_queue(told: Mapping[str, Any]) -> None:
    if not told["queues"]:
        print("nothing is queued")
        return
    rows = [(q["queue"], q["lane"] or "-", q["waiting"], q["others"]) for q in told["queues"]]
    _table(("queue", "lane", "waiting", "others"), rows)


def _show_message(told: Mapping[str, Any]) -> None:
    for name, value in told.items():
        if name != "segments" and value not in ("", 0):
            print(f"{name:<10} {value}")
    if "segments" in told:
        rows = [
            (s["part"], s["state"], s["smsc"], s["tries"], s["smsc_id"] or "-", s["due"] or "-")
            for s in told["segments"]
        ]
        _table(("part", "state", "smsc", "tries", "smsc id", "not before"), rows)


def _show_dead(told: Mapping[str, Any]) -> None:
    if not told["dead"]:
        print("no dead letters")
        return
    rows = [
        (
            letter["id"],
            letter["since"],
            letter["lane"],
            letter.get("from", ""),
            letter.get("to", ""),
            letter["tries"],
            letter.get("reason", ""),
        )
        for letter in told["dead"]
    ]
    _table(("id", "since", "lane", "from", "to", "tries", "reason"), rows)


def _show_held(told: Mapping[str, Any]) -> None:
    if not told["held"]:
        print("nothing is held")
        return
    rows = [
        (
            row["id"],
            f"{row['part']}/{row['parts']}",
            row["smsc"],
            row["from"],
            row["to"],
            row["created"],
        )
        for row in told["held"]
    ]
    _table(("id", "part", "smsc", "from", "to", "created"), rows)


def _show_decided(told: Mapping[str, Any]) -> None:
    if "released" in told:
        print(f"{told['released']} segments are sent again")
    else:
        print(f"{told['failed']} segments are reported as failed")
    for stuck in told["stuck"]:
        print(f"{stuck['id']} stays: {stuck['reason']}")


def _show_replay(told: Mapping[str, Any]) -> None:
    print(f"{told['replayed']} brought back")
    for stuck in told["stuck"]:
        print(f"{stuck['id']} stays: {stuck['reason']}")


def _show_state(told: Mapping[str, Any]) -> None:
    print(told["state"] if told["changed"] else f"already {told['state']}")


def _show_retry(told: Mapping[str, Any]) -> None:
    binds = ", ".join(told["binds"]) or "none were down"
    print(f"binds that connect now: {binds}; calls to platforms brought forward: {told['calls']}")


def _show_reload(told: Mapping[str, Any]) -> None:
    print(f"{told['result']}: {told['text']}")


_SHOWN: dict[str, Callable[[Mapping[str, Any]], None]] = {
    "status": _show_status,
    "queue": _show_queue,
    "message": _show_message,
    "dead": _show_dead,
    "replay": _show_replay,
    "held": _show_held,
    "release": _show_decided,
    "fail": _show_decided,
    "suspend": _show_state,
    "resume": _show_state,
    "retry": _show_retry,
    "reload": _show_reload,
}
