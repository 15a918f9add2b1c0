"""What gatewayd can be told, as frozen dataclasses; the readers fill them, nothing else does.

Both readers (YAML and kannel.conf) produce the same classes. The defaults written here are the YAML
ones: the safe choice each time. The kannel.conf reader sets what Kannel would do instead, so that
no other module asks which file the configuration came from. Times are seconds, sizes octets.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from gatewayd.model import TextOptions


class Secret(str):
    """A password. It prints as ``<secret>``; `reveal` gives the text."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<secret>"

    def __str__(self) -> str:
        return "<secret>"

    def __format__(self, spec: str) -> str:
        return "<secret>"

    def reveal(self) -> str:
        return str.__str__(self)


NO_SECRET = Secret("")
DEFAULT_TEXT = TextOptions()


class BindMode(Enum):
    TRANSMITTER = "transmitter"
    RECEIVER = "receiver"
    TRANSCEIVER = "transceiver"


class OnUncertain(Enum):
    """What becomes of a submit that was written and never answered."""

    RESUBMIT = "resubmit"  # at least once: the handset may get it twice
    HOLD = "hold"  # kept aside for a decision by hand
    FAIL = "fail"  # reported as failed; it may have arrived


@dataclass(frozen=True, slots=True)
class Retry:
    """When a failed attempt is made again: after `first`, then `factor` times longer, up to `cap`.

    `jitter` is the share (0-1) by which each pause may be longer or shorter. `times` counts the
    attempts after the first (-1: no limit); `horizon` ends them by age (0: no limit). What has run
    out of attempts goes to the dead letters when `dead_letters` is set, else it is dropped.
    """

    first: float = 1.0
    factor: float = 2.0
    cap: float = 300.0
    jitter: float = 0.2
    times: int = -1
    horizon: float = 0.0
    dead_letters: bool = True


@dataclass(frozen=True, slots=True)
class TlsConfig:
    """TLS towards an SMSC (client side) or on a listener (certificate and key needed)."""

    enabled: bool = False
    verify: bool = True
    ca_file: str = ""  # "": the system's authorities
    server_name: str = ""  # "": the host as configured
    certificate_file: str = ""
    key_file: str = ""


@dataclass(frozen=True, slots=True)
class VpnConfig:
    """The tunnel to an SMSC. `device` is watched; with `require` nothing leaves but through it."""

    device: str = ""  # tun0, wg0 ...; "": none is watched
    require: bool = True


@dataclass(frozen=True, slots=True)
class TcpConfig:
    """When the kernel gives up a connection whose other side is silent."""

    keepalive: float = 60.0  # idle for so long, a probe is sent; 0: none is
    keepalive_interval: float = 10.0
    keepalive_probes: int = 6  # unanswered
    user_timeout: float = 0.0  # data unacknowledged for so long; 0: as long as enquire_link takes


@dataclass(frozen=True, slots=True)
class BindConfig:
    """One session with an SMSC. `name` is unique: ``smsc/0``, ``smsc/tx`` ..."""

    name: str
    mode: BindMode = BindMode.TRANSCEIVER
    host: str = ""  # "": the SMSC's hosts, in order
    port: int = 0  # 0: the SMSC's
    window: int = 0  # 0: the SMSC's


@dataclass(frozen=True, slots=True)
class TlvConfig:
    """A TLV known by name, so that meta-data can set and show it (Kannel's group smpp-tlv)."""

    name: str
    tag: int
    kind: str = "octetstring"  # octetstring | nulterminated | integer
    length: int = 0  # longest value; for an integer its size
    smsc_ids: tuple[str, ...] = ()  # empty: every SMSC
    const: str = ""  # always sent


