"""Canaries: messages to a handset of ours that prove every few minutes that the way works."""

from __future__ import annotations

SUBJECT = "pruuf.canary"
"""Subject of their events; no Member has such an id, which would be of their own making."""

SMS = "canary.sms"
PUSH = "canary.push"
KINDS = (SMS, PUSH)
"""One for each channel, of one step: what works instead must not hide what does not. They tell
nobody anything, and are left out wherever deliveries are counted, like all kinds that begin with
"canary."."""

EVERY_S = 300
