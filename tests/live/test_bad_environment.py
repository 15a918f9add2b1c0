"""Bad input from the machine, on running daemons: clocks, limits, closed outputs, changed files."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.live.harness import PORTS, ROOT, Gateway, http_get, listening, until
from tests.live.processes import Platform, Running

pytestmark = pytest.mark.live

CONFIG = """\
smscs:
  - {{id: op, host: 127.0.0.1, port: {smsc}, system-id: demo, password: hush}}
users:
  - {{username: demo, password: "pw-{mark}"}}
channels:
  - {{name: demo, format: rapidpro, url: "http://127.0.0.1:{platform}/receive?m=%b"}}
http: {{sendsms: "127.0.0.1:{sendsms}", admin: "127.0.0.1:{admin}", admin-password: admin-pw}}
logging: {{numbers: full}}
"""


class Stage:
    """A simulated SMSC, a platform, and a daemon between them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.smsc, self.admin, self.sendsms = (PORTS.take() for _ in range(3))
        self.platform = Platform()
        self.gateway = Gateway(
            folder, self.text(), suffix=".yaml", admin_port=self.admin, sendsms_port=self.sendsms
        )
        self.gateway.configuration.chmod(0o600)

    def text(self, mark: str = "1") -> str:
        return CONFIG.format(
            smsc=self.smsc,
            platform=self.platform.port,
            sendsms=self.sendsms,
            admin=self.admin,
            mark=mark,
        )

    def send(self, text: str = "hello", *, password: str = "pw-1") -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.sendsms, timeout=10)
        try:
            fields = f"username=demo&password={password}&from=8000&to=255700000001&text={text}"
            connection.request("GET", f"/cgi-bin/sendsms?{fields}")
            return connection.getresponse().status
        except OSError:  # just then it starts again
            return 0
        finally:
            connection.close()

    def works(self) -> bool:
        """A message goes to the SMSC and its echo comes to the platform."""
        assert until(lambda: '"ready": true' in http_get(self.admin, "/readyz")[1], 20)
        before = len(self.platform.calls)
        return self.send() == 202 and until(lambda: len(self.platform.calls) > before, 20)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path)
    options = ("--port", str(made.smsc), "--password", "hush", "--receipts", "0.1", "--echo")
    with ExitStack() as stack:
        stack.callback(made.platform.stop)
        stack.callback(made.gateway.kill)
        stack.enter_context(Running(tmp_path, "smsc", "simulate", "smpp", *options))
        assert until(lambda: listening(made.smsc), 20)
        yield made


