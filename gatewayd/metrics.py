"""Every Prometheus series of gatewayd, in one table; read at scrape time, never on the hot path.

The program counts in plain numbers; a scrape asks for them all at once. So a message costs no
locks and no look-ups of labels, and a counter survives whatever is reconnected.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector


class Series(NamedTuple):
    kind: str  # counter | gauge | histogram
    help: str
    labels: tuple[str, ...] = ()


# Labels come from the configuration (smsc, bind, channel, user) or from fixed sets; nothing else.
SERIES: dict[str, Series] = {
    "gatewayd_build": Series("info", "Version of the gateway", ("version", "python")),
    "gatewayd_smsc_up": Series(
        "gauge", "1 while at least one bind of the SMSC can transmit or receive", ("smsc",)
    ),
    "gatewayd_bind_up": Series("gauge", "1 while the bind is bound", ("smsc", "bind")),
    "gatewayd_bind_state": Series(
        "gauge",
        "1 for the state the bind is in, 0 for the others",
        ("smsc", "bind", "state"),
    ),
    "gatewayd_bind_connects": Series("counter", "Attempts to connect", ("smsc", "bind")),
    "gatewayd_bind_losses": Series("counter", "Bound links that ended", ("smsc", "bind")),
    "gatewayd_vpn_up": Series(
        "gauge", "1 while device, address and route of the SMSC's tunnel are there", ("smsc",)
    ),
    "gatewayd_vpn_changes": Series("counter", "Times the tunnel came or went", ("smsc",)),
    "gatewayd_vpn_last_change_time_seconds": Series(
        "gauge", "When the tunnel last came or went", ("smsc",)
    ),
    "gatewayd_bind_notes": Series(
        "counter", "Oddities of the SMSC that cost nothing but a count", ("smsc", "bind", "what")
    ),
    "gatewayd_window_in_flight": Series(
        "gauge", "Submits written and not yet answered", ("smsc", "bind")
    ),
    "gatewayd_window_size": Series("gauge", "Submits that may be unanswered", ("smsc", "bind")),
    "gatewayd_enquire_link_rtt_seconds": Series(
        "gauge", "Round trip of the last enquire_link", ("smsc", "bind")
    ),
    "gatewayd_messages": Series(
        "counter",
        "Messages by direction and what became of them",
        ("direction", "result"),
    ),
    "gatewayd_segments": Series(
        "counter", "Segments by SMSC and what became of them", ("smsc", "result")
    ),
    "gatewayd_throttled": Series("counter", 'Answers of the SMSC that mean "slower"', ("smsc",)),
    "gatewayd_mt_segments": Series(
        "counter",
        "Segments since the start: stored, sent, failed for good, expired, tried again, held,"
        " settled by a late answer",
        ("result",),
    ),
    "gatewayd_recovered": Series("gauge", "What waited when the gateway started", ("queue",)),
    "gatewayd_uncertain": Series(
        "counter", "Submits written and never answered: they may have arrived", ()
    ),
    "gatewayd_submit_latency_seconds": Series(
        "histogram", "From submit to the SMSC's answer", ("smsc",)
    ),
    "gatewayd_queue_messages": Series("gauge", "What waits, by queue and lane", ("queue", "lane")),
    "gatewayd_http_requests": Series(
        "counter", "Requests we answered, by listener and status", ("listener", "code")
    ),
    "gatewayd_http_notes": Series(
        "counter", "Oddities of callers, and of our own answers to them", ("listener", "what")
    ),
    "gatewayd_logins": Series(
        "counter", "Logins of sendsms that failed, or were not even checked", ("result",)
    ),
    "gatewayd_user_messages": Series("counter", "Messages allowed, by user", ("user",)),
    "gatewayd_user_refused": Series(
        "counter", "Requests beyond a user's rate or daily cap", ("user",)
    ),
    "gatewayd_http_connections": Series("gauge", "Open connections", ("listener",)),
    "gatewayd_forward_attempts": Series("counter", "Calls to platforms", ("kind",)),
    "gatewayd_forward_results": Series(
        "counter", "Calls to platforms that are finished", ("kind", "result")
    ),
    "gatewayd_forward_failing": Series(
        "gauge", "Failed calls in a row; above 0 the platform is being probed", ("channel",)
    ),
    "gatewayd_dlr_receipts": Series("counter", "Receipts that came from SMSCs"),
    "gatewayd_dlr_reports": Series("counter", "Reports made for platforms"),
    "gatewayd_dlr_unmatched": Series("counter", "Receipts that matched no message"),
    "gatewayd_dlr_ids_repeated": Series(
        "counter", "Message ids that an SMSC gave again while the first waited for its receipt"
    ),
    "gatewayd_dlr_parked": Series("gauge", "Receipts that wait for their submit's answer"),
    "gatewayd_dlr_pending": Series("gauge", "Segments in memory that wait for a receipt"),
    "gatewayd_concat_parts": Series("gauge", "Parts of long MO that wait for the others"),
    "gatewayd_concat_incomplete": Series("counter", "Long MO handed on with parts missing"),
    "gatewayd_mo_repeated": Series("counter", "MO that the SMSC delivered again, told once"),
    "gatewayd_mo_unrouted": Series("counter", "MO that no channel takes"),
    "gatewayd_charset_lossy": Series("counter", 'Texts sent with "?" for what GSM 03.38 lacks'),
    "gatewayd_text_cut": Series("counter", "Texts cut at max-messages"),
    "gatewayd_store_commits": Series("counter", "Commits of the store"),
    "gatewayd_store_commit_seconds": Series("gauge", "Duration of the last commit"),
    "gatewayd_store_bytes": Series("gauge", "Size of the store on disk"),
    "gatewayd_store_failing": Series("gauge", "1 while the store takes nothing"),
    "gatewayd_config_reloads": Series(
        "counter",
        "Times the configuration was read again, and what came of it: applied, unchanged, refused"
        " (nothing is changed), partly",
        ("result",),
    ),
    "gatewayd_config_last_reload_successful": Series(
        "gauge", "1 unless the configuration that was read last was refused, or taken in part only"
    ),
    "gatewayd_config_last_reload_time_seconds": Series(
        "gauge", "When the configuration was last read"
    ),
    "gatewayd_loop_lag_seconds": Series("gauge", "How late the reactor's last timer was"),
    "gatewayd_timers": Series("gauge", "Timers of the reactor that are set"),
    "gatewayd_start_time_seconds": Series("gauge", "When the gateway started"),
}

LATENCY = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Histogram:
    """Counts observations in buckets; plain numbers, for the hot path."""

    __slots__ = ("_bounds", "_counts", "total")

    def __init__(self, bounds: Sequence[float] = LATENCY) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self.total += value

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative counts, as the exposition format wants them."""
        found: list[tuple[str, float]] = []
        running = 0
        for bound, count in zip((*map(str, self._bounds), "+Inf"), self._counts, strict=True):
            running += count
            found.append((bound, float(running)))
        return found


