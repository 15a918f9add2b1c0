"""The command line. The only importer of the reactor; everything else is given it."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from time import monotonic
from typing import Any

from gatewayd import __version__, outputs
from gatewayd.commands import options as given

EXIT_CODES = "Exit codes: 0 done, 1 failed, 2 wrong use or wrong configuration."
EXAMPLES = """\
examples:
  gatewayd check -c gatewayd.yaml       is the configuration right?
  gatewayd probe -c gatewayd.yaml       does every SMSC let us in? if not, why?
  gatewayd run -c gatewayd.yaml         the daemon, in the foreground
  gatewayd ctl -c gatewayd.yaml status  what is it doing?
  gatewayd demo                         all of it on this machine, with a simulated SMSC
"""
LOOKS = ("status", "queue", "message", "dead", "held")
ORDERS = (*LOOKS, "replay", "release", "fail", "suspend", "resume", "retry", "reload")
ABOUT_ONE = {"replay": "dead", "release": "held", "fail": "held"}  # and what names it
Call = Callable[[argparse.Namespace], int]


def _reactor() -> Any:
    """The reactor, on the monotonic clock: Twisted's own choice is the wall clock, which jumps."""
    if "twisted.internet.reactor" not in sys.modules:
        import gatewayd.net.no_tls_yet  # noqa: F401, PLC0415 - before anything of Twisted's

        with suppress(ImportError):  # a system without epoll has another reactor
            from gatewayd.net.reactor import install  # noqa: PLC0415

            install()
    from twisted.internet import reactor  # noqa: PLC0415 - installs it: as late as can be

    steady: Any = reactor
    steady.seconds = monotonic
    return steady


# ---- each command loads only what it needs, when it is called


def _run(args: argparse.Namespace) -> int:
    # A SIGHUP would end the process until the daemon takes it over. The file is yet to be read, so
    # there is nothing to read again.
    signal.signal(signal.SIGHUP, lambda *_: None)
    reactor = _reactor()  # first: what is imported next might bring another
    from gatewayd.commands.run import run  # noqa: PLC0415

    return run(args.config, reactor)


def _check(args: argparse.Namespace) -> int:
    from gatewayd.commands.configuration import check  # noqa: PLC0415

    return check(args.config, as_json=args.json)


def _import_kannel(args: argparse.Namespace) -> int:
    from gatewayd.commands.configuration import import_kannel  # noqa: PLC0415

    return import_kannel(args.file, args.safe)


def _probe(args: argparse.Namespace) -> int:
    from gatewayd.commands.probe import probe  # noqa: PLC0415

    return probe(args.config, args.bind, as_json=args.json, reactor=_reactor())


def _send(args: argparse.Namespace) -> int:
    from gatewayd.commands.send import Message, send  # noqa: PLC0415

    message = Message(
        to=args.to,
        sender=args.sender,
        text=args.text,
        dlr_url=args.dlr_url,
        dlr_mask=args.dlr_mask,
        smsc=args.smsc,
        user=args.user,
        password_file=args.password_file,
    )
    return send(message, config=args.config, url=args.url, as_json=args.json)


def _ctl(args: argparse.Namespace) -> int:
    from gatewayd.commands.ctl import ctl  # noqa: PLC0415

    what, given, everything = args.what, args.id, args.all
    problem = ""
    if what == "message" and not given:
        problem = "message needs an ID: a UUID, or SMSC/ID with the id that the SMSC gave"
    elif what in ABOUT_ONE and bool(given) == everything:
        problem = f"{what} needs either an ID, as `ctl {ABOUT_ONE[what]}` names it, or --all"
    elif what != "message" and what not in ABOUT_ONE and (given or everything):
        problem = f"{what} takes neither an ID nor --all"
    if problem:
        print(f"gatewayd ctl: {problem}", file=sys.stderr)
        return 2
    return ctl(
        args.config,
        what,
        given,
        everything=everything,
        password_file=args.password_file,
        as_json=args.json,
    )


