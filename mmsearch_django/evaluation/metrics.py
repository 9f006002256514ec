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


Scores = dict[str, dict[str, float]]
"""By measure and query."""


def measure(qrels: Qrels, rankings: Mapping[str, Ranking]) -> dict[str, float]:
    """The mean of each measure over the queries of ``qrels``. Raises ConfigurationError without ir-measures."""
    return means(score(qrels, rankings))


def means(scores: Scores) -> dict[str, float]:
    return {name: sum(values.values()) / len(values) for name, values in scores.items()}


def score(qrels: Qrels, rankings: Mapping[str, Ranking]) -> Scores:
    """Each measure of each query of ``qrels``. Raises ConfigurationError without ir-measures."""
    try:
        import ir_measures
    except ImportError as error:
        raise ConfigurationError('Install ir-measures: pip install "mmsearch-django[evaluation]"') from error

    # Not from their names: ir-measures 0.4 parses those with parts of ast that Python 3.14 does not have.
    theirs = (ir_measures.nDCG @ 10, ir_measures.R @ 10, ir_measures.RR, ir_measures.P @ 1)
    measures = dict(zip(MEASURES, theirs, strict=True))
    run = {query: _scores(rankings.get(query, ())) for query in qrels}
    scores = {name: dict.fromkeys(qrels, 0.0) for name in measures}
    names = {one: name for name, one in measures.items()}
    for value in ir_measures.iter_calc(list(names), qrels, run):
        scores[names[value.measure]][value.query_id] = value.value
    return scores


def _scores(ranking: Ranking) -> dict[str, float]:
    """Falling scores without ties, so that nobody re-orders the ranking."""
    return {item: float(len(ranking) - place) for place, item in enumerate(ranking)}
