"""The command line. The only importer of the reactor; everything else is given it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any

from gatewayd import __version__

EXIT_CODES = "Exit codes: 0 done, 1 failed, 2 wrong use or wrong configuration."


def _reactor() -> Any:
    from twisted.internet import reactor  # noqa: PLC0415 - installs it: as late as can be

    return reactor


def _run(args: argparse.Namespace) -> int:
    from gatewayd.commands.run import run  # noqa: PLC0415 - a command loads only what it needs

    return run(args.config, _reactor())


def _check(args: argparse.Namespace) -> int:
    from gatewayd.commands.configuration import check  # noqa: PLC0415

    return check(args.config, as_json=args.json)


def _import_kannel(args: argparse.Namespace) -> int:
    from gatewayd.commands.configuration import import_kannel  # noqa: PLC0415

    return import_kannel(args.file)


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    top = argparse.ArgumentParser(
        prog="gatewayd",
        description="An SMS gateway: SMPP towards operators, Kannel's HTTP towards platforms.",
        epilog=EXIT_CODES,
    )
    top.add_argument("--version", action="version", version=f"gatewayd {__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, call: Callable[[argparse.Namespace], int], text: str) -> Any:
        sub = commands.add_parser(name, help=text, description=text, epilog=EXIT_CODES)
        sub.set_defaults(call=call)
        return sub

    def with_config(sub: Any) -> Any:
        sub.add_argument(
            "-c",
            "--config",
            metavar="FILE",
            required=True,
            help="configuration: YAML, or a kannel.conf if the name ends in .conf",
        )
        return sub

    with_config(command("run", _run, "run the gateway in the foreground"))
    check = with_config(command("check", _check, "check a configuration and say all its mistakes"))
    check.add_argument("--json", action="store_true", help="print the result as JSON")
    sub = command("import-kannel", _import_kannel, "write a kannel.conf as YAML to standard output")
    sub.add_argument("file", metavar="FILE", help="the kannel.conf")
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code comes back."""
    args = parser().parse_args(arguments)
    try:
        code: int = args.call(args)
    except KeyboardInterrupt:
        return 1
    except BrokenPipeError:  # the reader of our output went
        sys.stderr.close()
        return 1
    return code