def _simulate(args: argparse.Namespace) -> int:
    from gatewayd.commands.simulate import simulate  # noqa: PLC0415
    from gatewayd.smsc.smpp_sim import SimulatorOptions  # noqa: PLC0415

    errors, status = args.errors
    options = SimulatorOptions(
        system_id=args.system_id,
        password=args.password,
        latency=args.latency,
        throttle=args.throttle,
        errors=errors,
        error_status=status,
        silent=args.silent,
        receipts=args.receipts,
        failures=args.failures,
        mo_rate=args.mo,
        mo_from=args.mo_from,
        mo_to=args.mo_to,
        mo_text=args.mo_text,
        echo=args.echo,
        hex_ids=args.ids == "hex",
        show=args.log,
    )
    return simulate(options, args.host, args.port, _reactor(), args.protocol)


def _decode(args: argparse.Namespace) -> int:
    from gatewayd.commands import decode, decode_cimd2, decode_ucp  # noqa: PLC0415

    if args.what == "smpp":
        return decode.smpp(" ".join(args.given), as_json=args.json)
    if args.what == "ucp":
        return decode_ucp.decode_ucp(" ".join(args.given), as_json=args.json)
    if args.what == "cimd2":
        return decode_cimd2.decode_cimd2(" ".join(args.given), as_json=args.json)
    return decode.receipt(" ".join(args.given), as_json=args.json)


def _hash_password(args: argparse.Namespace) -> int:
    from gatewayd.commands.hash_password import hash_password  # noqa: PLC0415

    return hash_password(sys.stdin)


def _demo(args: argparse.Namespace) -> int:
    from gatewayd.commands.demo import demo  # noqa: PLC0415

    return demo(args.config, _reactor())


# ---- the commands and their options


class _Help(argparse.RawDescriptionHelpFormatter):
    """Descriptions keep their lines; a wide column keeps an option and its help together."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=32, width=100)


def _with_config(sub: Any, *, required: bool = True) -> Any:
    sub.add_argument(
        "-c",
        "--config",
        metavar="FILE",
        required=required,
        default="",
        help="configuration: YAML, or a kannel.conf if the name ends in .conf",
    )
    return sub


def _with_json(sub: Any) -> Any:
    sub.add_argument("--json", action="store_true", help="print the result as JSON, for programs")
    return sub


def _add(commands: Any, name: str, call: Call, text: str, more: str = "") -> Any:
    """A command; `text` stands in the list of commands, `more` in its own help."""
    sub = commands.add_parser(
        name,
        help=text,
        description=f"{text[0].upper()}{text[1:]}.{more}",
        epilog=EXIT_CODES,
        formatter_class=_Help,
        allow_abbrev=False,  # else --password would pass for --password-file
    )
    sub.set_defaults(call=call)
    return sub


def _add_probe(commands: Any) -> None:
    more = """

For each bind: the name is looked up, the connection made, the bind done, one enquire_link asked
and the bind ended. The first step that fails is explained, with what to ask the operator. Nothing
is submitted, and what the SMSC delivers meanwhile stays with the SMSC. A gateway that is running
may already hold the bind; then the SMSC says so."""
    text = "try the way to every SMSC, step by step"
    sub = _with_config(_add(commands, "probe", _probe, text, more))
    sub.add_argument("bind", metavar="BIND", nargs="?", default="", help="this bind or SMSC only")
    _with_json(sub)


def _add_send(commands: Any) -> None:
    more = """

URL, user and password come from the configuration (the first user, unless --user names another),
or from the options. The password is never an option: it is read from the configuration, from
--password-file, or from the variable GATEWAYD_PASSWORD.

  gatewayd send -c gatewayd.yaml --from 8000 --to 255700000001 "Hello"
