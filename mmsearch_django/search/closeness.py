"""Closeness, 0 to 1: a similarity placed between the three of its calibration, so that legs can be compared.

Without a calibration (vectors of one's own, an embedder that ships none, a library too small to learn from) it is the
cosine, and there is no floor.
"""

CALIBRATION_TYPE = "zero float8, floor float8, one float8"


def closeness_sql(similarity: str, calibration: str) -> str:
    """For SQL expressions of a similarity and of a row with zero, floor and one, or NULLs."""
    zero, floor, one = (f"{calibration}.{name}" for name in ("zero", "floor", "one"))
    return (
        f"CASE WHEN {floor} IS NULL THEN greatest({similarity}, 0)"
        f" WHEN {similarity} < {floor} THEN greatest(0.5 * ({similarity} - {zero}) / ({floor} - {zero}), 0)"
        f" ELSE least(0.5 + 0.5 * ({similarity} - {floor}) / ({one} - {floor}), 1) END"
    )
