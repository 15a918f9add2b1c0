"""The access log: a line per message in Kannel's words, for the scripts that bill by it.

Two logs, as Kannel's two programs write them: the messages (bearerbox's) and the requests
(smsbox's). Lines gather during a turn of the reactor and are written in one piece at its end.
A line stays one line, and a message in it printable ASCII, whatever a phone or a caller sent.
"""

from gatewayd.access.log import AccessLog, NotedReports, open_logs, together

__all__ = ["AccessLog", "NotedReports", "open_logs", "together"]