"""
    sub = _add(commands, "send", _send, "send one SMS through a running gateway", more)
    _with_config(sub, required=False)
    sub.add_argument("--url", default="", help="sendsms of another gateway, also of a Kannel")
    sub.add_argument("--user", metavar="NAME", default="", help="the sendsms user")
    sub.add_argument("--password-file", metavar="FILE", default="", help="holds its password")
    sub.add_argument("--to", metavar="NUMBER", required=True, help="the receiver")
    sub.add_argument("--from", metavar="NUMBER", dest="sender", required=True, help="the sender")
    sub.add_argument(
        "--dlr-url", metavar="URL", default="", help="called with reports, %%d is 1..."
    )
    sub.add_argument(
        "--dlr-mask",
        metavar="N",
        type=given.mask,
        default=0,
        help="sum of: 1 delivered, 2 failed, 4 on its way, 8 taken by the SMSC, 16 refused",
    )
    sub.add_argument("--smsc", metavar="ID", default="", help="through this SMSC")
    _with_json(sub)
    sub.add_argument("text", metavar="TEXT", help="what to say")


def _add_ctl(commands: Any) -> None:
    more = """

  status       state, traffic, SMSCs and binds
  queue        how much waits in each lane: MT, MO, reports, dead letters
  message ID   what is known of one message: state, tries, the SMSC's id, its segments; ID is
               the UUID that logs and store-status show, or SMSC/ID with the SMSC's message id
  dead         the MO and reports that no platform took, and why
  replay ID    brings this dead letter back into its lane; replay --all: every one
  held         what was perhaps sent and is held (on-uncertain: hold)
  release ID   sends what is held of this message again; release --all: everything
  fail ID      reports what is held of this message as failed; fail --all: everything
  suspend      takes no messages from either side, and sends none, until resume
  resume       goes on after suspend
  retry        connects and calls now what waits for its next attempt
  reload       reads the configuration again, as SIGHUP does, and changes what differs

Address and password of the admin listener come from the configuration that the gateway runs on;
the password also from --password-file or the variable GATEWAYD_PASSWORD."""
    sub = _add(commands, "ctl", _ctl, "look into a running gateway, or give it orders", more)
    _with_config(sub)
    sub.add_argument("--password-file", metavar="FILE", default="", help="holds the admin-password")
    _with_json(sub)
    sub.add_argument("--all", action="store_true", help="with replay, release and fail: every one")
    sub.add_argument("what", metavar="WHAT", choices=ORDERS, help="one of the above")
    sub.add_argument(
        "id", metavar="ID", nargs="?", default="", help="with message, replay, release and fail"
    )


def _add_simulate(commands: Any) -> None:
    text = "play an SMSC, to try a gateway with"
    about = f"{text[0].upper()}{text[1:]}."
    sub = commands.add_parser(
        "simulate", help=text, description=about, formatter_class=_Help, allow_abbrev=False
    )
    kinds = sub.add_subparsers(
        title="protocols", metavar="PROTOCOL", required=True, dest="protocol"
    )
    more = """

