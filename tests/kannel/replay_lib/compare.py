"""Masks volatile values and compares an observation with the recorded one, by README's rules."""

import calendar
import contextlib
import difflib
import email.utils
import json
import re
import time

UUID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
DT = re.compile(r"(20\d\d)-(\d\d)-(\d\d)([ +T]|%20|%2B)(\d\d)(?::|%3A)(\d\d)(?::|%3A)(\d\d)")
EPOCH = re.compile(r"(?<!\d)(1[789]\d{8})(?!\d)")
VERSION_LINE = re.compile(r"Kannel/[0-9.]+")
NOW_FROM = calendar.timegm((2026, 1, 1, 0, 0, 0, 0, 0, 0))


def times(s):
    """current times -> <TIME>/<EPOCH>; times from the stubs lie in 2021 and stay"""

    def f(m):
        return "<TIME>" if int(m.group(1)) >= 2024 else m.group(0)

    s = DT.sub(f, s)
    return EPOCH.sub(lambda m: "<EPOCH>" if int(m.group(1)) >= 1704067200 else m.group(0), s)


class Mask:
    def __init__(self, case, target):
        self.known = json.dumps(case["stimulus"]) + json.dumps(
            [
                e
                for e in case["observed"].get("events", [])
                if str(e.get("dir", "")).endswith("->kannel")
            ]
        )
        self.target = target
        self.mask_sent = case.get("replay", {}).get("mask_sent")

    def text(self, s):
        s = UUID.sub(lambda m: m.group(0) if m.group(0) in self.known else "<UUID>", s)
        return re.sub(r"(?s)<at>.*?</at>", "<at><TIME></at>", times(s))

    def admin(self, s):
        s = self.text(s)
        s = re.sub(r"(?s)<version>.*?</version>", "<version><BANNER></version>", s, count=1)
        s = (
            re.sub(r"(?s)\A.*?(?=Status: )", "<BANNER>", s, count=1)
            if re.search(r"(?m)^Status: ", s) and "<p>" not in s and "<card" not in s
            else s
        )
        s = re.sub(r"(?s)Kannel bearerbox version .*?malloc\.", "<BANNER>", s)
        if self.target != "kannel":
            s = re.sub(
                r"(?s)(<body>\s*<p>|<card[^>]*>\s*<p>)(?:(?!</p>).)*</p>(?=\s*<p>\s*Status)",
                r"\1<BANNER></p>",
                s,
            )
        s = re.sub(r"uptime \d+d \d+h \d+m \d+s", "uptime <UP>", s)
        s = re.sub(r"on-line \d+d \d+h \d+m \d+s", "on-line <UP>", s)
        s = re.sub(r"online \d+s", "online <N>s", s)
        s = re.sub(r"(?<=[(>])\d+\.\d\d,\d+\.\d\d,\d+\.\d\d(?=[)<])", "<L>,<L>,<L>", s)
        # the list of boxes is a matter of the process split
        s = re.sub(
            r"(?s)(?:<p>)?(Box connections:|No boxes connected).*?"
            r"(?=(?:<p>)?\s*(?:SMSC connections|No SMSC connections)|\Z)",
            "<BOXES>",
            s,
        )
        s = re.sub(r"<BOXES>\s*", "<BOXES>", s)
        s = re.sub(r"(?s)<boxes>.*?</boxes>|<boxes/>", "<BOXES>", s)
        if self.mask_sent:  # how the traffic was shared between two equal links
            s = re.sub(r"sent: sms \d+", "sent: sms <N>", s)
            s = re.sub(r"<sent>\d+</sent>", "<sent><N></sent>", s)
        if "[SMS ID]" in s or "<td>" in s:
            s = "\n".join(sorted(s.split("\n")))
        if "<message>" in s:
            b = re.findall(r"(?s)<message>.*?</message>", s)
            s = re.sub(r"(?s)<message>.*</message>", lambda m: "\n".join(sorted(b)), s)
        return s


# ------------------------------------------------------------------ HTTP answers
IGNORED_HEADERS = {"server", "date", "connection", "keep-alive"}


