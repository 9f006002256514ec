"""What similarities mean: an embedder's cosines of 0.25 may be noise or a match, and only a background can tell."""

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Calibration:
    """Three similarities, rising. Between them closeness grows in straight lines."""

    zero: float
    """Closeness 0: as near as things that have nothing to do with each other."""
    floor: float
    """Closeness 0.5: below it, a hit is noise."""
    one: float
    """Closeness 1: as near as anything gets."""

    def as_dict(self) -> dict[str, float]:
        return asdict(self)
