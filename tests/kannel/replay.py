#!/usr/bin/env python3
"""Replay recorded cases of Kannel 1.4.5 against a gateway and compare. See README.md."""

import argparse
import concurrent.futures
import fnmatch
import glob
import json
import os
import shlex
import shutil
import sys
import tempfile
import threading
import time
import traceback

from replay_lib import compare
from replay_lib.gateway import Gateway
from replay_lib.runner import Bench, Ports

HERE = os.path.dirname(os.path.abspath(__file__))


def load_list(name):
    p = os.path.join(HERE, name)
    if not os.path.exists(p):
        return {}
    with open(p) as f:
        return json.load(f)


def load(dirs):
    out = {}
    for d in dirs:
        for f in sorted(glob.glob(os.path.join(d, "*", "*.json"))):
            with open(f) as h:
                c = json.load(h)
            if "replay" in c:
                out[c["id"]] = c
    return out


def estimate(c):
    r = c["replay"]
    return r.get("est") or 0.3 + max(
        [e["t"] for e in compare.from_gateway(c["observed"].get("events", []))] or [0]
    )


def units(cases, chosen, shard):
    """groups of cases that share one gateway process, in order"""
    own, chains, shared = [], {}, {}
    for i in sorted(cases):
        c = cases[i]
        r = c["replay"]
        k = (c["config"], json.dumps(r.get("bench", {}), sort_keys=True))
        if r.get("chain"):
            chains.setdefault(r["chain"], []).append(c)
        elif i in chosen:
            if r.get("own") or r.get("mode", "case") != "case":
                own.append([c])
            else:
                shared.setdefault(k, []).append(c)
    out = own
    for cs in chains.values():
        last = max([n for n, c in enumerate(cs) if c["id"] in chosen], default=-1)
        if last >= 0:
            out.append(cs[: last + 1])
    for cs in shared.values():
        cur, t = [], 0
        for c in cs:
            cur.append(c)
            t += estimate(c)
            if t > shard:
                out.append(cur)
                cur, t = [], 0
        if cur:
            out.append(cur)
    return sorted(out, key=lambda u: -sum(estimate(c) for c in u))


class Run:
    def __init__(self, o):
        self.o = o
        self.ports = Ports(*[int(x) for x in o.ports.split("-")])
        self.deviations = {} if o.strict else load_list("deviations.json")
        self.results = {}
        self.lock = threading.Lock()
        self.starts = [0, 0]  # good, bad
        self.t0 = time.time()

    def report(self, c, status, diff, note="", secs=0):
        with self.lock:
            self.results[c["id"]] = {
                "status": status,
                "diff": diff,
                "note": note,
                "seconds": round(secs, 2),
            }
            if status == "PASS" and self.o.quiet:
                return
            print("%-7s %s%s" % (status, c["id"], f"  ({note})" if note else ""))
            if self.o.quiet < 2 and (status == "FAIL" or (diff and self.o.verbose)):
                print("        " + c["title"].replace("\n", " ")[:160])
                for d in diff[:40]:
                    print("        " + d)
            sys.stdout.flush()

    def judge(self, c, got):
        diff = compare.compare(c, got, self.o.target)
        if not diff or self.o.target == "kannel":
            return ("FAIL" if diff else "PASS"), diff, ""
        for alt in self.deviations.get(c["id"], {}).get("accept", []):
            a = json.loads(json.dumps(c))
            patch(a, alt)
            if not compare.compare(a, got, self.o.target):
                return "PASS", diff, "accepted deviation: " + self.deviations[c["id"]]["reason"]
        return "FAIL", diff, ""

    def unit(self, u, chosen):
        bench = None
        first = u[0]["replay"]
        fresh = first.get("mode", "case") != "case"
        for c in u:
            scored = c["id"] in chosen
            t = time.time()
            try:
                if bench and bench.crashed() and not (c["replay"].get("chain")):
                    bench.down()
                    bench = None
                if bench is None and not fresh and self.starts[0] == 0 and self.starts[1] >= 6:
                    if scored:
                        self.report(
                            c,
                            "FAIL",
                            ["not tried: the gateway has not started once (see above)"],
                        )
                    continue
                if bench is None:
                    bench = Bench(
                        self.o,
                        self.ports,
                        os.path.join(self.o.root, c["config"]),
                        c["replay"].get("bench", {}),
                        c["id"],
                    )
                    up = fresh or bench.up()
                    if not fresh:
                        self.starts[0 if up else 1] += 1
                    if not up:
                        why = [
                            "the gateway did not start: %s"
                            % (bench.crashed() or "its ports are not open"),
                            *bench.gw.tail(),
                        ]
                        bench.down()
                        bench = None
                        if scored:
                            self.report(c, "FAIL", why, secs=time.time() - t)
                        continue
                got = bench.run(c)
                diff_status, diff, note = self.judge(c, got)
                if (
                    c["replay"].get("mode", "case") == "case"
                    and bench.crashed()
                    and not c["replay"].get("exits")
                    and not (self.o.target == "kannel" and c["replay"].get("kannel_exits"))
                ):
                    d = f"the gateway process ended during this case: {bench.crashed()}"
                    if self.o.target != "kannel" or diff:
                        diff_status, diff = "FAIL", [d, *diff, *bench.gw.tail()]
                if self.o.dump:
                    d = os.path.join(self.o.dump, c["id"] + ".json")
                    os.makedirs(os.path.dirname(d), exist_ok=True)
                    with open(d, "w") as f:
                        json.dump(got, f, indent=1, ensure_ascii=False, default=str)
            except Exception:
                diff_status, diff, note = (
                    "FAIL",
                    ["replay error", *traceback.format_exc().split("\n")[-6:]],
                    "",
                )
                if bench:
                    bench.down()
                    bench = None
            if scored:
                self.report(c, diff_status, diff, note, time.time() - t)
        if bench:
            bench.down()

    def go(self, cases, chosen):
        us = units(cases, chosen, self.o.shard)
        pool = concurrent.futures.ThreadPoolExecutor(self.o.jobs)
        fs = [pool.submit(self.unit, u, chosen) for u in us]
        try:
            for f in fs:
                f.result()
        except KeyboardInterrupt:
            for f in fs:
                f.cancel()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
            for t in list(Gateway.reapers):
                t.join(20)
            for t in list(Gateway.reapers):
                t.join(20)


