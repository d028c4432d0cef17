"""Examples for the API description of what whoever is on call does; tests post them."""

from __future__ import annotations

from typing import Any, Final

HOLD: Final[dict[str, Any]] = {"reason": "texts arrive twice, Twilio looks into it", "for_s": 3600}
RELEASE: Final[dict[str, Any]] = {"reason": "Twilio says that it is mended"}

_HELD: Final[dict[str, Any]] = {
    "id": "0193576a-8a43-7c02-9d11-2b7e5f3a8c40",
    "provider": "twilio",
    "sender": "",
    "actor": "key 5f1c9a (Ann, on call)",
    "reason": HOLD["reason"],
    "at": "2026-11-23T03:10:00Z",
    "until": "2026-11-23T04:10:00Z",
}
PROVIDERS: Final[dict[str, Any]] = {
    "items": [
        {"provider": "fcm", "sender": "", "called": True, "hold": None},
        {"provider": "twilio", "sender": "01a4c7e09b3d5f21", "called": False, "hold": _HELD},
    ],
    "holds": [_HELD],
}

ACKNOWLEDGE: Final[dict[str, Any]] = {
    "reason": "Twilio knows; ticket 4711",
    "for_s": 7200,
    "label": "twilio",
}
ACKNOWLEDGEMENTS: Final[dict[str, Any]] = {
    "items": [
        {
            "id": "0193576a-8a44-7d13-8a60-9c1d4e2f7b35",
            "alert": "ProviderDown",
            "label": "twilio",
            "actor": "key 5f1c9a (Ann, on call)",
            "reason": ACKNOWLEDGE["reason"],
            "at": "2026-11-23T03:04:00Z",
            "until": "2026-11-23T05:04:00Z",
        },
    ],
}

OPEN: Final[dict[str, Any]] = {"reason": "nobody was reached, I ring them"}
OPENED: Final[dict[str, Any]] = {
    "id": "c_1",
    "name": "Bob",
    "phone": "+12025550123",
    "opened_at": "2026-11-23T03:06:00Z",
}
