"""What every event has around its data: CloudEvents 1.0, and the kinds of values in it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

# No control character: neither NUL, which Postgres refuses, nor a line break in a text or log.
Id = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[^\x00-\x20\x7f]+\Z")]
Label = Annotated[str, Meta(min_length=1, max_length=80, pattern=r"^[^\x00-\x1f\x7f]+\Z")]
Moment = Annotated[datetime, Meta(tz=True)]


class Envelope(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type"):
    """CloudEvents 1.0; extension attributes are ignored, as the specification asks."""

    specversion: Literal["1.0"]
    id: Id
    source: Id
    subject: Id
    time: Moment | None = None
    datacontenttype: Literal["application/json"] | None = None
