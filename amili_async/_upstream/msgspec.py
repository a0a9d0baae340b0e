"""What msgspec allows and warns of: setting a member of a frozen struct, while nobody else has seen it yet."""

from __future__ import annotations

import msgspec

set_frozen = msgspec.structs.force_setattr
"""Set a member of a frozen struct: in ``__post_init__``, or on a row that has just been decoded."""
