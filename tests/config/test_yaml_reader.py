"""What a YAML configuration means."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gatewayd.config.model import (
    BindConfig,
    BindMode,
    Config,
    ListenerConfig,
    OnUncertain,
    ReportPolicy,
    Retry,
    SmppOptions,
)
from gatewayd.config.yaml_nodes import MAX_FILE
from gatewayd.config.yaml_reader import read_yaml
from gatewayd.errors import ConfigError

SMSC = """
smscs:
  - id: demo
    host: smsc.example.net
    system-id: me
    password: ${SECRET}
"""


class Folder:
    """Writes configurations and reads them."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, text: str | bytes, **environ: str) -> Config:
        file = self.path / "gatewayd.yaml"
        file.write_bytes(text.encode() if isinstance(text, str) else text)
        file.chmod(0o600)
        return read_yaml(str(file), {"SECRET": "hush", **environ})

    def refuse(self, text: str | bytes, **environ: str) -> str:
        with pytest.raises(ConfigError) as caught:
            self.read(text, **environ)
        return str(caught.value).replace(f"{self.path}/", "")


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_a_short_file_has_all_defaults(folder: Folder) -> None:
    config = folder.read(SMSC)
    (smsc,) = config.smscs
    assert (smsc.id, smsc.name, smsc.hosts, smsc.port) == (
        "demo",
        "demo",
        ("smsc.example.net",),
        2775,
    )
    assert smsc.binds == (BindConfig("demo/0"),)
    assert smsc.smpp == SmppOptions(system_id="me", password=smsc.smpp.password)
    assert smsc.smpp.password.reveal() == "hush"
    assert smsc.status_name == "SMPP:smsc.example.net:2775/2775:me:"
    assert config == Config(source=config.source, smscs=config.smscs)
    assert config.warnings == ()


@pytest.mark.parametrize(
    ("binds", "expected", "ports"),
    [
        ("2", (BindConfig("demo/0"), BindConfig("demo/1")), "2775/2775"),
        (
            "tx+rx",
            (
                BindConfig("demo/tx", BindMode.TRANSMITTER),
                BindConfig("demo/rx", BindMode.RECEIVER),
            ),
            "2775/2775",
        ),
        (
            "[{mode: receiver, port: 2776}, {mode: tx, window: 5}]",
            (
                BindConfig("demo/rx", BindMode.RECEIVER, port=2776),
                BindConfig("demo/tx", BindMode.TRANSMITTER, window=5),
            ),
            "2775/2776",
        ),
        ("[{mode: rx}]", (BindConfig("demo/0", BindMode.RECEIVER),), "0/2775"),
        ("[{mode: tx}]", (BindConfig("demo/0", BindMode.TRANSMITTER),), "2775/0"),
        (
            "[{}, {host: b.example.net}]",
            (BindConfig("demo/0"), BindConfig("demo/1", host="b.example.net")),
            "2775/2775",
        ),
    ],
)
def test_binds_are_a_number_a_pair_or_a_list(
    folder: Folder, binds: str, expected: tuple[BindConfig, ...], ports: str
) -> None:
    (smsc,) = folder.read(f"{SMSC}    binds: {binds}\n    system-type: VMA\n").smscs
    assert smsc.binds == expected
    assert smsc.status_name == f"SMPP:smsc.example.net:{ports}:me:VMA"


def test_hosts_may_stand_in_the_binds_alone(folder: Folder) -> None:
    text = "smscs: [{id: a, system-id: b, binds: [{host: one}, {host: two}]}]"
    (smsc,) = folder.read(text).smscs
    assert smsc.hosts == ()
    assert smsc.status_name == "SMPP:one:2775/2775:b:"
    assert "host is missing" in folder.refuse(text.replace("{host: two}", "{}"))


def test_smscs_may_share_an_id_when_each_has_a_name(folder: Folder) -> None:
    same = "id: a, host: h, system-id: me"
    text = f"smscs: [{{{same}, name: n1}}, {{{same}, name: n2}}]"
    config = folder.read(text)
    assert [(smsc.id, smsc.name, smsc.binds[0].name) for smsc in config.smscs] == [
        ("a", "n1", "n1/0"),
        ("a", "n2", "n2/0"),
    ]


def test_options_are_put_over_their_defaults(folder: Folder) -> None:
    more = """
    hosts: [one.example.net, 10.0.0.1]
    on-uncertain: hold
    allowed-ids: []
    rate: 12.5
    resend: {times: 2}
    tls: true
    smpp:
      interface-version: 5.0
      throttling: [0x14, 88]
      validity: 2d
      max-pdu: 8kB
    """
    (smsc,) = folder.read(SMSC.replace("    host: smsc.example.net\n", "") + more).smscs
    assert smsc.hosts == ("one.example.net", "10.0.0.1")
    assert smsc.on_uncertain is OnUncertain.HOLD
    assert (smsc.allowed_ids, smsc.denied_ids) == ((), ())
    assert smsc.rate == 12.5
    assert smsc.resend == Retry(first=5.0, factor=2.0, cap=600.0, times=2, horizon=3600.0)
    assert smsc.tls.enabled
    assert smsc.tls.verify
    assert smsc.smpp.interface_version == 0x50
    assert smsc.smpp.throttling == {0x14, 0x58}
    assert (smsc.smpp.validity, smsc.smpp.max_pdu) == (172800.0, 8192)
    assert smsc.smpp.system_id == "me"