def parse_raw(s):
    head, _, body = s.partition("\r\n\r\n")
    ls = head.split("\r\n")
    w = ls[0].split()
    return {
        "status_line": ls[0],
        "status": int(w[1]) if len(w) > 1 and w[1].isdigit() else None,
        "headers": [
            [*x.split(":", 1)[0:1], x.split(":", 1)[1].strip()] for x in ls[1:] if ":" in x
        ],
        "body": body,
    }


def response(r, mask, admin):
    """comparable form of one HTTP answer"""
    if not isinstance(r, dict):
        return r
    if r.get("timeout"):
        p = r.get("partial", "")
        if "\r\n\r\n" not in p:
            return {"answer": "none"}
        r = parse_raw(p)
    if r.get("error"):
        return {"answer": "connection closed"}
    if "status" not in r:
        return r
    if r["status"] is None:
        return {"answer": "connection closed"}
    h = {k.lower(): v for k, v in r["headers"]}
    old = r["status_line"].startswith("HTTP/1.0")
    c = h.get("connection", "close" if old else "keep-alive").lower()
    body = r["body"]
    out = {
        "status": r["status"],
        "content-type": re.sub(r"\s*;\s*", "; ", h.get("content-type", "")).lower() or None,
        "connection": c,
        "header names": sorted(set(h) - IGNORED_HEADERS),
        "body": (mask.admin if admin else mask.text)(body),
    }
    if "body_hex" in r and "body" not in r:
        out["body"] = r["body_hex"]
    if "location" in h:
        out["location"] = h["location"]
    if r.get("any_headers"):
        out.update({k: "*" for k in ("content-type", "connection", "header names")})
    return out


def deep(e, g, path=""):
    """generic comparison of small structures; floats within 0.8"""
    if e == "*":
        return []
    if isinstance(e, dict) and isinstance(g, dict):
        out = []
        for k in sorted(set(e) | set(g)):
            out += deep(e.get(k, "<absent>"), g.get(k, "<absent>"), f"{path}.{k}" if path else k)
        return out
    if isinstance(e, list) and isinstance(g, list) and len(e) == len(g):
        return [d for i, (a, b) in enumerate(zip(e, g)) for d in deep(a, b, "%s[%d]" % (path, i))]
    if isinstance(e, float) and isinstance(g, (int, float)) and not isinstance(g, bool):
        return (
            [] if abs(e - g) <= max(0.8, 0.2 * abs(e)) else [f"{path}: expected about {e}, got {g}"]
        )
    if e == g:
        return []
    if isinstance(e, str) and isinstance(g, str) and "\n" in e:
        d = [
            x
            for x in difflib.unified_diff(e.split("\n"), g.split("\n"), lineterm="", n=0)
            if not x.startswith(("---", "+++", "@@"))
        ]
        return [f"{path} differs (- expected, + got):"] + ["      " + x[:400] for x in d[:12]]
    return [f"{path}: expected {short(e)}, got {short(g)}"]


def short(x):
    s = json.dumps(x, ensure_ascii=False) if not isinstance(x, str) else repr(x)
    return s if len(s) < 700 else s[:700] + "..."


# ------------------------------------------------------------------ events
def stamp(s, ref):
    """absolute SMPP / UCP time -> minutes from the reference clock"""
    if not s:
        return s
    try:
        if len(s) == 16 and s[-1] == "+":
            t = calendar.timegm(time.strptime(s[:12], "%y%m%d%H%M%S")) - int(s[13:15]) * 900
        elif len(s) == 10:
            t = calendar.timegm(time.strptime(s, "%d%m%y%H%M"))
        else:
            return s
    except ValueError:
        return s
    if ref is None:
        return "absolute time"
    return "now %+d min" % round((t - ref) / 60)


