"""The groups smsc and smpp-tlv of a kannel.conf, with Kannel's defaults as values."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gatewayd.config import (
    BindConfig,
    BindMode,
    Config,
    Retry,
    SmppOptions,
    SmscConfig,
    TlvConfig,
)
from gatewayd.config.kannel_reader import read_kannel

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


def read(tmp_path: Path, *groups: str) -> Config:
    path = tmp_path / "kannel.conf"
    path.write_text("\n".join(groups))
    return read_kannel(str(path), {}, "")


def the_smsc(tmp_path: Path, lines: str = "", core: str = "") -> SmscConfig:
    (smsc,) = read(tmp_path, CORE + core, SMSBOX, SMSC + lines).smscs
    return smsc


def options(tmp_path: Path, lines: str) -> SmppOptions:
    return the_smsc(tmp_path, lines).smpp


def warned(config: Config, where: str) -> str:
    return "\n".join(one for one in config.warnings if f"{where}: " in one)


def test_an_smsc_that_says_nothing_gets_what_kannel_does(tmp_path: Path) -> None:
    smsc = the_smsc(tmp_path)
    assert replace(smsc, smpp=SmppOptions()) == SmscConfig(
        name="one",
        id="one",
        hosts=("smsc.example",),
        port=2776,
        binds=(BindConfig("one/0", BindMode.TRANSMITTER),),
        window=10,
        resend=Retry(60.0, 1.0, 60.0, 0.0, -1, dead_letters=False),
        throttle=Retry(1.0, 1.0, 1.0, 0.0),
        throttled_waits=True,
        reconnect=Retry(10.0, 1.0, 10.0, 0.0),
        refused_pause=0.0,
        status_name="SMPP:smsc.example:2776/0:user:VMA",
    )
    assert smsc.smpp == SmppOptions(
        system_id="user",
        password=smsc.smpp.password,
        system_type="VMA",
        ton_rule="kannel",
        esm_class=3,
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
        max_pdu=7424,
        enquire_always=True,
        enquire_interval=30.0,
        enquire_timeout=300.0,
        enquire_misses=100,
        idle_timeout=300.0,
        bind_timeout=30.0,
        response_timeout=60.0,
        on_timeout="requeue",
        unbind_timeout=30.0,
        unanswered_delivers=10_000,
    )
    assert smsc.smpp.password.reveal() == "word"


@pytest.mark.parametrize(
    ("lines", "field", "value"),
    [
        ("source-addr-autodetect = no", "source_autodetect", False),
        ("esm-class = 0", "esm_class", 0),
        ("msg-id-type = 0x01", "message_ids", 1),
        ("interface-version = 33", "interface_version", 0x33),
        ("interface-version = 50", "interface_version", 0x50),
        ("bind-addr-ton = 5", "addr_ton", 5),
        ("bind-addr-npi = 9", "addr_npi", 9),
        ('address-range = "^55"', "address_range", "^55"),
        ("service-type = CMT", "service_type", "CMT"),
        ("priority = 2", "priority", 2),
        ("validityperiod = 120", "validity", 7200.0),
        ("alt-charset = UTF-8", "alt_charset", "UTF-8"),
        ("alt-addr-charset = gsm", "alt_addr_charset", "gsm"),
        ("alt-dcs = 1", "alt_dcs", True),
        ("my-number = 4321", "my_number", "4321"),
        ("max-sms-octets = 280", "max_octets", 280),
        ("enquire-link-interval = 0x10", "enquire_interval", 16.0),
        ("enquire-link-interval = 2\nconnection-timeout = 5", "idle_timeout", 6.0),
        ("connection-timeout = 0", "idle_timeout", 0.0),
        ("enquire-link-interval = 3000", "idle_timeout", 3000.0),
        ("wait-ack = 3", "response_timeout", 3.0),
        ("wait-ack-expire = 0x00", "on_timeout", "reconnect"),
        ("wait-ack-expire = 0x01", "on_timeout", "requeue"),
        ("wait-ack-expire = 0x02", "on_timeout", "wait"),
    ],
)
def test_a_directive_of_smpp_sets_its_option(
    tmp_path: Path, lines: str, field: str, value: object
) -> None:
    assert getattr(options(tmp_path, lines + "\n"), field) == value


@pytest.mark.parametrize(
    ("lines", "field", "value"),
    [
        ("max-pending-submits = 20", "window", 20),
        ("throughput = 0.5", "rate", 0.5),
        ("throughput = 2\ninstances = 3", "rate", 6.0),
        ("our-host = 10.0.0.1", "source_address", "10.0.0.1"),
        ("our-port = 2000", "source_port", 2000),
        ("smsc-admin-id = adm", "admin_id", "adm"),
        ('allowed-smsc-id = "gold;silver"', "allowed_ids", ("gold", "silver")),
        ('allowed-smsc-id = ""', "allowed_ids", ()),
        ('denied-smsc-id = "gold"', "denied_ids", ("gold",)),
        ('preferred-smsc-id = "gold"', "preferred_ids", ("gold",)),
        ('allowed-prefix = "55;44"', "allowed_prefixes", ("55", "44")),
        ('denied-prefix = "44"', "denied_prefixes", ("44",)),
        ('preferred-prefix = "5511"', "preferred_prefixes", ("5511",)),
        ('allowed-smsc-id-regex = "^g"', "allowed_ids_regex", "^g"),
        ('denied-prefix-regex = "^[[:digit:]]+$"', "denied_prefix_regex", "^[0-9]+\\Z"),
        ('unified-prefix = "+55,0055;+,00"', "unified_prefix", "+55,0055;+,00"),
        ("dead-start = on", "dead_start", True),
        ("reconnect-delay = 1", "reconnect", Retry(1.0, 1.0, 1.0, 0.0)),
    ],
)
def test_a_directive_common_to_all_smscs_sets_its_field(
    tmp_path: Path, lines: str, field: str, value: object
) -> None:
    assert getattr(the_smsc(tmp_path, lines + "\n"), field) == value


def test_a_ton_counts_only_together_with_its_npi(tmp_path: Path) -> None:
    found = options(tmp_path, "source-addr-ton = 3\ndest-addr-ton = 1\ndest-addr-npi = 9\n")
    assert (found.source_ton, found.source_npi) == (-1, -1)
    assert (found.dest_ton, found.dest_npi) == (1, 9)


def test_credentials_are_cut_to_what_smpp_carries(tmp_path: Path) -> None:
    lines = "smsc-username = abcdefghijklmnopq\nsmsc-password = 123456789\n"
    config = read(tmp_path, CORE, SMSBOX, SMSC + lines)
    assert config.smscs[0].smpp.system_id == "abcdefghijklmno"
    assert config.smscs[0].smpp.password.reveal() == "12345678"
    assert config.smscs[0].status_name == "SMPP:smsc.example:2776/0:abcdefghijklmnopq:VMA"
    assert "cut" in warned(config, "smsc-password")
    assert "123456789" not in "".join(config.warnings)


@pytest.mark.parametrize(
    ("written", "mode", "port", "name"),
    [
        ("port = 2776\ntransceiver-mode = true", "transceiver", 2776, "2776/2776"),
        ("receive-port = 2777", "receiver", 2777, "0/2777"),
        ("", "transmitter", 2775, "2775/0"),
        ("transceiver-mode = 1", "transceiver", 2775, "2775/2775"),
    ],
)
def test_the_ports_decide_how_it_binds(
    tmp_path: Path, written: str, mode: str, port: int, name: str
) -> None:
    group = SMSC.replace("port = 2776\n", f"{written}\n" if written else "")
    (smsc,) = read(tmp_path, CORE, SMSBOX, group).smscs
    assert [bind.mode.value for bind in smsc.binds] == [mode]
    assert smsc.port == port
    assert smsc.status_name == f"SMPP:smsc.example:{name}:user:VMA"


def test_instances_are_binds_of_one_smsc(tmp_path: Path) -> None:
    smsc = the_smsc(tmp_path, "instances = 3\n")
    assert [bind.name for bind in smsc.binds] == ["one/0", "one/1", "one/2"]


def test_groups_that_share_an_id_get_names_of_their_own(tmp_path: Path) -> None:
    config = read(tmp_path, CORE, SMSBOX, SMSC, SMSC, SMSC.replace("one", "two"))
    assert [(smsc.name, smsc.id) for smsc in config.smscs] == [
        ("one", "one"),
        ("one#2", "one"),
        ("two", "two"),
    ]
    assert config.smscs[1].binds[0].name == "one#2/0"


def test_an_smsc_without_id_is_called_by_where_it_goes(tmp_path: Path) -> None:
    (smsc,) = read(tmp_path, CORE, SMSBOX, SMSC.replace("smsc-id = one\n", "")).smscs
    assert smsc.id == smsc.status_name == "SMPP:smsc.example:2776/0:user:VMA"
    assert smsc.admin_id == "unknown"


def test_no_instance_is_no_smsc(tmp_path: Path) -> None:
    config = read(tmp_path, CORE, SMSBOX, SMSC + "instances = 0\n")
    assert config.smscs == ()
    assert "no connection" in warned(config, "group smsc, instances")


def test_tls_towards_the_smsc_checks_the_certificate_only_when_told_whom_to_trust(
    tmp_path: Path,
) -> None:
    smsc = the_smsc(tmp_path, "use-ssl = yes\nssl-client-certkey-file = /c\n")
    assert (smsc.tls.enabled, smsc.tls.verify, smsc.tls.certificate_file) == (True, False, "/c")
    smsc = the_smsc(tmp_path, "use-ssl = yes\n", "ssl-trusted-ca-file = /ca\n")
    assert (smsc.tls.verify, smsc.tls.ca_file) == (True, "/ca")


def test_resending_goes_by_the_core(tmp_path: Path) -> None:
    for written, times in (("2", 2), ("0", 1), ("-1", -1)):
        core = f"sms-resend-freq = 5\nsms-resend-retry = {written}\n"
        assert the_smsc(tmp_path, "", core).resend == Retry(
            5.0, 1.0, 5.0, 0.0, times, dead_letters=False
        )


def test_emi_and_cimd2_keep_what_they_share_with_smpp(tmp_path: Path) -> None:
    emi = SMSC.replace("= smpp", "= emi").replace("system-type = VMA\n", "") + (
        "keepalive = 10\nidle-timeout = 20\nwait-ack = 30\nflow-control = 1\nalt-host = other\n"
        "notification-pid = 0539\nnotification-addr = 999\nmy-number = 4321\n"
    )
    cimd2 = emi.split("keepalive")[0].replace("emi", "cimd2") + "sender-prefix = 99\n"
    one, two = read(tmp_path, CORE, SMSBOX, emi, cimd2).smscs
    assert (one.protocol, one.hosts, one.window) == ("ucp", ("smsc.example", "other"), 1)
    assert one.options[-2:] == ("notification-pid=0539", "notification-addr=999")
    assert {"temporary=", "mo=literal"} < set(one.options)
    assert one.status_name == "EMI2:other:2776:user"
    assert (one.smpp.system_id, one.smpp.password.reveal()) == ("user", "word")
    assert (one.smpp.enquire_interval, one.smpp.inactivity) == (11.0, 20.0)
    assert (one.smpp.response_timeout, one.smpp.on_timeout) == (30.0, "reconnect")
    assert one.smpp.my_number == "4321"
    assert (two.protocol, two.window, two.smpp.my_number) == ("cimd2", 1, "99")
    assert two.status_name == "CIMD2:smsc.example:2776:user"


def test_an_emi_without_log_in_shows_null_as_kannel_does(tmp_path: Path) -> None:
    emi = "group = smsc\nsmsc = emi\nhost = h\nport = 3000\n"
    (smsc,) = read(tmp_path, CORE, SMSBOX, emi).smscs
    assert smsc.status_name == smsc.id == "EMI2:h:3000:null"
    assert smsc.window == 100


def test_tlvs_are_known_by_name(tmp_path: Path) -> None:
    tlv = (
        "group = smpp-tlv\nname = a\ntag = 0x1400\ntype = octetstring\nlength = 20\n"
        'smsc-id = "one;two"\nconst = FIX\n'
    )
    assert read(tmp_path, CORE, SMSBOX, SMSC, tlv).tlvs == (
        TlvConfig("a", 0x1400, "octetstring", 20, ("one", "two"), "FIX"),
    )
