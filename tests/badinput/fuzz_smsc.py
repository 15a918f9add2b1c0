"""Hostile peers in SMPP, UCP and CIMD2, on either side of the link; receipts, headers and texts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from random import Random
from types import ModuleType

from gatewayd.config.model import BindConfig, Secret, SmppOptions, SmscConfig
from gatewayd.model import Coding, Outcome, Segment, TextOptions
from gatewayd.sms import alphabets, receipt_text, segments, udh
from gatewayd.sms.dcs import from_dcs
from gatewayd.smsc import cimd2_sim, smpp_sim, ucp_sim
from gatewayd.smsc import smpp_pdu as pdus
from gatewayd.smsc.contract import (
    NOTES,
    Closing,
    Event,
    Noted,
    Receipted,
    Received,
    Session,
    SessionOptions,
    SubmitFailed,
    Submitted,
    Unanswered,
    load,
)
from gatewayd.smsc.link import LinkState
from gatewayd.smsc.server import ServerOptions, Submit
from tests.badinput.chance import ROOT, mutated
from tests.smsc import wire_cimd2, wire_ucp


def golden(protocol: str) -> list[bytes]:
    path = ROOT / f"tests/golden/frames/{protocol}.json"
    return [bytes.fromhex(one["hex"]) for one in json.loads(path.read_text("utf-8"))["frames"]]


FRAMES = {
    "smpp": golden("smpp"),
    "ucp": golden("ucp") + wire_ucp.frames(),
    "cimd2": golden("cimd2") + wire_cimd2.frames(),
}
SIMULATED: dict[str, ModuleType] = {"smpp": smpp_sim, "ucp": ucp_sim, "cimd2": cimd2_sim}


def _bound(protocol: str, options: SessionOptions) -> Session:
    session = load(protocol).esme(options)
    session.start(0.0)
    written = session.take_bytes()
    if protocol == "smpp":
        answer = pdus.encode(pdus.BindResp(pdus.BIND_TRANSCEIVER | pdus.RESPONSE, 0, 1, b"S"))
    else:
        wire = wire_ucp if protocol == "ucp" else wire_cimd2
        answer = wire.answer_bind(written, Outcome.DONE)
    session.receive(answer, 0.0)
    assert session.state is LinkState.BOUND
    return session


def try_client(protocol: str, case: bytes) -> None:
    """The case comes from an SMSC: each submit ends once, and no number of it makes us grow."""
    smpp = SmppOptions(system_id="u", password=Secret("p"), receipt_by_text=len(case) % 2 == 0)
    bind = BindConfig("a/0")
    smsc = SmscConfig("a", "a", protocol=protocol, binds=(bind,), window=3, smpp=smpp)
    session = _bound(protocol, SessionOptions(smsc, bind, (), lambda: 1.8e9, lambda: 0.5))
    ended: Counter[int] = Counter()

    def heard(events: Sequence[Event]) -> bool:
        for event in events:
            if isinstance(event, Received | Receipted):
                session.answer(event.ticket, (Outcome.DONE, Outcome.DEAD)[event.ticket % 2])
            elif isinstance(event, Noted):
                assert event.what in NOTES, event.what
            elif isinstance(event, Submitted | SubmitFailed | Unanswered):
                ended[event.segment.id] += not getattr(event, "late", False)
        return any(isinstance(event, Closing) for event in events)

    for number in range(min(3, session.credit)):
        session.submit(Segment(number + 1, "1", "258840000001", b"hello", dlr_mask=31), 0.0)
    sent = session.in_flight
    session.take_bytes()
    for step in range(0, len(case), 97):
        if heard(session.receive(case[step : step + 97], 1.0)):
            break
    assert len(session.take_bytes()) < 20 * len(case) + 1000
    assert session.unanswered <= 1 + len(case) // 8
    heard(session.tick(1000.0))
    heard(session.connection_lost(1001.0))
    assert len(ended) == sent, "a submit was forgotten"
    assert all(count == 1 for count in ended.values()), "a submit ended twice"


def try_server(protocol: str, case: bytes) -> None:
    """The case comes from an ESME to a simulated SMSC."""
    session = SIMULATED[protocol].session(ServerOptions(most_submits=10), lambda bind: 0)
    session.start(0.0)
    for step in range(0, len(case), 97):
        for event in session.receive(case[step : step + 97], 1.0):
            if isinstance(event, Submit):
                session.answer(event.ticket, 0, "7")
            elif isinstance(event, Noted):
                assert event.what in NOTES, event.what
    assert len(session.take_bytes()) < 20 * len(case) + 1000
    session.tick(1000.0)
    session.connection_lost(1001.0)


def _try(protocol: str, case: bytes) -> None:
    try_client(protocol, case)
    try_server(protocol, case)


# -- SMPP

RECEIPT = (
    b"id:0123456789 sub:001 dlvrd:001 submit date:2611211200 done date:2611211201 "
    b"stat:DELIVRD err:000 text:hello"
)


def make_smpp(chance: Random) -> bytes:
    frames = []
    for _ in range(chance.randint(1, 4)):
        if chance.random() < 0.4:
            text = mutated(chance, RECEIPT) if chance.random() < 0.5 else chance.randbytes(60)
            sm = pdus.Sm(
                pdus.DELIVER_SM,
                chance.choice((0, 1, 7, 0x7FFFFFFF, 0xFFFFFFFF)),
                source=b"258840000001",
                destination=b"8000",
                esm_class=chance.choice((0, 4, 0x40, 0x44, 0xFF)),
                data_coding=chance.randrange(256),
                short_message=text[:254],
            )
            frame = pdus.encode(sm)
        else:
            frame = chance.choice(FRAMES["smpp"])
        if chance.random() < 0.7:
            frame = mutated(chance, frame, 3)
            if chance.random() < 0.7:  # so that it gets past the framing
                frame = len(frame).to_bytes(4, "big") + frame[4:]
        frames.append(frame)
    return b"".join(frames)


def try_smpp(case: bytes) -> None:
    _try("smpp", case)


# -- UCP and CIMD2


def resealed_ucp(frame: bytes) -> bytes:
    """The frame with a length and a checksum that are right for what it has become."""
    body = frame.strip(b"\x02\x03")
    slash = body.rfind(b"/")
    body = body[:3] + b"%05d" % min(slash + 3, 99999) + body[8 : slash + 1]
    return b"\x02%b%02X\x03" % (body, sum(body) & 0xFF)


def resealed_cimd2(frame: bytes) -> bytes:
    body = frame[: frame.rfind(b"\t") + 1]
    return b"%b%02X\x03" % (body, sum(body) & 0xFF)


def _stream(chance: Random, protocol: str, numbers: Sequence[int]) -> bytes:
    frames = []
    for _ in range(chance.randint(1, 4)):
        frame = chance.choice(FRAMES[protocol])
        if chance.random() < 0.4:  # it seems to answer one of our submits
            number = chance.choice(numbers)
            if protocol == "ucp":
                frame = b"\x02%02d%b" % (number, frame[3:])
            else:
                frame = frame[:4] + b"%03d" % number + frame[7:]
        if chance.random() < 0.7:
            frame = mutated(chance, frame, 3)
        if chance.random() < 0.7:
            frame = resealed_ucp(frame) if protocol == "ucp" else resealed_cimd2(frame)
        frames.append(frame)
    return b"".join(frames)


def make_ucp(chance: Random) -> bytes:
    return _stream(chance, "ucp", (0, 1, 2, 3, 50, 99))


def try_ucp(case: bytes) -> None:
    _try("ucp", case)


def make_cimd2(chance: Random) -> bytes:
    return _stream(chance, "cimd2", (1, 3, 5, 7, 0, 2, 255, 999))


def try_cimd2(case: bytes) -> None:
    _try("cimd2", case)


# -- receipts, headers, texts


def make_receipt(chance: Random) -> bytes:
    return mutated(chance, RECEIPT, 8)


def try_receipt(case: bytes) -> None:
    for lenient in (True, False):
        found = receipt_text.parse(case, lenient=lenient)
        if found is not None:
            receipt_text.status_of(found.stat, lenient=lenient)
            for kind in (-1, 0, 1, 2, 3):
                receipt_text.normalise_id(
                    found.id, message_ids=kind, receipt=True, id_case=bool(kind & 1)
                )


HEADERS = (b"\x05\x00\x03\x07\x02\x01", b"\x06\x08\x04\x07\x07\x02\x02", b"\x03\x24\x01\x03",
           b"\x0b\x05\x04\x0b\x84\x23\xf0\x00\x03\x01\x02\x01", b"\x03\x25\x01\x0d")  # fmt: skip
TEXTS = ("hello", "€[]{}\\~^|", "Ação", "\u0301" * 9, "\U0001f600", "\U0001f1f2\U0001f1ff",
         "\u202e", "\ud800", "e\u0301", "\0", "@", "x" * 160, "\u1bff\u200d\U0001f468")  # fmt: skip


def make_text(chance: Random) -> bytes:
    """Two octets of settings, a header, and a text in UTF-16 that is often above one message."""
    text = "".join(chance.choices(TEXTS, k=chance.randint(0, 40)))
    octets = text.encode("utf-16-be", "surrogatepass")
    if chance.random() < 0.3:
        octets = mutated(chance, octets, 3)
    header = chance.choice(HEADERS)
    if chance.random() < 0.5:
        header = mutated(chance, header, 2)
    return chance.randbytes(2) + header + octets


def try_text(case: bytes) -> None:
    """No octets raise; what is cut into parts makes the text again."""
    head, rest = case[:2].ljust(2, b"\0"), case[2:]
    size = udh.length_with_header(rest) or 0
    header = rest[:size]
    assert udh.elements(rest) is None or size == len(rest)
    udh.part_of(rest)
    udh.part_of(header)
    shifts = udh.find_shift(header)
    from_dcs(head[0], bool(header))
    alphabets.decode_gsm(rest, *shifts)
    alphabets.unpack7(rest, len(rest) * 8 // 7)
    text, _ = alphabets.decode_ucs2(rest[size:])
    options = TextOptions(
        max_messages=head[0],
        too_long=("refuse", "cut")[head[1] & 1],
        split_chars=" "[head[1] & 2 :],
    )
    encoded = segments.encode_text(text, options)
    with suppress(segments.TooLong):
        made = segments.split(encoded.octets, encoded.coding, options, udh=header)
        joined = b"".join(payload for payload, _ in made.parts)
        assert encoded.octets.startswith(joined)
        assert made.cut or joined == encoded.octets
        assert all(_fits(*part, encoded.coding) for part in made.parts)


def _fits(payload: bytes, header: bytes, coding: int) -> bool:
    octets = (len(payload) * 7 + 7) // 8 if coding == Coding.GSM else len(payload)
    return len(header) + octets <= 140