def udh_mask(data):
    """(masked data, reference) of a concatenation element in a user data header given as hex"""
    try:
        b = bytearray.fromhex(data)
        n, i = b[0], 1
        while i + 1 <= n:
            t, size = b[i], b[i + 1]
            if (t == 0 and size == 3) or (t == 8 and size == 4):
                ref = bytes(b[i + 2 : i + size])
                return data[: 2 * (i + 2)] + ".." * (size - 2) + data[2 * (i + size) :], ref.hex()
            i += 2 + size
    except (ValueError, IndexError):
        pass
    return data, None


def ie_text(h):
    try:
        return h
    except ValueError:
        return h


STAMPS = ("schedule_delivery_time", "validity_period", "VP", "DDT")
HTTP_HEADERS = ("content-type", "authorization")


def record(e, mask, ref, keep_ref, cfg):
    """one event -> comparable record: {'sig': ..., 'f': {...}, 'at': t}"""
    d = e.get("decoded") or {}
    if e["kind"] == "pdu":
        f = {k: v for k, v in d.items() if k not in ("command", "sequence")}
        cmd = d["command"]
        if cmd.endswith("_resp") or cmd == "generic_nack":
            f["sequence"] = d["sequence"]
        r = {"sig": "{} {}".format(e["who"], cmd), "conn": e.get("conn")}
        if cmd == "submit_sm":
            for k in ("schedule_delivery_time", "validity_period"):
                f[k] = stamp(f.get(k, ""), ref)
            if f.get("esm_class", 0) & 0x40 and not keep_ref:
                f["short_message"], r["ref"] = udh_mask(f.get("short_message", ""))
                r["dest"] = f.get("destination_addr")
        if "tlvs" in f:
            f["tlvs"] = sorted(
                "{:04x} {}={}".format(t["tag"], t["name"], t["hex"]) for t in f["tlvs"]
            )
        f["source_addr"] = f.get("source_addr") if "source_addr" in f else None
        if f["source_addr"] is None:
            del f["source_addr"]
    elif e["kind"] == "http":
        q = [mask.text(x) for x in e.get("raw_query", "").split("&")] if e.get("raw_query") else []
        hs = {}
        for k, v in e["headers"]:
            if k.lower().startswith("x-kannel") or k.lower() in HTTP_HEADERS:
                hs[k.lower()] = mask.text(v)
        body = e.get("body_hex", "")
        if body:
            with contextlib.suppress(UnicodeDecodeError):
                body = mask.text(bytes.fromhex(body).decode())
        f = {"query": q, "headers": hs, "body": body}
        r = {"sig": "HTTP {} {}".format(e["method"], e["path"])}
    elif e["kind"] == "ucp":
        f = {k: v for k, v in d.items() if k in ("checksum_ok", "len_ok")}
        if d.get("type") == "O":
            for k, v in (d.get("named") or {"fields": d.get("fields")}).items():
                f[k] = stamp(v, ref) if k in ("VP", "DDT") else v
            x = f.get("Xser", "")
            re.match(r"(.*?01..)((?:[0-9A-F]{2})+)$", x)
            if x.startswith("01") and not keep_ref:
                n = int(x[2:4], 16)
                u, _r0 = udh_mask(x[4 : 4 + 2 * n])
                f["Xser"] = x[:4] + u.upper() + x[4 + 2 * n :]
        else:
            f["fields"], f["trn"] = d.get("fields"), d.get("trn")
        r = {"sig": "{} {}/{}".format(e["who"], d.get("type"), d.get("op")), "conn": e.get("conn")}
    else:
        ps = []
        for p in d.get("params", []):
            v = p["value"]
            if p["p"] == "032" and not keep_ref:
                v = udh_mask(v)[0].upper()
            ps.append("{}={}".format(p["p"], v))
        f = {"params": sorted(ps), "checksum_ok": d.get("checksum_ok")}
        if d.get("op", "0").isdigit() and int(d["op"]) >= 50:
            f["seq"] = d.get("seq")
        r = {"sig": "{} op {}".format(e["who"], d.get("op")), "conn": e.get("conn")}
    r["f"], r["at"] = f, e.get("at", e.get("t", 0))
    if cfg.get("any_smsc"):
        r["sig"] = re.sub(r"^smsc\d", "smsc*", r["sig"])
    return r


