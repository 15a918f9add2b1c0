"""Commands of gatewayd as processes, and a platform that answers as a test says."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.live.harness import PORTS, ROOT, until

GATEWAYD = [sys.executable, "-m", "gatewayd"]


def run(*arguments: str, env: Mapping[str, str] | None = None) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command that ends by itself."""
    done = subprocess.run(
        [*GATEWAYD, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        env={**os.environ, **(env or {})},
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def ask(*arguments: str) -> Any:
    """What a command prints with --json; it must succeed."""
    code, out, err = run(*arguments, "--json")
    assert code == 0, out + err
    return json.loads(out)


class Running:
    """A command that runs until it is interrupted; its output is in a file."""

    def __init__(
        self, folder: Path, name: str, *arguments: str, env: Mapping[str, str] | None = None
    ) -> None:
        self._file = folder / f"{name}.out"
        with self._file.open("wb") as out:
            self.process = subprocess.Popen(
                [*GATEWAYD, *arguments],
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd=ROOT,
                env={**os.environ, **(env or {})},
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        return self._file.read_text()

    @property
    def lines(self) -> list[str]:
        return self.output.splitlines()

    def says(self, words: str, timeout: float = 20.0) -> bool:
        """Whether `words` appear in its output, or do before the time is over."""

        def there() -> bool:
            return words in self.output or self.process.poll() is not None

        return until(there, timeout) and words in self.output

    def interrupt(self, timeout: float = 20.0) -> int:
        """Ctrl-C; the exit code comes back."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout)

    def __enter__(self) -> Running:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()


class Platform:
    """An HTTP server in a thread: keeps what it is told and answers `answer`."""

    def __init__(self) -> None:
        self.answer: tuple[int, bytes] = (200, b"")
        self.calls: list[tuple[str, dict[str, str]]] = []
        platform = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                fields = {name: values[0] for name, values in parse_qs(parts.query).items()}
                platform.calls.append((parts.path, fields))
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                status, body = platform.answer
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET

            def log_message(self, format: str, *args: object) -> None:
                """Be quiet."""

        self.port = PORTS.take()
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
