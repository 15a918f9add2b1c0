"""The groups smsc and smpp-tlv of a kannel.conf, with what Kannel does when they do not say."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

from gatewayd.config.kannel_directives import ONLY_FOR, Use
from gatewayd.config.kannel_section import Section, unique
from gatewayd.config.model import (
    BindConfig,
    BindMode,
    OnUncertain,
    Retry,
    Secret,
    SmppOptions,
    SmscConfig,
    TlsConfig,
    TlvConfig,
)
from gatewayd.config.values import OTHER_NAMES, did_you_mean, shown

# Kannel's names for the protocols, and ours.
PROTOCOLS = {"smpp": "smpp", "emi": "ucp", "cimd2": "cimd2"}

# What Kannel's CIMD2 does, where it differs from ours.
_CIMD2_OPTIONS = (
    "temporary=",
    "throttling=",
    "refused=",
    "reason=REJECTED",
    "retransmit=3",
    "ids=asked",
    "long-numbers=cut",
    "originator=raw",
    "incomplete=drop",
    "buffered=",
    "leave-out=053,067",  # first delivery and priority
)

_STATUS_NAMES = {"emi": "EMI2", "cimd2": "CIMD2"}
_EXPIRY = {0: "reconnect", 1: "requeue", 2: "wait"}
# Kannel reads no longer PDU: above it the stream counts as out of step.
_MAX_PDU = 7424
_MAX_WINDOW = 1000
_MAX_INSTANCES = 100
# What Kannel does in UCP (see gatewayd/smsc/ucp_options.py): no refusal is temporary, long
# recipients are cut, binary messages have a class, MO are told as they stand.
_EMI_OPTIONS = (
    "temporary=",
    "login-again=",
    "refused=",
    "long-numbers=cut",
    "mcls=binary",
    "ids=asked",
    "mo=literal",
    "smsc-time=yes",
    "alert-first=yes",
)


def read_smscs(sections: Iterable[Section], resend: Retry, ca_file: str) -> tuple[SmscConfig, ...]:
    """Every smsc group as an `SmscConfig`; several may share an id, and get names of their own."""
    found: dict[str, SmscConfig] = {}
    for section in sections:
        smsc = read_smsc(section, resend, ca_file)
        if smsc is None:
            continue
        name = unique(smsc.id, found)
        if any(other.id == smsc.id for other in found.values()):
            section.warn("smsc-id", f"{shown(smsc.id)} is there before; this one is called {name}")
        binds = tuple(replace(bind, name=f"{name}/{bind.name}") for bind in smsc.binds)
        found[name] = replace(smsc, name=name, binds=binds)
    return tuple(found.values())


def read_smsc(section: Section, resend: Retry, ca_file: str) -> SmscConfig | None:
    """One group; its binds are still named "0", "1" ... None when its kind cannot be had."""
    kind = section.required("smsc", "smpp")
    if kind in OTHER_NAMES:
        section.warn("smsc", f"{kind} {OTHER_NAMES[kind][1]}")
        kind = OTHER_NAMES[kind][0]
    if kind not in PROTOCOLS:
        if section.given("smsc"):
            known = f"({', '.join(PROTOCOLS)}){did_you_mean(kind, PROTOCOLS)}"
            section.error("smsc", f"{shown(kind)} is no protocol that is spoken here {known}")
        return None
    if section.integer("instances") < 1:
        section.warn("instances", "less than 1 means no connection at all, as in Kannel")
        return None
    _check_kind(section, kind)
    read = {"smpp": _smpp, "emi": _emi, "cimd2": _cimd2}[kind]
    smsc = read(section, _common(section, kind, resend))
    if kind == "smpp" and section.boolean("use-ssl"):
        # Kannel asks for a certificate that it trusts only when it was told whom to trust.
        certificate = section.text("ssl-client-certkey-file")
        tls = TlsConfig(True, bool(ca_file), ca_file, "", certificate, certificate)
        smsc = replace(smsc, tls=tls)
        if not ca_file:
            message = "the SMSC's certificate is not checked without ssl-trusted-ca-file in core"
            section.warn("use-ssl", message)
    return smsc


def _check_kind(section: Section, kind: str) -> None:
    for name in section.group.lines:
        kinds = ONLY_FOR.get(name)
        unused = name in section.table and section.table[name].use is not Use.USED
        if kinds and kind not in kinds and not unused:
            section.warn(name, f"counts only for smsc = {' and '.join(sorted(kinds))}; unused here")


def _common(section: Section, kind: str, resend: Retry) -> SmscConfig:
    pause = section.seconds("reconnect-delay", 0.1)
    instances = section.integer("instances")
    if instances > _MAX_INSTANCES:
        section.error("instances", f"{instances} are too many (1-{_MAX_INSTANCES})")
        instances = 1
    allowed = section.words("allowed-smsc-id") if section.given("allowed-smsc-id") else None
    host = section.required("host", "smsc.example")
    if section.given("host") and not host.strip():
        section.error("host", "is empty; write the SMSC's name or address")
    return SmscConfig(
        name="",
        id=section.text("smsc-id"),
        protocol=PROTOCOLS[kind],
        hosts=(host,),
        admin_id=section.text("smsc-admin-id"),
        binds=tuple(BindConfig(str(index)) for index in range(instances)),
        # Kannel counts for each connection, we for all binds together.
        rate=max(section.number("throughput"), 0.0) * instances,
        source_address=section.text("our-host"),
        source_port=max(section.integer("our-port", 0, 65535), 0),
        allowed_ids=allowed,
        denied_ids=section.words("denied-smsc-id"),
        preferred_ids=section.words("preferred-smsc-id"),
        allowed_prefixes=section.words("allowed-prefix"),
        denied_prefixes=section.words("denied-prefix"),
        preferred_prefixes=section.words("preferred-prefix"),
        allowed_ids_regex=section.regex("allowed-smsc-id-regex"),
        denied_ids_regex=section.regex("denied-smsc-id-regex"),
        preferred_ids_regex=section.regex("preferred-smsc-id-regex"),
        allowed_prefix_regex=section.regex("allowed-prefix-regex"),
        denied_prefix_regex=section.regex("denied-prefix-regex"),
        preferred_prefix_regex=section.regex("preferred-prefix-regex"),
        unified_prefix=section.text("unified-prefix"),
        on_uncertain=OnUncertain.RESUBMIT,
        resend=resend,
        throttle=Retry(1.0, 1.0, 1.0, 0.0),
        throttled_waits=True,
        reconnect=Retry(pause, 1.0, pause, 0.0),
        refused_pause=0.0,
        dead_start=section.boolean("dead-start"),
    )


def _options(section: Section) -> SmppOptions:
    """What the directives common to all protocols say, over what Kannel always does."""
    return SmppOptions(
        ton_rule="kannel",
        alt_charset=section.text("alt-charset"),
        alt_addr_charset=section.text("alt-addr-charset"),
        alt_dcs=section.boolean("alt-dcs"),
        my_number=section.text("my-number"),
        id_case=True,
        receipts_for="first",
        temporary=frozenset({0x08, 0x14, 0x64}),
        throttling=frozenset({0x58}),
        refused_for_good=frozenset({0x0E, 0x0F, 0x53}),
        already_bound_is_bound=True,
        queue_full_status=0x64,
        not_bound=frozenset(),
        strict_addresses=True,
        strict_receipts=True,
        mwi_ucs2=False,
        nack_unexpected=True,
        tlvs_need_version=False,
        max_octets=section.integer("max-sms-octets", 1, 65535),
        max_pdu=_MAX_PDU,
        enquire_always=True,
        enquire_misses=100,  # a link is given up by idle_timeout alone
        unbind_timeout=30.0,
        unanswered_delivers=10_000,
    )


def _smpp(section: Section, smsc: SmscConfig) -> SmscConfig:
    user = section.text("smsc-username")
    if not section.given("smsc-username"):
        if section.given("system-id"):
            user = section.text("system-id")
            section.warn("system-id", "is an old name; write smsc-username")
        else:
            section.required("smsc-username", "the system_id the operator gave")
    section.required("smsc-password")
    system_type = section.required("system-type", '""')
    for name, text, longest in (
        ("smsc-username", user, 15),
        ("smsc-password", section.text("smsc-password"), 8),
        ("system-type", system_type, 12),
        ("address-range", section.text("address-range"), 40),
    ):
        if len(text.encode()) > longest:
            section.warn(name, f"is cut to the {longest} octets that SMPP 3.4 allows, as in Kannel")
    transmit, receive = _ports(section)
    mode = BindMode.TRANSMITTER
    if section.boolean("transceiver-mode"):
        mode, receive = BindMode.TRANSCEIVER, transmit
    elif receive:
        mode = BindMode.RECEIVER
    smsc = replace(
        smsc,
        port=transmit or receive or 2775,
        binds=tuple(replace(bind, mode=mode) for bind in smsc.binds),
        window=_window(section, "max-pending-submits"),
        status_name=f"SMPP:{smsc.hosts[0]}:{transmit}/{receive}:{user}:{system_type}",
    )
    if mode is BindMode.RECEIVER:
        port = section.integer("our-receiver-port", 0, 65535)
        smsc = replace(smsc, source_port=max(port, 0))
    if not smsc.id:
        # Kannel names such a connection in log and status by where it goes.
        smsc = replace(smsc, id=smsc.status_name, admin_id=smsc.admin_id or "unknown")
        section.warn("smsc-id", f"is missing; the connection is called {shown(smsc.id)}")
    return replace(smsc, smpp=_smpp_options(section, user, system_type))


def _ports(section: Section) -> tuple[int, int]:
    transmit = max(section.port("port", 0), 0)
    receive = max(section.port("receive-port", 0), 0)
    if transmit and receive:
        message = "stands beside port; Kannel wants one of them: make a second group smsc for it"
        section.error("receive-port", message)
    elif receive and section.boolean("transceiver-mode"):
        section.error("port", "is missing: transceiver-mode binds to port, not to receive-port")
    elif not transmit and not receive:
        section.warn("port", "neither port nor receive-port is given; 2775 is taken")
        transmit = 2775
    return transmit, receive


def _smpp_options(section: Section, user: str, system_type: str) -> SmppOptions:
    interval = section.seconds("enquire-link-interval", 1.0)
    silence = section.seconds("connection-timeout")
    # Kannel looks at the silence only when it is time for the next enquire_link.
    idle = math.ceil(silence / interval) * interval
    service_type = section.text("service-type")
    if len(service_type) > 6:
        section.error("service-type", f"{shown(service_type)} is longer than 6 characters")
    version = section.integer("interface-version")
    if version not in (33, 34, 50):
        section.warn("interface-version", f"{version} is none of 33, 34 and 50")
    validity = section.integer("validityperiod")
    if section.given("validityperiod"):
        validity = section.integer("validityperiod", 0, 1_000_000)
    source = _ton_npi(section, "source-addr")
    dest = _ton_npi(section, "dest-addr")
    return replace(
        _options(section),
        system_id=_cut(user, 15),
        password=Secret(_cut(section.text("smsc-password"), 8)),
        system_type=_cut(system_type, 12),
        interface_version=(version // 10 % 16) << 4 | version % 10,
        addr_ton=section.integer("bind-addr-ton", 0, 255),
        addr_npi=section.integer("bind-addr-npi", 0, 255),
        address_range=_cut(section.text("address-range"), 40),
        service_type=service_type,
        source_ton=source[0],
        source_npi=source[1],
        dest_ton=dest[0],
        dest_npi=dest[1],
        source_autodetect=section.boolean("source-addr-autodetect"),
        esm_class=section.integer("esm-class", 0, 255),
        priority=section.integer("priority", 0, 3),
        validity=max(validity, 0) * 60.0,
        message_ids=section.integer("msg-id-type", 0, 3),
        enquire_interval=interval,
        enquire_timeout=idle or 3600.0,
        idle_timeout=idle,
        bind_timeout=min(interval, 60.0),
        response_timeout=section.seconds("wait-ack", 1.0),
        on_timeout=_on_timeout(section, 1),
    )


def _ton_npi(section: Section, which: str) -> tuple[int, int]:
    """Kannel uses a TON only together with its NPI."""
    ton = section.integer(f"{which}-ton", -1, 7)
    npi = section.integer(f"{which}-npi", -1, 18)
    if (ton < 0) == (npi < 0):
        return ton, npi
    there, absent = ("ton", "npi") if npi < 0 else ("npi", "ton")
    section.warn(f"{which}-{there}", f"does nothing without {which}-{absent}")
    return -1, -1


def _on_timeout(section: Section, default: int) -> str:
    """wait-ack-expire; its default differs between the protocols."""
    if not section.given("wait-ack-expire"):
        return _EXPIRY[default]
    return _EXPIRY.get(section.integer("wait-ack-expire", 0, 2), _EXPIRY[default])


def _window(section: Section, name: str) -> int:
    """Kannel takes any number; no SMSC allows as many as our limit."""
    return min(max(section.integer(name), 1), _MAX_WINDOW)


def _emi(section: Section, smsc: SmscConfig) -> SmscConfig:
    section.required("port", "3000")
    if section.given("receive-port"):
        section.error("receive-port", "gatewayd does not wait for the SMSC to connect; take it out")
    port = section.port("port")
    if section.integer("alt-port") not in (-1, port):
        section.error("alt-port", "differs from port; write the second address as a second group")
    options = list(_EMI_OPTIONS)
    pid = section.text("notification-pid")
    if pid and not (len(pid) <= 4 and pid.isascii() and pid.isdigit()):
        section.warn("notification-pid", f"{shown(pid)} is no PID of up to 4 digits; left out")
    elif section.given("notification-pid"):
        options.append(f"notification-pid={pid}")
    if section.given("notification-addr"):
        options.append(f"notification-addr={section.text('notification-addr')}")
    hosts = smsc.hosts
    if section.text("alt-host"):
        hosts = (*hosts, section.text("alt-host"))
    window = _window(section, "window")
    if section.integer("flow-control", 0, 1) == 1:
        window = 1
    wait = section.integer("wait-ack", 30, 86400)
    keepalive = section.seconds("keepalive")
    return _with_login(
        section,
        replace(smsc, hosts=hosts, port=port, window=window, options=tuple(options)),
        replace(
            _options(section),
            # Kannel looks once a second whether more than so many have gone by.
            enquire_interval=keepalive + 1.0 if keepalive > 0 else 0.0,
            enquire_timeout=float(wait),
            enquire_misses=1,
            bind_timeout=float(wait),
            inactivity=section.seconds("idle-timeout"),
            response_timeout=float(wait),
            on_timeout=_on_timeout(section, 0),
        ),
        "emi",
    )


def _cimd2(section: Section, smsc: SmscConfig) -> SmscConfig:
    for name in ("port", "smsc-username", "smsc-password"):
        section.required(name)
    keepalive = section.seconds("keepalive")
    options = replace(
        _options(section),
        # Kannel asks when more than so many seconds have gone by without a packet.
        enquire_interval=keepalive + 1.0 if keepalive > 0 else 0.0,
        enquire_always=False,
        enquire_timeout=60.0,
        enquire_misses=1,
        my_number=section.text("my-number") or section.text("sender-prefix"),
        on_timeout="reconnect",
        unbind_timeout=5.0,
    )
    # Kannel logs in again at once, and only then waits.
    pause = smsc.reconnect.cap
    reconnect = Retry(min(pause, 0.01), max(pause / 0.01, 1.0), pause, 0.0)
    port = section.port("port")
    smsc = replace(smsc, port=port, window=1, options=_CIMD2_OPTIONS, reconnect=reconnect)
    return _with_login(section, smsc, options, "cimd2")


def _with_login(section: Section, smsc: SmscConfig, options: SmppOptions, kind: str) -> SmscConfig:
    user = section.text("smsc-username")
    shown_user = user if section.given("smsc-username") else "null"
    name = f"{_STATUS_NAMES[kind]}:{smsc.hosts[-1]}:{smsc.port}:{shown_user}"
    options = replace(options, system_id=user, password=section.secret("smsc-password"))
    return replace(
        smsc,
        id=smsc.id or name,
        admin_id=smsc.admin_id if smsc.id else smsc.admin_id or "unknown",
        status_name=name,
        smpp=options,
    )


def _cut(text: str, octets: int) -> str:
    return text if len(text) <= octets else text.encode()[:octets].decode(errors="ignore")


def read_tlvs(sections: Iterable[Section]) -> tuple[TlvConfig, ...]:
    """The groups smpp-tlv. Kannel does not start when one is incomplete or there twice."""
    found: list[TlvConfig] = []
    for section in sections:
        kind = section.required("type", "octetstring")
        name = section.required("name", "my_tlv")
        for needed, example in (("tag", "0x1400"), ("length", "20")):
            section.required(needed, example)
        kinds = ("octetstring", "nulterminated", "integer")
        if section.given("type") and kind not in kinds:
            section.error("type", f"{shown(kind)} is none of {', '.join(kinds)}")
        tag = section.integer("tag", 0, 0xFFFF)
        smsc_ids = section.words("smsc-id")
        for other in found:
            shared = not other.smsc_ids or not smsc_ids or set(other.smsc_ids) & set(smsc_ids)
            if shared and other.name == name:
                section.error("name", f"{shown(name)} is there twice")
            elif shared and other.tag == tag:
                section.error("tag", f"0x{tag:04x} is there twice")
        length = section.integer("length", 0, 65535)
        found.append(TlvConfig(name, tag, kind, length, smsc_ids, section.text("const")))
    return tuple(found)