def from_gateway(ev):
    return [e for e in ev if str(e.get("dir", "")).startswith("kannel->")]


def reference(obs):
    """wall clock of a recording: the Date header of the answer"""
    r = obs.get("response")
    if isinstance(r, dict):
        for k, v in r.get("headers", []):
            if k.lower() == "date":
                t = email.utils.parsedate(v)
                return calendar.timegm(t) if t else None
    return None


def key(r):
    return r["sig"] + json.dumps(r["f"], sort_keys=True)


def norm_refs(rs):
    groups = {}
    for r in rs:
        if r.get("ref") is not None:
            g = groups.setdefault((r["sig"], r["dest"]), [])
            if r["ref"] not in g:
                g.append(r["ref"])
            r["f"]["concat reference"] = "R%d" % (g.index(r["ref"]) + 1)


def field_diff(e, g):
    out = []
    for k in sorted(set(e) | set(g)):
        a, b = e.get(k, "<absent>"), g.get(k, "<absent>")
        if a in (b, "*"):
            continue
        if k == "query" and isinstance(a, list) and isinstance(b, list):
            if sorted(a) == sorted(b):
                out.append(
                    "query: same parameters, other order: expected {}, got {}".format(
                        short("&".join(a)), short("&".join(b))
                    )
                )
                continue
            for x in a:
                if x not in b:
                    n = x.split("=")[0]
                    y = [z for z in b if z.split("=")[0] == n]
                    out.append(
                        "query {}: expected {}, got {}".format(
                            n, short(x), short(y[0]) if y else "nothing"
                        )
                    )
            for y in b:
                if y not in a and not any(z.split("=")[0] == y.split("=")[0] for z in a):
                    out.append(
                        "query {}: expected nothing, got {}".format(y.split("=")[0], short(y))
                    )
            continue
        out.append(f"{k}: expected {pretty(k, a)}, got {pretty(k, b)}")
    return out


def pretty(k, v):
    if k == "short_message" and isinstance(v, str) and ".." not in v:
        try:
            b = bytes.fromhex(v)
            return "{} {}".format(short(v), short(b.decode("latin-1")) if len(b) < 200 else "")
        except ValueError:
            pass
    if k in ("registered_delivery", "esm_class", "data_coding") and isinstance(v, int):
        return f"0x{v:02X}"
    return short(v)


def match(E, G):
    """unordered comparison; returns diff lines"""
    E, G = list(E), list(G)
    norm_refs(E)
    norm_refs(G)
    out = []
    left = []
    gk = [(key(g), g) for g in G]
    order = {}
    for e in E:
        k = key(e)
        for j, (x, g) in enumerate(gk):
            if x == k:
                gk.pop(j)
                if "dest" in e and e.get("ref") is not None:
                    order.setdefault((e["sig"], e["dest"]), []).append(g["at"])
                break
        else:
            left.append(e)
    G = [g for _, g in gk]
    for e in left:
        best = None
        for g in G:
            if g["sig"] == e["sig"]:
                n = len(field_diff(e["f"], g["f"]))
                if best is None or n < best[0]:
                    best = (n, g)
        if best:
            G.remove(best[1])
            d = field_diff(e["f"], best[1]["f"])
            out += ["{}:".format(e["sig"])] + ["    " + x for x in d] if d else []
        else:
            out.append("missing: {} {}".format(e["sig"], brief(e["f"])))
    for g in G:
        out.append("not expected: {} {}".format(g["sig"], brief(g["f"])))
    for k, ts in order.items():
        if ts != sorted(ts):
            out.append(f"parts of the message to {k[1]} are out of order")
    return out


def brief(f):
    return short({k: v for k, v in f.items() if v not in ("", 0, [], {}, None)})