def patch(case, alt):
    """replace the parts of the expectation that a deviation names (README, deviations.json)"""
    o = case["observed"]
    if "response" in alt:
        if alt["response"] is None:
            o.pop("response", None)
        elif isinstance(o.get("response"), dict) and "status" in o["response"]:
            o["response"].update(alt["response"])
        else:
            h = [
                ["Content-type", "text/html"],
                ["Pragma", "no-cache"],
                ["Cache-Control", "no-cache"],
                ["Content-Length", "0"],
            ]
            o["response"] = {
                "status_line": "HTTP/1.1 %d" % alt["response"]["status"],
                "headers": h,
                **alt["response"],
            }
    if "response_set" in alt:
        o["response"].update(alt["response_set"])
    if "drop_commands" in alt:
        o["events"] = [
            e
            for e in o["events"]
            if (e.get("decoded") or {}).get("command") not in alt["drop_commands"]
        ]
    if "add_events" in alt:
        o["events"] = o["events"] + alt["add_events"]
    if "events" in alt:
        o["events"] = alt["events"]
    for e in o.get("events", []):
        for m in alt.get("set", []):
            d = e.get("decoded") or {}
            if str(e.get("dir", "")).startswith("kannel") and d.get("command") == m["command"]:
                d.update(m["fields"])
    for k in ("processes", "probes", "smsc_pdus", "status_lines"):
        if k in alt:
            o[k] = alt[k]
    if "replay" in alt:
        case["replay"].update(alt["replay"])


def options():
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("--target", choices=["kannel", "gatewayd"], required=True)
    a.add_argument(
        "--command",
        default="gatewayd run -c {CONF}",
        help="how to start the gateway (target gatewayd); {CONF} and {DIR} are replaced",
    )
    a.add_argument("--section", nargs="+", action="extend", default=[])
    a.add_argument(
        "--case", nargs="+", action="extend", default=[], help="case ids, wildcards allowed"
    )
    a.add_argument("--jobs", type=int, default=8, help="how many gateways run at once")
    a.add_argument(
        "--slow", action="store_true", help="also run cases that need more than five seconds"
    )
    a.add_argument("--only-slow", action="store_true")
    a.add_argument(
        "--all", action="store_true", help="also run cases of unstable.json and not-applicable.json"
    )
    a.add_argument("--strict", action="store_true", help="ignore deviations.json")
    a.add_argument(
        "--minimum",
        metavar="FILE",
        help="JSON, section -> percentage that must pass: runs those sections, and the exit "
        "status is about these shares, not about every case",
    )
    a.add_argument("--cases", help="another folder with <section>/<id>.json")
    a.add_argument("--json", help="write results there")
    a.add_argument("--dump", help="write what was observed there")
    a.add_argument("--keep", help="keep the run folders (logs) there")
    a.add_argument("--list", action="store_true")
    a.add_argument("--ports", default="24000-24999")
    a.add_argument(
        "--shard", type=float, default=12, help="estimated seconds of cases per gateway process"
    )
    a.add_argument(
        "-q", "--quiet", action="count", default=0, help="print failures only; twice: only names"
    )
    a.add_argument("-v", "--verbose", action="store_true")
    o = a.parse_args()
    o.root = HERE
    o.minima = {}
    if o.minimum:
        with open(o.minimum) as f:
            o.minima = json.load(f)
        o.section = o.section or sorted(o.minima)
    return o


