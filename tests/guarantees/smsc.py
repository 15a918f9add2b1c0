"""An SMSC for a test to steer: which answer comes when, on which bind a receipt, which link breaks.

Its links live in one thread, which calls the hooks; a test reads the ledgers at any time, for they
only grow. `tests/bench/tools/smscsim.c` is the one for load, this one for what must be told apart.
"""

from __future__ import annotations

import contextlib
import heapq
import re
import selectors
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from gatewayd.smsc import smpp_pdu as pdus
from gatewayd.smsc.smpp_frame import Framer

BINDS = (pdus.BIND_TRANSMITTER, pdus.BIND_RECEIVER, pdus.BIND_TRANSCEIVER)
MARK = re.compile(rb"XQ(\d{8})\.\d{13}QX")  # in each text of tests/bench/tools/mtload.c

Told = Callable[["int | None"], None]  # the status of a deliver_sm_resp; None: the link went before


@dataclass(eq=False)
class Link:
    """One connection, bound once `bound`."""

    line: socket.socket
    number: int
    bound: bool = False
    out: bytearray = field(default_factory=bytearray)
    framer: Framer = field(default_factory=lambda: Framer(65536))
    open: dict[int, Told] = field(default_factory=dict)  # deliver_sm without an answer
    sequence: int = 0


@dataclass(frozen=True, eq=False)
class Submit:
    """One submit_sm, as it came."""

    link: Link
    sm: pdus.Sm
    at: float  # monotonic

    @property
    def text(self) -> bytes:
        return self.sm.short_message

    @property
    def mark(self) -> int:
        """The caller's number of the message; -1 where the text has none."""
        found = MARK.search(self.text)
        return int(found[1]) if found else -1