def compare(case, got, target, skip=()):
    """list of difference lines; empty = equal. got = {'response', 'events', 'clock', ...}"""
    cfg = case.get("replay", {})
    exp = case["observed"]
    m = Mask(case, target)
    mode = cfg.get("mode", "case")
    out = []
    if mode == "config":
        return config(case, got, target)
    if "response" in exp:
        admin = cfg.get("admin")
        e, g = exp["response"], got.get("response")
        if isinstance(e, dict) and ("status" in e or "timeout" in e or "error" in e):
            a, b = response(e, m, admin), response(g, m, admin)
            out += [
                "answer " + x for x in deep(a, b if isinstance(b, dict) else {"answer": "none"})
            ]
            if (
                "elapsed_s" in e
                and not e.get("timeout")
                and isinstance(g, dict)
                and abs(e["elapsed_s"] - g.get("elapsed_s", 0)) > 0.8
            ):
                out.append(
                    "answer after {:.1f} s, expected {:.1f} s".format(
                        g.get("elapsed_s", 0), e["elapsed_s"]
                    )
                )
        else:
            out += ["answer " + x for x in deep(walk(e, m), walk(g, m))]
    if mode == "session":
        return out + session(case, exp, got, m, target)
    E = [
        record(e, m, reference(exp), cfg.get("keep_ref"), cfg)
        for e in from_gateway(exp.get("events", []))
    ]
    G = [
        record(e, m, got.get("clock"), cfg.get("keep_ref"), cfg)
        for e in from_gateway(got.get("events", []))
    ]
    if reference(exp) is None:
        for r in G:
            for k in STAMPS:
                if str(r["f"].get(k, "")).startswith("now "):
                    r["f"][k] = "absolute time"
    near = {r["f"][k] for r in E for k in STAMPS if str(r["f"].get(k, "")).startswith("now ")}
    for r in G:
        for k in STAMPS:
            v = str(r["f"].get(k, ""))
            if v.startswith("now "):
                for x in near:
                    if abs(int(x.split()[1]) - int(v.split()[1])) <= 1:
                        r["f"][k] = x
    drop = set(cfg.get("ignore", [])) | {"enquire_link"}
    E = [
        r
        for r in E
        if r["sig"].split()[-1] not in drop and not r["sig"].endswith((" O/31", " op 40"))
    ]
    G = [
        r
        for r in G
        if r["sig"].split()[-1] not in drop and not r["sig"].endswith((" O/31", " op 40"))
    ]
    return out + match(E, G)


def walk(x, m):
    if isinstance(x, dict):
        if isinstance(x.get("status_line"), str):
            return response(x, m, False)
        return {k: walk(v, m) for k, v in x.items() if k not in ("deliver_answered", "elapsed_s")}
    if isinstance(x, list):
        return [walk(v, m) for v in x]
    if isinstance(x, str) and x.startswith("HTTP/1."):
        return [response(parse_raw(p), m, False) for p in re.split(r"(?=HTTP/1\.[01] \d)", x) if p]
    if isinstance(x, str):
        return m.admin(x)
    return x


# ------------------------------------------------------------------ sessions
def is_keepalive(r):
    return r["sig"].split()[-1] in ("enquire_link", "O/31") or r["sig"].endswith(" op 40")


def is_submit(r):
    return r["sig"].split()[-1] in ("submit_sm", "O/51") or r["sig"].endswith(" op 03")


