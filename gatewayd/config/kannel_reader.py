"""Reads a kannel.conf into a `Config` that makes Kannel's recorded behaviour.

What Kannel 1.4.5 refuses is a mistake here, what it passes over in silence a warning. Every default
that Kannel has and our YAML has not is set as a value, so that no other module asks which file the
configuration came from.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from urllib.parse import quote

from gatewayd.config.kannel_directives import GROUPS, UNUSED_GROUPS
from gatewayd.config.kannel_file import SINGLE_GROUPS, Group, Line, Notes, read_groups
from gatewayd.config.kannel_ota import read_ota
from gatewayd.config.kannel_section import Section, unknown_line
from gatewayd.config.kannel_services import Calls, read_services, read_users
from gatewayd.config.kannel_smsc import read_smscs, read_tlvs
from gatewayd.config.model import (
    ChannelConfig,
    Config,
    HttpConfig,
    Limits,
    ListenerConfig,
    LoggingConfig,
    NumberRules,
    Retry,
    StoreConfig,
    TlsConfig,
)
from gatewayd.config.validate import PLACEHOLDER_ID, strays
from gatewayd.config.values import shown

_LEVELS = ("debug", "info", "warning", "error")
_EVERYWHERE = "0.0.0.0"  # noqa: S104 - Kannel listens on every address unless told otherwise
_STORE = "gatewayd.sqlite3"
_STORE_TYPES = ("file", "spool", "redis")
# Kannel has no limit; the request line holds no more.
_MOST_RECEIVERS = 10_000
# Our own switch cannot stand in a kannel.conf, which Kannel would then refuse.
_ALLOW_EXEC = "GATEWAYD_ALLOW_EXEC"
# Kannel follows that many in a row.
_REDIRECTS = 5


def read_kannel(path: str, environ: Mapping[str, str], state_directory: str) -> Config:
    """The configuration in the kannel.conf `path`; `environ` is what `${NAME}` stands for.

    `state_directory` is where the store goes when the file names no place; "": the working
    directory. What is allowed and yet doubtful is in `Config.warnings`.

    Raises:
        ConfigError: Kannel would not start on it, or we cannot do what it says; every mistake.
    """
    notes = Notes(path)
    groups = read_groups(path, environ, notes)
    sections = _sections(groups, notes)
    if notes.cut_short:
        notes.finish()  # what seems to be missing may stand behind the include that failed
    core, smsbox = _the_one(sections, "core"), _the_one(sections, "smsbox")
    if core is None:
        notes.error_whole('has no group core; begin it with "group = core"')
        core = Section(_empty("core", path), Notes(path))
    if smsbox is None:
        if core.given("smsbox-port"):
            notes.error_whole('has no group smsbox; add one with "group = smsbox"')
        smsbox = Section(_empty("smsbox", path), Notes(path))
    calls = _calls(smsbox)
    config = Config(
        source=path,
        smscs=read_smscs(sections.get("smsc", ()), _resend(core), core.text("ssl-trusted-ca-file")),
        users=read_users(sections.get("sendsms-user", ()), calls.octets),
        channels=read_services(sections.get("sms-service", ()), calls),
        reports=ChannelConfig(
            "", retry=calls.retry, timeout=calls.timeout, parallel=calls.parallel, ordered=False
        ),
        tlvs=read_tlvs(sections.get("smpp-tlv", ())),
        http=replace(_http(core, smsbox, calls), allow_exec=_runs_commands(sections, environ)),
        store=_store(core, state_directory),
        logging=_logging(core, smsbox),
        limits=_limits(core),
        unified_prefix=core.text("unified-prefix"),
        senders=_lists(core, "-sender"),
        receivers=core.numbers("-receiver", prefixes=False),
        ota=read_ota(sections.get("ota-setting", ()), sections.get("ota-bookmark", ())),
        kannel=True,
    )
    _check_services(sections.get("sms-service", ()), config)
    if not config.smscs:
        notes.warn(None, "", "has no group smsc that connects: no message can leave")
    tags = tuple(word for word in strays(config) if word != PLACEHOLDER_ID)
    return replace(config, tags=tags, warnings=notes.finish())


def _sections(groups: list[Group], notes: Notes) -> dict[str, list[Section]]:
    """The groups we read, by kind; the others are told."""
    found: dict[str, list[Section]] = {}
    for group in groups:
        if group.kind in GROUPS:
            section = Section(group, notes)
            section.check()
            found.setdefault(group.kind, []).append(section)
        elif group.kind in UNUSED_GROUPS:
            word, known = UNUSED_GROUPS[group.kind]
            where = f"group {group.kind}"
            notes.warn(group.place, where, f"is accepted and unused: {word}")
            for name, line in group.lines.items():
                if known and name not in known:
                    notes.error(line, f"{where}, {name}", "is no directive of this group")
        else:
            notes.error(group.place, "group", unknown_line(group.place))
    for kind in SINGLE_GROUPS:
        for section in found.get(kind, ())[:-1]:
            section.warn("", "is there again further down, and that one takes its place")
    return found


def _runs_commands(sections: dict[str, list[Section]], environ: Mapping[str, str]) -> bool:
    """Whether a service may run its command, as Kannel does, unless the environment forbids it."""
    wanted = any(section.given("exec") for section in sections.get("sms-service", ()))
    return wanted and environ.get(_ALLOW_EXEC, "") != "0"


def _check_services(services: Iterable[Section], config: Config) -> None:
    """An id that no smsc has is no mistake for Kannel; for a service it means silence."""
    ids = {smsc.id for smsc in config.smscs}
    for section in services:
        for word in section.words("accepted-smsc"):
            if word not in ids:
                section.warn("accepted-smsc", f"no smsc is called {shown(word)}")
        if section.given("exec"):
            message = f"hands words from phones to a shell; {_ALLOW_EXEC}=0 stops that"
            if not config.http.allow_exec:
                message = f"runs no command: {_ALLOW_EXEC}=0 stands in the environment"
            section.warn("exec", message)


def _the_one(sections: dict[str, list[Section]], kind: str) -> Section | None:
    found = sections.get(kind)
    return found[-1] if found else None


def _empty(kind: str, path: str) -> Group:
    """A group without directives: it gives Kannel's defaults."""
    return Group(kind, Line(path, 0, "group", kind))