A line is printed for each bind, submit, receipt and MO. Shares are written 0.05 or 5%; of each
submit one throw decides whether it is throttled, refused, left unanswered or accepted."""
    smpp = _add(kinds, "smpp", _simulate, "an SMSC that speaks SMPP 3.4", more)
    smpp.add_argument(
        "--errors",
        metavar="SHARE[:STATUS]",
        type=given.errors,
        default=(0.0, 0x08),
        help="answered with this command_status (0x08, ESME_RSYSERR)",
    )
    _simulate_options(smpp.add_argument, 2775, "answered ESME_RTHROTTLED")
    smpp.add_argument(
        "--ids",
        choices=("decimal", "hex"),
        default="decimal",
        help="message ids; hex: hexadecimal in answers and decimal in receipts, as some SMSCs do",
    )
    ucp = _add(kinds, "ucp", _simulate, "an SMSC that speaks UCP/EMI", more)
    ucp.set_defaults(ids="decimal")
    ucp.add_argument(
        "--errors",
        metavar="SHARE[:CODE]",
        type=given.ucp_errors,
        default=(0.0, 55),
        help="answered with this error code (55, system error)",
    )
    _simulate_options(ucp.add_argument, 3000, "answered 04, operation not allowed")
    cimd2 = _add(kinds, "cimd2", _simulate, "an SMSC that speaks CIMD2", more)
    cimd2.set_defaults(ids="decimal")
    cimd2.add_argument(
        "--errors",
        metavar="SHARE[:CODE]",
        type=given.cimd2_errors,
        default=(0.0, 6),
        help="answered with this error code (6, general system error)",
    )
    _simulate_options(cimd2.add_argument, 9971, "answered 10, temporary congestion")


def _simulate_options(option: Any, port: int, throttled: str) -> None:
    """What every simulated SMSC can be told."""
    option("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    option("--port", type=given.port, default=port, help="port to listen on, 0: any (%(default)s)")
    option("--system-id", metavar="NAME", default="", help="lets in only this account")
    option("--password", metavar="WORD", default="", help="and only with this password")
    option(
        "--latency", metavar="SECONDS", type=given.seconds, default=0.0, help="before each answer"
    )
    option("--throttle", metavar="SHARE", type=given.share, default=0.0, help=throttled)
    option("--silent", metavar="SHARE", type=given.share, default=0.0, help="never answered")
    option(
        "--receipts",
        metavar="SECONDS",
        type=given.delay,
        default=1.0,
        help="from the answer to the receipt, or off (%(default)s)",
    )
    option("--failures", metavar="SHARE", type=given.share, default=0.0, help="receipts of failure")
    option("--echo", action="store_true", help="the phone answers every SMS with its own text")
    option("--mo", metavar="RATE", type=given.rate, default=0.0, help="MO per second, while bound")
    option("--mo-from", metavar="NUMBER", default="+15550100001", help="their sender (%(default)s)")
    option("--mo-to", metavar="NUMBER", default="8000", help="their receiver (%(default)s)")
    option(
        "--mo-text",
        metavar="TEXT",
        default="Message {n}",
        help="their text; {n} counts them (%(default)s)",
    )
    option("--log", action="store_true", help="show numbers in full, and texts")


def _add_decode(commands: Any) -> None:
    text = "say in words what is in PDUs or in a receipt"
    about = f"{text[0].upper()}{text[1:]}."
    sub = commands.add_parser(
        "decode", help=text, description=about, formatter_class=_Help, allow_abbrev=False
    )
    kinds = sub.add_subparsers(title="what", metavar="WHAT", required=True, dest="what")
    smpp = _add(kinds, "smpp", _decode, "SMPP PDUs as hex, one or several behind each other")
    smpp.add_argument("given", metavar="HEX", nargs="+", help="the octets, or - to read them")
    ucp = _add(kinds, "ucp", _decode, "UCP/EMI frames as they stand or as hex")
    ucp.add_argument("given", metavar="TEXT|HEX", nargs="+", help="the frames, or - to read them")
    cimd2 = _add(kinds, "cimd2", _decode, "CIMD2 packets as they stand or as hex")
    cimd2.add_argument("given", metavar="TEXT|HEX", nargs="+", help="the packets, or - for stdin")
    receipt = _add(kinds, "receipt", _decode, "the text of a delivery receipt: id:... stat:...")
    receipt.add_argument("given", metavar="TEXT", nargs="+", help="the text, or - to read it")
    _with_json(smpp)
    _with_json(ucp)
    _with_json(cimd2)
    _with_json(receipt)


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    top = argparse.ArgumentParser(
        prog="gatewayd",
        description="An SMS gateway: SMPP towards operators, Kannel's HTTP towards platforms.",
        epilog=f"{EXAMPLES}\n{EXIT_CODES}",
        formatter_class=_Help,
        allow_abbrev=False,  # else --password would pass for --password-file
    )
    top.add_argument("--version", action="version", version=f"gatewayd {__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _with_config(_add(commands, "run", _run, "run the gateway in the foreground"))
    text = "check a configuration and say all its mistakes"
    _with_json(_with_config(_add(commands, "check", _check, text)))
    text = "write a kannel.conf as YAML to standard output"
    sub = _add(commands, "import-kannel", _import_kannel, text)
    sub.add_argument("file", metavar="FILE", help="the kannel.conf")
    sub.add_argument("--safe", action="store_true", help="replace what can lose messages")
    more = """

The password is read from standard input: typed (it is not shown), or piped. What is printed goes
into the configuration as the password of a user.

  users:
    - username: platform
      password: scrypt$16384$8$1$..."""
    text = "make the hash of a sendsms user's password"
    _add(commands, "hash-password", _hash_password, text, more)
    _add_probe(commands)
    _add_send(commands)
    _add_ctl(commands)
    _add_simulate(commands)
    _add_decode(commands)
    more = """

What `make run` starts, on conf/demo.yaml. The variables DEMO_SENDSMS_PORT, DEMO_ADMIN_PORT,
DEMO_SMSC_PORT and DEMO_PLATFORM_PORT name other ports, DEMO_STORE a store that stays."""
    text = "show everything at work on this machine, with a simulated SMSC and a demo platform"
    _with_config(_add(commands, "demo", _demo, text, more), required=False)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code comes back."""
    outputs.open_closed_ones()
    args = parser().parse_args(arguments)
    try:
        code: int = args.call(args)
    except KeyboardInterrupt:
        return 1
    except BrokenPipeError:  # the reader of our output went
        sys.stderr.close()
        return 1
    return code