@dataclass(frozen=True, slots=True)
class SmppOptions:
    """How SMPP is spoken with one SMSC. Names of PDU fields as in SMPP 3.4."""

    system_id: str = ""
    password: Secret = NO_SECRET
    system_type: str = ""
    interface_version: int = 0x34  # 0x33, 0x34 or 0x50
    addr_ton: int = 0
    addr_npi: int = 0
    address_range: str = ""
    service_type: str = ""
    source_ton: int = -1  # -1: by the rule of `ton_rule`
    source_npi: int = -1
    dest_ton: int = -1
    dest_npi: int = -1
    ton_rule: str = "e164"  # e164: short codes 3/0, other digits 1/1 | kannel: digits 2/1
    source_autodetect: bool = True
    esm_class: int = -1  # -1: 0, or 3 (store and forward) as Kannel
    priority: int = 0  # used when the message has none
    validity: float = 0.0  # used when the message has none; 0: none
    validity_format: str = "absolute"  # absolute | relative
    alt_charset: str = ""  # charset of 7-bit text on this link; "": GSM 03.38
    alt_addr_charset: str = ""  # charset of alphanumeric addresses; "": as given
    alt_dcs: bool = False  # prefer data_coding 0xFx
    mo_charset: str = ""  # what data_coding 0 means in a deliver_sm; "": GSM (or alt_charset)
    my_number: str = ""  # replaces the destination of every MO
    message_ids: int = (
        -1
    )  # Kannel's msg-id-type: -1 as strings, else bit 0 answers are hex, bit 1 receipts
    id_case: bool = False  # ids compare with their case; else without case and leading zeros
    receipts_for: str = "all"  # all | first: which segments of a message ask for a receipt
    receipt_by_text: bool = False  # a deliver_sm without receipt bits whose text is one, is one
    temporary: frozenset[int] = frozenset(
        {0x08, 0x45, 0x64, 0x67, 0xFE, 0xFF, 0x102}
    )  # command_status values to try again
    throttling: frozenset[int] = frozenset({0x14, 0x58})  # values that pause the bind
    refused_for_good: frozenset[int] = frozenset({0x0E, 0x0F, 0x53})  # bind answers: credentials
    already_bound_is_bound: bool = False  # ESME_RALYBND as answer to a bind counts as success
    cannot_store_status: int = 0x64  # deliver_sm_resp when the store fails
    queue_full_status: int = 0x14  # deliver_sm_resp when too much waits (Kannel: 0x64)
    not_bound: frozenset[int] = frozenset(
        {0x04, 0x05}
    )  # answers to a submit that mean "you are not bound": bind again (Kannel: none)
    strict_addresses: bool = False  # letters in a TON 1 source get ESME_RINVSRCADR, as Kannel does
    strict_receipts: bool = False  # receipt texts as Kannel reads them: lower-case keys, blanks
    mwi_ucs2: bool = True  # data_coding 0xEx is UCS-2 (Kannel: GSM)
    nack_unexpected: bool = False  # alert_notification and outbind get a generic_nack (Kannel)
    tlvs_need_version: bool = True  # send TLVs only after a bind answer that says 3.4 (Kannel: no)
    concatenation: str = "udh8"  # udh8 | udh16 | sar | payload
    max_octets: int = 140  # payload of one segment; above 254 it travels in message_payload
    max_pdu: int = 65536  # a longer command_length closes the link
    enquire_interval: float = 30.0
    enquire_always: bool = False  # also while traffic flows (Kannel)
    enquire_timeout: float = 10.0
    enquire_misses: int = 2  # unanswered enquire_links before the link counts as dead
    idle_timeout: float = 0.0  # no PDU at all from the SMSC for so long: reconnect; 0: off
    inactivity: float = 0.0  # no message either way for so long: unbind; 0: off
    bind_timeout: float = 30.0
    response_timeout: float = 60.0
    on_timeout: str = "requeue"  # requeue | reconnect | wait
    unbind_timeout: float = 5.0
    partial_pdu_timeout: float = 30.0
    unanswered_delivers: int = 50  # deliver_sm taken in but not yet answered, before reading stops


