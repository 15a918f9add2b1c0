"""The keys of each section of the YAML configuration, and the values that each takes.

A key is its field's name with hyphens; a field that no table lists is read by its type (`keys_of`).
Ranges are wide: they keep out slips of the finger, not unusual operators. The annotated example
conf/gatewayd.yaml explains every key.
"""

from __future__ import annotations

from dataclasses import replace

from yaml.nodes import ScalarNode

from gatewayd.config.model import (
    BindConfig,
    BindMode,
    ChannelConfig,
    HttpConfig,
    Limits,
    ListenerConfig,
    LoggingConfig,
    NumberRules,
    OnUncertain,
    OtaConfig,
    ReportPolicy,
    Retry,
    SmppOptions,
    SmscConfig,
    StoreConfig,
    TcpConfig,
    TlsConfig,
    TlvConfig,
    UserConfig,
    VpnConfig,
)
from gatewayd.config.url_patterns import url_pattern
from gatewayd.config.values import (
    boolean,
    days,
    endpoint,
    host,
    integer,
    item,
    listener_port,
    member,
    name,
    number,
    one_of,
    port,
    prose,
    size,
    string,
    url,
)
from gatewayd.config.yaml_keys import (
    MISSING,
    Key,
    Read,
    Section,
    Table,
    Value,
    blank_or,
    fill,
    items,
    listing,
    merged,
    named,
    numbers,
    parsed,
    raw_text,
    scalar,
    secret,
    text,
)
from gatewayd.config.yaml_kinds import (
    MANY,
    address_patterns,
    any_time,
    keys_of,
    many,
    maybe_url,
    npi,
    some_time,
    ton,
    window,
    yes_no,
)
from gatewayd.config.yaml_network import TCP, VPN, maybe_device, tcp, vpn
from gatewayd.config.yaml_values import (
    FORMATS,
    MAX_BINDS,
    absolute,
    ascii_up_to,
    bind_count,
    charset,
    interface_version,
    keyword,
    numbers_of_prefix,
    option,
    path_or_url,
    plug_in,
    private,
    protocol,
    proxy,
    readable,
    url_path,
    user_password,
)
from gatewayd.model import TextOptions

RETRY = keys_of(
    Retry,
    first=some_time,
    factor=scalar(number(1, 100)),
    cap=some_time,
    jitter=scalar(number(0, 1)),
    times=scalar(integer(-1, MANY)),
)

TEXT = keys_of(
    TextOptions,
    max_messages=scalar(integer(0, 255)),
    too_long=scalar(one_of("refuse", "cut")),
    split_chars=text(prose),
    split_suffix=text(prose),
    header=text(prose),
    footer=text(prose),
    octets=scalar(integer(1, 140)),
    split_look_back=scalar(number(0, 1)),
    not_gsm=scalar(one_of("ucs2", "replace")),
)

NUMBERS = keys_of(
    NumberRules,
    white_list=text(blank_or(path_or_url)),
    black_list=text(blank_or(path_or_url)),
)

TLS = keys_of(
    TlsConfig,
    ca_file=text(blank_or(readable)),
    server_name=text(blank_or(host)),
    certificate_file=text(blank_or(readable)),
    key_file=text(blank_or(private)),
)


def tls(value: Value) -> object:
    """true, false, or a section of keys, which means true unless `enabled` says otherwise."""
    if isinstance(value.node, ScalarNode):
        found = parsed(value, boolean, strict=False)
        return TlsConfig(enabled=found) if isinstance(found, bool) else found
    keys = fill(value, TLS)
    if keys is None:
        return MISSING
    found = merged(TlsConfig(enabled=True), keys)
    if bool(found.certificate_file) != bool(found.key_file):
        return value.complain("needs certificate-file and key-file together")
    return found


LISTENER = keys_of(
    ListenerConfig, host=text(host), port=scalar(listener_port), tls=Key("tls", tls, TLS)
)


