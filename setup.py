"""setup.cfg says everything of the package; here is only how its hot modules become machine code.

mypyc compiles them from the same typed source, which runs uncompiled as well: without a C compiler,
or with GATEWAYD_COMPILE=0. GATEWAYD_COMPILE=1 makes it a mistake that they cannot be compiled.
See docs/decisions/0013-hot-modules-are-compiled.md.
"""

import os
import shutil
import sysconfig
from pathlib import Path

from setuptools import setup

# What a message goes through.
HOT = (
    "flow/*.py",
    "sms/*.py",
    "smsc/*.py",
    "store/*.py",
    "platforms/*.py",
    "web/intake.py",
    "web/counts.py",
    "web/request.py",
    "web/sendsms.py",
    "web/answers.py",
    "web/arguments.py",
    "web/users.py",
    "web/logins.py",
    "web/lists.py",
    "web/allowance.py",
    "web/once.py",
    "net/bind.py",
    "net/link.py",
    "net/path.py",
    "net/http_client.py",
    "net/http_fast.py",
    "net/http_reach.py",
    "net/http_wire.py",
    "failpoints.py",
    "metrics.py",
)
# Nouns are msgspec structs and named tuples, which are C already; the others are rare.
NOT = (
    "*/__init__.py",
    "*/contract.py",
    "*/replies.py",
    "*/external.py",
    "*_sim.py",
    "*_server.py",
    "flow/seen.py",
    "sms/ota.py",
    "sms/national.py",
    "smsc/server.py",
    "smsc/server_session.py",
    "smsc/smpp_names.py",
    "smsc/smpp_types.py",
    "store/lock.py",
    "store/rescue.py",
    "store/schema.py",
)


def hot_modules() -> list[str]:
    """Paths of the modules to compile, relative to this file."""
    package = Path("gatewayd")
    cold = {path for pattern in NOT for path in package.glob(pattern)}
    return sorted(str(path) for p in HOT for path in package.glob(p) if path not in cold)


def why_not() -> str:
    """Why nothing can be compiled here; empty when it can."""
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        return f"there is no C compiler ({compiler})"
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        return "the headers of Python are not there (Debian: python3-dev)"
    try:
        import mypyc.build  # noqa: F401, PLC0415
    except ImportError:
        return "mypyc is not there"
    return ""


def extensions() -> list[object]:
    """The compiled modules, or none."""
    wanted = os.environ.get("GATEWAYD_COMPILE", "")
    reason = "GATEWAYD_COMPILE=0" if wanted == "0" else why_not()
    if reason:
        if wanted == "1":
            raise SystemExit(f"nothing can be compiled: {reason}")
        print(f"gatewayd is not compiled, and slower: {reason}")
        return []
    from mypyc.build import mypycify  # noqa: PLC0415

    return mypycify(hot_modules(), opt_level="1", multi_file=True, group_name="gatewayd")


setup(ext_modules=extensions())
