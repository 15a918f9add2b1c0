"""Runs cases: one Bench = free ports + stubs + one gateway; Bench.step interprets their steps."""

import contextlib
import json
import os
import re
import shutil
import socket
import threading
import time
import urllib.parse

from . import compare
from .gateway import Gateway, listening
from .stubs import Bus, CimdStub, H, Sink, SmppStub, UcpStub

NAMES = [
    "ADMIN_PORT",
    "BOX_PORT",
    "SENDSMS_PORT",
    "SMSC1_PORT",
    "SMSC2_PORT",
    "SINK_PORT",
    "RX_PORT",
    "UCP_PORT",
    "CIMD_PORT",
    "PORT9",
]
STUBS = [
    ("SMSC1_PORT", "smsc1", SmppStub),
    ("SMSC2_PORT", "smsc2", SmppStub),
    ("RX_PORT", "rxport", SmppStub),
    ("UCP_PORT", "ucp1", UcpStub),
    ("CIMD_PORT", "cimd21", CimdStub),
]


class Ports:
    """blocks of ten consecutive ports"""

    def __init__(self, first, last):
        self.first, self.n, self.i = first, (last - first + 1) // 10, 0
        self.lock = threading.Lock()
        self.busy = set()

    def take(self):
        with self.lock:
            for _ in range(self.n * 2):
                b = self.first + 10 * (self.i % self.n)
                self.i += 1
                if b not in self.busy and all(self.free(b + k) for k in range(10)):
                    self.busy.add(b)
                    return b
        raise RuntimeError("no free ports")

    def free(self, p):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind((H, p))
            return True
        except OSError:
            return False
        finally:
            s.close()

    def give(self, b):
        with self.lock:
            self.busy.discard(b)


def http_raw(port, raw, timeout):
    t0 = time.time()
    try:
        s = socket.create_connection((H, port), min(timeout, 5))
    except OSError as e:
        return {"error": type(e).__name__, "elapsed_s": 0}
    head_only = raw.startswith(b"HEAD ")
    buf = b""
    try:
        s.settimeout(timeout)
        s.sendall(raw)
        end = time.time() + timeout
        n = None
        while True:
            if b"\r\n\r\n" in buf:
                head, _, rest = buf.partition(b"\r\n\r\n")
                if head_only:
                    rest = b""
                    break
                if n is None:
                    m = re.search(rb"(?im)^content-length:\s*(\d+)", head)
                    n = int(m.group(1)) if m else -1
                if n >= 0 and len(rest) >= n:
                    break
                if b"chunked" in head.lower() and rest.endswith(b"0\r\n\r\n"):
                    break
            s.settimeout(max(end - time.time(), 0.01))
            d = s.recv(65536)
            if not d:
                break
            buf += d
    except TimeoutError:
        return {
            "timeout": True,
            "partial": buf.decode("latin-1"),
            "elapsed_s": round(time.time() - t0, 2),
        }
    except OSError as e:
        return {"error": type(e).__name__, "elapsed_s": round(time.time() - t0, 2)}
    finally:
        s.close()
    if b"\r\n\r\n" not in buf:
        return {"error": "closed without answer", "elapsed_s": round(time.time() - t0, 2)}
    head, _, rest = buf.partition(b"\r\n\r\n")
    if head_only:
        rest = b""
    if b"transfer-encoding: chunked" in head.lower():
        out = b""
        while rest:
            ln, _, rest = rest.partition(b"\r\n")
            k = int(ln.split(b";")[0] or b"0", 16)
            out, rest = out + rest[:k], rest[k + 2 :]
            if not k:
                break
        rest = out
    ls = head.decode("latin-1").split("\r\n")
    w = ls[0].split()
    r = {
        "status_line": ls[0],
        "status": int(w[1]) if len(w) > 1 and w[1].isdigit() else None,
        "headers": [[x.split(":", 1)[0], x.split(":", 1)[1].strip()] for x in ls[1:] if ":" in x],
        "body": rest.decode("utf-8", "replace"),
        "elapsed_s": round(time.time() - t0, 2),
    }
    return r


