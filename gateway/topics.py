"""``…/topics/{topic}``: what a device follows; recorded here, told to FCM by the outbox."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from litestar import Request, Router, delete, put
from litestar.params import PathParameter
from msgspec import Struct

from gateway import examples, following
from gateway.auth import requires
from gateway.documented import Answer, documented
from gateway.problems import CONFLICT, NOT_FOUND, FieldError, Problem, invalid
from gateway.recipients import DeviceId, RecipientId
from gateway.resources import resources_of
from outbox.domain.announcements import LANGUAGE_TOPIC
from outbox.domain.intake import NewNotification
from outbox.store import topics
from outbox.store.keys import Scope
from outbox.store.topics import MAX_TOPICS, TooManyTopicsError

TopicName = Annotated[
    str,
    PathParameter(
        min_length=1,
        max_length=100,
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.~%-]*\Z",
        description="The topic's name, as announcements have it.",
    ),
]


class FollowAnswer(Struct, frozen=True):
    """A wish, recorded."""

    notifications: list[str]
    """Ids of the commands that tell FCM, to be read like any notification; none where the wish was
    recorded before."""


_GUARDS = [requires(Scope.RECIPIENTS)]
_EXAMPLES = {"new": examples.FOLLOWED, "as before": {"notifications": []}}


def _answer(commands: Sequence[NewNotification]) -> FollowAnswer:
    return FollowAnswer([str(command.id) for command in commands])


def _refuse_language(topic: str) -> None:
    if topic.startswith(LANGUAGE_TOPIC):
        accepted = f"a name that does not begin with {LANGUAGE_TOPIC}"
        got = "the topic of a language, which follows from the recipient's locale"
        raise invalid([FieldError("path.topic", got, accepted)])


@put(
    "/{topic:str}",
    guards=_GUARDS,
    status_code=202,
    opt=documented(
        scope=Scope.RECIPIENTS,
        answers={202: Answer("Recorded; FCM is told", FollowAnswer, examples=_EXAMPLES)},
        problems=(NOT_FOUND, CONFLICT),
    ),
)
async def follow_topic(
    request: Request[Any, Any, Any],
    recipient: RecipientId,
    device: DeviceId,
    topic: TopicName,
) -> FollowAnswer:
    """Let a device follow a topic, and the topic of its language with it.

    Recorded at once, told to FCM by the outbox, tried for a week. The same again changes nothing;
    after a week it is told again, which mends what FCM may have lost. A new address of the device
    follows what the old one did.
    """
    _refuse_language(topic)
    resources = resources_of(request)
    async with resources.engine.begin() as connection:
        try:
            changes = await topics.follow(connection, resources.sealer, recipient, device, topic)
        except TooManyTopicsError:
            detail = f"a device follows {MAX_TOPICS} topics at most"
            raise Problem(CONFLICT, detail) from None
        if changes is None:
            raise Problem(NOT_FOUND, "no such device is registered")
        commands = await following.issue(resources, connection, recipient, changes)
    following.wake(resources, commands)
    return _answer(commands)


@delete(
    "/{topic:str}",
    guards=_GUARDS,
    status_code=202,
    opt=documented(
        scope=Scope.RECIPIENTS,
        answers={202: Answer("Recorded; FCM is told", FollowAnswer, examples=_EXAMPLES)},
    ),
)
async def unfollow_topic(
    request: Request[Any, Any, Any],
    recipient: RecipientId,
    device: DeviceId,
    topic: TopicName,
) -> FollowAnswer:
    """Let a device follow a topic no more; the same again is fine, as is an unknown device."""
    _refuse_language(topic)
    resources = resources_of(request)
    async with resources.engine.begin() as connection:
        changes = await topics.unfollow(connection, resources.sealer, recipient, device, topic)
        commands = await following.issue(resources, connection, recipient, changes)
    following.wake(resources, commands)
    return _answer(commands)


router = Router(
    "/v1/recipients/{recipient:str}/devices/{device:str}/topics",
    route_handlers=[follow_topic, unfollow_topic],
    tags=["recipients"],
)
