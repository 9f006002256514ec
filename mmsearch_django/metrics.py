"""How far indexing has come, as Prometheus metrics. Needs the extra ``prometheus``.

A site that has a metrics page already calls ``register()`` once, in the ``ready()`` of an app of its own; one that has
none collects ``manage.py mmsearch_status --format prometheus`` with the node exporter's textfile collector.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from mmsearch_django.exceptions import ConfigurationError
from mmsearch_django.indexing.status import Status, status
from mmsearch_django.indexing.targets import Target, targets

STATUSES = ("ready", "pending", "failed", "skipped")


class Collector:
    """Asks the database at each scrape: about one pass over each searchable table, and no model is loaded."""

    def __init__(self, found: Iterable[Target] | None = None) -> None:
        self.targets = None if found is None else list(found)

    def describe(self) -> list[Any]:
        """Nothing, so that registering asks no database."""
        return []

    def collect(self) -> Iterator[Any]:
        return families([status(target) for target in (targets() if self.targets is None else self.targets)])


def register(registry: Any = None) -> None:
    """Add the metrics to prometheus_client's registry, or to the given one."""
    (registry or _client().REGISTRY).register(Collector())


def exposition(found: Iterable[Target] | None = None) -> str:
    """All metrics in Prometheus' text format."""
    client = _client()
    registry = client.CollectorRegistry()
    registry.register(Collector(found))
    text: str = client.generate_latest(registry).decode()
    return text


def families(found: Iterable[Status]) -> Iterator[Any]:
    """One gauge for each number, labelled by model and field."""
    gauge = _client().metrics_core.GaugeMetricFamily
    rows = [((row.model, row.field), row) for row in found]
    assets = gauge("mmsearch_assets", "Objects by how far their embedding has come.", labels=[*LABELS, "status"])
    errors = gauge("mmsearch_failed_assets", "Failed objects by error class.", labels=[*LABELS, "error_class"])
    for labels, row in rows:
        for name in STATUSES:
            assets.add_metric([*labels, name], getattr(row, name))
        for name, count in row.errors.items():
            errors.add_metric([*labels, name], count)
    held = gauge(
        "mmsearch_lane_held", "1 for lanes that operators hold back, with how.", labels=[*LABELS, "lane", "how"]
    )
    for labels, row in rows:
        for lane, words in row.held.items():
            held.add_metric([*labels, lane, words], 1)
    yield from (assets, errors, held)
    for name, help, value in GAUGES:
        family = gauge(name, help, labels=LABELS)
        for labels, row in rows:
            if (number := value(row)) is not None:
                family.add_metric(labels, number)
        yield family


LABELS = ["model", "field"]
GAUGES: tuple[tuple[str, str, Any], ...] = (
    ("mmsearch_claimed_assets", "Pending objects that a worker has claimed.", lambda row: row.claimed),
    ("mmsearch_assets_per_minute", "Objects brought to an end, a minute.", lambda row: row.per_minute),
    ("mmsearch_seconds_left", "Until nothing is pending, at this rate.", lambda row: row.seconds_left),
    (
        "mmsearch_swept_timestamp_seconds",
        "When the verifying sweep last ran.",
        lambda row: row.swept_at and row.swept_at.timestamp(),
    ),
)


def _client() -> Any:
    try:
        import prometheus_client.metrics_core
    except ImportError as error:
        raise ConfigurationError(
            "Metrics need prometheus_client: python -m pip install 'mmsearch-django[prometheus]'."
        ) from error
    return prometheus_client