def listener(default: ListenerConfig) -> Read:
    """`off`, host:port, or a section of keys."""

    def read(value: Value) -> object:
        if isinstance(value.node, ScalarNode):
            written = raw_text(value, strict=False)
            if isinstance(written, str) and written.lower() in ("off", "no", "false"):
                return None
            pair = parsed(value, endpoint, strict=False)
            if not isinstance(pair, tuple):
                return pair
            return ListenerConfig(pair[0], pair[1])
        keys = fill(value, LISTENER)
        if keys is None:
            return MISSING
        found = merged(default, keys)
        if found.tls.enabled and not found.tls.certificate_file:
            return value.complain("tls of a listener needs certificate-file and key-file")
        return found

    return read


_COMMANDS = numbers(integer(0, 0xFFFFFFFF, "a command_status"))

SMPP = keys_of(
    SmppOptions,
    "system_id",
    "password",
    "system_type",
    interface_version=scalar(interface_version),
    addr_ton=scalar(integer(0, 7, "a TON")),
    addr_npi=scalar(integer(0, 18, "an NPI")),
    address_range=ascii_up_to(40),
    service_type=ascii_up_to(5),
    source_ton=ton,
    source_npi=npi,
    dest_ton=ton,
    dest_npi=npi,
    ton_rule=scalar(one_of("e164", "kannel")),
    esm_class=scalar(integer(-1, 255)),
    priority=scalar(integer(0, 3)),
    validity_format=scalar(one_of("absolute", "relative")),
    alt_charset=text(blank_or(charset)),
    alt_addr_charset=text(blank_or(charset)),
    mo_charset=text(blank_or(charset)),
    message_ids=scalar(integer(-1, 3)),
    receipts_for=scalar(one_of("all", "first")),
    temporary=_COMMANDS,
    throttling=_COMMANDS,
    refused_for_good=_COMMANDS,
    cannot_store_status=scalar(integer(1, 0xFFFFFFFF, "a command_status")),
    concatenation=scalar(one_of("udh8", "udh16", "sar", "payload")),
    max_octets=scalar(integer(1, 65535)),
    max_pdu=scalar(size(1024, 1 << 20)),
    enquire_timeout=some_time,
    enquire_misses=scalar(integer(1, 100)),
    bind_timeout=some_time,
    response_timeout=some_time,
    on_timeout=scalar(one_of("requeue", "reconnect", "wait")),
    unbind_timeout=some_time,
    partial_pdu_timeout=some_time,
    unanswered_delivers=scalar(integer(1, 10_000)),
)

BIND = keys_of(
    BindConfig,
    "name",
    mode=scalar(
        member(
            BindMode,
            tx=BindMode.TRANSMITTER,
            rx=BindMode.RECEIVER,
            trx=BindMode.TRANSCEIVER,
        )
    ),
    host=text(host),
    port=scalar(port),
    window=window,
)


def binds(value: Value) -> object:
    """A number of transceivers, `tx+rx`, or a list; the names lack the SMSC's, "0", "tx" ..."""
    if isinstance(value.node, ScalarNode):
        written = parsed(value, str, strict=False)
        if written in ("tx+rx", "rx+tx"):
            return (BindConfig("tx", BindMode.TRANSMITTER), BindConfig("rx", BindMode.RECEIVER))
        count = parsed(value, bind_count, strict=False) if isinstance(written, str) else written
        if not isinstance(count, int):
            return count
        return tuple(BindConfig(str(index)) for index in range(count))
    before = len(value.source.problems.found)
    found = []
    for index, each in enumerate(items(value)):
        keys = fill(each, BIND)
        if keys is not None:
            found.append(merged(BindConfig(str(index)), keys))
    if len(value.source.problems.found) > before:
        return MISSING
    if not 1 <= len(found) <= MAX_BINDS:
        return value.complain(f"{len(found)} binds; 1 to {MAX_BINDS} are expected")
    if sorted(bind.mode.value for bind in found) == ["receiver", "transmitter"]:
        short = {BindMode.TRANSMITTER: "tx", BindMode.RECEIVER: "rx"}
        found = [replace(bind, name=short[bind.mode]) for bind in found]
    return tuple(found)