def session(case, exp, got, m, target):
    cfg = case["replay"]
    out = []

    def prep(ev, ref):
        t0 = next((e.get("at", e.get("t")) for e in ev if e.get("kind") == "tcp"), 0)
        conns, order, extra = {}, {}, []
        for e in ev:
            at = e.get("at", e.get("t"))
            if e.get("kind") == "tcp" and e["what"] in ("connect", "accepted-and-closed"):
                order.setdefault(e["who"], []).append((at - t0, e.get("conn"), e["what"]))
            if not str(e.get("dir", "")).startswith("kannel->"):
                continue
            r = record(e, m, None, False, cfg)
            r["at"] = at - t0
            for k in ("schedule_delivery_time", "validity_period"):
                if r["f"].get(k):
                    r["f"][k] = "absolute time"
            if e["kind"] == "http":
                extra.append(r)
            else:
                conns.setdefault((e["who"], e.get("conn")), []).append(r)
        return order, conns, extra

    eo, ec, eh = prep(exp.get("events", []), None)
    go, gc, gh = prep(got.get("events", []), None)
    for order, conns in ((eo, ec), (go, gc)):  # connections made at the same moment have no order
        for who, L in order.items():
            out_, grp = [], []
            for x in [*L, None]:
                if grp and (x is None or x[0] - grp[0][0] > 0.3):
                    out_ += sorted(
                        grp, key=lambda y: (conns.get((who, y[1])) or [{"sig": ""}])[0]["sig"]
                    )
                    grp = []
                if x is not None:
                    grp.append(x)
            order[who] = out_
    least = cfg.get(
        "at_least"
    )  # the recorded traffic is a lower bound (timers of the gateway may be exact)
    loose = cfg.get("loose")  # number of connections may vary by one (retry loops)
    for who in sorted(set(eo) | set(go)):
        a, b = eo.get(who, []), go.get(who, [])
        len(a)
        if (
            len(a) != len(b)
            and not (loose and abs(len(a) - len(b)) <= loose)
            and not (least and len(b) >= len(a))
        ):
            out.append(
                "%s: expected %d connection(s) at %s, got %d at %s"
                % (who, len(a), [round(x[0], 1) for x in a], len(b), [round(x[0], 1) for x in b])
            )
        for i, (x, y) in enumerate(zip(a, b)):
            if (
                abs(x[0] - y[0]) > max(1.0, 0.25 * x[0])
                and not cfg.get("ignore_time")
                and not least
            ):
                out.append(
                    "%s connection %d: expected at %.1f s, got at %.1f s" % (who, i + 1, x[0], y[0])
                )
            if loose and i == min(len(a), len(b)) - 1 and len(a) != len(b):
                continue
            if least:
                A, B = [
                    [r for r in X.get((who, y2), []) if not is_keepalive(r)]
                    for X, y2 in ((ec, x[1]), (gc, y[1]))
                ]
                na, nb = [
                    [r for r in X if not is_submit(r) and not r["sig"].endswith("unbind")]
                    for X in (A, B)
                ]
                for p, q in zip(na, nb):
                    if p["sig"] != q["sig"] or field_diff(p["f"], q["f"]):
                        out += [
                            "%s connection %d: expected %s, got %s"
                            % (who, i + 1, p["sig"], q["sig"]),
                            *field_diff(p["f"], q["f"]),
                        ]
                continue
            A, B = ec.get((who, x[1]), []), gc.get((who, y[1]), [])
            ka, kb = [r for r in A if is_keepalive(r)], [r for r in B if is_keepalive(r)]
            if abs(len(ka) - len(kb)) > max(1, 0.2 * len(ka)):
                out.append(
                    "%s connection %d: expected %d keep-alive requests, got %d"
                    % (who, i + 1, len(ka), len(kb))
                )
            if len(ka) > 2 and len(kb) > 2:
                p, q = [(k[-1]["at"] - k[0]["at"]) / (len(k) - 1) for k in (ka, kb)]
                if abs(p - q) > max(0.5, 0.25 * p):
                    out.append(
                        "%s connection %d: keep-alive interval expected %.1f s, got %.1f s"
                        % (who, i + 1, p, q)
                    )
            for r in kb:
                if ka and r["sig"] == ka[0]["sig"] and r["f"] != ka[0]["f"]:
                    out += field_diff(ka[0]["f"], r["f"])
                    break
            oa, ob = [[r for r in X if not is_keepalive(r) and not is_submit(r)] for X in (A, B)]
            if [r["sig"] for r in oa] != [r["sig"] for r in ob]:
                out.append(
                    "%s connection %d: expected %s, got %s"
                    % (
                        who,
                        i + 1,
                        [r["sig"].split(" ", 1)[1] for r in oa],
                        [r["sig"].split(" ", 1)[1] for r in ob],
                    )
                )
            else:
                for p, q in zip(oa, ob):
                    d = field_diff(p["f"], q["f"])
                    if d:
                        out += ["%s connection %d %s:" % (who, i + 1, p["sig"])] + [
                            "    " + z for z in d
                        ]
            sa, sb = [[r for r in X if is_submit(r)] for X in (A, B)]
            out += match(sa, sb)
            if sa and sb and len(sa) == len(sb) and not cfg.get("ignore_time"):
                fa, fb = sa[0]["at"], sb[0]["at"]
                for p, q in zip(sorted(r["at"] - fa for r in sa), sorted(r["at"] - fb for r in sb)):
                    if abs(p - q) > max(1.1, 0.25 * p):
                        out.append(
                            f"{who}: submit expected {p:.1f} s after the first, got {q:.1f} s"
                        )
                        break
    if least:
        sa, sb = [
            [r for (w, _), L in sorted(X.items()) for r in L if is_submit(r)] for X in (ec, gc)
        ]
        ka, kb = {key(r) for r in sa}, {key(r) for r in sb}
        if ka != kb or len(sb) < len(sa):
            out.append(
                "submits: expected at least %d, got %d (%d not expected, %d missing)"
                % (len(sa), len(sb), len(kb - ka), len(ka - kb))
            )
        return out + match(eh, gh)
    out += match(eh, gh)
    sl = exp.get("status_lines")
    if isinstance(sl, list) and "status_lines" not in cfg.get("ignore", []):
        a = sorted(m.admin("x" + x)[1:] for x in sl)
        b = sorted(m.admin("x" + x)[1:] for x in (got.get("status_lines") or []))
        if not any(x.startswith("Status") for x in sl):
            b = [x for x in b if not x.startswith("Status")]
        out += ["status: " + x for x in deep(a, b)]
    if exp.get("exit_expected") is not None and got.get("exited") != exp["exit_expected"]:
        out.append(
            "process exit: expected {}, got {}".format(exp["exit_expected"], got.get("exited"))
        )
    return out


