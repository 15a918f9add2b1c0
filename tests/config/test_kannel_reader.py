"""What a kannel.conf means: Kannel's defaults as values, and what `check` says of it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewayd.config import (
    Config,
    ListenerConfig,
    NumberRules,
    Retry,
    StoreConfig,
)
from gatewayd.config.kannel_directives import GROUPS, UNUSED_GROUPS, Use
from gatewayd.config.kannel_reader import read_kannel
from gatewayd.config.kannel_section import integer
from gatewayd.errors import ConfigError

CORE = """\
group = core
admin-port = 13000
admin-password = a-password
smsbox-port = 13001
"""
SMSBOX = """\
group = smsbox
sendsms-port = 13013
"""
SMSC = """\
group = smsc
smsc = smpp
smsc-id = one
host = smsc.example
port = 2776
smsc-username = user
smsc-password = word
system-type = VMA
"""
USER = "group = sendsms-user\nusername = u\npassword = p\n"
SERVICE = "group = sms-service\nkeyword = default\n"
GET = 'get-url = "http://platform.example/mo?a=%a"\n'

EXAMPLE = Path(__file__).parents[2] / "conf" / "kannel.conf"
GOLDEN = Path(__file__).parents[1] / "golden" / "config" / "kannel"


def read(tmp_path: Path, *groups: str, state: str = "", **environ: str) -> Config:
    path = tmp_path / "kannel.conf"
    path.write_text("\n".join(groups))
    return read_kannel(str(path), environ, state)


def warned(config: Config, where: str) -> str:
    return "\n".join(one for one in config.warnings if f"{where}: " in one)


def test_a_user_that_says_nothing_gets_what_kannel_does(tmp_path: Path) -> None:
    (user,) = read(tmp_path, CORE, SMSBOX, SMSC, USER).users
    assert (user.username, user.password.reveal(), user.name) == ("u", "p", "")
    assert (user.forced_smsc, user.default_smsc) == (None, None)
    text = user.text
    assert (text.max_messages, text.too_long, text.concatenation) == (1, "cut", False)
    assert (text.octets, text.not_gsm, text.split_look_back) == (140, "replace", 1.0)
    assert not text.transliterate


def test_a_user_keeps_what_it_says(tmp_path: Path) -> None:
    lines = (
        "name = n\nuser-deny-ip = *.*.*.*\nuser-allow-ip = 10.*.*.*;127.0.0.1\nforced-smsc = one\n"
        "default-smsc = two\nfaked-sender = 7\ndefault-sender = 8\ndlr-url = http://x/?d=%d\n"
        'max-messages = 300\nconcatenation = yes\nsplit-chars = " "\nsplit-suffix = ".."\n'
        'header = "H:"\nfooter = ":F"\nallowed-prefix = 55\ndenied-prefix = 44\n'
        "white-list = http://x/w\nblack-list-regex = ^1\n"
    )
    (user,) = read(tmp_path, CORE, SMSBOX + "sms-length = 100\n", SMSC, USER + lines).users
    assert (user.name, user.deny_ip, user.allow_ip) == (
        "n",
        ("*.*.*.*",),
        ("10.*.*.*", "127.0.0.1"),
    )
    assert (user.forced_smsc, user.default_smsc) == ("one", "two")
    assert (user.faked_sender, user.default_sender, user.dlr_url) == ("7", "8", "http://x/?d=%d")
    assert (user.text.max_messages, user.text.concatenation, user.text.octets) == (255, True, 100)
    assert (user.text.split_chars, user.text.split_suffix) == (" ", "..")
    assert (user.text.header, user.text.footer) == ("H:", ":F")
    assert user.numbers == NumberRules(("55",), ("44",), "http://x/w", "", "", "^1")


def test_of_two_users_with_one_name_the_first_counts(tmp_path: Path) -> None:
    config = read(tmp_path, CORE, SMSBOX, SMSC, USER, USER.replace("= p", "= q"))
    assert [user.password.reveal() for user in config.users] == ["p"]
    assert "u is there before" in warned(config, "group sendsms-user, username")


def test_a_service_that_says_nothing_gets_what_kannel_does(tmp_path: Path) -> None:
    (channel,) = read(tmp_path, CORE, SMSBOX, SMSC, SERVICE + GET).channels
    assert channel.name == "default"
    assert channel.service == ""
    assert channel.default
    assert (channel.format, channel.keyword, channel.catch_all) == ("kannel", "", False)
    assert channel.get_url == "http://platform.example/mo?a=%a"
    assert channel.replies
    assert not channel.mo_recode
    assert not channel.ordered
    assert channel.retry == Retry(10.0, 1.0, 10.0, 0.0, 0, dead_letters=False)
    assert (channel.timeout, channel.parallel) == (240.0, 512)
    assert (channel.text.max_messages, channel.text.too_long) == (1, "cut")


def test_a_service_keeps_what_it_says(tmp_path: Path) -> None:
    smsbox = SMSBOX + (
        "mo-recode = true\nhttp-request-retry = 3\nhttp-queue-delay = 1\nhttp-timeout = 2\n"
        "max-pending-requests = 7\n"
    )
    lines = (
        'aliases = "2;zwei"\naccepted-smsc = "one;other"\naccepted-smsc-regex = o\n'
        'accepted-account = a\naccepted-account-regex = b\nallowed-prefix = "55"\n'
        'denied-prefix = "44"\nallowed-prefix-regex = c\ndenied-prefix-regex = d\n'
        'allowed-receiver-prefix = "28"\ndenied-receiver-prefix = "29"\n'
        "allowed-receiver-prefix-regex = e\ndenied-receiver-prefix-regex = f\nsend-sender = yes\n"
        "strip-keyword = yes\nalt-charset = ISO-8859-1\nmax-messages = 0\nomit-empty = yes\n"
        'prefix = "<<"\nsuffix = ">>"\naccept-x-kannel-headers = true\nassume-plain-text = true\n'
        "faked-sender = 7\nforced-smsc = one\ndefault-smsc = two\ndlr-url = http://x/\n"
        "dlr-mask = 31\nname = n\nwhite-list = /w\n"
    )
    service = "group = sms-service\nkeyword = one\npost-url = http://x/c/kn/uuid/receive\n"
    (channel,) = read(tmp_path, CORE, smsbox, SMSC, service + lines).channels
    assert (channel.name, channel.keyword, channel.aliases) == ("n", "one", ("2", "zwei"))
    assert (channel.post_url, channel.format) == ("http://x/c/kn/uuid/receive", "kannel")
    assert channel.catch_all
    assert not channel.default
    assert not channel.replies
    assert (channel.smscs, channel.smscs_regex) == (("one", "other"), "o")
    assert (channel.accounts, channel.accounts_regex) == (("a",), "b")
    assert channel.senders == NumberRules(("55",), ("44",), "/w")
    assert (channel.allowed_prefix_regex, channel.denied_prefix_regex) == ("c", "d")
    assert channel.allowed_receiver_prefixes == ("28",)
    assert channel.denied_receiver_prefixes == ("29",)
    assert channel.allowed_receiver_prefix_regex == "e"
    assert channel.denied_receiver_prefix_regex == "f"
    assert channel.send_sender
    assert channel.strip_keyword
    assert channel.omit_empty
    assert channel.accept_headers
    assert channel.assume_plain_text
    assert channel.mo_recode
    assert (channel.alt_charset, channel.prefix, channel.suffix) == ("ISO-8859-1", "<<", ">>")
    assert (channel.faked_sender, channel.forced_smsc, channel.default_smsc) == ("7", "one", "two")
    assert (channel.dlr_url, channel.dlr_mask) == ("http://x/", 31)
    assert channel.retry == Retry(1.0, 1.0, 1.0, 0.0, 3, dead_letters=False)
    assert (channel.timeout, channel.parallel) == (2.0, 7)


@pytest.mark.parametrize(
    ("directive", "field"),
    [
        ("get-url", "get_url"),
        ("url", "get_url"),
        ("post-url", "post_url"),
        ("post-xml", "post_xml"),
        ("file", "file"),
        ("text", "text_reply"),
        ("exec", "exec"),
    ],
)
def test_a_service_has_one_thing_to_do(tmp_path: Path, directive: str, field: str) -> None:
    (channel,) = read(tmp_path, CORE, SMSBOX, SMSC, SERVICE + f"{directive} = http://x/\n").channels
    assert getattr(channel, field) == "http://x/"
    assert channel.catch_all is directive.startswith("post")


def test_services_with_one_keyword_keep_their_order_and_show_one_name(tmp_path: Path) -> None:
    one = "group = sms-service\nkeyword = x\ntext = 1\n"
    channels = read(tmp_path, CORE, SMSBOX, SMSC, one, one.replace("1", "2")).channels
    assert [(one.name, one.service, one.text_reply) for one in channels] == [
        ("x", "", "1"),
        ("x#2", "x", "2"),
    ]


def test_reports_without_a_channel_are_called_as_mo_are(tmp_path: Path) -> None:
    lines = "http-request-retry = 2\nhttp-queue-delay = 1\nhttp-timeout = 3\n"
    reports = read(tmp_path, CORE, SMSBOX + lines, SMSC).reports
    assert reports.retry == Retry(1.0, 1.0, 1.0, 0.0, 2, dead_letters=False)
    assert (reports.timeout, reports.parallel, reports.ordered) == (3.0, 512, False)


def test_the_http_side_is_kannels(tmp_path: Path) -> None:
    http = read(tmp_path, CORE, SMSBOX, SMSC).http
    assert http.sendsms == ListenerConfig("0.0.0.0", 13013)
    assert http.admin == ListenerConfig("0.0.0.0", 13000)
    assert http.sendsms_path == "/cgi-bin/sendsms"
    assert (http.admin_password.reveal(), http.status_password) == ("a-password", "")
    assert http.reply_request_failed == "Request Failed"
    assert not http.immediate_reply
    assert (http.max_requests_out, http.connections_out) == (512, 512)
    assert (http.redirects, http.strict, http.retry_after) == (5, False, 0)


def test_the_http_side_keeps_what_it_says(tmp_path: Path) -> None:
    core = CORE + (
        "admin-interface = 127.0.0.1\nstatus-password = s\nadmin-deny-ip = *.*.*.*\n"
        "admin-allow-ip = 127.0.0.1\nadmin-port-ssl = true\nssl-server-cert-file = /c\n"
        "ssl-server-key-file = /k\nhttp-proxy-host = proxy\nhttp-proxy-port = 3128\n"
        "http-proxy-username = u@x\nhttp-proxy-password = p:w\n"
    )
    smsbox = SMSBOX + (
        "sendsms-interface = 127.0.0.2\nsendsms-url = /send\nsendsms-port-ssl = yes\n"
        'sendsms-chars = "0123456789"\nimmediate-sendsms-reply = true\nglobal-sender = 999\n'
        "reply-couldnotfetch = CNF\nreply-couldnotrepresent = CNR\nreply-requestfailed = RF\n"
        "reply-emptymessage = EM\nallowed-prefix = 55\nwhite-list-regex = ^5\n"
    )
    http = read(tmp_path, core, smsbox, SMSC).http
    assert http.admin
    assert http.sendsms
    assert (http.admin.host, http.sendsms.host) == ("127.0.0.1", "127.0.0.2")
    assert http.admin.tls == http.sendsms.tls
    assert (http.admin.tls.certificate_file, http.admin.tls.key_file) == ("/c", "/k")
    assert (http.admin_deny_ip, http.admin_allow_ip) == (("*.*.*.*",), ("127.0.0.1",))
    assert (http.sendsms_path, http.receiver_characters) == ("/send", "0123456789")
    assert http.immediate_reply
    assert http.global_sender == "999"
    assert http.reply_could_not_fetch == "CNF"
    assert http.reply_could_not_represent == "CNR"
    assert (http.reply_request_failed, http.reply_empty) == ("RF", "EM")
    assert http.numbers == NumberRules(("55",), white_list_regex="^5")
    assert http.proxy == "http://u%40x:p%3Aw@proxy:3128"


def test_without_sendsms_port_nothing_listens_for_sendsms(tmp_path: Path) -> None:
    config = read(tmp_path, CORE, "group = smsbox\nbearerbox-host = x\n", SMSC)
    assert config.http.sendsms is None
    assert "nothing listens" in warned(config, "group smsbox, sendsms-port")


@pytest.mark.parametrize(
    ("lines", "state", "store"),
    [
        ("", "", StoreConfig()),
        ("", "/state", StoreConfig("/state/gatewayd.sqlite3")),
        ("store-type = file\nstore-location = /var/k/store\n", "/state", "/var/k"),
        ("store-type = spool\nstore-location = /var/k/spool\n", "/state", "/var/k/spool"),
        ("store-file = /var/k/store\n", "/state", "/var/k"),
        ("store-type = redis\n", "/state", "/state"),
        ("store-type = file\n", "/state", "/state"),
    ],
)
def test_the_store_goes_where_kannels_was(
    tmp_path: Path, lines: str, state: str, store: StoreConfig | str
) -> None:
    wanted = store
    if isinstance(store, str):
        wanted = StoreConfig(f"{store}/gatewayd.sqlite3", kannel_storesize=True)
    assert read(tmp_path, CORE + lines, SMSBOX, SMSC, state=state).store == wanted


@pytest.mark.parametrize(
    ("written", "level"), [("0", "debug"), ("1", "info"), ("2", "warning"), ("4", "error")]
)
def test_the_log_levels_are_kannels_numbers(tmp_path: Path, written: str, level: str) -> None:
    logging = read(tmp_path, CORE + f"log-level = {written}\n", SMSBOX, SMSC).logging
    assert logging.level == level


def test_limits_are_kannels(tmp_path: Path) -> None:
    limits = read(tmp_path, CORE, SMSBOX, SMSC).limits
    assert (limits.queued_mt, limits.queued_mo) == (1_000_000, -1)
    assert (limits.part_timeout, limits.join_parts) == (1800.0, True)
    lines = (
        "sms-outgoing-queue-limit = 2\nsms-combine-concatenated-mo = false\n"
        "sms-combine-concatenated-mo-timeout = 3\nmaximum-queue-length = 5\n"
    )
    limits = read(tmp_path, CORE + lines, SMSBOX, SMSC).limits
    assert (limits.queued_mt, limits.queued_mo) == (2, 5)
    assert (limits.part_timeout, limits.join_parts) == (3.0, False)
    lines += "sms-incoming-queue-limit = 7\n"
    assert read(tmp_path, CORE + lines, SMSBOX, SMSC).limits.queued_mo == 7


def test_lists_of_the_core_are_for_senders_unless_they_say_receiver(tmp_path: Path) -> None:
    lines = (
        "white-list = http://x/1\nwhite-list-sender-regex = ^1\nblack-list-regex = ^2\n"
        "black-list-receiver-regex = ^44\nblack-list-receiver = http://x/3\n"
        "unified-prefix = +,00\n"
    )
    config = read(tmp_path, CORE + lines, SMSBOX, SMSC)
    assert config.senders == NumberRules((), (), "http://x/1", "", "^1", "^2")
    assert config.receivers == NumberRules((), (), "", "http://x/3", "", "^44")
    assert config.unified_prefix == "+,00"


def test_the_second_core_takes_the_place_of_the_first(tmp_path: Path) -> None:
    config = read(tmp_path, CORE + "log-level = 3\n", SMSBOX, SMSC, CORE.replace("a-p", "b-p"))
    assert config.http.admin_password.reveal() == "b-password"
    assert config.logging.level == "info"
    assert "takes its place" in warned(config, "group core")


@pytest.mark.parametrize(
    ("written", "value", "said"),
    [("TRUE", True, ""), ("No", False, ""), ("maybe", True, "counts as true"), ("", True, "true")],
)
def test_a_word_that_is_no_boolean_is_true_with_a_warning(
    tmp_path: Path, written: str, value: bool, said: str
) -> None:
    config = read(tmp_path, CORE, SMSBOX, SMSC + f'alt-dcs = "{written}"\n')
    assert config.smscs[0].smpp.alt_dcs is value
    assert bool(warned(config, "group smsc, alt-dcs")) is bool(said)
    assert said in warned(config, "group smsc, alt-dcs")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("10", 10),
        (" 10 # x", 10),
        ("0x10", 16),
        ("0X1f", 31),
        ("010", 8),
        ("08", 0),
        ("-3", -3),
        ("+2", 2),
        ("0", 0),
        ("0x", 0),
        ("abc", None),
        ("", None),
        ("- 3", None),
    ],
)
def test_integers_are_read_as_c_reads_them(text: str, value: int | None) -> None:
    assert integer(text) == value


@given(st.integers(-(10**12), 10**12), st.text(alphabet=" #xyz", max_size=3))
def test_what_follows_a_number_is_ignored(number: int, rest: str) -> None:
    rest = rest if rest[:1] != "x" else " " + rest
    assert integer(f"{number}{rest}") == number
    if number >= 0:
        assert integer(f"{number:#x}{rest}") == number


def test_a_number_that_is_none_takes_the_default_with_a_warning(tmp_path: Path) -> None:
    config = read(tmp_path, CORE, SMSBOX, SMSC + "wait-ack = soon\nport = 010000\n")
    assert config.smscs[0].smpp.response_timeout == 60.0
    assert config.smscs[0].port == 4096
    assert "soon is not a number" in warned(config, "group smsc, wait-ack")
    assert "octal" in warned(config, "group smsc, port")


@pytest.mark.parametrize(
    ("groups", "where", "word"),
    [
        ((CORE, SMSBOX, SMSC), "group smsbox, http-request-retry", "http-request-retry = 360"),
        ((CORE, SMSBOX, SMSC), "group smsbox, mo-recode", "mo-recode = true"),
        ((CORE, SMSBOX, SMSC, USER), "group sendsms-user, max-messages", "concatenation = true"),
        ((CORE, SMSBOX, SMSC), "group core, smsbox-port", "one process"),
        ((CORE, SMSBOX + "bearerbox-host = x\n", SMSC), "bearerbox-host", "one process"),
        ((CORE, SMSBOX, SMSC + "keepalive = 3\n"), "group smsc, keepalive", "cimd2 and emi"),
        ((CORE, SMSBOX, SMSC + "speed = 3\n"), "group smsc, speed", "another kind"),
        ((CORE, SMSBOX, SMSC + "alt-dcs = 0\nalt-dcs = 1\n"), "alt-dcs", "line 18"),
        ((CORE, SMSBOX, SMSC + "allowed-prefix = 1; 2\n"), "allowed-prefix", "blanks"),
        ((CORE, SMSBOX), "kannel.conf", "no message can leave"),
        ((CORE + "admin-allow-ip = 10.0.0.1\n", SMSBOX, SMSC), "admin-allow-ip", "nobody"),
        ((CORE, SMSBOX, SMSC, USER + "user-allow-ip = 1.2.3.4\n"), "user-allow-ip", "nobody"),
        ((CORE, SMSBOX, SMSC, "group = wapbox\nx = 1\n"), "group wapbox", "WAP"),
        ((CORE, SMSBOX, SMSC, "group = dlr-db\nid = 1\n"), "group dlr-db", "store of its own"),
        (
            (CORE, SMSBOX, SMSC, SERVICE + GET + "accepted-smsc = x\n"),
            "group sms-service, accepted-smsc",
            "no smsc is called x",
        ),
        (
            (CORE, SMSBOX, SMSC, "group = sms-service\nkeyword = a\ntext = hello\n"),
            "group sms-service, catch-all",
            "catch-all = true",
        ),
        ((CORE, SMSBOX, SMSC, SERVICE + "get-url = //x\n"), "get-url", "calls will fail"),
        ((CORE, SMSBOX, SMSC, SERVICE + GET + "text = x\n"), "text", "beside get-url"),
    ],
)
def test_check_tells_what_is_unused_and_what_can_lose_a_message(
    tmp_path: Path, groups: tuple[str, ...], where: str, word: str
) -> None:
    assert word in warned(read(tmp_path, *groups), where)


def test_nothing_is_said_of_losses_once_they_are_mended(tmp_path: Path) -> None:
    smsbox = SMSBOX + "http-request-retry = 360\nmo-recode = true\n"
    config = read(tmp_path, CORE, smsbox, SMSC)
    assert warned(config, "group smsbox, http-request-retry") == ""
    assert warned(config, "group smsbox, mo-recode") == ""


def test_variables_fill_a_template(tmp_path: Path) -> None:
    smsc = SMSC.replace("smsc.example", "${SMSC_HOST}").replace("2776", '"${SMSC_PORT}"')
    (found,) = read(tmp_path, CORE, SMSBOX, smsc, SMSC_HOST="h", SMSC_PORT="2780").smscs
    assert (found.hosts, found.port) == (("h",), 2780)


@pytest.mark.parametrize("name", ["snippet_as_shown_today.conf", "snippet_with_blank_line.conf"])
def test_the_snippet_of_rapidpro_works_as_pasted(tmp_path: Path, name: str) -> None:
    text = (GOLDEN / name).read_text()
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, CORE, SMSBOX, SMSC, text)
    assert [problem.where for problem in caught.value.problems] == [
        "group sendsms-user, forced-smsc",
        "group sendsms-user, default-smsc",
        "group sms-service, accepted-smsc",
    ]
    config = read(tmp_path, CORE, SMSBOX, SMSC, text.replace("YOUR-SMSC", "one"))
    (user,), (channel,) = config.users, config.channels
    assert (user.username, user.forced_smsc, user.faked_sender) == ("rapidpro_26", "one", "2020")
    assert (channel.default, channel.replies, channel.smscs) == (True, False, ("one",))
    assert channel.post_url.endswith("&id=%I&to=%P")


def test_the_example_reads(tmp_path: Path) -> None:
    config = read_kannel(str(EXAMPLE), {}, "")
    assert [smsc.id for smsc in config.smscs] == ["operator"]
    assert "lost" not in "".join(config.warnings)


def test_every_directive_of_the_table_can_be_read_without_a_crash(tmp_path: Path) -> None:
    for kind, table in GROUPS.items():
        for name in table:
            lines = f"group = {kind}\n{name} = 1\n"
            try:
                read(tmp_path, CORE, SMSBOX, lines)
            except ConfigError as error:
                assert "is no directive" not in str(error)


DIRECTIVES = st.sampled_from([(kind, name) for kind, table in GROUPS.items() for name in table])
VALUES = st.sampled_from(
    ["", "-1", "0", "99999999999999999999", "0xfffffffffff", "a;b;;", '"x', "((", "%", "é", "1e9"]
) | st.text(alphabet="0x1-; .[:a", max_size=8)


@settings(max_examples=150, deadline=None)
@given(lines=st.lists(st.tuples(DIRECTIVES, VALUES), max_size=8))
def test_any_value_gives_a_configuration_or_problems(
    tmp_path_factory: pytest.TempPathFactory, lines: list[tuple[tuple[str, str], str]]
) -> None:
    base = {"core": CORE, "smsbox": SMSBOX, "smsc": SMSC, "sendsms-user": USER}
    texts = {**base, "sms-service": SERVICE + GET}
    for (kind, name), value in lines:
        texts[kind] = texts.get(kind, f"group = {kind}\n") + f"{name} = {value}\n"
    with suppress(ConfigError):
        config = read(tmp_path_factory.getbasetemp(), *texts.values())
        assert len({channel.name for channel in config.channels}) == len(config.channels)


def test_every_unused_or_refused_directive_has_its_word() -> None:
    for table in GROUPS.values():
        assert all(one.word for one in table.values() if one.use is not Use.USED)
    assert all(word for word, _ in UNUSED_GROUPS.values())


def test_the_access_logs_are_the_ones_that_both_groups_name(tmp_path: Path) -> None:
    path = tmp_path / "kannel.conf"
    path.write_text(
        "group = core\nadmin-port = 1\nadmin-password = x\nsmsbox-port = 2\n"
        'access-log = "/var/log/a"\naccess-log-time = gmt\naccess-log-format = "%l %b"\n'
        "access-log-clean = yes\n\n"
        "group = smsbox\nsendsms-port = 3\naccess-log = /var/log/b\n"
    )
    logging = read_kannel(str(path), {}, "").logging
    assert (logging.access_log, logging.request_log) == ("/var/log/a", "/var/log/b")
    assert (logging.access_log_format, logging.access_log_time) == ("%l %b", "gmt")
    assert logging.access_log_clean
    assert not logging.access_log_redact  # scripts that bill read the numbers


def test_commands_run_as_in_kannel_unless_the_environment_forbids_it(tmp_path: Path) -> None:
    path = tmp_path / "kannel.conf"
    path.write_text(
        "group = core\nadmin-port = 1\nadmin-password = x\nsmsbox-port = 2\n\n"
        "group = smsbox\nsendsms-port = 3\n\n"
        'group = sms-service\nkeyword = k\ncatch-all = 1\nexec = "echo %s"\n'
    )
    config = read_kannel(str(path), {}, "")
    assert config.http.allow_exec
    assert any("GATEWAYD_ALLOW_EXEC=0" in warning for warning in config.warnings)
    config = read_kannel(str(path), {"GATEWAYD_ALLOW_EXEC": "0"}, "")
    assert not config.http.allow_exec
    assert any("runs no command" in warning for warning in config.warnings)


def test_a_box_with_an_id_answers_no_mo_that_nobody_takes(tmp_path: Path) -> None:
    path = tmp_path / "kannel.conf"
    text = "group = core\nadmin-port = 1\nadmin-password = x\nsmsbox-port = 2\n\ngroup = smsbox\n"
    path.write_text(text)
    assert read_kannel(str(path), {}, "").http.reply_request_failed == "Request Failed"
    path.write_text(f"{text}smsbox-id = box1\n")
    assert not read_kannel(str(path), {}, "").http.reply_request_failed