_SMSC = SmscConfig(name="", id="")
_CHANNEL = ChannelConfig(name="")

# `system_id`, `password` and `system_type` are the operator's paper form, like host and port; the
# reader puts them into the SmppOptions.
SMSC = keys_of(
    SmscConfig,
    "status_name",
    id=text(name),
    name=text(name),
    protocol=protocol,
    host=text(host),
    hosts=listing(host),
    port=scalar(port),
    system_id=text(string),
    password=secret,
    system_type=text(string),
    binds=Key("binds", binds, BIND),
    admin_id=text(blank_or(name)),
    window=window,
    rate=scalar(number(0, 100_000)),
    tls=Key("tls", tls, TLS),
    source_address=text(blank_or(host)),
    source_port=scalar(listener_port),
    bind_device=maybe_device,
    vpn=Key("vpn", vpn, VPN),
    tcp=named("tcp", tcp),
    unified_prefix=text(blank_or(numbers_of_prefix)),
    on_uncertain=scalar(member(OnUncertain)),
    resend=named("resend", Section(_SMSC.resend, RETRY)),
    throttle=named("throttle", Section(_SMSC.throttle, RETRY)),
    reconnect=named("reconnect", Section(_SMSC.reconnect, RETRY)),
    connect_timeout=some_time,
    options=listing(option),
    smpp=named("smpp", Section(SmppOptions(), SMPP)),
)

USER = keys_of(
    UserConfig,
    username=text(name),
    password=user_password,
    name=text(blank_or(name)),
    allow_ip=address_patterns,
    deny_ip=address_patterns,
    forced_smsc=text(blank_or(name)),
    default_smsc=text(blank_or(name)),
    dlr_url=maybe_url,
    text=named("text", Section(TextOptions(), TEXT)),
    numbers=named("numbers", Section(NumberRules(), NUMBERS)),
    channel=text(blank_or(name)),
    allowed_senders=listing(item),
    rate=scalar(number(0, 100_000)),
    daily_cap=scalar(integer(0, MANY)),
    max_queued=scalar(integer(0, MANY)),
)

REPORTS = keys_of(
    ReportPolicy,
    spacing=any_time,
    drop_late=yes_no,
    withhold=numbers(integer(1, 63, "a DLR status")),
)

CHANNEL = keys_of(
    ChannelConfig,
    name=text(name),
    format=scalar(plug_in("format", FORMATS)),
    url=text(url),
    get_url=text(url),
    post_url=text(url),
    post_xml=text(url),
    file=text(absolute),
    text_reply=text(prose),
    exec=text(blank_or(prose)),
    keyword=text(blank_or(keyword)),
    aliases=listing(keyword),
    senders=named("senders", Section(NumberRules(), NUMBERS)),
    alt_charset=text(blank_or(charset)),
    text=named("text", Section(TextOptions(), TEXT)),
    prefix=text(prose),
    suffix=text(prose),
    forced_smsc=text(blank_or(name)),
    default_smsc=text(blank_or(name)),
    dlr_url=maybe_url,
    dlr_mask=scalar(integer(0, 63)),
    retry=named("retry", Section(_CHANNEL.retry, RETRY)),
    timeout=some_time,
    parallel=scalar(integer(1, 1000)),
    signature_key=secret,
    # Filled over the policy of the format, which is known only when the channel is whole.
    reports=Key("reports", lambda value: fill(value, REPORTS) or {}, REPORTS),
)

TLV = keys_of(
    TlvConfig,
    name=text(name),
    tag=scalar(integer(0, 0xFFFF, "a tag")),
    kind=scalar(one_of("octetstring", "nulterminated", "integer")),
    length=scalar(integer(0, 65535)),
)

OTA = keys_of(
    OtaConfig,
    id=text(blank_or(name)),
    kind=scalar(one_of("setting", "bookmark")),
    name=text(prose),
    url=maybe_url,
    secret=secret,
)

