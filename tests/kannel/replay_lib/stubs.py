"""The peers of the gateway under test: SMPP, UCP/EMI and CIMD2 message centres and an HTTP sink.

Every stub answers as the recorded peer did: `answers` holds what the recording answered to the
1st, 2nd ... submit of the case.
All traffic goes to one Bus (event list)."""

import collections
import contextlib
import socket
import struct
import threading
import time

from . import smpp

H = "127.0.0.1"


class Bus:
    def __init__(self):
        self.cond = threading.Condition()
        self.ev = []
        self.t0 = self.last = time.time()

    def add(self, **kw):
        with self.cond:
            self.last = time.time()
            kw["at"] = self.last
            self.ev.append(kw)
            self.cond.notify_all()

    def mark(self):
        with self.cond:
            self.ev = []
            self.t0 = self.last = time.time()

    def snap(self):
        with self.cond:
            return list(self.ev)

    def wait(self, pred, timeout):
        end = time.time() + timeout
        with self.cond:
            while True:
                if pred(self.ev):
                    return True
                left = end - time.time()
                if left <= 0:
                    return False
                self.cond.wait(min(left, 0.2))

    def quiet(self, q, maximum):
        end = time.time() + maximum
        while time.time() < end:
            d = time.time() - self.last
            if d >= q:
                return
            time.sleep(min(q - d + 0.005, 0.05))


class Stub:
    proto = ""

    def __init__(self, bus, port, name):
        self.bus, self.port, self.name = bus, port, name
        self.srv = None
        self.conns = {}
        self.cid = 0
        self.accept_close = 0
        self.lock = threading.Lock()
        self.serial = 0
        self.reset()

    def reset(self):
        """defaults between cases; the connections stay"""
        self.answers = collections.deque()
        self.default_silent = False
        self.default_delay = 0
        self.submit_close = 0
        self.binds = None  # list of bind answers, the last one repeats
        self.pre_bind = []
        self.answer_enquire = self.answer_unbind = True

    def open(self):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((H, self.port))
        s.listen(50)
        self.srv = s
        threading.Thread(target=self._accept, args=(s,), daemon=True).start()

    def close_listener(self):
        s, self.srv = self.srv, None
        if s:
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)
            s.close()

    def drop(self):
        for c in list(self.conns.values()):
            with contextlib.suppress(OSError):
                c["s"].shutdown(socket.SHUT_RDWR)

    def _accept(self, srv):
        while True:
            try:
                s, _ = srv.accept()
            except OSError:
                return
            self.cid += 1
            if self.accept_close > 0:
                self.accept_close -= 1
                self.bus.add(who=self.name, kind="tcp", what="accepted-and-closed")
                s.close()
                continue
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            c = {"s": s, "id": self.cid, "mode": None, "wl": threading.Lock()}
            self.conns[self.cid] = c
            self.bus.add(who=self.name, kind="tcp", what="connect", conn=self.cid)
            threading.Thread(target=self._serve, args=(c,), daemon=True).start()

    def _serve(self, c):
        self.hello(c)
        buf = b""
        while True:
            try:
                d = c["s"].recv(65536)
            except OSError:
                d = b""
            if not d:
                self.bus.add(who=self.name, kind="tcp", what="closed", conn=c["id"])
                self.conns.pop(c["id"], None)
                c["s"].close()
                return
            buf = self.feed(c, buf + d)

    def hello(self, c):
        pass

    def raw(self, c, data, **ev):
        self.bus.add(who=self.name, dir="smsc->kannel", conn=c["id"], **ev)
        with c["wl"], contextlib.suppress(OSError):
            c["s"].sendall(data)

    def later(self, delay, fn):
        if delay:
            t = threading.Timer(delay, fn)
            t.daemon = True
            t.start()
        else:
            fn()