def test_a_rapidpro_channel_has_the_platforms_policy(folder: Folder) -> None:
    text = SMSC + "channels:\n  - {name: c, format: rapidpro, url: 'https://h/c/kn/1/receive'"
    (channel,) = folder.read(text + "}").channels
    assert (channel.post_url, channel.get_url) == ("https://h/c/kn/1/receive", "")
    assert channel.reports == ReportPolicy(spacing=1.0, drop_late=True)
    assert channel.default
    (channel,) = folder.read(text + ", reports: {withhold: [2, 16], spacing: 0}}").channels
    assert channel.reports == ReportPolicy(0.0, True, frozenset({2, 16}))


def test_a_kannel_channel_has_no_policy_of_its_own(folder: Folder) -> None:
    (channel,) = folder.read(SMSC + "channels: [{name: c, get-url: 'http://h/?a=%a'}]").channels
    assert channel.get_url == "http://h/?a=%a"
    assert channel.reports == ReportPolicy()


@pytest.mark.parametrize(
    ("keys", "default"),
    [
        ("", True),
        ("keyword: ''", True),
        ("keyword: win", False),
        ("aliases: [win]", False),
        ("keyword-regex: '^win'", False),
        ("keyword: win, default: true", True),
        ("default: false", False),
    ],
)
def test_a_channel_without_keyword_takes_the_rest(folder: Folder, keys: str, default: bool) -> None:
    text = f"{SMSC}channels: [{{name: c, text-reply: hi, {keys}}}]"
    assert folder.read(text).channels[0].default is default


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("off", None),
        ("127.0.0.1:8000", ListenerConfig("127.0.0.1", 8000)),
        ('"[::1]:8000"', ListenerConfig("::1", 8000)),
        ("127.0.0.1:${PORT:-13014}", ListenerConfig("127.0.0.1", 13014)),
        ("{port: 8000}", ListenerConfig("127.0.0.1", 8000)),
        ("{host: localhost}", ListenerConfig("localhost", 13013)),
        ("", ListenerConfig("127.0.0.1", 13013)),
    ],
)
def test_a_listener_is_off_or_an_address_or_a_section(
    folder: Folder, written: str, expected: ListenerConfig | None
) -> None:
    if not written:
        assert folder.read(SMSC).http.sendsms == expected
    else:
        assert folder.read(f"{SMSC}http:\n  sendsms: {written}\n").http.sendsms == expected


def test_a_listeners_key_is_for_its_owner_alone(folder: Folder) -> None:
    for file, mode in (("cert.pem", 0o644), ("key.pem", 0o644)):
        (folder.path / file).write_text("pem")
        (folder.path / file).chmod(mode)
    tls = f"{{certificate-file: {folder.path}/cert.pem, key-file: {folder.path}/key.pem}}"
    text = f"{SMSC}http:\n  sendsms:\n    host: 0.0.0.0\n    tls: {tls}\n"
    assert "chmod 600" in folder.refuse(text)
    (folder.path / "key.pem").chmod(0o600)
    sendsms = folder.read(text).http.sendsms
    assert sendsms is not None
    assert sendsms.tls.enabled


def test_an_allow_list_alone_keeps_everybody_else_out(folder: Folder) -> None:
    text = SMSC + "users:\n  - {username: u, password: '${SECRET}', allow-ip: 10.0.0.1"
    assert folder.read(text + "}").users[0].deny_ip == ("*",)
    assert folder.read(text + ", deny-ip: [10.0.0.2]}").users[0].deny_ip == ("10.0.0.2",)
    assert folder.read(text + ", deny-ip: []}").users[0].deny_ip == ()
    http = folder.read(SMSC + "http: {admin-allow-ip: [10.0.0.1]}").http
    assert (http.admin_allow_ip, http.admin_deny_ip) == (("10.0.0.1",), ("*",))
    assert folder.read(SMSC).http.admin_deny_ip == ()


def test_the_open_listener_word_makes_a_warning_of_the_refusal(folder: Folder) -> None:
    text = SMSC + "users: [{username: u, password: '${SECRET}'}]\nhttp:\n  sendsms: 0.0.0.0:80\n"
    assert "allow-ip is needed" in folder.refuse(text)
    config = folder.read(text + "  open-listener: i-know\n")
    assert any("may call from everywhere" in warning for warning in config.warnings)


def test_names_of_the_environment_stand_anywhere(folder: Folder) -> None:
    text = SMSC.replace("smsc.example.net", "${HOST}") + "    port: ${PORT}\n    tls: ${TLS:-no}\n"
    (smsc,) = folder.read(text, HOST="10.0.0.9", PORT="3000").smscs
    assert (smsc.hosts, smsc.port, smsc.tls.enabled) == (("10.0.0.9",), 3000, False)
    assert "abc is not a port" in folder.refuse(text, HOST="10.0.0.9", PORT="abc")


