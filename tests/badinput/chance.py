"""What all hostile input is made with: octets that hurt, and ways to spoil good ones."""

from __future__ import annotations

from pathlib import Path
from random import Random

from twisted.internet.testing import StringTransport

ROOT = Path(__file__).parents[2]

NASTY = (
    b"\x00", b"\r\n", b"\n", b"\xff", b"\xed\xa0\x80", b"\xf0\x9f\x98\x80", b"\xe2\x80\xae",
    b"%00", b"%0d%0a", b"%", b"%zz", b"%%", b"+", b"&", b"=", b";", b"\x1b[2J", b"-1", b"0",
    b"99999999999999999999", b"2147483648", b"1e30", b"0x10", b"\xd9\xa1\xd9\xa2", b"'\"",
    b"${HOME}", b"%s%n", b"{0}", b"../../", b"A" * 300, b"utf-7", b"idna", b"http://127.0.0.1/",
    b"file:///etc/passwd", b"id:", b"stat:", b" text:", b"\x7f" * 5, b"\xc3", b"\t",
)  # fmt: skip


def mutated(chance: Random, data: bytes, most: int = 6) -> bytes:
    """`data` with some of its octets changed, left out, doubled or spoilt."""
    octets = bytearray(data)
    for _ in range(chance.randint(1, most)):
        place = chance.randint(0, len(octets))
        what = chance.randrange(8)
        if what == 0 and octets:
            octets[place % len(octets)] = chance.randrange(256)
        elif what == 1 and octets:
            octets[place % len(octets)] ^= 1 << chance.randrange(8)
        elif what == 2:
            del octets[place : place + chance.randint(1, 8)]
        elif what == 3:
            octets[place:place] = chance.choice(NASTY)
        elif what == 4:
            end = place + chance.randint(1, 20)
            octets[place:place] = octets[place:end] * chance.randint(1, 3)
        elif what == 5:
            del octets[place:]
        elif what == 6:
            octets[place:place] = chance.randbytes(chance.randint(1, 12))
        elif octets:
            octets[place % len(octets) :][:4] = chance.choice(
                (b"\x00\x00\x00\x00", b"\xff\xff\xff\xff", b"\x80\x00\x00\x00", b"\x00\x00\x00\x10")
            )
    return bytes(octets)


class Wire(StringTransport):
    def abortConnection(self) -> None:
        self.disconnecting = True

    def loseWriteConnection(self) -> None:
        self.disconnecting = True
