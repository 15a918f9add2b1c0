"""sendota: what is configured, or a document in XML, as Kannel pushes it."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from gatewayd.config.model import Config, HttpConfig, OtaConfig, Secret, UserConfig
from gatewayd.model import Order, TextOptions
from gatewayd.web.sendota import SendOta
from gatewayd.web.sendsms import SendSms
from tests.web.http_bench import TESTER, WALL, Gateway, Line, Reply, make_intake

SETTING = OtaConfig(
    id="set1",
    name="Test",
    url="http://example.com/",
    address="10.11.12.13",
    number="08123456789",
    data_call=True,
    chap=True,
    login="wapuser",
    secret=Secret("123456"),
)
BOOKMARK = OtaConfig(id="bm1", kind="bookmark", name="Example", url="http://wap.example.com/")
HTTP = HttpConfig(sendota_path="/cgi-bin/sendota", strict=False)
CONFIG = Config(users=(TESTER,), http=HTTP, ota=(SETTING, BOOKMARK))
LOGIN = "username=tester&password=foobar"
# recorded
BOOKMARK_PUSH = (
    "01062d1f2b6170706c69636174696f6e2f782d7761702d70726f762e62726f777365722d626f6f6b6d61726b73"
    "0081ea01016a0045c67f01871511034578616d706c65000187171103687474703a2f2f7761702e6578616d706c"
    "652e636f6d2f00010101"
)
HEAD = b"\x01\x06\x2c\x1f\x2aapplication/x-wap-prov.browser-settings\0\x81\xea\x01\x01\x6a\0"


def ask(
    target: str = "", config: Config = CONFIG, request: bytes = b""
) -> tuple[Reply, list[Order]]:
    gateway = Gateway()
    sendsms = SendSms(config, gateway.accept, lambda: WALL)
    ota = SendOta(config, sendsms, gateway.accept)
    line = Line(make_intake({config.http.sendota_path: ota}, config.http))
    return line.ask(request or f"GET /cgi-bin/sendota?{target} HTTP/1.1\r\n\r\n".encode()), (
        gateway.orders
    )


def order_of(target: str, config: Config = CONFIG) -> Order:
    reply, [order] = ask(f"{LOGIN}&from=12345&to=5511&{target}", config)
    assert (reply.status, reply.body) == (202, b"0: Accepted for delivery")
    return order


def test_a_bookmark_is_pushed_as_recorded() -> None:
    order = order_of("otaid=bm1")
    assert order.data.hex() == BOOKMARK_PUSH
    assert (order.udh.hex(), order.coding) == ("060504c34fc002", 1)
    assert (order.receivers, order.source) == (["5511"], "12345")


def test_a_setting_tells_how_to_connect() -> None:
    pairs = [
        "87 12 45 01",  # BEARER GSM/CSD
        f"87 13 11 03 {b'10.11.12.13'.hex()} 00 01",
        "87 14 61 01",  # PORT 9201
        f"87 21 11 03 {b'08123456789'.hex()} 00 01",
        "87 22 71 01",  # PPP_AUTHTYPE CHAP
        f"87 23 11 03 {b'wapuser'.hex()} 00 01",
        f"87 24 11 03 {b'123456'.hex()} 00 01",  # text, though the digits could be a token
        "87 28 73 01",  # CSD_CALLTYPE ISDN
        "87 29 6b 01",  # CSD_CALLSPEED 9600
    ]
    wanted = (
        f"45 c6 06 01 {' '.join(pairs)} 01"
        f" 86 07 11 03 {b'http://example.com/'.hex()} 00 01"
        f" c6 08 01 87 15 11 03 {b'Test'.hex()} 00 01 01 01"
    )
    assert order_of("otaid=set1").data == HEAD + bytes.fromhex(wanted)


@pytest.mark.parametrize(
    ("connectionless", "secure", "token"),
    [(True, False, 0x60), (False, False, 0x61), (True, True, 0x62), (False, True, 0x63)],
)
def test_the_port_says_how_wap_is_spoken(connectionless: bool, secure: bool, token: int) -> None:
    setting = OtaConfig(connectionless=connectionless, secure=secure, analogue=True)
    order = order_of("", Config(users=(TESTER,), http=HTTP, ota=(setting,)))
    wanted = (
        f"45 c6 06 01 87 14 {token:02x} 01 87 22 70 01 87 28 72 01 87 29 6b 01 01 c6 08 01 01 01"
    )
    assert order.data == HEAD + bytes.fromhex(wanted)


def test_without_an_id_the_first_is_sent() -> None:
    assert order_of("").data == order_of("otaid=set1").data
    only = Config(users=(TESTER,), http=HTTP, ota=(BOOKMARK,))
    assert order_of("", only).data.hex() == BOOKMARK_PUSH


XML = (
    '<?xml version="1.0"?><!DOCTYPE CHARACTERISTIC-LIST SYSTEM "/DTD/characteristic_list.xml">'
    '<CHARACTERISTIC-LIST> <CHARACTERISTIC TYPE="address"> <!-- a remark -->'
    '<PARM NAME="BEARER" VALUE="GPRS"/><PARM NAME="PROXY" VALUE="10.0.0.1"/><PARM NAME="own"'
    ' VALUE="x"/></CHARACTERISTIC><CHARACTERISTIC TYPE="MMSURL" VALUE="http://mms/"/>'
    "</CHARACTERISTIC-LIST>"
)
ENTITY = '<!DOCTYPE a [<!ENTITY b "c">]><PARM/>'
COMPILED = bytes.fromhex(
    f"45 c6 06 01 87 12 49 01 87 13 11 03 {b'10.0.0.1'.hex()} 00 01"
    f" 87 10 03 {b'own'.hex()} 00 11 03 78 00 01 01 86 7c 11 03 {b'http://mms/'.hex()} 00 01 01"
)


def test_a_document_in_xml_is_compiled() -> None:
    assert order_of(f"text={quote(XML)}").data == HEAD + COMPILED
    bookmark = order_of(f"type=Bookmarks&text={quote(XML)}").data
    assert bookmark.startswith(bytes.fromhex(BOOKMARK_PUSH)[:45])


def test_a_document_may_be_posted() -> None:
    head = (
        "POST /cgi-bin/sendota HTTP/1.1\r\n"
        "X-Kannel-Username: tester\r\nX-Kannel-Password: foobar\r\n"
        f"X-Kannel-From: 1\r\nX-Kannel-To: 5511\r\nContent-Length: {len(XML)}\r\nContent-Type: "
    )
    settings = f"{head}application/x-wap-prov.browser-settings\r\n\r\n{XML}".encode()
    reply, [order] = ask(request=settings)
    assert (reply.status, order.data) == (202, HEAD + COMPILED)
    reply, orders = ask(request=f"{head}text/plain\r\n\r\n{XML}".encode())
    assert (reply.status, reply.body) == (415, b"Unsupported content-type, rejected")
    assert not orders


@pytest.mark.parametrize(
    ("target", "status", "body"),
    [
        ("", 403, "Authorization failed for sendota"),
        ("username=tester&password=no&to=1", 403, "Authorization failed for sendota"),
        (f"{LOGIN}&from=12345", 400, "Wrong sendota args."),
        (f"{LOGIN}&from=12345&to=", 400, "Wrong sendota args."),
        (f"{LOGIN}&to=1", 400, "Sender missing and no global set, rejected"),
        (f"{LOGIN}&from=1&to=1&otaid=zzz", 400, "Missing ota-setting or ota-bookmark group."),
        (f"{LOGIN}&from=1&to=1&text=<", 400, "Erroneous ota source, cannot compile\n"),
        (f"{LOGIN}&from=1&to=1&text=<X/>", 400, "Erroneous ota source, cannot compile\n"),
        (
            f"{LOGIN}&from=1&to=1&type=zzz&text={quote(XML)}",
            400,
            "Erroneous document type, cannot compile\n",
        ),
        (
            f"{LOGIN}&from=1&to=1&text={quote(ENTITY)}",
            400,
            "Erroneous ota source, cannot compile\n",
        ),
        (
            f"{LOGIN}&from=1&to=1&text={quote('<PARM>' * 50 + '</PARM>' * 50)}",
            400,
            "Erroneous ota source, cannot compile\n",
        ),
    ],
)
def test_what_is_wrong_is_said_in_kannels_words(target: str, status: int, body: str) -> None:
    reply, orders = ask(target)
    assert (reply.status, reply.body.decode(), orders) == (status, body, [])


def test_the_receiver_has_a_second_name_and_the_tag_is_the_users() -> None:
    user = UserConfig(
        "tester", TESTER.password, default_sender="9", text=TextOptions(max_messages=3)
    )
    config = Config(users=(user,), http=HTTP, ota=(BOOKMARK,))
    _, [order] = ask(f"{LOGIN}&phonenumber=5522&smsc=gold&account=acme", config)
    assert (order.receivers, order.source, order.smsc) == (["5522"], "9", "gold")
    assert (order.account, order.options.max_messages) == ("acme", 3)
