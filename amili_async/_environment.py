"""What a variable of the environment says."""

from __future__ import annotations

import os

from amili_async.errors import ConfigurationError


def variable(name: str) -> str | None:
    """Return a variable of the environment, ``None`` where it is not set.

    Raises:
        ConfigurationError: it is set and empty: a deployment has forgotten its value.
    """
    value = os.environ.get(name)
    if value is not None and not value.strip():
        raise ConfigurationError(f"{name} is set, and empty; give it a value or unset it")
    return value
