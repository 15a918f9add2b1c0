#!/usr/bin/env python3
"""Proof that the comparison can fail: an expectation changed in each case of a sample must fail.

selftest.py [--n 120] [--seed 1] [-- further arguments of replay.py, default: --target kannel]"""

import glob
import json
import os
import random
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
args = sys.argv[1:]
rest = args[args.index("--") + 1 :] if "--" in args else ["--target", "kannel"]
args = args[: args.index("--")] if "--" in args else args
n = int(args[args.index("--n") + 1]) if "--n" in args else 120
rnd = random.Random(int(args[args.index("--seed") + 1]) if "--seed" in args else 1)


def gw(c, kind=None):
    return [
        e
        for e in c["observed"].get("events", [])
        if str(e.get("dir", "")).startswith("kannel->")
        and (kind is None or e["kind"] == kind)
        and (e.get("decoded") or {}).get("command")
        not in ("enquire_link", "bind_transceiver" if c["replay"].get("ignore") else "")
    ]


def mutations(c):
    o, r = c["observed"], c["replay"]
    R = o.get("response")
    out = []
    if isinstance(R, dict) and R.get("status"):
        out += [
            ("status", lambda: R.update(status=R["status"] + 1)),
            ("body", lambda: R.update(body=R["body"] + "X")),
            (
                "content type",
                lambda: R.update(
                    headers=[
                        [k, "x/y"] if k.lower() == "content-type" else [k, v]
                        for k, v in R["headers"]
                    ]
                ),
            ),
            ("header added", lambda: R["headers"].append(["X-More", "1"])),
        ]
    if r.get("mode") == "config":

        def flip():
            p = o["processes"]["bearerbox"]
            p["running"], p["exit_code"] = not p["running"], (1 if p["running"] else None)

        return [("exit", flip)]
    if r.get("at_least") or r.get("loose") or r.get("any_smsc"):
        return out
    sess = r.get("mode") == "session"
    for e in gw(c, "pdu"):
        d = e["decoded"]
        if d["command"] == "submit_sm":
            f = rnd.choice(
                [
                    "data_coding",
                    "registered_delivery",
                    "esm_class",
                    "source_addr_ton",
                    "dest_addr_npi",
                    "protocol_id",
                    "destination_addr",
                    "source_addr",
                    "short_message",
                    "priority_flag",
                    "service_type",
                ]
            )
            out.append(
                (
                    "submit " + f,
                    lambda d=d, f=f: d.update(
                        {
                            f: (d[f] + 1)
                            if isinstance(d[f], int)
                            else d[f] + ("41" if f == "short_message" else "9")
                        }
                    ),
                )
            )
        elif d["command"] == "deliver_sm_resp":
            out.append(("deliver_sm_resp status", lambda d=d: d.update(status=d["status"] + 1)))
        elif d["command"].startswith("bind_") and sess:
            f = rnd.choice(
                [
                    "system_id",
                    "password",
                    "system_type",
                    "interface_version",
                    "addr_ton",
                    "address_range",
                ]
            )
            out.append(
                (
                    "bind " + f,
                    lambda d=d, f=f: d.update(
                        {f: (d[f] + 1) if isinstance(d[f], int) else d[f] + "z"}
                    ),
                )
            )
    for e in gw(c, "http"):
        if e.get("raw_query"):

            def q(e=e):
                p = e["raw_query"].split("&")
                i = rnd.randrange(len(p))
                p[i] += "Z"
                e["raw_query"] = "&".join(p)

            out.append(("query", q))

            def ren(e=e):
                p = e["raw_query"].split("&")
                p[0] = "q" + p[0]
                e["raw_query"] = "&".join(p)

            out.append(("query name", ren))
        out.append(("path", lambda e=e: e.update(path=e["path"] + "x")))
        if any(k == "X-Kannel-Coding" for k, v in e["headers"]):
            out.append(
                (
                    "X-Kannel header",
                    lambda e=e: e.update(
                        headers=[
                            [k, v + "7"] if k == "X-Kannel-Coding" else [k, v]
                            for k, v in e["headers"]
                        ]
                    ),
                )
            )
    for e in gw(c, "ucp"):
        d = e["decoded"]
        if d["type"] == "O" and d["op"] == "51" and d.get("named"):
            out.append(
                ("ucp field", lambda d=d: d["named"].update(OAdC=d["named"].get("OAdC", "") + "1"))
            )
    for e in gw(c, "cimd2"):
        d = e["decoded"]
        if d["op"] == "03":
            out.append(
                (
                    "cimd2 parameter",
                    lambda d=d: d["params"][0].update(value=d["params"][0]["value"] + "1"),
                )
            )
    ev = gw(c)
    if ev and not sess:
        e = rnd.choice(ev)
        out += [
            ("event removed", lambda: o["events"].remove(e)),
            ("event doubled", lambda: o["events"].append(dict(e))),
        ]
    if sess and len(ev) > 1 and not r.get("ignore_time"):
        t = max(x["t"] for x in o["events"])

        def late():
            for x in o["events"]:
                if x.get("kind") == "tcp" and x["what"] == "connect" and x["conn"] > 1:
                    x["t"] += 3 + t

        if any(
            x.get("kind") == "tcp" and x["what"] == "connect" and x["conn"] > 1 and x["t"] > 0.8
            for x in o["events"]
        ):
            out.append(("reconnect time", late))
    return out


cases = []
for f in sorted(glob.glob(os.path.join(HERE, "cases", "*", "*.json"))):
    with open(f) as h:
        c = json.load(h)
    if not c["replay"].get("slow") and not c["replay"].get("chain"):
        cases.append(c)
skip = set()
for fn in ("unstable.json", "not-applicable.json"):
    with open(os.path.join(HERE, fn)) as h:
        skip |= set(json.load(h))
rnd.shuffle(cases)
per = {}
kinds = {}
with tempfile.TemporaryDirectory(prefix="gwmutant-") as tmp:
    for c in cases:
        sec = c["id"].split("/")[0]
        m = mutations(c) if c["id"] not in skip else []
        if not m or per.get(sec, 0) >= n // 6:
            continue
        least = min(kinds.get(k, 0) for k, _ in m)
        name, fn = rnd.choice([x for x in m if kinds.get(x[0], 0) == least])
        fn()
        kinds[name] = kinds.get(name, 0) + 1
        per[sec] = per.get(sec, 0) + 1
        c["title"] = "[{}] {}".format(name, c["title"])
        p = os.path.join(tmp, c["id"] + ".json")
        os.makedirs(os.path.dirname(p), exist_ok=True)
        with open(p, "w") as h:
            json.dump(c, h)
    out = os.path.join(tmp, "result.json")
    subprocess.run(
        [
            sys.executable,
            os.path.join(HERE, "replay.py"),
            *rest,
            "--cases",
            tmp,
            "--strict",
            "-q",
            "--json",
            out,
        ],
        stdout=subprocess.DEVNULL,
    )
    with open(out) as h:
        r = json.load(h)["results"]
    missed = []
    for i, v in sorted(r.items()):
        if v["status"] != "FAIL":
            with open(os.path.join(tmp, i + ".json")) as h:
                missed.append("{} {}".format(i, json.load(h)["title"][:90]))
print("mutations: {}".format(", ".join("%s %d" % x for x in sorted(kinds.items()))))
print("%d changed expectations, %d noticed" % (len(r), len(r) - len(missed)))
for x in missed:
    print("NOT NOTICED: " + x)
sys.exit(1 if missed or not r else 0)
