"""Reading a configuration from the command line: which reader, and how mistakes are told."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator

from gatewayd.config import Config
from gatewayd.errors import ConfigError


def read(path: str) -> Config:
    """A FILE ending in .conf is a kannel.conf, anything else is YAML. Raises ConfigError."""
    if path.endswith(".conf"):
        from gatewayd.config.kannel_reader import read_kannel  # noqa: PLC0415 - start-up time

        state = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
        return read_kannel(path, os.environ, state)
    from gatewayd.config.yaml_reader import read_yaml  # noqa: PLC0415 - start-up time

    return read_yaml(path, os.environ, _wrong_options)


def _wrong_options(protocol: str, options: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    """Which of an SMSC's options its protocol does not know, and why."""
    from gatewayd.smsc.contract import load  # noqa: PLC0415 - start-up time

    for wrong in load(protocol).check(options):
        yield wrong.place, wrong.message


def complain(error: ConfigError) -> None:
    """Every mistake, a line each, on standard error."""
    for problem in error.problems:
        print(problem, file=sys.stderr)
    count = len(error.problems)
    print(f"{count} mistake{'s' if count != 1 else ''} in the configuration", file=sys.stderr)


def check(path: str, *, as_json: bool) -> int:
    """`gatewayd check`: 0 when it can be run, 2 when not; warnings are told either way."""
    try:
        config = read(path)
    except ConfigError as error:
        if as_json:
            problems = [
                {"file": p.file, "line": p.line, "where": p.where, "message": p.message}
                for p in error.problems
            ]
            print(json.dumps({"ok": False, "problems": problems, "warnings": []}))
        else:
            complain(error)
        return 2
    if as_json:
        print(json.dumps({"ok": True, "problems": [], "warnings": list(config.warnings)}))
        return 0
    for warning in config.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    binds = sum(len(smsc.binds) for smsc in config.smscs)
    print(
        f"{path}: good. {len(config.smscs)} SMSCs with {binds} binds,"
        f" {len(config.users)} users, {len(config.channels)} channels"
    )
    return 0


def import_kannel(path: str, safe: bool = False) -> int:
    """`gatewayd import-kannel`: the same configuration as YAML on standard output.

    `safe`: Kannel's habits that can lose messages are replaced.
    """
    from gatewayd.config.kannel_export import to_yaml  # noqa: PLC0415 - start-up time
    from gatewayd.config.kannel_reader import read_kannel  # noqa: PLC0415 - start-up time
    from gatewayd.config.kannel_safe import safer  # noqa: PLC0415 - start-up time

    replaced: tuple[str, ...] = ()
    try:
        config = read_kannel(path, os.environ, "")
    except ConfigError as error:
        complain(error)
        return 2
    if safe:
        config, replaced = safer(config)
    sys.stdout.write(to_yaml(config, replaced))
    for warning in config.warnings:
        print(f"note: {warning}", file=sys.stderr)
    return 0