def _resend(core: Section) -> Retry:
    pause = float(core.integer("sms-resend-freq"))
    if pause <= 0:
        pause = 60.0
    # Kannel counts so that nought is as good as one.
    times = core.integer("sms-resend-retry")
    return Retry(pause, 1.0, pause, 0.0, max(times, 1) if times >= 0 else -1, dead_letters=False)


def _calls(smsbox: Section) -> Calls:
    pause = float(smsbox.integer("http-queue-delay"))
    if pause <= 0:
        pause = 10.0
    times = max(smsbox.integer("http-request-retry"), 0)
    if times == 0:
        said = "" if smsbox.given("http-request-retry") else " (Kannel's default)"
        smsbox.warn(
            "http-request-retry",
            f"0{said} means that an MO or a report is lost when the platform does not answer; "
            "http-request-retry = 360 tries for an hour",
        )
    if not smsbox.boolean("mo-recode"):
        said = "" if smsbox.given("mo-recode") else " (Kannel's default)"
        smsbox.warn(
            "mo-recode",
            f"false{said} hands UCS-2 text on as UTF-16BE octets, which RapidPro cannot read; "
            "mo-recode = true mends it",
        )
    return Calls(
        retry=Retry(pause, 1.0, pause, 0.0, times, dead_letters=False),
        timeout=smsbox.seconds("http-timeout", 1.0),
        parallel=min(max(smsbox.integer("max-pending-requests"), 1), 1000),
        mo_recode=smsbox.boolean("mo-recode"),
        octets=min(max(smsbox.integer("sms-length"), 1), 140),
    )


def _http(core: Section, smsbox: Section, calls: Calls) -> HttpConfig:
    if core.group.place.number:
        core.required("admin-port", "13000")
        core.required("admin-password")
        if not core.given("smsbox-port"):
            core.required("smsbox-port", "13001 (Kannel wants it; gatewayd does not listen there)")
    tls = TlsConfig(
        enabled=True,
        certificate_file=core.text("ssl-server-cert-file"),
        key_file=core.text("ssl-server-key-file"),
    )
    admin = ListenerConfig(
        core.text("admin-interface") or _EVERYWHERE,
        max(core.integer("admin-port", 0, 65535), 0),
        tls if core.boolean("admin-port-ssl") else TlsConfig(),
    )
    sendsms = None
    if smsbox.given("sendsms-port"):
        sendsms = ListenerConfig(
            smsbox.text("sendsms-interface") or _EVERYWHERE,
            max(smsbox.integer("sendsms-port", 0, 65535), 0),
            tls if smsbox.boolean("sendsms-port-ssl") else TlsConfig(),
        )
    elif smsbox.group.place.number:
        smsbox.warn("sendsms-port", "is missing: nothing listens for sendsms")
    for section, name in ((core, "admin-port-ssl"), (smsbox, "sendsms-port-ssl")):
        if section.boolean(name) and not (tls.certificate_file and tls.key_file):
            section.error(name, "needs ssl-server-cert-file and ssl-server-key-file in core")
    if core.given("admin-password") and not core.text("admin-password"):
        core.warn("admin-password", "is empty: everybody who reaches the port may stop the gateway")
    allow_ip, deny_ip = core.addresses("admin")
    return HttpConfig(
        sendsms=sendsms,
        sendsms_path=smsbox.text("sendsms-url"),
        sendota_path=smsbox.text("sendota-url"),
        external_path="",
        json_posts=False,
        admin=admin,
        admin_password=core.secret("admin-password"),
        status_password=core.secret("status-password"),
        admin_allow_ip=allow_ip,
        admin_deny_ip=deny_ip,
        receiver_characters=smsbox.text("sendsms-chars"),
        immediate_reply=smsbox.boolean("immediate-sendsms-reply"),
        global_sender=smsbox.text("global-sender"),
        numbers=smsbox.numbers(),
        reply_could_not_fetch=smsbox.text("reply-couldnotfetch"),
        reply_could_not_represent=smsbox.text("reply-couldnotrepresent"),
        # Kannel gives a box with an id no MO but by smsbox-route. The services get MO here all the
        # same; but phones that got no answer so far get none now: such an MO is set aside.
        reply_request_failed=""
        if smsbox.given("smsbox-id")
        else smsbox.text("reply-requestfailed"),
        reply_empty=smsbox.text("reply-emptymessage"),
        max_requests_out=calls.parallel,
        connections_out=calls.parallel,
        redirects=_REDIRECTS,
        dlr_url_allow=("any",),
        strict=False,
        login_failures=0,
        max_connections_per_address=0,
        max_fields=1000,
        require_host=False,
        retry_after=0,
        admin_by_get=True,
        proxy=_proxy(core),
    )


