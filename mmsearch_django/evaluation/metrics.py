"""The figures, by ir-measures: nDCG with linear gain (Järvelin and Kekäläinen 2002), recall, MRR and precision.

All are means over the judged queries, from 0 to 1, higher is better; a query that found nothing counts as 0.
"""

from collections.abc import Mapping, Sequence

from mmsearch_django.evaluation.judgements import Qrels
from mmsearch_django.exceptions import ConfigurationError

MEASURES = ("nDCG@10", "recall@10", "MRR", "P@1")
"""What we show. The first is the primary figure."""

Ranking = Sequence[str]
"""Items, best first."""


def measure(qrels: Qrels, rankings: Mapping[str, Ranking]) -> dict[str, float]:
    """The mean of each measure over the queries of ``qrels``. Raises ConfigurationError without ir-measures."""
    try:
        import ir_measures
    except ImportError as error:
        raise ConfigurationError('Install ir-measures: pip install "mmsearch-django[evaluation]"') from error

    # Not from their names: ir-measures 0.4 parses those with parts of ast that Python 3.14 does not have.
    theirs = (ir_measures.nDCG @ 10, ir_measures.R @ 10, ir_measures.RR, ir_measures.P @ 1)
    measures = dict(zip(MEASURES, theirs, strict=True))
    run = {query: _scores(rankings.get(query, ())) for query in qrels}
    totals = dict.fromkeys(measures, 0.0)
    names = {one: name for name, one in measures.items()}
    for value in ir_measures.iter_calc(list(names), qrels, run):
        totals[names[value.measure]] += value.value
    return {name: total / len(qrels) for name, total in totals.items()}


def _scores(ranking: Ranking) -> dict[str, float]:
    """Falling scores without ties, so that nobody re-orders the ranking."""
    return {item: float(len(ranking) - place) for place, item in enumerate(ranking)}
