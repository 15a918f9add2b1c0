"""Kannel of the distribution: bearerbox and smsbox, SMPP transceivers, DLR storage in memory."""

from __future__ import annotations

import os
import time

from tests.bench.peers.base import PORT0, Peer, wait_port

BEARERBOX, SMSBOX = "/usr/sbin/bearerbox", "/usr/sbin/smsbox"


def installed() -> bool:
    return os.access(BEARERBOX, os.X_OK) and os.access(SMSBOX, os.X_OK)


CONFIGURATION = """\
group = core
admin-port = {admin_port}
admin-interface = 127.0.0.1
admin-password = bench
smsbox-port = {smsbox_port}
smsbox-interface = 127.0.0.1
dlr-storage = internal
log-level = 2
sms-resend-freq = 2
smsbox-max-pending = 1000
{store}
{smscs}group = smsbox
bearerbox-host = 127.0.0.1
sendsms-port = {sendsms_port}
sendsms-interface = 127.0.0.1
log-level = 2
max-pending-requests = 512
http-request-retry = 3
http-queue-delay = 1

group = sendsms-user
username = u
password = p
max-messages = 10
concatenation = true

group = sms-service
keyword = default
catch-all = true
get-url = "http://127.0.0.1:{sink_port}/mo?from=%p&to=%P&text=%a"
max-messages = 0
omit-empty = true
"""

SMSC = """\
group = smsc
smsc = smpp
smsc-id = bench{number}
host = 127.0.0.1
port = {smsc_port}
transceiver-mode = true
smsc-username = u
smsc-password = p
system-type = ""
max-pending-submits = 100
enquire-link-interval = 30
reconnect-delay = 1

"""

SENDSMS = "/cgi-bin/sendsms?username=u&password=p&from=8000&to={to}&text={text}"
REPORT = "&dlr-mask=3&dlr-url=http%3A%2F%2F127.0.0.1%3A{port}%2Fdlr%3Fm%3D{{m}}%26status%3D%25d"


class Kannel(Peer):
    """Both boxes on one kannel.conf; a subclass adds the lines of its store."""

    def store(self) -> str:
        return ""

    def write_configuration(self) -> str:
        path = self.folder / "kannel.conf"
        path.write_text(
            CONFIGURATION.format(
                admin_port=PORT0,
                smsbox_port=PORT0 + 1,
                sendsms_port=self.http_port,
                smscs="".join(
                    SMSC.format(number=number, smsc_port=self.smsc_port)
                    for number in range(self.binds)
                ),
                sink_port=self.sink_port,
                store=self.store(),
            )
        )
        return str(path)

    def start(self) -> None:
        path = self.write_configuration()
        self.spawn([BEARERBOX, path], log="bearerbox")
        wait_port(PORT0 + 1)
        self.spawn([SMSBOX, path], log="smsbox")
        wait_port(self.http_port)
        time.sleep(0.3)  # smsbox listens before bearerbox knows it

    def path(self, *, reports: bool) -> str:
        return SENDSMS + (REPORT.format(port=self.sink_port) if reports else "")


class KannelMem(Kannel):
    name, durable = "kannel-mem", "nothing: queues in memory only"


class KannelFile(Kannel):
    name, durable = "kannel-file", "a store file, written without fsync"

    def store(self) -> str:
        return f"store-type = file\nstore-location = {self.folder}/store\nstore-dump-freq = 10\n"


class KannelSpool(Kannel):
    name, durable = "kannel-spool", "one file per message in a spool, without fsync"

    def store(self) -> str:
        (self.folder / "spool").mkdir(exist_ok=True)
        return f"store-type = spool\nstore-location = {self.folder}/spool\n"