class SmppStub(Stub):
    proto = "pdu"

    def bound(self):
        return any(c.get("bound") for c in self.conns.values())

    def feed(self, c, buf):
        while len(buf) >= 16:
            n = struct.unpack(">I", buf[:4])[0]
            if n < 16 or len(buf) < n:
                break
            pdu, buf = buf[:n], buf[n:]
            self.handle(c, pdu)
        return buf

    def send(self, c, pdu):
        self.raw(c, pdu, kind="pdu", hex=pdu.hex(), decoded=smpp.decode(pdu))

    def handle(self, c, pdu):
        d = smpp.decode(pdu)
        self.bus.add(
            who=self.name, kind="pdu", dir="kannel->smsc", conn=c["id"], hex=pdu.hex(), decoded=d
        )
        cmd, seq = d["command"], d["sequence"]
        if cmd.startswith("bind_") and not cmd.endswith("_resp"):
            for h in self.pre_bind:
                self.send(c, bytes.fromhex(h))
            b = {"status": 0}
            if self.binds:
                b = self.binds.pop(0) if len(self.binds) > 1 else self.binds[0]
            if b.get("silent"):
                return
            body = bytes.fromhex(b["body"]) if "body" in b else b"STUBSMSC\0"
            if b["status"] == 0 or b["status"] == 5:
                c["mode"] = cmd[5:]
                c["bound"] = True
            self.send(
                c,
                struct.pack(">IIII", 16 + len(body), smpp.CMDR[cmd + "_resp"], b["status"], seq)
                + body,
            )
        elif cmd == "enquire_link":
            if self.answer_enquire:
                self.send(c, smpp.encode("enquire_link_resp", seq))
        elif cmd == "unbind":
            if self.answer_unbind:
                self.send(c, smpp.encode("unbind_resp", seq))
                with contextlib.suppress(OSError):
                    c["s"].shutdown(socket.SHUT_WR)
        elif cmd == "submit_sm":
            if self.submit_close > 0:
                self.submit_close -= 1
                with contextlib.suppress(OSError):
                    c["s"].shutdown(socket.SHUT_RDWR)
                return
            with self.lock:
                if self.answers:
                    items = self.answers.popleft()
                elif self.default_silent:
                    items = []
                else:
                    self.serial += 1
                    items = [
                        {
                            "cmd": "submit_sm_resp",
                            "status": 0,
                            "body": (b"x%06d\0" % self.serial).hex(),
                            "delay": self.default_delay,
                        }
                    ]
            for a in items:
                body = bytes.fromhex(a.get("body", ""))
                p = (
                    struct.pack(
                        ">IIII",
                        16 + len(body),
                        smpp.CMDR[a["cmd"]],
                        a["status"],
                        seq + a.get("seq", 0),
                    )
                    + body
                )
                self.later(a.get("delay", 0), lambda p=p: self.send(c, p))

    def target(self):
        for c in self.conns.values():
            if c["mode"] in ("receiver", "transceiver") and c.get("bound"):
                return c
        return next(iter(self.conns.values()), None)

    def inject(self, e):
        c = self.target()
        if c:
            self.send(c, bytes.fromhex(e["hex"]))


UCP51 = [
    "AdC",
    "OAdC",
    "OAC",
    "NRq",
    "NAdC",
    "NT",
    "NPID",
    "LRq",
    "LRAd",
    "LPID",
    "DD",
    "DDT",
    "VP",
    "RPID",
    "SCTS",
    "Dst",
    "Rsn",
    "DSCTS",
    "MT",
    "NB",
    "Msg",
    "MMS",
    "PR",
    "DCs",
    "MCLs",
    "RPI",
    "CPg",
    "RPLy",
    "OTOA",
    "HPLMN",
    "Xser",
    "RES4",
    "RES5",
]
UCP60 = [
    "OAdC",
    "OTON",
    "ONPI",
    "STYP",
    "PWD",
    "NPWD",
    "VERS",
    "LAdC",
    "LTON",
    "LNPI",
    "OPID",
    "RES1",
]
UCP31 = ["AdC", "PID"]
UCP01 = ["AdC", "OAdC", "OAC", "MT", "Msg"]


def ucp_checksum(s):
    return "%02X" % (sum(s) & 0xFF)


def ucp_frame(trn, o_r, ot, data):
    body = "/".join(data)
    s = (
        "%02d/%05d/%s/%s/%s/"
        % (trn, 2 + 1 + 5 + 1 + 1 + 1 + 2 + 1 + len(body) + 1 + 2, o_r, ot, body)
    ).encode("latin-1")
    return b"\x02" + s + ucp_checksum(s).encode() + b"\x03"


def ucp_decode(fr):
    s = fr.strip(b"\x02\x03").decode("latin-1")
    p = s.split("/")
    if len(p) < 6 or not p[1].isdigit():
        return {"trn": "", "len": "", "type": "?", "op": "?", "fields": p}
    d = {
        "trn": p[0],
        "len": p[1],
        "type": p[2],
        "op": p[3],
        "fields": p[4:-1],
        "checksum": p[-1],
        "checksum_ok": ucp_checksum(fr.strip(b"\x02\x03")[:-2]) == p[-1],
        "len_ok": int(p[1]) == len(fr) - 2,
    }
    names = (
        {
            "51": UCP51,
            "52": UCP51,
            "53": UCP51,
            "55": UCP51,
            "60": UCP60,
            "31": UCP31,
            "01": UCP01,
        }.get(p[3])
        if p[2] == "O"
        else None
    )
    if names:
        d["named"] = {n: v for n, v in zip(names, p[4:-1]) if v != ""}
    return d


