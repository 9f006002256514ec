"""Whether search is good: judged queries, standard measures, and the run of a model's search over them."""
