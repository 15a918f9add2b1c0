"""Starts and stops the program under test; every process is addressed by its pid."""

import contextlib
import os
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

from .stubs import H


def listening(port):
    """is a TCP port in LISTEN state (bearerbox pauses after each accepted box: do not connect)"""
    want = f":{port:04X}"
    try:
        for fn in ("/proc/net/tcp", "/proc/net/tcp6"):
            with open(fn) as f:
                for line in f:
                    w = line.split()
                    if len(w) > 3 and w[3] == "0A" and w[1].endswith(want):
                        return True
        return False
    except OSError:
        try:
            socket.create_connection((H, port), 1).close()
            return True
        except OSError:
            return False


class Gateway:
    reapers = []

    def __init__(self, target, command, folder, ports):
        self.target, self.command, self.dir, self.P = target, command, folder, ports
        self.conf = os.path.join(folder, "kannel.conf")
        self.procs = {}
        self.text = ""

    def write(self, text):
        self.text = text
        with open(self.conf, "w", newline="") as f:
            f.write(text)

    def uses(self, port):
        return str(self.P[port]) in self.text

    def spawn(self, name, argv, cwd):
        out = open(os.path.join(self.dir, name + ".out"), "ab")
        env = dict(
            os.environ, TZ="UTC", PATH=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"
        )
        env["STATE_DIRECTORY"] = tempfile.mkdtemp(
            prefix="state-", dir=self.dir
        )  # empty at every start, as Kannel without a store is
        self.procs[name] = subprocess.Popen(
            argv,
            stdout=out,
            stderr=out,
            stdin=subprocess.DEVNULL,
            cwd=cwd,
            env=env,
            start_new_session=True,
        )
        out.close()
        return self.procs[name]

    def wait(self, port, t, proc=None):
        end = time.time() + t
        while time.time() < end:
            if listening(self.P[port]):
                return True
            if proc and proc.poll() is not None:
                return False
            time.sleep(0.03)
        return False

    def start(self, smsbox=True, t=15, probe=False):
        """True when the ports are open"""
        if self.target != "kannel":
            cwd = os.getcwd()
            argv = [
                a.replace("{CONF}", self.conf).replace("{DIR}", self.dir)
                for a in shlex.split(self.command)
            ]
            p = self.spawn("gateway", argv, cwd)
            end = time.time() + t
            for port in ("ADMIN_PORT", "SENDSMS_PORT"):
                if self.uses(port) and not self.wait(port, max(end - time.time(), 0.1), p):
                    return False
            return p.poll() is None
        p = self.spawn(
            "bearerbox",
            [
                shutil.which("bearerbox", path=os.environ.get("PATH", "") + ":/usr/sbin")
                or "bearerbox",
                self.conf,
            ],
            self.dir,
        )
        if not self.wait("BOX_PORT", t, p):
            return False
        if probe:  # keep the accepting thread of bearerbox busy for a second, as in the recording
            socket.create_connection((H, self.P["BOX_PORT"]), 1).close()
        return self.start_smsbox(wait_box=not probe) if smsbox else True

    def start_smsbox(self, t=10, wait_box=True):
        if self.target != "kannel":
            return True
        p = self.spawn(
            "smsbox",
            [
                shutil.which("smsbox", path=os.environ.get("PATH", "") + ":/usr/sbin") or "smsbox",
                self.conf,
            ],
            self.dir,
        )
        ok = self.wait("SENDSMS_PORT", t, p) if self.uses("SENDSMS_PORT") else True
        end = time.time() + 3
        while ok and wait_box and time.time() < end and not self.box_connected():
            time.sleep(0.02)
        return ok

    def box_connected(self):
        want = ":{:04X}".format(self.P["BOX_PORT"])
        try:
            with open("/proc/net/tcp") as f:
                return any(
                    w[3] == "01" and w[2].endswith(want)
                    for w in (line.split() for line in f)
                    if len(w) > 3
                )
        except OSError:
            time.sleep(0.5)
            return True

    def dead(self):
        """names and exit codes of processes that are gone"""
        return {n: p.poll() for n, p in self.procs.items() if p.poll() is not None}

    def signal(self, name, sig=signal.SIGTERM, t=10):
        p = self.procs.get(name)
        if p and p.poll() is None:
            p.send_signal(sig)
            try:
                p.wait(t)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()

    def stop(self, t=10):
        for n in ("smsbox", "bearerbox", "gateway"):
            self.signal(n, signal.SIGTERM, t)
        self.cleanup()

    def kill(self):
        for n in ("smsbox", "bearerbox", "gateway"):
            self.signal(n, signal.SIGKILL, 5)
        self.cleanup()

    def cleanup(self):
        for p in (
            self.procs.values() if self.target != "kannel" else ()
        ):  # children the gateway may have left behind in its own process group
            with contextlib.suppress(OSError):
                os.killpg(p.pid, signal.SIGKILL)

    def tail(self, n=6):
        out = []
        for name in self.procs:
            try:
                with open(os.path.join(self.dir, name + ".out"), errors="replace") as f:
                    out += [f"{name}: {line.rstrip()[:300]}" for line in f.readlines()[-n:]]
            except OSError:
                pass
        return out

    def retire(self):
        """stop in the background"""
        t = threading.Thread(target=self.stop, args=(5,), daemon=True)
        t.start()
        Gateway.reapers = [x for x in Gateway.reapers if x.is_alive()] + [t]
