"""Profile: what one server was found to be like, for a client to go by and for a team to share.

Names, counts and words alone: no id, no person's name and no amount is in it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from amili_async._routes import ROUTES, Generation, Mark
from amili_async._upstream.msgspec import READING_ERRORS, public_in
from amili_async._whole_file import whole_file
from amili_async.errors import ConfigurationError

if TYPE_CHECKING:
    import os

SortFound = Literal["honoured", "ignored", "refused"]
"""What became of a `SortDirection` that was sent."""


@public_in("amili_async.probe")
class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One fact: what the client assumes, how sure that was, and what this server does."""

    name: str
    """A word or two in kebab case, such as ``last-page``."""
    assumed: str
    mark: Mark
    found: str
    holds: bool | None = None
    """Whether the assumption holds here; ``None`` where that could not be seen, or nothing was assumed."""


@public_in("amili_async.probe")
class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `amili_async.probe.probe` found; give it to ``AmiliClient(profile=...)``.

    The client then asks for pages of ``page_size`` where no size is named, and takes ``routes`` as confirmed; the sync
    leaves a sort out that the server does not honour.
    """

    version: Literal[1] = 1
    day: str
    """When it was made, as a calendar day."""
    client: str
    """The version of this package that made it."""
    generation: Generation | None = None
    page_size: int | None = None
    """The largest number of rows a page that the server was seen to keep to."""
    sort: SortFound | None = None
    routes: dict[str, str] = {}
    """Operations of mark U or I that answered, with their path."""
    findings: tuple[Finding, ...] = ()
    unknown_members: dict[str, tuple[str, ...]] = {}
    """Members that no model names, by operation, as paths."""
    unknown_values: dict[str, tuple[str, ...]] = {}
    """Values and types that no enum lists, by operation."""
    requests: int = 0

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Profile:
        """Return the profile in a file.

        Raises:
            ConfigurationError: it cannot be read, or is no profile.
        """
        try:
            profile = msgspec.json.decode(Path(path).read_bytes(), type=cls)
        except OSError as error:
            raise ConfigurationError(f"profile {path} cannot be read: {error.strerror}") from None
        except READING_ERRORS:
            raise ConfigurationError(f"profile {path} is no file that `amili probe --save` wrote") from None
        unknown = [operation for operation in profile.routes if operation not in ROUTES]
        if unknown:
            raise ConfigurationError(f"profile {path} has routes of no operation: {', '.join(unknown)}")
        return profile

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the profile into a file, as JSON that a person can read."""
        with whole_file(path) as file:
            file.write(msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n")

    @property
    def surprises(self) -> tuple[Finding, ...]:
        """The findings whose assumption does not hold here."""
        return tuple(finding for finding in self.findings if finding.holds is False)

    def page(self) -> str:
        """Return the profile as text for a person, a finding a line."""
        words = {True: "as assumed", False: "NOT AS ASSUMED", None: "noted"}
        lines = [
            f"Probed on {self.day} with amili-async {self.client}, {self.requests} requests.",
            f"Generation: {self.generation or 'could not be told'}",
            "",
        ]
        for finding in self.findings:
            lines.append(f"{words[finding.holds]:>14}  {finding.name}: {finding.found}")
            if finding.holds is False:
                lines.append(f"{'':>14}  assumed ({finding.mark}): {finding.assumed}")
        for title, found in (
            ("Members that no model names", self.unknown_members),
            ("Values that no enum lists", self.unknown_values),
        ):
            if found:
                lines += ["", f"{title}:", *(f"  {name}: {', '.join(values)}" for name, values in found.items())]
        return "\n".join(lines)
