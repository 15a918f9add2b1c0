"""A real systemd that knows only the units it is given, as PID 1 of namespaces of its own.

It sees this machine's files through an overlay whose upper half is memory: units, users and
/etc/gatewayd are put there, and are gone with it. So the gateway runs under the unit as it ships,
by its paths and as its user. There is no journal, no D-Bus and no udev; `.device` units are never
seen. The network namespace may be another lab's.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "systemd"
SYSTEMD = Path("/lib/systemd/systemd")
_CGROUPS = (Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup"))

# Where the unit expects the program. The interpreter may lie in a home, which the unit closes, so
# it is bound to a place of its own, and finds its library and the packages by the environment.
_PROGRAM = """\
#!/bin/sh
export LD_LIBRARY_PATH=/usr/lib/gatewayd/python/lib PYTHONDONTWRITEBYTECODE=1
export PYTHONPATH=/usr/lib/gatewayd/source:/usr/lib/gatewayd/packages
exec /usr/lib/gatewayd/python/bin/{python} -m gatewayd "$@"
"""
_UNITS = {
    **{
        f"{name}.target": "[Unit]\nDefaultDependencies=no\n"
        for name in ("sysinit", "basic", "shutdown", "multi-user", "network-online", "nss-lookup")
    },
    "time-sync.target": "[Unit]\nDefaultDependencies=no\n",
    "lab.target": "[Unit]\nDefaultDependencies=no\nAllowIsolate=yes\n",
}
_BOOT = """\
set -e
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs "$STAGE"
mkdir "$STAGE/upper" "$STAGE/work" "$STAGE/root"
mount -t overlay -o lowerdir=/,upperdir="$STAGE/upper",workdir="$STAGE/work" overlay "$STAGE/root"
cd "$STAGE/root"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount --rbind /dev dev
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
mkdir -p run/lock run/systemd run/units usr/lib/gatewayd/bin etc/gatewayd
for name in python packages source; do mkdir -p "usr/lib/gatewayd/$name"; done
mount --bind "$PYTHON" usr/lib/gatewayd/python
mount --bind "$PACKAGES" usr/lib/gatewayd/packages
mount --bind "$SOURCE" usr/lib/gatewayd/source
mkdir -p "./$FOLDER"
mount --bind "$FOLDER" "./$FOLDER"
cp -r "$FOLDER/units/." run/units
cp "$FOLDER/program" usr/lib/gatewayd/bin/gatewayd
chmod 755 usr/lib/gatewayd/bin/gatewayd
mkdir -p mnt
pivot_root . mnt
umount -l /mnt
systemd-sysusers /usr/lib/gatewayd/source/systemd/gatewayd.sysusers
mount --make-rshared /
export container=lab SYSTEMD_UNIT_PATH=/run/units
export SYSTEMD_GENERATOR_PATH=/nonexistent SYSTEMD_ENVIRONMENT_GENERATOR_PATH=/nonexistent
exec /lib/systemd/systemd --system --unit=lab.target --log-target=console --show-status=no
"""


def missing() -> str:
    """Why systemd cannot run here; "" when it can."""
    if sys.platform != "linux":
        return "systemd needs Linux"
    if os.geteuid() != 0:
        return "namespaces need root"
    if not SYSTEMD.exists() or shutil.which("systemctl") is None:
        return "systemd is not installed"
    for program in ("unshare", "nsenter", "pivot_root", "setsid", "systemd-sysusers"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    if "overlay" not in Path("/proc/filesystems").read_text():
        return "this kernel has no overlay file system"
    if _cgroup() is None:
        return "no cgroup2 is mounted"
    return ""


def _cgroup() -> Path | None:
    for path in _CGROUPS:
        if (path / "cgroup.controllers").exists():
            return path
    return None


class Systemd:
    """PID 1 with the shipped unit and `units`; leaving it ends all that it started."""

    def __init__(self, folder: Path, units: Mapping[str, str], within: Sequence[str] = ()) -> None:
        """`within` is what is put before the command: ip netns exec NAME."""
        self.folder = folder
        self._units = {
            **_UNITS,
            "gatewayd.service": (SHIPPED / "gatewayd.service").read_text(),
            **units,
        }
        self._within = within
        self._outer: subprocess.Popen[bytes] | None = None
        self._cgroup: Path | None = None
        self.pid = 0

    def __enter__(self) -> Systemd:
        try:
            self._boot()
        except BaseException:
            self.down()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.down()

    def _boot(self) -> None:
        above = _cgroup()
        assert above is not None, "see missing()"
        self._cgroup = above / f"gatewayd-lab-{os.getpid()}-{id(self):x}"
        self._cgroup.mkdir()
        for name, text in self._units.items():
            path = self.folder / "units" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        base = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
        (self.folder / "program").write_text(_PROGRAM.format(python=base.name))
        (self.folder / "stage").mkdir()
        packages = next(path for path in sys.path if path.endswith("site-packages"))
        environ = {
            **{"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"},
            "STAGE": str(self.folder / "stage"),
            "FOLDER": str(self.folder),
            "PYTHON": str(base.parents[1]),
            "PACKAGES": packages,
            "SOURCE": str(ROOT),
        }
        enter = f'echo 0 > "{self._cgroup}/cgroup.procs" && exec "$@"'
        spaces = ("--fork", "--pid", "--mount", "--uts", "--ipc", "--cgroup", "--mount-proc")
        argv = [*self._within, "unshare", *spaces, "--kill-child", "sh", "-c", _BOOT]
        with (self.folder / "systemd.log").open("ab") as log:
            self._outer = subprocess.Popen(
                ["setsid", "sh", "-c", enter, "sh", *argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environ,
            )
        end = time.monotonic() + 20
        while time.monotonic() < end and self._outer.poll() is None:
            self.pid = self.pid or self._inner()
            if self.pid and self.path("/run/systemd/private").exists():
                return
            time.sleep(0.05)
        log_text = (self.folder / "systemd.log").read_text(errors="replace")
        raise RuntimeError(f"systemd does not start\n{log_text[-2000:]}")

    def _inner(self) -> int:
        """PID 1 of the new namespace, as it is called outside."""
        assert self._cgroup is not None
        for file in self._cgroup.rglob("cgroup.procs"):
            for word in file.read_text().split():
                with contextlib.suppress(OSError):
                    if os.readlink(f"/proc/{word}/exe").endswith("/systemd"):
                        return int(word)
        return 0

    def path(self, inside: str) -> Path:
        """Where a file of the inside is found from here."""
        return Path(f"/proc/{self.pid}/root{inside}")

    def run(self, *argv: str, limit: float = 120) -> subprocess.CompletedProcess[str]:
        """A command inside."""
        return subprocess.run(
            ["nsenter", "-t", str(self.pid), "-a", *argv],
            capture_output=True,
            text=True,
            timeout=limit,
            check=False,
        )

    def ctl(self, *argv: str, limit: float = 120) -> subprocess.CompletedProcess[str]:
        return self.run("systemctl", *argv, limit=limit)

    def show(self, unit: str, name: str) -> str:
        return self.ctl("show", unit, "-p", name, "--value").stdout.strip()

    def drop_in(self, unit: str, name: str, text: str | None) -> None:
        """Write one, or with None take it away."""
        path = self.path(f"/run/units/{unit}.d/{name}.conf")
        if text is None:
            path.unlink()
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        self.ctl("daemon-reload")

    def down(self) -> None:
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)  # and with PID 1 all of its namespace
        if self._outer is not None:
            try:
                self._outer.wait(5)
            except subprocess.TimeoutExpired:
                self._outer.kill()
                self._outer.wait()
        if self._cgroup is not None:
            self._remove(self._cgroup)

    def _remove(self, cgroup: Path) -> None:
        for _ in range(40):
            with contextlib.suppress(OSError):
                for below in sorted(cgroup.rglob("*"), reverse=True):
                    if below.is_dir():
                        below.rmdir()
                cgroup.rmdir()
                return
            time.sleep(0.05)