class Scrape:
    """One scrape: series are filled in by name, with their label values in order."""

    def __init__(self) -> None:
        self._families: dict[str, Metric] = {}

    def put(self, name: str, value: float, *labels: str) -> None:
        family = self._family(name)
        family.add_metric(labels, value)  # type: ignore[attr-defined]

    def put_histogram(self, name: str, histogram: Histogram, *labels: str) -> None:
        family = self._family(name)
        family.add_metric(labels, histogram.buckets(), histogram.total)  # type: ignore[attr-defined]

    def families(self) -> Iterable[Metric]:
        return self._families.values()

    def _family(self, name: str) -> Metric:
        family = self._families.get(name)
        if family is None:
            kind, text, labels = SERIES[name]
            if kind == "counter":
                family = CounterMetricFamily(name, text, labels=labels)
            elif kind == "histogram":
                family = HistogramMetricFamily(name, text, labels=labels)
            else:
                family = GaugeMetricFamily(
                    f"{name}_info" if kind == "info" else name, text, labels=labels
                )
            self._families[name] = family
        return family


class Metrics(Collector):
    """What `/metrics` shows: our own series, filled by `fill`, and those of the process."""

    def __init__(self, fill: Callable[[Scrape], None]) -> None:
        self._fill = fill
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        scrape = Scrape()
        self._fill(scrape)
        return scrape.families()

    def render(self) -> bytes:
        """The text exposition format, version 0.0.4."""
        return generate_latest(self._registry)
