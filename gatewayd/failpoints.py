"""Named steps at which the process can be made to kill itself or to hang, for crash tests.

`GATEWAYD_FAILPOINT=name:kill` names one; docs/failpoints.md says what must hold afterwards. With
`name:hang` whoever takes the step, the reactor or the store's thread, stands still for good. The
steps of the store are calls in its code. Those of the flows are put around their calls here, and
only when one is named: otherwise they cost nothing at all.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gatewayd.errors import UsageError
from gatewayd.model import Acceptance, Verdict
from gatewayd.smsc.contract import Event, SubmitFailed, Submitted

if TYPE_CHECKING:
    from gatewayd.app import Gateway

VARIABLE = "GATEWAYD_FAILPOINT"
STORE = ("before-commit", "after-commit", "in-checkpoint", "in-migration")

Around = Callable[..., Any]  # (the call it is put around, *its arguments)


def hit() -> None:
    """The step is reached."""
    while os.environ.get(VARIABLE, "").endswith(":hang"):
        time.sleep(3600)
    os.kill(os.getpid(), signal.SIGKILL)


def of_store(environ: Mapping[str, str]) -> Callable[[str], None]:
    """What the store calls at each of its steps: ends the process at the one that is named."""
    name = _named(environ)
    if name not in STORE:
        return lambda step: None

    def reached(step: str) -> None:
        if step == name:
            hit()

    return reached


def _named(environ: Mapping[str, str]) -> str:
    name, _, action = environ.get(VARIABLE, "").partition(":")
    if name and action not in ("kill", "hang"):
        raise UsageError(f"{VARIABLE}: {name}:kill or {name}:hang is all that can be asked for")
    return name


def arm(gateway: Gateway, environ: Mapping[str, str]) -> None:
    """Put the step that is named, if it is one of a flow, in its place.

    Raises `UsageError` for one that nobody knows: a test that never strikes proves nothing.
    """
    name = _named(environ)
    if name in FLOWS:
        FLOWS[name](gateway)
    elif name and name not in STORE:
        raise UsageError(f"{VARIABLE}: no step is called {name}; there is {', '.join(STEPS)}")


def _put(owner: Any, method: str, around: Around) -> None:
    call = getattr(owner, method)
    setattr(owner, method, lambda *words: around(call, *words))


def _first(call: Around, *words: Any) -> Any:
    hit()
    return call(*words)


def _then(call: Around, *words: Any) -> None:
    call(*words)
    hit()


def _before_202(gateway: Gateway) -> None:
    _put(gateway.mt, "accepting", _first)


def _after_commit_before_202(gateway: Gateway) -> None:
    def accept(call: Around, order: Any, reply: Callable[[Acceptance], None]) -> None:
        def told(acceptance: Acceptance) -> None:
            if acceptance.verdict in (Verdict.ACCEPTED, Verdict.QUEUED):
                hit()
            reply(acceptance)

        call(order, told)

    _put(gateway.mt, "accepting", accept)


def _after_202(gateway: Gateway) -> None:
    _put(gateway.mt, "handing", _first)


def _before_submit(gateway: Gateway) -> None:
    for bind in gateway.binds:
        _put(bind, "submit", _first)


def _after_submit_before_resp(gateway: Gateway) -> None:
    def heard(call: Around, bind: Any, events: Sequence[Event], answer: Any) -> None:
        if any(isinstance(event, (Submitted, SubmitFailed)) for event in events):
            hit()
        call(bind, events, answer)

    _put(gateway.smscs, "events", heard)


def _after_resp_before_commit(gateway: Gateway) -> None:
    _put(gateway.exchange, "submitted", _then)


def _after_deliver_before_commit(gateway: Gateway) -> None:
    _put(gateway.exchange, "received", _then)


def _after_receipt_before_commit(gateway: Gateway) -> None:
    _put(gateway.exchange, "receipted", _then)


def _after_commit_before_deliver_resp(gateway: Gateway) -> None:
    def heard(call: Around, bind: Any, events: Sequence[Event], _answer: Any) -> None:
        call(bind, events, lambda ticket, outcome: hit())

    _put(gateway.smscs, "events", heard)


def _before_post(gateway: Gateway) -> None:
    for boxes in (gateway.calls, gateway.reports):
        _put(boxes, "_send", _first)


def _after_post_before_commit(gateway: Gateway) -> None:
    def send(call: Around, what: Any, done: Callable[[Any], None]) -> None:
        def answered(answer: Any) -> None:
            done(answer)
            hit()

        call(what, answered)

    for boxes in (gateway.calls, gateway.reports):
        _put(boxes, "_send", send)


FLOWS: dict[str, Callable[[Gateway], None]] = {
    "before-202": _before_202,
    "after-commit-before-202": _after_commit_before_202,
    "after-202": _after_202,
    "before-submit": _before_submit,
    "after-submit-before-resp": _after_submit_before_resp,
    "after-resp-before-commit": _after_resp_before_commit,
    "after-deliver-before-commit": _after_deliver_before_commit,
    "after-receipt-before-commit": _after_receipt_before_commit,
    "after-commit-before-deliver-resp": _after_commit_before_deliver_resp,
    "before-post": _before_post,
    "after-post-before-commit": _after_post_before_commit,
}
STEPS = (*FLOWS, *STORE)
