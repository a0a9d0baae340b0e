"""What Dask has no public way to say: whether a cluster starts its workers by itself, and how many at most."""

from __future__ import annotations

from math import inf


def adaptive_maximum(cluster: object) -> float | None:
    """Return how many workers a cluster may come to have, ``inf`` where it has no limit.

    ``None`` where it does not start them by itself: `adapt` was not called, or this is no cluster of Dask's own kind.
    """
    adaptive = getattr(cluster, "_adaptive", None)
    if adaptive is None:
        return None
    maximum = getattr(adaptive, "maximum", None)
    return float(maximum) if isinstance(maximum, int | float) else inf