def _proxy(core: Section) -> str:
    host = core.text("http-proxy-host")
    if not host:
        return ""
    port = core.integer("http-proxy-port", 1, 65535)
    if port < 0:
        core.error("http-proxy-port", "http-proxy-port is missing beside http-proxy-host")
    user = core.text("http-proxy-username")
    login = ""
    if user:
        login = f"{quote(user, '')}:{quote(core.text('http-proxy-password'), '')}@"
    return f"http://{login}{host}:{port}"


def _store(core: Section, state_directory: str) -> StoreConfig:
    """Kannel's place gets our store: beside its file, or inside its folder."""
    kind = core.text("store-type")
    location = core.text("store-location")
    if not core.given("store-type"):
        if core.text("store-file"):  # the older way to say store-type = file
            kind, location = "file", core.text("store-file")
        else:
            path = os.path.join(state_directory, _STORE) if state_directory else ""
            return StoreConfig(path=path)
    elif kind not in _STORE_TYPES:
        core.error("store-type", f"{shown(kind)} is none of {', '.join(_STORE_TYPES)}")
    if not location or kind == "redis":
        message = f"names no place for files: {_STORE} goes to the state directory"
        core.warn("store-type", message)
        path = os.path.join(state_directory, _STORE) if state_directory else ""
        return StoreConfig(path=path, kannel_storesize=True)
    folder = location if kind == "spool" else os.path.dirname(location)
    core.warn(
        "store-location" if core.given("store-location") else "store-file",
        f"messages are kept in {os.path.join(folder, _STORE)}; what Kannel left there is not read: "
        "let Kannel send it first",
    )
    return StoreConfig(path=os.path.join(folder, _STORE), kannel_storesize=True)


def _logging(core: Section, smsbox: Section) -> LoggingConfig:
    level = core.integer("log-level")
    if not core.given("log-level") or level < 0:
        level = 1
    return LoggingConfig(
        level=_LEVELS[min(level, 3)],
        file=core.text("log-file"),
        access_log=core.text("access-log"),
        access_log_format=core.text("access-log-format"),
        access_log_time="gmt" if core.text("access-log-time").lower() == "gmt" else "local",
        access_log_clean=core.boolean("access-log-clean"),
        access_log_redact=False,
        request_log=smsbox.text("access-log"),
    )


def _limits(core: Section) -> Limits:
    incoming = core.integer("sms-incoming-queue-limit")
    if core.given("maximum-queue-length"):
        core.warn("maximum-queue-length", "is an old name; write sms-incoming-queue-limit")
        if not core.given("sms-incoming-queue-limit"):
            incoming = core.integer("maximum-queue-length")
    outgoing = core.integer("sms-outgoing-queue-limit")
    if outgoing < 1:
        core.warn("sms-outgoing-queue-limit", "is less than 1; 1000000 is taken")
        outgoing = 1_000_000
    return Limits(
        queued_mt=min(outgoing, 1_000_000_000),
        queued_mo=max(incoming, -1),
        receivers=_MOST_RECEIVERS,
        part_timeout=core.seconds("sms-combine-concatenated-mo-timeout", 1.0),
        join_parts=core.boolean("sms-combine-concatenated-mo"),
        dedupe_window=0.0,
    )


def _lists(core: Section, suffix: str) -> NumberRules:
    """The lists for senders; Kannel's older names without -sender mean the same."""
    rules = core.numbers(suffix, prefixes=False)
    older = core.numbers("", prefixes=False)
    for name in ("white-list", "black-list", "white-list-regex", "black-list-regex"):
        field = name.replace("-", "_")
        if core.given(name):
            core.warn(name, "is an old name; write -sender or -receiver to say whose")
            if not getattr(rules, field):
                rules = replace(rules, **{field: getattr(older, field)})
    return rules
