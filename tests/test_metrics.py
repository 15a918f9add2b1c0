"""The table of series, and what a scrape makes of it."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from gatewayd.metrics import LATENCY, SERIES, Histogram, Metrics, Scrape

FIXED = {
    *("smsc", "bind", "state", "what", "direction", "result", "queue", "lane", "listener", "code"),
    *("kind", "channel", "version", "python", "user"),
}


def samples(metrics: Metrics) -> dict[tuple[str, tuple[str, ...]], float]:
    """Each sample by its name and label values, those in the order of the labels' names."""
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
    }


def test_every_series_says_what_it_is_and_carries_our_name() -> None:
    for name, series in SERIES.items():
        assert name.startswith("gatewayd_")
        assert not name.endswith("_total"), "the exposition adds that"
        assert series.kind in {"counter", "gauge", "histogram", "info"}
        assert series.help
        assert not series.help.endswith(".")


def test_labels_come_from_fixed_sets_and_the_configuration_only() -> None:
    used = {label for series in SERIES.values() for label in series.labels}
    assert used <= FIXED


def test_a_scrape_shows_what_was_filled_in() -> None:
    def fill(scrape: Scrape) -> None:
        scrape.put("gatewayd_throttled", 3, "a")
        scrape.put("gatewayd_throttled", 4, "b")
        scrape.put("gatewayd_smsc_up", 1, "a")
        scrape.put("gatewayd_build", 1, "1.0", "3.11")
        scrape.put("gatewayd_uncertain", 7)

    found = samples(Metrics(fill))
    assert found["gatewayd_throttled_total", ("a",)] == 3
    assert found["gatewayd_throttled_total", ("b",)] == 4
    assert found["gatewayd_smsc_up", ("a",)] == 1
    assert found["gatewayd_build_info", ("3.11", "1.0")] == 1
    assert found["gatewayd_uncertain_total", ()] == 7
    assert any(name == "process_open_fds" for name, _ in found)


def test_each_scrape_reads_the_numbers_anew() -> None:
    count = 0

    def fill(scrape: Scrape) -> None:
        nonlocal count
        count += 1
        scrape.put("gatewayd_uncertain", count)

    metrics = Metrics(fill)
    assert count == 0, "making it asks nobody"
    assert [samples(metrics)["gatewayd_uncertain_total", ()] for _ in range(3)] == [1, 2, 3]


def test_label_values_cannot_break_the_exposition() -> None:
    def fill(scrape: Scrape) -> None:
        scrape.put("gatewayd_throttled", 1, 'a"\n\\b')

    assert samples(Metrics(fill))["gatewayd_throttled_total", ('a"\n\\b',)] == 1


def test_a_histogram_counts_into_cumulative_buckets() -> None:
    histogram = Histogram((0.1, 1.0))
    for value in (0.0, 0.1, 0.11, 1.0, 5.0):
        histogram.observe(value)
    assert histogram.buckets() == [("0.1", 2.0), ("1.0", 4.0), ("+Inf", 5.0)]
    assert histogram.total == 6.21


def test_a_histogram_is_shown_with_count_sum_and_all_its_buckets() -> None:
    histogram = Histogram()
    histogram.observe(0.003)
    histogram.observe(100.0)

    def fill(scrape: Scrape) -> None:
        scrape.put_histogram("gatewayd_submit_latency_seconds", histogram, "a")

    found = samples(Metrics(fill))
    name = "gatewayd_submit_latency_seconds"
    assert found[f"{name}_count", ("a",)] == 2
    assert found[f"{name}_sum", ("a",)] == 100.003
    buckets = {key[1][0]: value for key, value in found.items() if key[0] == f"{name}_bucket"}
    assert len(buckets) == len(LATENCY) + 1
    assert (buckets["0.0025"], buckets["0.005"], buckets["+Inf"]) == (0, 1, 2)
