"""What a failed step of a probe means, and what to ask the operator."""

from __future__ import annotations

from typing import NamedTuple

from gatewayd.model import Outcome
from gatewayd.smsc.contract import BindRefused
from gatewayd.smsc.smpp_status import text_of


class Advice(NamedTuple):
    """`means` is for ourselves, `ask` for the operator's support; "" where they cannot help."""

    means: str
    ask: str


RESOLVE = Advice(
    "the name is not known here: a typing mistake, or a name server that is only reached "
    "through the VPN",
    "Which IP address does the SMSC have? It may stand in the configuration instead of the name.",
)
_CONNECT = {
    "timeout": Advice(
        "nothing answers at all: our VPN is down or has no route there, or a firewall, ours or the "
        "operator's, drops our packets in silence",
        "Do you see packets from {source} to {target}? Is {source} on your allow list?",
    ),
    "refused": Advice(
        "the host answers, but nobody listens on this port for us: a wrong port, an SMSC that is "
        "down, or a firewall that rejects",
        "Is {target} the right address and port for our account, and is the SMSC up?",
    ),
    "unreachable": Advice(
        "there is no way there from this machine: our VPN is down, or has no route to that network",
        "",
    ),
    "local": Advice(
        "this machine cannot use the source address or port that the configuration asks for", ""
    ),
}
_CONNECT_OTHER = Advice(
    "the connection cannot be made; look at our VPN and firewall first",
    "Is {source} allowed to connect to {target}?",
)
TLS_CERTIFICATE = Advice(
    "the SMSC's certificate is not one that the configuration trusts: see tls.ca-file and "
    "tls.server-name",
    "Which authority signed the certificate of {target}, and which name does it carry?",
)
TLS = Advice(
    "no TLS session comes about: perhaps {target} speaks plain {protocol}, or wants a certificate "
    "of ours",
    "Does {target} speak TLS, which version, and does it want a client certificate?",
)
BIND_SILENT = Advice(
    "the connection stands but the {bind} is not answered: the port may be no {protocol} port, may "
    "want TLS, or a firewall lets the connect through and nothing else",
    "Do you see our {bind} from {source} on {target}? Is it plain {protocol} or TLS there?",
)
BIND_CLOSED = Advice(
    "the SMSC closes the connection upon our {bind}: most often our address is not on its allow "
    "list, or the port wants TLS",
    "Is {source} on the allow list of our account? Is {target} plain {protocol} or TLS?",
)
_BIND = {
    0x04: Advice(
        "the SMSC does not take this kind of bind now",
        "Which binds does our account have: transmitter, receiver or transceiver?",
    ),
    0x05: Advice(
        "the SMSC says that we are bound already: a gateway of ours is running on this account, "
        "or an old session has not timed out yet",
        "How many binds may our account have, and which are open now, from which address?",
    ),
    0x0D: Advice(
        "the SMSC refuses without saying why: credentials, the kind of bind, our address, or a "
        "limit of binds",
        "Why is the bind of system-id {system_id} from {source} refused? Which kinds of bind, and "
        "how many, does our account have?",
    ),
    0x0E: Advice(
        "the password is wrong; SMPP allows 8 characters, and some SMSCs cut longer ones",
        "Is the password of system-id {system_id} still valid? (Have it set anew; do not mail it.)",
    ),
    0x0F: Advice(
        "the SMSC does not know the system-id",
        "Is {system_id} the system-id of our account on {target}, with this spelling and case?",
    ),
    0x53: Advice(
        "the system-type is wrong; many SMSCs want it empty, others a word of their own",
        "Which system-type does our account need?",
    ),
    0x58: Advice(
        "the SMSC finds that we bind too often; wait some minutes and do not try in between", ""
    ),
}
_BIND_PASSING = Advice(
    "the SMSC has trouble of its own, or a limit of binds is reached; it may pass",
    "Is there an outage? How many binds may our account have, and which are open now?",
)
_BIND_OTHER = Advice(
    "the SMSC refuses with a status of its own ({status})",
    "What does command_status {status} in the answer to the bind of {system_id} mean?",
)
LINK_SILENT = Advice(
    "bound, but {enquire} is not answered: something between us stops the traffic, or the SMSC "
    "does not answer it (then set enquire-interval: 0)",
    "Do you answer {enquire}?",
)
LINK_CLOSED = Advice(
    "the SMSC took the {bind} and then closed the link: often a second session on the same account "
    "replaced this one",
    "Why was the session of {system_id} from {source} closed?",
)
UNBIND_SILENT = Advice("the SMSC does not answer our {unbind}; that does no harm", "")


# Other protocols than SMPP have no codes of their own for most of this.
_LOGIN_WRONG = Advice(
    "user name or password is wrong, in the words of the SMSC above",
    "Is {system_id} the user name of our account on {target}, with this spelling and case, and is "
    "its password still valid? (Have it set anew; do not mail it.)",
)
_LOGIN_REFUSED = Advice(
    "the SMSC refuses the login, in its words above: credentials, our address, or a limit of "
    "sessions, one of which may not have timed out yet",
    "Why is the login of {system_id} from {source} refused? How many sessions may our account "
    "have, and which are open now?",
)


def connect(kind: str) -> Advice:
    """`kind`: timeout, refused, unreachable, local or other."""
    return _CONNECT.get(kind, _CONNECT_OTHER)


def refused(event: BindRefused) -> Advice:
    """By what the SMSC said: SMPP's reason begins with its command_status."""
    if event.reason.startswith("0x"):
        return bind(int(event.reason[:10], 16))
    return _LOGIN_WRONG if event.outcome is Outcome.DEAD else _LOGIN_REFUSED


def bind(status: int) -> Advice:
    """By the command_status that refused it."""
    advice = _BIND.get(status)
    if advice is None:
        advice = _BIND_PASSING if status in (0x08, 0x14, 0x64, 0xFF) else _BIND_OTHER
    shown = f"0x{status:08x}, {text_of(status)}"
    return Advice(*(text.replace("{status}", shown) for text in advice))