# ------------------------------------------------------------------ configuration cases
def config(case, got, target):
    e = case["observed"]
    out = []
    pe = e["processes"]
    if target == "kannel":
        a = {k: (v["exit_code"] if not v["running"] else "running") for k, v in pe.items()}
        b = {
            k: (v["exit_code"] if not v["running"] else "running")
            for k, v in got.get("processes", {}).items()
        }
        out += ["process " + x for x in deep(a, b)]
    else:
        fatal = any(not v["running"] for v in pe.values())
        g = got.get("processes", {}).get("gateway", {})
        if fatal and (g.get("running") or g.get("exit_code") in (0, None)):
            out.append(
                "process: the configuration is fatal, expected a non-zero exit, got %s"
                % ("running" if g.get("running") else "exit {}".format(g.get("exit_code")))
            )
        if not fatal and not g.get("running"):
            out.append("process: expected to run, got exit {}".format(g.get("exit_code")))
        if fatal:
            return out

    def masked(v):
        if (isinstance(v, str) and v.endswith("Error")) or v == [None, ""]:
            return "closed"
        return "<BANNER>" if isinstance(v, str) and v != "Denied" else v

    def mask(d):
        return {k: masked(v) for k, v in d.items()}

    out += ["probe " + x for x in deep(mask(e["probes"]), mask(got.get("probes", {})))]

    def first(ps):
        return [
            {k: v for k, v in p.items() if k != "sequence"}
            for p in ps
            if p["command"].startswith("bind") or p["command"] == "submit_sm"
        ]

    a, b = first(e["smsc_pdus"]), first(got.get("smsc_pdus", []))
    if len(a) > len(b) or len(a) < len(b):
        out.append(
            "first PDUs: expected {}, got {}".format(
                [p["command"] for p in a], [p["command"] for p in b]
            )
        )
    else:
        for p, q in zip(a, b):
            if p["command"] == q["command"] == "submit_sm" or p["command"].startswith("bind"):
                out += field_diff(p, q)
            else:
                out += deep(p["command"], q["command"], "first PDUs")
    return out
