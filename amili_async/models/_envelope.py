"""The envelope around every answer of the API: a summary beside the data."""

from __future__ import annotations

from amili_async.models._base import Model


class Summary(Model, frozen=True, kw_only=True, gc=False):
    """What an answer says of itself. Both members may be missing, and so may the summary."""

    status: str | None = None
    """``SUCCESS`` is the one value seen."""
    next_page_token: str | None = None
    """What asks for the next page. Absent, null and empty all mean that there is none."""