_HTTP = HttpConfig()
assert _HTTP.sendsms and _HTTP.admin

HTTP = keys_of(
    HttpConfig,
    open_listener=scalar(one_of("i-know")),
    sendsms=Key("sendsms", listener(_HTTP.sendsms), LISTENER),
    admin=Key("admin", listener(_HTTP.admin), LISTENER),
    sendsms_path=text(url_path),
    sendota_path=text(blank_or(url_path)),
    external_path=text(blank_or(url_path)),
    admin_password=secret,
    status_password=secret,
    admin_allow_ip=address_patterns,
    admin_deny_ip=address_patterns,
    numbers=named("numbers", Section(NumberRules(), NUMBERS)),
    reply_could_not_fetch=text(prose),
    reply_could_not_represent=text(prose),
    reply_request_failed=text(prose),
    reply_empty=text(prose),
    idle_timeout=some_time,
    max_line=scalar(size(1024, 1 << 24)),
    max_header=scalar(size(1024, 1 << 20)),
    max_body=scalar(size(1024, 1 << 26)),
    max_connections=scalar(integer(1, 100_000)),
    max_connections_per_address=scalar(integer(0, 100_000)),
    max_fields=scalar(integer(10, 10_000)),
    request_timeout=some_time,
    max_requests_out=scalar(integer(1, 100_000)),
    connections_out=scalar(integer(1, 10_000)),
    redirects=scalar(integer(0, 20)),
    dlr_url_allow=listing(url_pattern),
    proxy=text(blank_or(proxy)),
    login_failures=scalar(integer(0, 1000)),
    retry_after=scalar(integer(0, 3600)),
)

STORE = keys_of(
    StoreConfig,
    memory_items=scalar(integer(1, MANY)),
    receipt_days=scalar(days),
)

LOGGING = keys_of(
    LoggingConfig,
    level=scalar(one_of("debug", "info", "warning", "error")),
    format=scalar(one_of("text", "json")),
    numbers=scalar(one_of("masked", "full")),
    file=text(blank_or(absolute)),
    access_log=text(blank_or(absolute)),
    access_log_format=text(prose),
    access_log_time=scalar(one_of("local", "gmt")),
    request_log=text(blank_or(absolute)),
)

LIMITS = keys_of(
    Limits,
    queued_mt=many,
    queued_mo=scalar(integer(-1, MANY)),
    receivers=scalar(integer(1, 10_000)),
    part_timeout=some_time,
    parts_waiting=many,
    dedupe_window=any_time,
    parked_receipt=some_time,
)

# How reports are delivered that no channel rules, to whatever dlr-url.
_ANY_REPORTS = ChannelConfig(name="")
DELIVERY = {
    field: key
    for field, key in CHANNEL.items()
    if field in ("retry", "timeout", "parallel", "ordered")
}

DEFAULTS = {
    "http": (_HTTP, HTTP),
    "store": (StoreConfig(), STORE),
    "logging": (LoggingConfig(), LOGGING),
    "limits": (Limits(), LIMITS),
    "senders": (NumberRules(), NUMBERS),
    "receivers": (NumberRules(), NUMBERS),
    "reports": (_ANY_REPORTS, DELIVERY),
}
"""The sections that are there once, with their defaults."""

EVERY_TABLE: dict[type, Table] = {
    SmscConfig: SMSC,
    BindConfig: BIND,
    SmppOptions: SMPP,
    TlsConfig: TLS,
    VpnConfig: VPN,
    TcpConfig: TCP,
    Retry: RETRY,
    UserConfig: USER,
    TextOptions: TEXT,
    NumberRules: NUMBERS,
    ChannelConfig: CHANNEL,
    ReportPolicy: REPORTS,
    TlvConfig: TLV,
    OtaConfig: OTA,
    HttpConfig: HTTP,
    ListenerConfig: LISTENER,
    StoreConfig: STORE,
    LoggingConfig: LOGGING,
    Limits: LIMITS,
}
"""Which table fills which dataclass."""