@dataclass(frozen=True, slots=True)
class SmscConfig:
    """One account with an operator: a lane for MT, served by its binds."""

    name: str  # unique
    id: str  # routing id (Kannel's smsc-id); several entries may share it, and then share receipts
    protocol: str = "smpp"
    hosts: tuple[str, ...] = ()
    port: int = 2775
    binds: tuple[BindConfig, ...] = ()
    admin_id: str = ""  # Kannel's smsc-admin-id; "": id
    window: int = 10  # submits unanswered at once, per bind
    rate: float = 0.0  # segments per second over all its binds; 0: no limit
    tls: TlsConfig = TlsConfig()
    source_address: str = ""  # our-host
    source_port: int = 0  # our-port
    bind_device: str = ""  # SO_BINDTODEVICE; "": the tunnel's when that is required, else none
    vpn: VpnConfig = VpnConfig()
    tcp: TcpConfig = TcpConfig()
    allowed_ids: tuple[str, ...] | None = None  # None: every message; else only these smsc tags
    denied_ids: tuple[str, ...] = ()
    preferred_ids: tuple[str, ...] = ()
    allowed_prefixes: tuple[str, ...] = ()
    denied_prefixes: tuple[str, ...] = ()
    preferred_prefixes: tuple[str, ...] = ()
    allowed_ids_regex: str = ""
    denied_ids_regex: str = ""
    preferred_ids_regex: str = ""
    allowed_prefix_regex: str = ""
    denied_prefix_regex: str = ""
    preferred_prefix_regex: str = ""
    unified_prefix: str = ""
    on_uncertain: OnUncertain = OnUncertain.RESUBMIT
    resend: Retry = Retry(first=5.0, factor=2.0, cap=600.0, times=5, horizon=3600.0)
    throttle: Retry = Retry(first=1.0, factor=2.0, cap=60.0, jitter=0.0)  # the bind's pause
    throttled_waits: bool = False  # a throttled segment also waits and counts as `resend` says
    reconnect: Retry = Retry(first=1.0, factor=2.0, cap=10.0, jitter=0.2)
    refused_pause: float = 600.0  # after wrong credentials; 0: never again by itself
    connect_timeout: float = 10.0
    dead_start: bool = False
    status_name: str = ""  # how status pages name it, Kannel's way
    options: tuple[str, ...] = ()  # what only its protocol has, each as "name=value"
    smpp: SmppOptions = SmppOptions()

    @property
    def bound_to(self) -> str:
        """The device that its sockets are bound to; "": to none."""
        return self.bind_device or (self.vpn.device if self.vpn.require else "")


@dataclass(frozen=True, slots=True)
class NumberRules:
    """Which numbers are let through: prefixes, lists (file or URL, a number a line), regexes."""

    allowed_prefixes: tuple[str, ...] = ()
    denied_prefixes: tuple[str, ...] = ()
    white_list: str = ""
    black_list: str = ""
    white_list_regex: str = ""
    black_list_regex: str = ""


@dataclass(frozen=True, slots=True)
class UserConfig:
    """Who may call sendsms."""

    username: str
    password: Secret
    name: str = ""  # what logs and %n show; "": username
    allow_ip: tuple[str, ...] = ()  # patterns with *
    deny_ip: tuple[str, ...] = ()
    forced_smsc: str | None = None
    default_smsc: str | None = None
    faked_sender: str = ""
    default_sender: str = ""
    dlr_url: str = ""
    text: TextOptions = DEFAULT_TEXT
    numbers: NumberRules = NumberRules()
    channel: str = ""  # channel whose policy rules this user's reports; "": found by dlr-url
    allowed_smscs: tuple[str, ...] | None = None  # tags its messages may carry; None: any, or none
    allowed_senders: tuple[str, ...] = ()  # patterns with *; empty: any
    rate: float = 0.0  # messages per second; 0: no limit
    daily_cap: int = 0  # messages of a day (UTC); 0: no limit
    max_queued: int = 0  # its segments that may wait for an SMSC; 0: no limit of its own


@dataclass(frozen=True, slots=True)
class ReportPolicy:
    """What a platform wants to hear of receipts, and how."""

    spacing: float = 0.0  # seconds between two reports on one message
    drop_late: bool = False  # no 4 or 8 once 1, 2 or 16 is known
    withhold: frozenset[int] = (
        frozenset()
    )  # statuses never reported (2 and 16 make RapidPro send again)