class FrameStub(Stub):
    """UCP and CIMD2 share the STX ... ETX framing"""

    def feed(self, c, buf):
        while b"\x03" in buf:
            i = buf.index(b"\x03")
            fr, buf = buf[: i + 1], buf[i + 1 :]
            j = fr.find(b"\x02")
            self.handle(c, fr[max(j, 0) :])
        return buf

    def bound(self):
        return any(c.get("bound") for c in self.conns.values())

    def target(self):
        return list(self.conns.values())[-1] if self.conns else None

    def inject(self, e):
        c = self.target()
        if c:
            data = e["raw"].encode("latin-1")
            self.raw(c, data, kind=self.proto, raw=e["raw"], decoded=e.get("decoded"))

    def next_answer(self):
        with self.lock:
            if self.answers:
                return self.answers.popleft()
            return [] if self.default_silent else None


class UcpStub(FrameStub):
    proto = "ucp"

    def send(self, c, fr):
        self.raw(c, fr, kind="ucp", raw=fr.decode("latin-1"), decoded=ucp_decode(fr))

    def hello(self, c):
        c["bound"] = not self.needs_login

    needs_login = True

    def handle(self, c, fr):
        d = ucp_decode(fr)
        self.bus.add(
            who=self.name,
            kind="ucp",
            dir="kannel->smsc",
            conn=c["id"],
            raw=fr.decode("latin-1"),
            decoded=d,
        )
        if d["type"] != "O":
            return
        trn = int(d["trn"])
        if d["op"] == "60":
            b = (
                (self.binds.pop(0) if len(self.binds) > 1 else self.binds[0])
                if self.binds
                else {"fields": ["A", ""]}
            )
            c["bound"] = b["fields"][0] == "A"
            self.send(c, ucp_frame(trn, "R", "60", b["fields"]))
        elif d["op"] == "31":
            if self.answer_enquire:
                self.send(c, ucp_frame(trn, "R", "31", ["A", "0000"]))
        elif d["op"] in ("51", "30", "01"):
            a = self.next_answer()
            if a is None:
                self.serial += 1
                a = [{"fields": ["A", "", "%s:211231%06d" % (d["fields"][0], self.serial)]}]
            for x in a:
                self.later(
                    x.get("delay", 0),
                    lambda x=x: self.send(c, ucp_frame(trn, "R", d["op"], x["fields"])),
                )
        else:
            self.send(c, ucp_frame(trn, "R", d["op"], ["A", "", ""]))


def cimd_frame(op, seq, params):
    s = ("\x02%02d:%03d\t" % (int(op), seq)).encode()
    for k, v in params:
        s += k.encode() + b":" + v.encode("latin-1") + b"\t"
    return s + ("%02X" % (sum(s) & 0xFF)).encode() + b"\x03"


def cimd_decode(fr):
    try:
        parts = fr.strip(b"\x02\x03").split(b"\t")
        op, seq = parts[0].decode().split(":")
        d = {"op": op, "seq": seq, "params": []}
        for p in parts[1:-1]:
            k, v = p.split(b":", 1)
            d["params"].append({"p": k.decode(), "value": v.decode("latin-1")})
        d["checksum"] = parts[-1].decode("latin-1")
        if parts[-1]:
            d["checksum_ok"] = ("%02X" % (sum(fr[: fr.rindex(b"\t") + 1]) & 0xFF)) == parts[
                -1
            ].decode("latin-1").upper()
        return d
    except Exception as e:
        return {"op": "?", "seq": "?", "params": [], "error": repr(e)}