class Bench:
    def __init__(self, opts, ports, config, settings, name):
        self.o, self.pool, self.settings = opts, ports, settings
        self.base = ports.take()
        self.P = {n: self.base + i for i, n in enumerate(NAMES)}
        self.dir = os.path.join(opts.work, "%s-%d" % (re.sub(r"\W+", "-", name)[:60], self.base))
        shutil.rmtree(self.dir, ignore_errors=True)
        os.makedirs(self.dir)
        for d in settings.get("dirs", []):
            os.makedirs(os.path.join(self.dir, d), exist_ok=True)
        for fn, text in settings.get("files", {}).items():
            with open(os.path.join(self.dir, fn), "w") as f:
                f.write(text)
        with open(config, newline="") as f:
            raw = f.read()
        self.bus = Bus()
        self.sink = Sink(self.bus, self.P["SINK_PORT"], "sink")
        self.sink.open()
        self.stubs = {}
        for p, n, cls in STUBS:
            if f"{{{p}}}" in raw or (n == "smsc1" and settings.get("need_smsc1")):
                s = self.stubs[n] = cls(self.bus, self.P[p], n)
                if n in settings.get("closed", []):
                    continue
                s.open()
        for n, kv in settings.get("stub", {}).items():
            for k, v in kv.items():
                setattr(self.stubs[n], k, json.loads(json.dumps(v)))
        if "ucp1" in self.stubs:
            self.stubs["ucp1"].needs_login = "smsc-username" in raw
        if settings.get("no_greeting"):
            self.stubs["cimd21"].greeting = None
        self.gw = Gateway(opts.target, opts.command, self.dir, self.P)
        self.gw.write(self.sub(raw))
        self.patience = 3

    # -- placeholders
    def sub(self, t):
        for k, v in self.P.items():
            t = t.replace(f"{{{k}}}", str(v))
        return t.replace("{DIR}", self.dir)

    def unsub(self, o):
        s = json.dumps(o, ensure_ascii=False)
        s = re.sub(
            r"(?<![0-9A-Fa-f])({})(?![0-9A-Fa-f])".format(
                "|".join(str(v) for v in self.P.values())
            ),
            lambda m: f"{{{NAMES[int(m.group(1)) - self.base]}}}",
            s,
        )
        s = re.sub(
            r"((?:%3A|:))({})(?=%2F|/|\b)".format("|".join(str(v) for v in self.P.values())),
            lambda m: m.group(1) + f"{{{NAMES[int(m.group(2)) - self.base]}}}",
            s,
        )
        return json.loads(s.replace(json.dumps(self.dir)[1:-1], "{DIR}"))

    # -- life
    def up(self):
        ok = self.gw.start(
            smsbox=not self.settings.get("no_smsbox"), probe=self.settings.get("probe_box")
        )
        if ok:
            self.patience = 3 if self.wait_bound(8 if self.o.target != "kannel" else 5) else 0.2
            if not self.settings.get("no_wait"):
                time.sleep(0.05)
            for s in self.settings.get("prelude", []):
                self.step(s)
        return ok

    def wait_bound(self, t=4):
        want = [
            s for n, s in self.stubs.items() if s.srv and n not in self.settings.get("unbound", [])
        ]
        end = time.time() + t
        while time.time() < end and not all(s.bound() for s in want) and not self.crashed():
            time.sleep(0.02)
        return all(s.bound() for s in want)

    def crashed(self):
        return {n: c for n, c in self.gw.dead().items()}

    def down(self):
        self.gw.retire()
        self.close()

    def close(self):
        def later():
            for t in Gateway.reapers[-1:]:
                t.join(12)
            for s in [*list(self.stubs.values()), self.sink]:
                s.close_listener()
                s.drop()
            self.pool.give(self.base)
            if not self.o.keep:
                shutil.rmtree(self.dir, ignore_errors=True)

        t = threading.Thread(target=later, daemon=True)
        t.start()
        Gateway.reapers.append(t)

    # -- steps
    def raw(self, s):
        return self.sub(s["raw"]).encode("latin-1")

    def counts(self, ev):
        c = {}
        for e in compare.from_gateway(ev):
            k = sig(e)
            c[k] = c.get(k, 0) + 1
        return c

    def reached(self, need):
        def f(ev):
            c = self.counts(ev)
            return all(sum(v for k, v in c.items() if same(k, n)) >= x for n, x in need.items())

        return f

    def step(self, s, out=None):
        out = out if out is not None else {}
        do = s["do"]
        if do == "http":
            out["response"] = http_raw(self.P[s["port"]], self.raw(s), s.get("timeout", 8))
        elif do == "call":
            r = http_raw(self.P[s["port"]], self.raw(s), s.get("timeout", 8))
            if "as" in s:
                self.put(out, s["as"], r["body"] if s.get("part") == "body" and "body" in r else r)
        elif do == "bg":
            t0 = time.time()

            def go():
                self.put(
                    out, s["as"], http_raw(self.P[s["port"]], self.raw(s), s.get("timeout", 12))
                )
                if s.get("elapsed"):
                    self.put(out, s["elapsed"], round(time.time() - t0, 1))

            self.thread = threading.Thread(target=go, daemon=True)
            self.thread.start()
        elif do == "join":
            self.thread.join(s.get("timeout", 12))
        elif do == "lines":
            r = http_raw(
                self.P["ADMIN_PORT"],
                b"GET /status.txt?password=statuspw HTTP/1.1\r\nHost: h\r\n\r\n",
                5,
            )
            self.put(
                out, s["as"], [x for x in r.get("body", "").split("\n") if x.startswith("Status")]
            )
        elif do == "stream":
            self.put(out, "response", self.stream(s))
        elif do == "send":
            waits = s.get("after") and not out.get("late")
            if waits and not self.bus.wait(self.reached(s["after"]), s.get("patience", 2)):
                out["late"] = True  # do not wait again and again for what does not come
            time.sleep(s.get("gap", 0.03))
            self.stubs[s["who"]].inject(s)
        elif do == "sleep":
            time.sleep(s["s"])
        elif do == "until":
            self.until(s)
        elif do == "stub":
            for k, v in s["set"].items():
                setattr(self.stubs[s["who"]] if s["who"] != "sink" else self.sink, k, v)
        elif do == "drop":
            self.stubs[s["who"]].drop()
        elif do == "close":
            st = self.sink if s["who"] == "sink" else self.stubs[s["who"]]
            st.close_listener()
            st.drop()
        elif do == "open":
            st = self.sink if s["who"] == "sink" else self.stubs[s["who"]]
            if not st.srv:
                st.open()
        elif do == "wait_bound":
            self.wait_bound(s.get("t", 4))
        elif do == "wait":
            self.bus.wait(self.reached(s["for"]), s.get("t", 4))
        elif do == "start":
            out["started"] = self.gw.start(smsbox=s.get("smsbox", False), t=s.get("t", 10))
            if s.get("connect"):
                self.bus.wait(
                    lambda ev: any(e["kind"] == "tcp" for e in ev) or self.gw.dead(), s["connect"]
                )
        elif do == "start_smsbox":
            self.gw.start_smsbox()
        elif do == "stop_smsbox":
            self.gw.signal("smsbox", s.get("signal", 15))
        elif do == "stop_bearerbox":
            self.gw.signal("bearerbox")
        elif do == "kill":
            self.gw.kill()
            self.gw.procs = {}
        elif do == "stop":
            out["exited"] = bool(self.gw.dead())
            self.gw.stop(s.get("t", 12))
        elif do == "status":
            out["exited"] = bool(self.gw.dead())
            if not out["exited"] and listening(self.P["ADMIN_PORT"]):
                r = http_raw(
                    self.P["ADMIN_PORT"],
                    b"GET /status.txt?password=statuspw HTTP/1.1\r\nHost: h\r\n\r\n",
                    5,
                )
                out["status_lines"] = [
                    x.strip()
                    for x in r.get("body", "").split("\n")
                    if "[" in x or x.startswith("Status")
                ]
        else:
            raise ValueError(f"unknown step {do!r}")

    def put(self, out, name, v):
        if name == "response":
            out["response"] = v
        elif name == "[]":
            out.setdefault("response", []).append(v)
        else:
            r = out.setdefault("response", {})
            if isinstance(r, dict):
                r[name] = v

    def until(self, s):
        """wait until t seconds after the first connect / first submit"""
        if s["from"] == "submit":
            self.bus.wait(
                lambda ev: any(
                    e.get("dir") == "kannel->smsc"
                    and sig(e).split(" ", 1)[1] in ("submit_sm", "O/51", "op 03")
                    for e in ev
                ),
                3,
            )
        ev = self.bus.snap()
        t0 = None
        if s["from"] == "submit":
            t0 = next(
                (
                    e["at"]
                    for e in ev
                    if e.get("dir") == "kannel->smsc"
                    and sig(e).split(" ", 1)[1] in ("submit_sm", "O/51", "op 03")
                ),
                None,
            )
        if t0 is None:
            t0 = next((e["at"] for e in ev if e["kind"] == "tcp"), self.bus.t0)
        end = t0 + s["t"]
        while time.time() < end:
            time.sleep(min(0.05, max(end - time.time(), 0)))

    def stream(self, s):
        q = self.raw(s)
        try:
            k = socket.create_connection((H, self.P[s["port"]]), 3)
            k.settimeout(3)
            out = []
            if s["mode"] == "keepalive":
                for _ in range(2):
                    k.sendall(q)
                    time.sleep(0.4)
                    out.append(k.recv(4096).decode("latin-1"))
                return out
            if s["mode"] == "pipeline":
                k.sendall(q + q)
                time.sleep(1)
                k.settimeout(0.5)
                t = ""
                try:
                    while True:
                        d = k.recv(4096)
                        if not d:
                            break
                        t += d.decode("latin-1")
                except OSError:
                    pass
                return t
            for i in range(0, len(q), 20):
                k.sendall(q[i : i + 20])
                time.sleep(0.05)
            return k.recv(4096).decode("latin-1")
        except OSError as e:
            return type(e).__name__
        finally:
            with contextlib.suppress(OSError, UnboundLocalError):
                k.close()

    # -- one case
    def arm(self, case):
        r = case["replay"]
        for n, s in self.stubs.items():
            s.reset()
            for k, v in self.settings.get("stub", {}).get(n, {}).items():
                setattr(s, k, json.loads(json.dumps(v)))
            for k, v in r.get("stub", {}).get(n, {}).items():
                setattr(s, k, json.loads(json.dumps(v)))
            for a in r.get("answers", {}).get(n, []):
                s.answers.append(a)
        self.sink.rules = json.loads(self.sub(json.dumps(r.get("http", {}))))

    def run(self, case, scored=True):
        r = case["replay"]
        mode = r.get("mode", "case")
        out = {}
        self.arm(case)
        if mode == "config":
            return self.config(case)
        for s in r.get("prelude", []):
            self.step(s)
        if mode == "case":
            if self.wait_bound(self.patience):
                self.patience = 3
            self.arm(case)
        self.bus.mark()
        out["clock"] = time.time()
        for s in r["steps"]:
            self.step(s, out)
        if mode == "case":
            want = {}
            for e in compare.from_gateway(case["observed"].get("events", [])):
                k = sig(e)
                if k.split(" ")[-1] not in ("enquire_link", "O/31") and not k.endswith(" op 40"):
                    k = re.sub(r"^smsc\d", "smsc*", k) if r.get("any_smsc") else k
                    want[k] = want.get(k, 0) + 1
            if want:
                last = max(e["t"] for e in compare.from_gateway(case["observed"]["events"]))
                limit = r.get("timeout", max(2.0, 1.5 * last + 1))
                e, g = case["observed"].get("response"), out.get("response")
                if (
                    isinstance(e, dict)
                    and isinstance(g, dict)
                    and e.get("status") != g.get("status")
                ):
                    limit = 0.3  # refused or accepted against expectation: the rest will not come
                self.bus.wait(self.reached(want), limit)
            self.bus.quiet(r.get("settle", 0.12), 2)
        else:
            time.sleep(0.05)
        out["events"] = self.bus.snap()
        for s in r.get("postlude", []):
            self.step(s)
        out = dict(self.unsub({k: v for k, v in out.items()}))
        return out

    def config(self, case):
        g = self.gw
        self.bus.mark()
        out = {"probes": {}}
        started = False
        if g.target == "kannel":
            g.start(smsbox=False, t=4)
            time.sleep(0.3)
            if g.procs["bearerbox"].poll() is None:
                started = True
                g.start_smsbox(3)
                time.sleep(0.5)
        else:
            started = g.start(t=10)
            end = time.time() + 1.5
            while not started and time.time() < end and not g.dead():
                time.sleep(0.05)
            started = not g.dead()
            time.sleep(0.5)
        if started:
            self.wait_bound(2)
            for u, p in (
                ("tester", "foobar"),
                ("tester", "other"),
                ("inc", "inc"),
                ("inca", "inc"),
            ):
                r = http_raw(
                    self.P["SENDSMS_PORT"],
                    (
                        f"GET /cgi-bin/sendsms?username={u}&password={p}&from=1&to=55&text=x "
                        "HTTP/1.1\r\nHost: h\r\n\r\n"
                    ).encode(),
                    4,
                )
                out["probes"][f"sendsms_{u}_{p}"] = (
                    "ConnectionRefusedError" if "error" in r else [r.get("status"), r.get("body")]
                )
            for pw in ("adminpw", 'admin"pw', "statuspw", "a"):
                r = http_raw(
                    self.P["ADMIN_PORT"],
                    (
                        f"GET /status.txt?password={urllib.parse.quote(pw)} HTTP/1.1\r\n"
                        "Host: 127.0.0.1\r\n\r\n"
                    ).encode(),
                    6,
                )
                out["probes"]["admin_pw_" + pw] = (
                    "ConnectionRefusedError"
                    if "error" in r
                    else r.get("body", "").split("\n")[0][:60]
                )
            if any(isinstance(v, list) and v[0] == 202 for v in out["probes"].values()):
                self.bus.wait(self.reached({"smsc1 submit_sm": 1}), 1)
        fatal = any(not v["running"] for v in case["observed"]["processes"].values())
        end = time.time() + 3
        while g.target != "kannel" and fatal and not g.dead() and time.time() < end:
            time.sleep(0.05)
        out["processes"] = {
            n: {"exit_code": p.poll(), "running": p.poll() is None} for n, p in g.procs.items()
        }
        out["smsc_pdus"] = [
            e["decoded"] for e in self.bus.snap() if e.get("dir") == "kannel->smsc"
        ][:2]
        return self.unsub(out)


def sig(e):
    d = e.get("decoded") or {}
    if e["kind"] == "http":
        return "HTTP"
    if e["kind"] == "pdu":
        return "{} {}".format(e["who"], d["command"])
    if e["kind"] == "ucp":
        return "{} {}/{}".format(e["who"], d.get("type"), d.get("op"))
    return "{} op {}".format(e["who"], d.get("op"))


def same(a, b):
    return a == b or (
        b.startswith("smsc* ") and a.startswith("smsc") and a.split(" ", 1)[1] == b.split(" ", 1)[1]
    )
