"""Tables for simple reads and writes through SQLAlchemy Core; the migrations are the truth."""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    Boolean,
    Column,
    DateTime,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    Uuid,
)

metadata = MetaData()
_Moment = DateTime(timezone=True)

api_key = Table(
    "api_key",
    metadata,
    Column("shard", SmallInteger, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("name", Text),
    Column("secret_hash", LargeBinary),
    Column("scopes", ARRAY(Text)),
    Column("created_at", _Moment),
    Column("last_used_at", _Moment),
    Column("revoked_at", _Moment),
    Column("expires_at", _Moment),
)

recipient = Table(
    "recipient",
    metadata,
    Column("shard", SmallInteger, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("name", LargeBinary),
    Column("phone", LargeBinary),
    Column("phone_hash", LargeBinary),
    Column("locale", Text),
    Column("timezone", Text),
    Column("created_at", _Moment),
    Column("updated_at", _Moment),
)

device = Table(
    "device",
    metadata,
    Column("shard", SmallInteger, primary_key=True),
    Column("recipient", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("token", LargeBinary),
    Column("token_hash", LargeBinary),
    Column("address_kind", Text),
    Column("platform", Text),
    Column("seen_at", _Moment),
    Column("dead_at", _Moment),
    Column("stale_at", _Moment),
)

topic_device = Table(
    "topic_device",
    metadata,
    Column("shard", SmallInteger, primary_key=True),
    Column("recipient", Text, primary_key=True),
    Column("device", Text, primary_key=True),
    Column("topic", Text, primary_key=True),
    Column("at", _Moment),
)

event = Table(
    "event",
    metadata,
    Column("shard", SmallInteger, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("source", Text),
    Column("source_id", Text),
    Column("type", Text),
    Column("subject", Text),
    Column("occurred_at", _Moment),
    Column("accepted_at", _Moment),
    Column("traceparent", Text),
)

notification = Table(
    "notification",
    metadata,
    Column("shard", SmallInteger, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("event", Uuid),
    Column("subject", Text),
    Column("recipient", Text),
    Column("kind", Text),
    Column("lane", SmallInteger),
    Column("plan", LargeBinary),
    Column("state", Text),
    Column("reason", Text),
    Column("proof", Text),
    Column("channel", Text),
    Column("steps_taken", SmallInteger),
    Column("created_at", _Moment),
    Column("expires_at", _Moment),
    Column("final_at", _Moment),
    Column("content_dropped_at", _Moment),
    Column("phone_hash", LargeBinary),
)

due = Table(
    "due",
    metadata,
    Column("shard", SmallInteger, primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("notification", Uuid),
    Column("step", SmallInteger),
    Column("lane", SmallInteger),
    Column("work", SmallInteger),
    Column("due_at", _Moment),
    Column("attempt", SmallInteger),
    Column("fence", Integer),
    Column("owner", Uuid),
    Column("cancel", Boolean),
)

attempt = Table(
    "attempt",
    metadata,
    Column("shard", SmallInteger, primary_key=True),
    Column("notification", Uuid, primary_key=True),
    Column("fence", Integer, primary_key=True),
    Column("ordinal", SmallInteger, primary_key=True),
    Column("step", SmallInteger),
    Column("try", SmallInteger),
    Column("what", Text),
    Column("channel", Text),
    Column("provider", Text),
    Column("sender", SmallInteger),
    Column("result", Text),
    Column("code", Text),
    Column("detail", Text),
    Column("provider_id", Text),
    Column("stale", Boolean),
    Column("at", _Moment),
    Column("latency_ms", Integer),
    Column("stored_at", _Moment),
)

receipt = Table(
    "receipt",
    metadata,
    Column("shard", SmallInteger, primary_key=True),
    Column("notification", Uuid, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("said", Text, primary_key=True),
    Column("fence", Integer),
    Column("step", SmallInteger),
    Column("provider_id", Text),
    Column("status", Text),
    Column("code", Text),
    Column("rank", SmallInteger),
    Column("at", _Moment),
)

action = Table(
    "action",
    metadata,
    Column("shard", SmallInteger, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("notification", Uuid),
    Column("what", Text),
    Column("actor", Text),
    Column("reason", Text),
    Column("result", Text),
    Column("at", _Moment),
)

inbox = Table(
    "inbox",
    metadata,
    Column("shard", SmallInteger, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("provider", Text),
    Column("said", Text),
    Column("body", LargeBinary),
    Column("received_at", _Moment),
    Column("done_at", _Moment),
    Column("note", Text),
    Column("redriven_at", _Moment),
)

inbox_action = Table(
    "inbox_action",
    metadata,
    Column("shard", SmallInteger, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("callback", Uuid),
    Column("actor", Text),
    Column("reason", Text),
    Column("result", Text),
    Column("error", Text),
    Column("at", _Moment),
)

relay = Table(
    "relay",
    metadata,
    Column("shard", SmallInteger, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("host", Text),
    Column("pid", Integer),
    Column("started_at", _Moment),
    Column("seen_at", _Moment),
    Column("in_flight", Integer),
)