@dataclass(frozen=True, slots=True)
class ChannelConfig:
    """Where MO and reports go: a platform's URL and how it is called; Kannel's sms-service."""

    name: str
    format: str = "kannel"  # file name in gatewayd/platforms
    # what is called; exactly one of these is set
    get_url: str = ""
    post_url: str = ""
    post_xml: str = ""
    file: str = ""
    text_reply: str = ""
    exec: str = ""
    # which MO it takes
    default: bool = False  # takes what no other channel takes
    keyword: str = ""
    aliases: tuple[str, ...] = ()
    keyword_regex: str = ""
    catch_all: bool = True
    smscs: tuple[str, ...] = ()
    smscs_regex: str = ""
    accounts: tuple[str, ...] = ()
    accounts_regex: str = ""
    senders: NumberRules = NumberRules()
    allowed_prefix_regex: str = ""
    denied_prefix_regex: str = ""
    allowed_receiver_prefixes: tuple[str, ...] = ()
    denied_receiver_prefixes: tuple[str, ...] = ()
    allowed_receiver_prefix_regex: str = ""
    denied_receiver_prefix_regex: str = ""
    # how it is called
    service: str = ""  # what %n and X-Kannel-Service show; "": name
    send_sender: bool = False
    strip_keyword: bool = False
    alt_charset: str = ""
    mo_recode: bool = True  # UCS-2 texts are told as UTF-8
    # what becomes of its answer (Kannel's replies)
    replies: bool = False  # the answer's text is sent back to the phone
    text: TextOptions = DEFAULT_TEXT
    omit_empty: bool = False
    prefix: str = ""
    suffix: str = ""
    accept_headers: bool = False  # X-Kannel-* headers of the answer count
    assume_plain_text: bool = False
    faked_sender: str = ""
    forced_smsc: str | None = None
    default_smsc: str | None = None
    dlr_url: str = ""
    dlr_mask: int = 0
    # delivery
    retry: Retry = Retry(first=1.0, cap=300.0, horizon=86400.0)
    timeout: float = 35.0
    parallel: int = 32  # calls under way at once
    ordered: bool = True  # MO of one sender one after another, the next after the answer
    reports: ReportPolicy = ReportPolicy()
    # a sendsms repeated with the same dlr-url, which names the message by uuid= or id=, is one
    idempotent: bool = False
    signature_key: Secret = NO_SECRET  # calls carry an HMAC under it (platforms.signature)


@dataclass(frozen=True, slots=True)
class ListenerConfig:
    """One address to listen on. `port` 0 picks a free one."""

    host: str = "127.0.0.1"
    port: int = 0
    tls: TlsConfig = TlsConfig()


@dataclass(frozen=True, slots=True)
class HttpConfig:
    """Our HTTP side: listeners, paths, texts."""

    sendsms: ListenerConfig | None = ListenerConfig(port=13013)
    sendsms_path: str = "/cgi-bin/sendsms"
    sendota_path: str = ""  # on the sendsms listener; "": off
    external_path: str = "/external"  # RapidPro's External API, on the sendsms listener; "": off
    json_posts: bool = True  # sendsms takes a POST of JSON (Kannel: refused)
    admin: ListenerConfig | None = ListenerConfig(port=13000)
    admin_password: Secret = NO_SECRET
    status_password: Secret = NO_SECRET
    admin_allow_ip: tuple[str, ...] = ()
    admin_deny_ip: tuple[str, ...] = ()
    receiver_characters: str = "0123456789 +-"
    immediate_reply: bool = False
    global_sender: str = ""
    numbers: NumberRules = NumberRules()  # for the receivers of every sendsms
    reply_could_not_fetch: str = "Could not fetch content, sorry."
    reply_could_not_represent: str = "Result could not be represented as an SMS message."
    reply_request_failed: str = ""  # to an MO that no channel takes; "": it becomes a dead letter
    reply_empty: str = "<Empty reply from service provided>"
    idle_timeout: float = 60.0
    max_line: int = 131072
    max_header: int = 16384
    max_body: int = 65536
    max_connections: int = 1000
    max_connections_per_address: int = 100  # 0: all but a tenth of max_connections
    max_fields: int = 100  # of one request; of more the rest is not read, or it is refused (strict)
    request_timeout: float = 10.0  # from the first octet of a request to its last
    require_host: bool = True  # of HTTP/1.1, as RFC 9112 wants
    max_requests_out: int = 512  # calls to platforms under way at once, all together
    connections_out: int = 32  # connections to one platform host
    redirects: int = 0  # redirects of a platform that are followed in a row
    # what else than the channels' own hosts may be called: "https://*.example.net" ..., or "any"
    dlr_url_allow: tuple[str, ...] = ()
    proxy: str = ""
    strict: bool = True  # refuse what Kannel would send on damaged: bad UTF-8, odd UTF-16 ...
    login_failures: int = 5  # per minute, then an address or a name at it waits; 0: no limit
    retry_after: int = 30  # seconds, told with 503; 0: the header is left out, as by Kannel
    allow_exec: bool = False  # channels may run commands (`exec`)
    # admin commands that change something may be a GET with the password in its query (Kannel)
    admin_by_get: bool = False