def choose(o, cases):
    """the ids to run, and why others are skipped"""
    unstable, na = load_list("unstable.json"), load_list("not-applicable.json")
    chosen, skipped = set(), {}
    for i, c in cases.items():
        section, name = i.split("/")
        if o.section and section not in o.section:
            continue
        if o.case and not any(fnmatch.fnmatch(i, p) or fnmatch.fnmatch(name, p) for p in o.case):
            continue
        named = i in o.case
        slow = c["replay"].get("slow", False)
        if not (o.all or named) and i in unstable:
            skipped[i] = "unstable"
        elif not (o.all or named) and i in na and o.target != "kannel":
            skipped[i] = "not applicable"
        elif not named and slow != o.only_slow and not (slow and o.slow):
            skipped[i] = "slow" if slow else "fast"
        else:
            chosen.add(i)
    return chosen, skipped


def summary(o, r, chosen, skipped):
    """prints the table; returns the sections below their minimum"""
    below = []
    print(
        "\n%-10s %6s %6s %8s %8s %9s %8s"
        % ("section", "pass", "fail", "share", "minimum", "deviation", "skipped")
    )
    for s in [*sorted({i.split("/")[0] for i in chosen | set(skipped)}), "total"]:
        mine = [i for i in chosen if s in ("total", i.split("/")[0])]
        rs = [r.results[i] for i in mine if i in r.results]
        good = sum(v["status"] == "PASS" for v in rs)
        share = 100.0 * good / len(mine) if mine else 100.0
        least = o.minima.get(s)
        if least is not None and share < least:
            below.append(s)
        print(
            "%-10s %6d %6d %6.1f %% %8s %9d %8d"
            % (
                s,
                good,
                len(mine) - good,
                share,
                "-" if least is None else f"{least} %",
                sum(bool(v["note"]) for v in rs),
                sum(s in ("total", k.split("/")[0]) for k in skipped),
            )
        )
    return below


def main():
    o = options()
    cases = load([o.cases or os.path.join(HERE, "cases")])
    chosen, skipped = choose(o, cases)
    if o.list:
        for i in sorted(chosen):
            title = cases[i]["title"].replace("\n", " ")[:100]
            print("%-50s %5.1f s  %s" % (i, estimate(cases[i]), title))
        print(f"{len(chosen)} cases, {len(skipped)} skipped")
        return 0
    if not chosen:
        print("no case selected")
        return 2
    progs = ["bearerbox", "smsbox"] if o.target == "kannel" else shlex.split(o.command)[:1]
    for p in progs:
        if not shutil.which(p, path=os.environ.get("PATH", "") + ":/usr/sbin"):
            print(f"cannot find the program {p!r}")
            return 2
    o.work = os.path.abspath(o.keep) if o.keep else tempfile.mkdtemp(prefix="gwreplay-")
    os.makedirs(o.work, exist_ok=True)
    r = Run(o)
    try:
        r.go(cases, chosen)
    finally:
        if not o.keep:
            shutil.rmtree(o.work, ignore_errors=True)
    wall = time.time() - r.t0
    below = summary(o, r, chosen, skipped)
    missing = chosen - set(r.results)
    if missing:
        print(f"NOT RUN: {sorted(missing)}")
    p = sum(v["status"] == "PASS" for v in r.results.values())
    if o.json:
        with open(o.json, "w") as f:
            out = {
                "target": o.target,
                "seconds": round(wall, 1),
                "passed": p,
                "cases": len(chosen),
                "results": r.results,
                "skipped": skipped,
            }
            json.dump(out, f, indent=1, ensure_ascii=False)
    if below:
        print("below the minimum: " + " ".join(below))
    print("%.2f %% of %d cases equal, %.0f s" % (100.0 * p / len(chosen), len(chosen), wall))
    return 1 if below or missing or (not o.minima and p < len(chosen)) else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