class CimdStub(FrameStub):
    proto = "cimd2"
    greeting = (
        b"CIMD2-A ConnectionInfo: SessionId = 1 PortId = 2 Time = 210924120000 "
        b"AccessType = TCPIP_SOCKET PIN = 0\n"
    )

    def send(self, c, fr):
        self.raw(c, fr, kind="cimd2", raw=fr.decode("latin-1"), decoded=cimd_decode(fr))

    def hello(self, c):
        if self.greeting:
            with c["wl"], contextlib.suppress(OSError):
                c["s"].sendall(self.greeting)

    def handle(self, c, fr):
        d = cimd_decode(fr)
        self.bus.add(
            who=self.name,
            kind="cimd2",
            dir="kannel->smsc",
            conn=c["id"],
            raw=fr.decode("latin-1"),
            decoded=d,
        )
        op = d["op"]
        if not op.isdigit() or int(op) >= 50:
            return
        seq = int(d["seq"])
        if op == "01":
            b = (
                (self.binds.pop(0) if len(self.binds) > 1 else self.binds[0])
                if self.binds
                else {"params": []}
            )
            c["bound"] = not any(k == "900" for k, v in b["params"])
            self.send(c, cimd_frame(51, seq, b["params"]))
        elif op == "02":
            self.send(c, cimd_frame(52, seq, []))
            with contextlib.suppress(OSError):
                c["s"].shutdown(socket.SHUT_WR)
        elif op == "40":
            if self.answer_enquire:
                self.send(c, cimd_frame(90, seq, []))
        elif op == "03":
            a = self.next_answer()
            if a is None:
                self.serial += 1
                dest = [p["value"] for p in d["params"] if p["p"] == "021"]
                a = [
                    {
                        "params": [
                            ("021", dest[0] if dest else ""),
                            ("060", "211231%06d" % self.serial),
                        ]
                    }
                ]
            for x in a:
                self.later(
                    x.get("delay", 0), lambda x=x: self.send(c, cimd_frame(53, seq, x["params"]))
                )
        else:
            self.send(c, cimd_frame(int(op) + 50, seq, []))


class Sink(Stub):
    """HTTP server standing for the platform"""

    def reset(self):
        self.rules = {}

    def _accept(self, srv):
        while True:
            try:
                s, _ = srv.accept()
            except OSError:
                return
            self.cid += 1
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            c = {"s": s, "id": self.cid}
            self.conns[self.cid] = c
            threading.Thread(target=self._http, args=(c,), daemon=True).start()

    def _http(self, c):
        s, buf = c["s"], b""
        try:
            while True:
                while b"\r\n\r\n" not in buf:
                    d = s.recv(65536)
                    if not d:
                        return
                    buf += d
                head, buf = buf.split(b"\r\n\r\n", 1)
                lines = head.decode("latin-1").split("\r\n")
                w = lines[0].split(" ")
                m, url, ver = w[0], " ".join(w[1:-1]), w[-1]
                hdrs = [x.split(":", 1) for x in lines[1:] if ":" in x]
                hdrs = [[k, v.strip(" ")] for k, v in hdrs]
                n = sum(int(v) for k, v in hdrs if k.lower() == "content-length")
                if any(
                    k.lower() == "transfer-encoding" and "chunked" in v.lower() for k, v in hdrs
                ):
                    body = b""
                    while True:
                        while b"\r\n" not in buf:
                            buf += s.recv(65536) or b"0\r\n"
                        ln, buf = buf.split(b"\r\n", 1)
                        k = int(ln.split(b";")[0], 16)
                        while len(buf) < k + 2:
                            d = s.recv(65536)
                            if not d:
                                break
                            buf += d
                        body, buf = body + buf[:k], buf[k + 2 :]
                        if k == 0:
                            break
                else:
                    if any(k.lower() == "expect" for k, v in hdrs) and len(buf) < n:
                        s.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
                    while len(buf) < n:
                        d = s.recv(65536)
                        if not d:
                            break
                        buf += d
                    body, buf = buf[:n], buf[n:]
                path, _, q = url.partition("?")
                r = {"status": "200 OK", "headers": [["Content-Type", "text/plain"]], "body": ""}
                lst = self.rules.get(path)
                if lst:
                    r = lst.pop(0) if len(lst) > 1 else lst[0]
                self.bus.add(
                    who="sink",
                    kind="http",
                    dir="kannel->http",
                    method=m,
                    url=url,
                    path=path,
                    raw_query=q,
                    version=ver,
                    headers=hdrs,
                    body_hex=body.hex(),
                )
                if r.get("delay"):
                    time.sleep(r["delay"])
                if r.get("close"):
                    return
                b = bytes.fromhex(r.get("body", ""))
                out = (
                    "HTTP/1.1 {}\r\n".format(r.get("status", "200 OK"))
                    + "".join(f"{k}: {v}\r\n" for k, v in r.get("headers", []))
                    + "Content-Length: %d\r\n\r\n" % len(b)
                )
                s.sendall(out.encode("latin-1") + b)
        except (OSError, ValueError):
            pass
        finally:
            self.conns.pop(c["id"], None)
            s.close()