def test_plain_secrets_are_warned_of(folder: Folder) -> None:
    config = folder.read(SMSC.replace("${SECRET}", "hush"))
    assert [warning.partition("gatewayd.yaml")[2] for warning in config.warnings] == [
        ":6: smscs[0].password: stands here as plain text; file:, credential: and ${NAME} keep it "
        "elsewhere"
    ]


def test_plain_secrets_in_a_file_open_to_others_are_warned_of_twice(folder: Folder) -> None:
    folder.read(SMSC)
    file = folder.path / "gatewayd.yaml"
    file.write_text(SMSC.replace("${SECRET}", "hush"))
    file.chmod(0o644)
    assert "chmod 600" in read_yaml(str(file), {}).warnings[-1]


def test_doubtful_settings_are_warned_of(folder: Folder) -> None:
    text = SMSC.replace("id: me", "id: longer-than-fifteen") + "    tls: {verify: off}\n"
    warnings = folder.read(text + "store: {path: ':memory:'}").warnings
    assert [warning.rpartition(": ")[2].partition(";")[0] for warning in warnings] == [
        "is longer than the 15 characters of SMPP 3.4",
        "anybody on the way can be the SMSC",
        "a stop loses them",
    ]
    assert "there is no SMSC" in folder.read("limits: {}").warnings[0]


def test_anchors_and_merge_keys_work(folder: Folder) -> None:
    text = """
    smscs:
      - &first {id: a, host: h, system-id: x, window: 7, smpp: &options {priority: 1}}
      - {<<: *first, id: b, smpp: {<<: *options, validity: 60}}
    """
    second = folder.read(text).smscs[1]
    assert (second.id, second.name, second.window) == ("b", "b", 7)
    assert (second.smpp.priority, second.smpp.validity) == (1, 60.0)


def test_a_merge_of_what_is_no_section_is_told(folder: Folder) -> None:
    assert "needs a section" in folder.refuse("limits: {<<: [1]}")


@pytest.mark.parametrize("word", ["012", "1e3", "22:30", "no", "On", "~", "0x1F", "1_000", "y"])
def test_quotes_make_text_of_doubtful_words(folder: Folder, word: str) -> None:
    plain = SMSC.replace("system-id: me", f"system-id: {word}")
    assert "quotes" in folder.refuse(plain) or "no value" in folder.refuse(plain)
    quoted = SMSC.replace("system-id: me", f'system-id: "{word}"')
    assert folder.read(quoted).smscs[0].smpp.system_id == word


@pytest.mark.parametrize("word", ["e5", "1.2.3.4", "a1", "v2", "12ab", "none", "yess", "_", "-x"])
def test_plain_words_need_no_quotes(folder: Folder, word: str) -> None:
    text = SMSC.replace("system-id: me", f"system-id: {word}")
    assert folder.read(text).smscs[0].smpp.system_id == word


def test_a_section_with_nothing_in_it_is_empty(folder: Folder) -> None:
    config = folder.read(SMSC + "limits:\nusers:\nhttp:\n")
    assert (config.users, config.limits) == ((), Config().limits)


def test_a_file_that_cannot_be_read_is_told(folder: Folder) -> None:
    for path in (folder.path, folder.path / "absent", f"{folder.path}/a\x00b"):
        with pytest.raises(ConfigError):
            read_yaml(str(path), {})


def test_a_file_too_long_is_not_read(folder: Folder) -> None:
    assert "longer than 1 MB" in folder.refuse(b"#" * (MAX_FILE + 1))


def test_half_a_file_is_refused(folder: Folder) -> None:
    text = SMSC + 'users:\n  - username: "tester"\n    password: "${SECRET}"\n'
    cut = text[: text.rindex("tester") + 3]
    assert "is not YAML" in folder.refuse(cut)


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    at=st.integers(0, 600),
    put=st.one_of(
        st.binary(max_size=4), st.sampled_from([b"- ", b"&a ", b"*a", b"!!x ", b"{", b"\n", b"${"])
    ),
)
def test_a_damaged_file_is_read_or_refused(folder: Folder, at: int, put: bytes) -> None:
    text = SMSC + (
        "    binds: [{mode: tx}, {mode: rx}]\n    tls: {verify: true}\n    smpp: {priority: 1}\n"
        "users:\n  - {username: u, password: '${SECRET}', allow-ip: [10.0.0.1]}\n"
        "channels:\n  - {name: c, get-url: 'http://h/', retry: {first: 2s}}\n"
        "http: {sendsms: off, admin: {port: 1}}\ntlvs: [{name: t, tag: 5}]\nlimits: {drain: 1s}\n"
    )
    data = text.encode()
    try:
        folder.read(data[:at] + put + data[at + 1 :])
    except ConfigError as error:
        assert error.problems