@dataclass(frozen=True, slots=True)
class StoreConfig:
    """Where messages are kept. `path` ":memory:" is for tests only."""

    path: str = ""  # "": gatewayd.sqlite3 in $STATE_DIRECTORY, else in the working directory
    memory_items: int = 20000  # items of one lane kept in memory; the rest is read when needed
    receipt_days: float = 7.0  # how long a submitted message waits for its receipts
    kannel_storesize: bool = False  # status pages show a real store size, else -1


@dataclass(frozen=True, slots=True)
class LoggingConfig:
    level: str = "info"  # debug | info | warning | error
    format: str = "text"  # text | json
    numbers: str = "masked"  # masked | full
    file: str = ""  # "": standard error
    access_log: str = ""  # a line per message, as Kannel's bearerbox writes it; "": none
    access_log_format: str = ""  # with Kannel's %-codes; "": its standard line
    access_log_time: str = "local"  # local | gmt
    access_log_clean: bool = False  # no time before each line, no first and last line
    access_log_redact: bool = True  # numbers masked, texts starred, in both access logs
    request_log: str = ""  # a line per sendsms and per MO told, as Kannel's smsbox; "": none


@dataclass(frozen=True, slots=True)
class OtaConfig:
    """Browser settings or a bookmark that sendota pushes to a phone (Nokia/Ericsson OTA 7.0)."""

    id: str = ""  # what otaid names
    kind: str = "setting"  # setting | bookmark
    name: str = ""
    url: str = ""  # home page, or what is bookmarked
    # of a setting only
    address: str = ""  # IP address of the WAP gateway
    number: str = ""  # what the phone dials
    data_call: bool = False  # the bearer is a GSM data call; else it is not told
    analogue: bool = False  # of a data call; else ISDN
    connectionless: bool = False  # WAP without connections
    chap: bool = False  # how the phone logs in: CHAP; else PAP
    secure: bool = False  # WTLS
    login: str = ""
    secret: Secret = NO_SECRET


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what may wait; beyond them we refuse instead of losing."""

    queued_mt: int = 1_000_000  # sendsms answers 503 above it
    queued_mo: int = 1_000_000  # the SMSC gets ESME_RMSGQFUL above it; -1: none
    receivers: int = 100  # per sendsms
    part_timeout: float = 3600.0  # then the parts that came are handed on
    parts_waiting: int = 100_000
    join_parts: bool = True
    dedupe_window: float = 600.0  # a repeated deliver_sm is told once; 0: each time (Kannel)
    parked_receipt: float = 60.0  # how long a receipt waits for its submit_sm_resp
    drain: float = 10.0  # seconds a stop may take for answers that are under way


@dataclass(frozen=True, slots=True)
class Config:
    """Everything. `source` names the file, for messages and for reload."""

    source: str = ""
    smscs: tuple[SmscConfig, ...] = ()
    users: tuple[UserConfig, ...] = ()
    channels: tuple[ChannelConfig, ...] = ()
    reports: ChannelConfig = ChannelConfig("")  # how reports without a channel are delivered
    tlvs: tuple[TlvConfig, ...] = ()
    http: HttpConfig = HttpConfig()
    store: StoreConfig = StoreConfig()
    logging: LoggingConfig = LoggingConfig()
    limits: Limits = Limits()
    unified_prefix: str = ""
    tags: tuple[str, ...] = ()  # SMSC tags that no SMSC has, and that may be named all the same
    senders: NumberRules = NumberRules()  # core white-list-sender and the like
    receivers: NumberRules = NumberRules()  # core white-list-receiver and the like
    ota: tuple[OtaConfig, ...] = ()  # the first setting is what sendota sends when told no id
    kannel: bool = False  # read from a kannel.conf; only for texts shown to people
    warnings: tuple[str, ...] = field(default=(), compare=False)