class Smsc:
    """Listens on `port` until it is closed. `on_submit` answers; at first with id 1, 2, 3 ..."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.submits: list[Submit] = []
        self.answered: list[tuple[int, str]] = []  # mark and id of each good answer
        self.late = 0.0  # the most seconds that this thread itself was late
        self.on_submit: Callable[[Submit], None] = self.take
        self._links: list[Link] = []
        self._count = 0
        self._due: list[tuple[float, int, Callable[[], object]]] = []
        self._selector = selectors.DefaultSelector()
        self._inbox, self._wake = socket.socketpair()
        self._inbox.setblocking(False)
        self._selector.register(self._inbox, selectors.EVENT_READ)
        self._lock = threading.Lock()
        self._calls: list[Callable[[], object]] = []
        self._server: socket.socket | None = None
        self._ended = False
        self._listen()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    # -- for tests, from any thread

    @property
    def bound(self) -> list[Link]:
        return [link for link in list(self._links) if link.bound]

    def call(self, function: Callable[[], object]) -> None:
        """Run it in the thread of the links, soon."""
        with self._lock:
            self._calls.append(function)
        with contextlib.suppress(OSError):
            self._wake.send(b"x")

    def down(self) -> None:
        """Break every link, and take no new one until `up`."""
        done = threading.Event()

        def go() -> None:
            if self._server is not None:
                self._selector.unregister(self._server)
                self._server.close()
                self._server = None
            for link in list(self._links):
                self.drop(link)
            done.set()

        self.call(go)
        done.wait(10)

    def up(self) -> None:
        self.call(self._listen)

    def watch_itself(self) -> None:
        """Look every 5 ms how late it is; from now on."""
        self.late = 0.0

        def look() -> None:
            self.later(0.005, look)

        self.call(look)

    def close(self) -> None:
        self.down()
        self._ended = True
        self.call(lambda: None)
        self._thread.join(10)

    def __enter__(self) -> Smsc:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    # -- for hooks, in the thread of the links

    def later(self, seconds: float, function: Callable[[], object]) -> None:
        self._count += 1
        heapq.heappush(self._due, (time.monotonic() + seconds, self._count, function))

    def take(self, submit: Submit) -> None:
        self.answer(submit, str(len(self.answered) + 1))

    def answer(self, submit: Submit, smsc_id: str, status: int = 0) -> bool:
        """Whether its link is still there."""
        if not submit.link.bound:
            return False
        if not status:
            self.answered.append((submit.mark, smsc_id))
        name = b"" if status else smsc_id.encode()
        answer = pdus.encode_sm_resp(pdus.SUBMIT_SM_RESP, status, submit.sm.sequence, name, None)
        self._say(submit.link, answer)
        return True

    def deliver(self, link: Link, told: Told, **fields: Any) -> None:
        """Send a deliver_sm; `told` hears of its answer."""
        if not link.bound:
            told(None)
            return
        link.sequence += 1
        link.open[link.sequence] = told
        base = {"source": b"258840000001", "destination": b"8000", "source_ton": 1}
        self._say(
            link, pdus.encode_sm(pdus.Sm(pdus.DELIVER_SM, link.sequence, **{**base, **fields}))
        )

    def receipt(
        self, link: Link, smsc_id: str, told: Told, *, tlv: bool = True, text: bool = True
    ) -> None:
        """The receipt "delivered", with its id in the TLV, in the text, or in both."""
        words = b"sub:001 dlvrd:001 submit date:2501010000 done date:2501010000 stat:DELIVRD"
        words += b" err:000 text:XX"
        if text:
            words = b"id:%s " % smsc_id.encode() + words
        tlvs = [(pdus.MESSAGE_STATE, b"\2")]
        if tlv:
            tlvs.insert(0, (pdus.RECEIPTED_MESSAGE_ID, smsc_id.encode() + b"\0"))
        self.deliver(link, told, esm_class=4, short_message=words, tlvs=tlvs)

    def insist(self, send: Callable[[Link, Told], None], done: Callable[[], None]) -> None:
        """Send on any bind, again and again, until it is answered 0; then `done`."""

        def told(status: int | None) -> None:
            if status == 0:
                done()
            else:
                self.later(0.2, again)

        def again() -> None:
            links = self.bound
            if links:
                send(links[self._count % len(links)], told)
            else:
                self.later(0.2, again)

        self._count += 1
        again()

    def drop(self, link: Link) -> None:
        """Break the link without a word."""
        if link not in self._links:
            return
        self._links.remove(link)
        link.bound = False
        self._selector.unregister(link.line)
        # A reset: what the gateway had not read yet is gone.
        link.line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        link.line.close()
        for told in list(link.open.values()):
            told(None)

    # -- within

    def _listen(self) -> None:
        if self._server is None and not self._ended:
            self._server = socket.create_server(("127.0.0.1", self.port))
            self._server.setblocking(False)
            self._selector.register(self._server, selectors.EVENT_READ)

    def _run(self) -> None:
        while not self._ended:
            wait = self._due[0][0] - time.monotonic() if self._due else 1.0
            for key, _ in self._selector.select(max(0.0, min(wait, 1.0))):
                self._ready(key)
            with self._lock:
                calls, self._calls = self._calls, []
            for function in calls:
                function()
            now = time.monotonic()
            while self._due and self._due[0][0] <= now:
                due, _, function = heapq.heappop(self._due)
                self.late = max(self.late, now - due)
                function()

    def _ready(self, key: selectors.SelectorKey) -> None:
        if key.fileobj is self._inbox:
            with contextlib.suppress(BlockingIOError):
                self._inbox.recv(4096)
        elif key.fileobj is self._server:
            with contextlib.suppress(OSError):
                self._accept()
        elif key.data in self._links:
            self._read(key.data)

    def _accept(self) -> None:
        assert self._server is not None
        line, _ = self._server.accept()
        line.setblocking(False)
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._count += 1
        link = Link(line, self._count)
        self._links.append(link)
        self._selector.register(line, selectors.EVENT_READ, link)

    def _read(self, link: Link) -> None:
        try:
            data = link.line.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._flush(link)
        if not data:
            self.drop(link)
            return
        for frame in link.framer.feed(data):
            self._hear(link, pdus.decode(frame))

    def _hear(self, link: Link, pdu: pdus.Pdu) -> None:
        if isinstance(pdu, pdus.Bind):
            link.bound = True
            answer = pdus.BindResp(pdu.command | pdus.RESPONSE, 0, pdu.sequence, b"test")
            self._say(link, pdus.encode(answer))
        elif isinstance(pdu, pdus.Sm):
            submit = Submit(link, pdu, time.monotonic())
            self.submits.append(submit)
            self.on_submit(submit)
        elif isinstance(pdu, pdus.SmResp):
            told = link.open.pop(pdu.sequence, None)
            if told is not None:
                told(pdu.status)
        elif isinstance(pdu, pdus.Plain) and not pdu.command & pdus.RESPONSE:
            self._say(link, pdus.encode_plain(pdu.command | pdus.RESPONSE, 0, pdu.sequence))
            if pdu.command == pdus.UNBIND:
                self.drop_after_word(link)

    def drop_after_word(self, link: Link) -> None:
        """Let the last answer out, then close."""
        link.bound = False
        with contextlib.suppress(OSError):
            link.line.shutdown(socket.SHUT_WR)

    def _say(self, link: Link, octets: bytes) -> None:
        link.out += octets
        self._flush(link)

    def _flush(self, link: Link) -> None:
        with contextlib.suppress(OSError):
            while link.out:
                del link.out[: link.line.send(link.out)]
        if link.out and link in self._links:  # the gateway reads slowly
            self.later(0.01, lambda: self._flush(link))
