"""Where passwords come from: the environment, a file, the service manager, or the text itself.

`${NAME}` works in every value of a configuration file; `file:` and `credential:` only in values
that are secrets. The place is decided by the text as written, before `${NAME}` is replaced: a
password in the environment may begin with "file:" and is still a password.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping

from gatewayd.config.model import Secret

# Far more than any password, far less than a mistaken path to a database would read.
MAX_SECRET = 4096
# The units say LoadCredential=gatewayd:/etc/gatewayd/secrets, and systemd calls the files in there
# gatewayd_NAME.
SECRETS = "/etc/gatewayd/secrets"
OF_FOLDER = "gatewayd_"

_PLACEHOLDER = re.compile(r"\$\$\{|\$\{(?:([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\})?")
_CREDENTIAL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,254}")


def interpolate(text: str, environ: Mapping[str, str]) -> str:
    """`text` with each `${NAME}` replaced by the environment's word.

    `${NAME:-default}` stands for the default when NAME is unset or empty; `$${` for a plain `${`.
    What was put in is not looked at again.

    Raises:
        ValueError: NAME is unset, or a `${` is not closed; the sentence names it.
    """
    if "${" not in text:
        return text

    def replace(found: re.Match[str]) -> str:
        if found[0] == "$${":
            return "${"
        if found[1] is None:
            raise ValueError(
                "holds ${ that is not ${NAME} or ${NAME:-default}; a plain ${ is written $${"
            )
        value = environ.get(found[1])
        if found[2] is not None:
            return value or found[2]
        if value is None:
            raise ValueError(f"the environment variable {found[1]} is not set")
        return value

    return _PLACEHOLDER.sub(replace, text)


def resolve(text: str, environ: Mapping[str, str]) -> Secret:
    """The secret that `text` names: `file:/path`, `credential:NAME`, or itself with `${NAME}`.

    Raises:
        ValueError: it cannot be had, or is empty; the sentence never shows a secret.
    """
    if text.startswith("file:"):
        found = read_file(interpolate(text[5:], environ))
    elif text.startswith("credential:"):
        found = _credential(interpolate(text[11:], environ), environ)
    else:
        found = interpolate(text, environ)
    if not found:
        raise ValueError("is an empty secret")
    if not found.isprintable():
        raise ValueError("is a secret with control characters; one line of text is expected")
    return Secret(found)


def is_plain(text: str) -> bool:
    """Whether the secret stands in the configuration file itself, for all its readers to see."""
    return not text.startswith(("file:", "credential:")) and "${" not in text.replace("$${", "")


def read_file(path: str, *, private: bool = True, limit: int = MAX_SECRET) -> str:
    """The text of a secret's file without its last line end.

    `private` refuses a file that group or others may use. At most `limit` octets of UTF-8.

    Raises:
        ValueError: the file cannot be read or must not be trusted.
    """
    if not path.startswith("/"):
        raise ValueError(f"{path} is not an absolute path (file:/etc/gatewayd/password)")
    if "\x00" in path:
        raise ValueError("is a path with a NUL in it")
    try:
        # O_NONBLOCK: opening a FIFO without a writer would wait for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError(f"{path} is not a file")
        if private and status.st_mode & 0o077:
            mode = stat.S_IMODE(status.st_mode)
            raise ValueError(f"{path} is open to group or others (mode {mode:03o}); chmod 600 it")
        data = os.read(descriptor, limit + 1)
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    finally:
        os.close(descriptor)
    if len(data) > limit:
        raise ValueError(f"{path} is longer than {limit} octets: not a secret")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8 text") from None
    return text.removesuffix("\n").removesuffix("\r")


def _credential(name: str, environ: Mapping[str, str]) -> str:
    """A credential of systemd (LoadCredential=). Its folder is private; modes there show ACLs.

    Who runs `gatewayd check` or `ctl` beside the service is not given any, and reads the file that
    the units load: root can.
    """
    if not _CREDENTIAL.fullmatch(name):
        raise ValueError("credential: needs the plain name given to LoadCredential=")
    folder = environ.get("CREDENTIALS_DIRECTORY", "")
    if not folder:
        try:
            return read_file(f"{SECRETS}/{name}")
        except ValueError as error:
            raise ValueError(f"{error} (and systemd gives no credentials here)") from None
    of_folder = f"{folder}/{OF_FOLDER}{name}"
    if os.path.lexists(of_folder) and not os.path.lexists(f"{folder}/{name}"):
        return read_file(of_folder, private=False)
    return read_file(f"{folder}/{name}", private=False)
