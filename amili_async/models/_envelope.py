"""What an answer holds beside rows: its summary, the batch that a write became, a value of no documented shape."""

from collections.abc import Mapping
from typing import Annotated, ClassVar

import msgspec

from amili_async.models._extra import read_json
from amili_async.models._received import Maybe, Received, Whole


class Summary(Received, frozen=True, kw_only=True, gc=False):
    """What an answer says of itself. Both members may be missing, and so may the summary."""

    status: Maybe[str] = None
    """``SUCCESS`` is the one value seen."""
    next_page_token: Maybe[str] = None
    """What asks for the next page. Absent, null and empty all mean that there is none."""


class AcceptedBody(Received, frozen=True, kw_only=True, gc=False):
    """The data of a 202 (D for corrections, I for invoices and payments)."""

    batch_id: Annotated[str, msgspec.Meta(min_length=1)]
    batch_url: Maybe[str] = None


class Accepted(Received, frozen=True, kw_only=True):
    """A write that Amili took and works on. Pass it to ``batches.wait`` to learn the outcome."""

    private: ClassVar[frozenset[str]] = frozenset({"envelope_extra"})

    batch_id: str
    batch_url: Maybe[str] = None
    """As Amili wrote it. The client never follows it: its token goes to the API root alone."""
    organization_id: str
    envelope_extra: Mapping[str, object] = {}
    """What Amili said around the batch, as a write's answer comes once: members that no page names, and the ``summary``
    where it says anything but ``SUCCESS``."""


class RawValue(Whole, frozen=True, kw_only=True, gc=False):
    """What Amili answered where no public page says of what shape it is: the bytes, and what they decode to."""

    @property
    def text(self) -> str:
        """The answer as text."""
        return self.raw.decode("utf-8", "replace")

    @property
    def json(self) -> object:
        """What the JSON says, fractions as `Decimal`.

        Raises:
            ValueError: the answer is no JSON, or nested too deeply; see `text`.
        """
        return read_json(self.raw)

    @property
    def data(self) -> object:
        """The ``data`` of the envelope if there is one, else all of `json`."""
        found = self.json
        return found["data"] if isinstance(found, dict) and "data" in found else found  # pyright: ignore[reportUnknownVariableType]  # JSON