CLOCK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
#include <sys/time.h>
static double shift(void) { const char *s = getenv("CLOCK_SHIFT"); return s ? atof(s) : 0; }
int clock_gettime(clockid_t id, struct timespec *t) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int r = real(id, t);
    if (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE) t->tv_sec += shift();
    return r;
}
time_t time(time_t *p) {
    struct timespec t; clock_gettime(CLOCK_REALTIME, &t);
    if (p) *p = t.tv_sec;
    return t.tv_sec;
}
int gettimeofday(struct timeval *v, void *z) {
    struct timespec t; clock_gettime(CLOCK_REALTIME, &t);
    v->tv_sec = t.tv_sec; v->tv_usec = t.tv_nsec / 1000; (void) z;
    return 0;
}
"""


def clock_library(folder: Path) -> str:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler for a clock that lies")
    source, library = folder / "clock.c", folder / "clock.so"
    source.write_text(CLOCK)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return str(library)


@pytest.mark.parametrize("year", [1970, 2100])
def test_env_01_a_clock_in_another_year_stops_no_message(stage: Stage, year: int) -> None:
    """It starts there, and the time comes right later, as where no battery keeps the clock."""
    shift = str((year - 2026) * 365.25 * 86400 if year > 2000 else -1.7e9)
    lie = {"LD_PRELOAD": clock_library(stage.folder), "CLOCK_SHIFT": shift}
    stage.gateway.start(lie)
    assert stage.works()
    assert f"{year}-" in stage.gateway.log.read_text() or year == 1970
    assert stage.send("kept") == 202
    stage.gateway.kill()
    stage.gateway.start()
    assert stage.works()
    assert "Traceback" not in stage.gateway.log.read_text()


def test_env_03_with_64_descriptors_it_serves_and_outlives_their_want(stage: Stage) -> None:
    stage.gateway.before = ["sh", "-c", 'ulimit -n 64 && exec "$@"', "sh"]
    stage.gateway.start()
    assert stage.works()
    with ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(socket.create_connection(("127.0.0.1", stage.sendsms), 5))
        assert stage.gateway.running
    assert until(stage.works, 20)
    assert stage.gateway.stop() == 0


@pytest.mark.parametrize("closed", ["<&- >&- 2>&-", "2>/dev/full >/dev/full"])
def test_env_05_without_outputs_it_works(stage: Stage, closed: str) -> None:
    stage.gateway.before = ["sh", "-c", f'exec "$@" {closed}', "sh"]
    stage.gateway.start()
    assert stage.works()
    assert stage.gateway.process is not None
    links = Path(f"/proc/{stage.gateway.process.pid}/fd")
    for number in ("0", "1", "2"):  # no socket, no store
        assert os.readlink(links / number) in ("/dev/null", "/dev/full")
    assert stage.gateway.stop() == 0


def test_env_05_whoever_reads_the_log_may_go_away(stage: Stage) -> None:
    stage.gateway.before = ["sh", "-c", '"$@" 2>&1 | head -n 1 >/dev/null; sleep 1000', "sh"]
    stage.gateway.start()
    for _ in range(3):
        stage.send("x", password="wrong")  # something to say
    assert stage.works()


@pytest.mark.parametrize(
    "environ",
    [
        pytest.param({"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0"}, id="env-04 C"),
        pytest.param({"TZ": "Foo/Bar<+99>-99:99:99"}, id="env-06 nonsense"),
    ],
)
def test_locale_and_zone_of_a_running_daemon(stage: Stage, environ: dict[str, str]) -> None:
    stage.gateway.start(environ)
    assert stage.works()
    assert stage.send("A%C3%A7%C3%A3o%20%E2%82%AC") == 202
    assert until(lambda: any(f.get("m") == "Ação €" for _, f in stage.platform.calls), 20)


def test_env_02_nobody_waits_for_chance(stage: Stage) -> None:
    """/dev/random, which may block, is not read; os.urandom is by getrandom, ready since boot."""
    tracer = shutil.which("strace")
    if tracer is None:
        pytest.skip("no strace")
    trace = stage.folder / "trace"
    stage.gateway.before = [tracer, "-f", "-e", "trace=openat,getrandom", "-o", str(trace)]
    stage.gateway.start(timeout=60)
    assert stage.works()
    stage.gateway.kill()
    calls = trace.read_text(errors="replace")
    assert '"/dev/random"' not in calls
    assert "GRND_RANDOM" not in calls


def test_config_21_a_half_written_file_at_sighup_changes_nothing(stage: Stage) -> None:
    stage.gateway.start()
    assert stage.works()
    whole = stage.text("2")
    process = stage.gateway.process
    assert process is not None
    for times, share in enumerate((0.5, 0.0, 0.97), 1):
        stage.gateway.configuration.write_text(whole[: int(len(whole) * share)])
        process.send_signal(signal.SIGHUP)
        refused = "the old one stays"
        assert until(lambda: stage.gateway.log.read_text().count(refused) == times, 20)  # noqa: B023
        assert stage.works()
    stage.gateway.configuration.write_text(whole)
    process.send_signal(signal.SIGHUP)
    assert until(lambda: listening(stage.sendsms) and stage.send(password="pw-2") == 202, 20)


def test_store_08_no_space_is_told_to_callers_and_ends_by_itself(stage: Stage) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    small = stage.gateway.state
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m,mode=700", "none", str(small)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"no mount: {mounted.stderr.strip()}")
    try:
        stage.gateway.start()
        assert stage.works()
        ballast = small / "ballast"
        with ballast.open("wb") as file, pytest.raises(OSError, match="space"):
            while True:
                os.write(file.fileno(), bytes(4096))
        assert until(lambda: stage.send("x" * 100) == 503, 20)
        ballast.unlink()
        assert until(lambda: stage.send("again") == 202, 20)
        assert stage.works()
        assert stage.gateway.stop() == 0
        assert "Traceback" not in stage.gateway.log.read_text()
    finally:
        stage.gateway.kill()
        subprocess.run(["umount", str(small)], check=True)


def test_store_03_a_second_daemon_is_refused_and_the_first_goes_on(stage: Stage) -> None:
    stage.gateway.start()
    second = subprocess.run(
        [sys.executable, "-m", "gatewayd", "run", "-c", str(stage.gateway.configuration)],
        cwd=ROOT,
        env={**os.environ, "STATE_DIRECTORY": str(stage.gateway.state)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert second.returncode == 1
    assert "another gatewayd uses this store (pid" in second.stderr
    assert "Traceback" not in second.stderr
    assert stage.works()
