"""Every group and directive that Kannel 1.4.5 knows: its kind, its default, what we do with it.

The names are Kannel's own list (it refuses any other), the defaults what it does without them.
The reader takes kinds and defaults from here, `check` the words about what is not used.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class Use(Enum):
    USED = "used"
    UNUSED = "unused"  # accepted; a warning says why it does nothing
    REFUSED = "refused"  # it would change where messages go, and we do not do it


class Directive(NamedTuple):
    """`kind`: text, secret, integer, number, boolean, list, regex. `default` as one would write it.

    `word` says why a directive is unused or refused, and what takes its place.
    """

    kind: str = "text"
    default: str = ""
    use: Use = Use.USED
    word: str = ""


def _all(kind: str, names: str, default: str = "") -> dict[str, Directive]:
    return {name: Directive(kind, default) for name in names.split()}


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _unused(word: str, names: str) -> dict[str, Directive]:
    return {name: Directive("text", "", Use.UNUSED, word) for name in names.split()}


def _refused(word: str, names: str) -> dict[str, Directive]:
    return {name: Directive("text", "", Use.REFUSED, word) for name in names.split()}


_BOXES = "there are no separate boxes: gatewayd is one process"
_NO_WAP = "gatewayd does not do WAP"
_ONE_LOG = "gatewayd writes one log; the group core says where and how"
_RECEIPTS = "what receipts need is kept in gatewayd's own store"
_LISTS = "white-list black-list"
_LIST_REGEXES = "white-list-regex black-list-regex"

_CORE = {
    "admin-port": Directive("integer"),
    "admin-port-ssl": Directive("boolean", "false"),
    **_all("text", "admin-interface log-file access-log unified-prefix"),
    **_all("secret", "admin-password status-password http-proxy-password"),
    **_all("list", "admin-deny-ip admin-allow-ip"),
    **_unused(
        _BOXES,
        "smsbox-port smsbox-port-ssl smsbox-interface smsbox-max-pending box-deny-ip box-allow-ip",
    ),
    **_unused(_NO_WAP, "wapbox-port wapbox-port-ssl wdp-interface-name udp-deny-ip udp-allow-ip"),
    "log-level": Directive("integer"),
    **_unused("the service manager's journal has its own levels", "syslog-level syslog-facility"),
    **_all("text", "access-log-time access-log-format"),
    "access-log-clean": Directive("boolean", "false"),
    **_all("text", "store-type store-location store-file"),
    **_unused("gatewayd's store is on disk before anything is answered", "store-dump-freq"),
    **_unused(_RECEIPTS, "dlr-storage dlr-spool"),
    **_all("text", f"{_LISTS} white-list-sender black-list-sender"),
    **_all("text", "white-list-receiver black-list-receiver"),
    **_all("regex", f"{_LIST_REGEXES} white-list-sender-regex black-list-sender-regex"),
    **_all("regex", "white-list-receiver-regex black-list-receiver-regex"),
    "maximum-queue-length": Directive("integer", "-1"),
    "sms-incoming-queue-limit": Directive("integer", "-1"),
    "sms-outgoing-queue-limit": Directive("integer", "1000000"),
    "sms-resend-freq": Directive("integer", "60"),
    "sms-resend-retry": Directive("integer", "-1"),
    "sms-combine-concatenated-mo": Directive("boolean", "true"),
    "sms-combine-concatenated-mo-timeout": Directive("integer", "1800"),
    **_unused("calls to platforms go by http-timeout of the group smsbox", "http-timeout"),
    **_all("text", "http-proxy-host http-proxy-username"),
    "http-proxy-port": Directive("integer"),
    **_unused(
        "every call to a platform goes through the proxy",
        "http-proxy-exceptions http-proxy-exceptions-regex",
    ),
    **_unused("the proxy is called without TLS", "http-proxy-ssl"),
    **_all("text", "ssl-client-certkey-file ssl-server-cert-file ssl-server-key-file"),
    **_all("text", "ssl-trusted-ca-file"),
    **_unused(
        "the ciphers are those the system's OpenSSL allows",
        "ssl-client-cipher-list ssl-server-cipher-list",
    ),
}

_SMSBOX = {
    **_unused(_BOXES, "bearerbox-host bearerbox-port bearerbox-port-ssl smsbox-id"),
    "sendsms-port": Directive("integer"),
    "sendsms-port-ssl": Directive("boolean", "false"),
    **_all("text", "sendsms-interface global-sender"),
    "sendsms-url": Directive("text", "/cgi-bin/sendsms"),
    "sendota-url": Directive("text", "/cgi-bin/sendota"),
    **_unused("XML-RPC was never finished in Kannel either", "xmlrpc-url"),
    "sendsms-chars": Directive("text", "0123456789 +-"),
    "immediate-sendsms-reply": Directive("boolean", "false"),
    "sms-length": Directive("integer", "140"),
    "reply-couldnotfetch": Directive("text", "Could not fetch content, sorry."),
    "reply-couldnotrepresent": Directive(
        "text", "Result could not be represented as an SMS message."
    ),
    "reply-requestfailed": Directive("text", "Request Failed"),
    "reply-emptymessage": Directive("text", "<Empty reply from service provided>"),
    "mo-recode": Directive("boolean", "false"),
    "http-request-retry": Directive("integer", "0"),
    "http-queue-delay": Directive("integer", "10"),
    "max-pending-requests": Directive("integer", "512"),
    "http-timeout": Directive("integer", "240"),
    **_all("text", _LISTS),
    **_all("regex", _LIST_REGEXES),
    **_all("list", "allowed-prefix denied-prefix"),
    **_unused(
        _ONE_LOG,
        "log-file log-level syslog-level syslog-facility access-log-time access-log-clean",
    ),
    "access-log": Directive("text"),
}

_REROUTE = "gatewayd does not turn MO into MT; let the platform answer, or use an sms-service"
_LISTENS = "gatewayd does not wait for the SMSC to connect; it connects itself"

_SMSC_COMMON = {
    **_all("text", "smsc smsc-id smsc-admin-id host smsc-username unified-prefix my-number"),
    "smsc-password": Directive("secret"),
    **_all("integer", "port receive-port our-port"),
    **_all("list", "allowed-smsc-id denied-smsc-id preferred-smsc-id"),
    **_all("list", "allowed-prefix denied-prefix preferred-prefix"),
    **_all("regex", "allowed-smsc-id-regex denied-smsc-id-regex preferred-smsc-id-regex"),
    **_all("regex", "allowed-prefix-regex denied-prefix-regex preferred-prefix-regex"),
    **_refused(_REROUTE, "reroute reroute-smsc-id reroute-receiver reroute-dlr"),
    "throughput": Directive("number", "0"),
    "reconnect-delay": Directive("integer", "10"),
    "instances": Directive("integer", "1"),
    "dead-start": Directive("boolean", "false"),
    "max-sms-octets": Directive("integer", "140"),
    **_all("text", "alt-charset alt-addr-charset our-host"),
    "alt-dcs": Directive("boolean", "false"),
    **_unused(_ONE_LOG, "log-file log-level"),
}

_SMSC_SMPP = {
    **_all("text", "system-id system-type address-range service-type"),
    "transceiver-mode": Directive("boolean", "false"),
    "our-receiver-port": Directive("integer"),
    "use-ssl": Directive("boolean", "false"),
    "ssl-client-certkey-file": Directive("text"),
    "interface-version": Directive("integer", "34"),
    "bind-addr-ton": Directive("integer", "0"),
    "bind-addr-npi": Directive("integer", "0"),
    **_all("integer", "source-addr-ton source-addr-npi dest-addr-ton dest-addr-npi", "-1"),
    "source-addr-autodetect": Directive("boolean", "true"),
    "enquire-link-interval": Directive("integer", "30"),
    "connection-timeout": Directive("integer", "300"),
    "max-pending-submits": Directive("integer", "10"),
    "wait-ack": Directive("integer", "60"),
    "wait-ack-expire": Directive("integer"),  # 1 for smpp, 0 for emi
    "msg-id-type": Directive("integer", "-1"),
    "esm-class": Directive("integer", "3"),
    "priority": Directive("integer", "0"),
    "validityperiod": Directive("integer", "-1"),
    **_unused("PDUs are shown by gatewayd decode", "log-format"),
}

_SMSC_EMI = {
    "keepalive": Directive("integer", "0"),
    "flow-control": Directive("integer", "0"),
    "window": Directive("integer", "100"),
    "idle-timeout": Directive("integer", "0"),
    **_all("text", "notification-pid notification-addr alt-host"),
    "alt-port": Directive("integer"),
    **_refused(_LISTENS, "connect-allow-ip"),
}

_SMSC_CIMD2 = {
    "sender-prefix": Directive("text"),
    **_unused("a status report is asked for only when a message wants one", "no-dlr"),
    **_unused("Kannel does nothing with it either", "no-sender"),
}

# Of modems, of HTTP and of protocols that gatewayd does not speak. Kannel knows one list of
# directives for all kinds of smsc, so they may stand in a group of ours and do nothing there.
_SMSC_OTHERS = _unused(
    "belongs to another kind of smsc",
    "appname device dlr-url generic-foreign-id-regex generic-message-sent generic-param-account "
    "generic-param-binfo generic-param-coding generic-param-deferred generic-param-dlr-err "
    "generic-param-dlr-mask generic-param-dlr-mid generic-param-dlr-url generic-param-flash "
    "generic-param-foreign-id generic-param-from generic-param-mclass generic-param-meta-data "
    "generic-param-mwi generic-param-password generic-param-service generic-param-text "
    "generic-param-to generic-param-udh generic-param-username generic-param-validity "
    "generic-status-error generic-status-sent login-prompt max-error-count modem-type modemtype "
    "no-coding no-sep ois-debug-level password-prompt pin send-url session-length sim-buffering "
    "sms-center speed status-permfail-regex status-success-regex status-tempfail-regex",
)

_SENDSMS_USER = {
    **_all("text", "name username default-sender faked-sender forced-smsc default-smsc dlr-url"),
    "password": Directive("secret"),
    **_all("list", "user-deny-ip user-allow-ip allowed-prefix denied-prefix"),
    **_refused(
        "white-list-regex and black-list-regex do the same for a user",
        "allowed-prefix-regex denied-prefix-regex",
    ),
    "max-messages": Directive("integer", "1"),
    "concatenation": Directive("boolean", "false"),
    **_all("text", "split-chars split-suffix header footer"),
    **_unused("it has no effect on sendsms in Kannel either", "omit-empty"),
    **_all("text", _LISTS),
    **_all("regex", _LIST_REGEXES),
}

_SMS_SERVICE = {
    **_all("text", "keyword name get-url url post-url post-xml file text exec"),
    "keyword-regex": Directive("regex"),
    **_all("list", "aliases accepted-smsc accepted-account allowed-prefix denied-prefix"),
    **_all("list", "allowed-receiver-prefix denied-receiver-prefix"),
    **_all("regex", "accepted-smsc-regex accepted-account-regex"),
    **_all("regex", "allowed-prefix-regex denied-prefix-regex"),
    **_all("regex", "allowed-receiver-prefix-regex denied-receiver-prefix-regex"),
    **_all("text", f"forced-smsc default-smsc faked-sender {_LISTS}"),
    **_all("regex", _LIST_REGEXES),
    **_all(
        "boolean",
        "catch-all send-sender strip-keyword concatenation omit-empty assume-plain-text "
        "accept-x-kannel-headers",
        "false",
    ),
    "max-messages": Directive("integer", "1"),
    **_all("text", "split-chars split-suffix header footer prefix suffix alt-charset dlr-url"),
    "dlr-mask": Directive("integer", "0"),
}

_SMPP_TLV = {
    **_all("text", "name type const"),
    **_all("integer", "tag length"),
    "smsc-id": Directive("list"),
}

_OTA_SETTING = {
    **_all("text", "ota-id location service ipaddress phonenumber bearer calltype connection"),
    **_all("text", "pppsecurity authentication login"),
    "secret": Directive("secret"),
}

# The groups we read, each with its directives.
GROUPS: dict[str, dict[str, Directive]] = {
    "core": _CORE,
    "smsbox": _SMSBOX,
    "smsc": {**_SMSC_OTHERS, **_SMSC_CIMD2, **_SMSC_EMI, **_SMSC_SMPP, **_SMSC_COMMON},
    "sendsms-user": _SENDSMS_USER,
    "sms-service": _SMS_SERVICE,
    "smpp-tlv": _SMPP_TLV,
    "ota-setting": _OTA_SETTING,
    "ota-bookmark": _all("text", "ota-id url name"),
}

# Directives that count for one kind of smsc only; in a group of another kind they do nothing.
ONLY_FOR: dict[str, frozenset[str]] = {
    **{name: frozenset({"smpp"}) for name in _SMSC_SMPP},
    **{name: frozenset({"emi"}) for name in _SMSC_EMI},
    **{name: frozenset({"cimd2"}) for name in _SMSC_CIMD2},
    "wait-ack": frozenset({"smpp", "emi"}),
    "wait-ack-expire": frozenset({"smpp", "emi"}),
    "keepalive": frozenset({"emi", "cimd2"}),
    "receive-port": frozenset({"smpp", "emi"}),
}

_DATABASE = "gatewayd keeps its messages in a store of its own; no database is needed"

# Groups that Kannel knows and that change nothing here, each with the word for `check`, and their
# directives. An empty set: whatever stands there is accepted.
UNUSED_GROUPS: dict[str, tuple[str, frozenset[str]]] = {
    "smsbox-route": (
        "one process gets every MO; no routes between boxes are needed",
        frozenset({"smsbox-id", "smsc-id", "shortcode"}),
    ),
    "dlr-db": (
        _DATABASE,
        _names(
            "id table ttl field-smsc field-timestamp field-source field-destination field-service "
            "field-url field-mask field-status field-boxc-id"
        ),
    ),
    "store-db": (_DATABASE, frozenset({"id", "table", "hash"})),
    **{
        f"{engine}-connection": (_DATABASE, frozenset({"id", "max-connections", *names.split()}))
        for engine, names in {
            "mysql": "host port username password database",
            "pgsql": "host port username password database",
            "mssql": "server username password database",
            "sqlite": "database lock-timeout",
            "sqlite3": "database lock-timeout",
            "oracle": "tnsname username password",
            "sdb": "url",
            "redis": "host port password database",
            "cassandra": "host port username password database",
        }.items()
    },
    "modems": ("gatewayd does not drive modems", frozenset()),
    "radius-acct": ("gatewayd does not take RADIUS accounting", frozenset()),
    **dict.fromkeys(
        _names("wapbox wap-url-map wap-user-map wap-push-user wtls ppg test-ppg"),
        (_NO_WAP, frozenset()),
    ),
}
