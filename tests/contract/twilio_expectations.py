"""What is expected of every code of Twilio, written out by hand: the tests' own table."""

from __future__ import annotations

from typing import NamedTuple

from outbox.domain.outcomes import Result

GONE, OUT, TEXT = Result.CHANNEL_FINAL, Result.RECIPIENT_SUPPRESSED, Result.CONTENT_FINAL
SENDER, OURS = Result.SENDER_FAULT, Result.CONFIGURATION_FAULT
LATER, ASK = Result.RETRYABLE, Result.OUTCOME_UNKNOWN


class Expected(NamedTuple):
    """What a group of codes means."""

    about: str
    operator: str
    refused: Result
    """As the answer to a send."""
    failed: Result
    """As the code of a message that failed."""
    codes: str


EXPECTED = (
    # The number itself.
    Expected("recipient", "log", GONE, GONE, "21211 21214 21217 21265 21266 21614 21635"),
    Expected("recipient", "log", GONE, GONE, "30004 30005 30006 30640 60205 60600 60612"),
    Expected("recipient", "ticket", GONE, GONE, "21268"),
    Expected("recipient", "log", OUT, OUT, "21610 30630 63014"),
    Expected("recipient", "log", LATER, LATER, "30003"),
    Expected("recipient", "log", OURS, OURS, "30009"),
    # The text.
    Expected("text", "ticket", TEXT, TEXT, "400 20413 21602 21617 21618 21619 30007 30019 30111"),
    Expected("text", "ticket", TEXT, TEXT, "60247"),
    # The sender: another one may.
    Expected("sender", "page", SENDER, SENDER, "21210 21212 21267 21401 21407 21601 21606 21607"),
    Expected("sender", "page", SENDER, SENDER, "21616 21659 21660 21661 21701 21702 21704"),
    Expected("sender", "page", SENDER, SENDER, "21705 21709 30023 30024 30027 30032 30033 30034"),
    Expected("sender", "page", SENDER, SENDER, "30035"),
    Expected("sender", "ticket", SENDER, SENDER, "21611 30001 30042"),
    # The way from this sender to this recipient: it is well for everybody else.
    Expected("route", "ticket", SENDER, SENDER, "21612 21657 21703 30040 30041 30620"),
    Expected("sender", "ticket", LATER, LATER, "30022 30036"),
    Expected("sender", "log", OURS, OURS, "21710 30025"),
    Expected("sender", "page", OURS, OURS, "21711 30126"),
    Expected("sender", "ticket", OURS, OURS, "21421 21422 21613 21615 21708 21712 21713 21714"),
    Expected("sender", "ticket", OURS, OURS, "21715 21717 21719 21720 21729 21731 21732 21733"),
    Expected("sender", "ticket", OURS, OURS, "21737 30018 30026 30125 30436"),
    # The account and its credentials.
    Expected("account", "page", OURS, OURS, "403 404 10001 10002 20003 20005 20006 20008 20010"),
    Expected("account", "page", OURS, OURS, "20101 20102 20103 20104 20105 20106 20107 20151"),
    Expected("account", "page", OURS, OURS, "20152 20153 20154 20155 20156 20157 20159 20160"),
    Expected("account", "page", OURS, OURS, "20403 20404 20423 21219 21470 21471 21472 21476"),
    Expected("account", "page", OURS, OURS, "21478 21479 21608 30002 30037 30044 30404 30454"),
    Expected("account", "page", OURS, OURS, "60223 60238 90010"),
    Expected("account", "ticket", OURS, OURS, "21900 21901 23001 23002 23003 23004 23005 23006"),
    Expected("account", "ticket", OURS, OURS, "60204 60207 60606"),
    Expected("account", "log", OURS, OURS, "21264"),
    Expected("account", "ticket", GONE, GONE, "21408 60220 60605"),
    Expected("account", "log", LATER, LATER, "20429 60202 60203 60212 60245 60611 60616 60728"),
    Expected("account", "ticket", LATER, LATER, "35125"),
    Expected("account", "page", LATER, LATER, "63038"),
    # How the gateway asks.
    Expected("request", "page", OURS, OURS, "20004 20011 20012 20410 20426 21213 21502 21603"),
    Expected("request", "page", OURS, OURS, "21609 21624 30012 30013 30045 90007 90014"),
    Expected("request", "ticket", OURS, OURS, "20001 20002 20007 21218 21402 21403 21406 21420"),
    Expected("request", "ticket", OURS, OURS, "21605 21626 21627 21655 30010 30028 30029 30030"),
    Expected("request", "ticket", OURS, OURS, "30031 30100 30101 30102 30103 30105 30106 30107"),
    Expected("request", "ticket", OURS, OURS, "30109 30110 30112 30120 30124 30127 30131 30134"),
    Expected("request", "ticket", OURS, OURS, "30135 30136 35111 35114 35115 35117 35118 35126"),
    Expected("request", "ticket", OURS, OURS, "35127 35133 35134 90001"),
    Expected("request", "log", OURS, OURS, "20009 30104 30400 30409"),
    Expected("request", "ticket", TEXT, TEXT, "11751 20422 21620 21621 21622 21623 21652 21653"),
    Expected("request", "ticket", TEXT, TEXT, "21654 21656 21658 21902 21910 30011 30014 30015"),
    Expected("request", "ticket", TEXT, TEXT, "30016 30610 30615 60200"),
    Expected("request", "ticket", GONE, GONE, "21604"),
    Expected("request", "log", LATER, LATER, "20162 20409 21481"),
    # What Twilio calls: told by its debugger, never of a message.
    Expected("webhook", "page", OURS, OURS, "11200 11201 11202 11203 11205 11206 11210 11215"),
    Expected("webhook", "page", OURS, OURS, "11216 11217 11220 11235 11236 11237 11251 11770"),
    Expected("webhook", "page", OURS, OURS, "57012"),
    Expected("webhook", "ticket", OURS, OURS, "11240 11241 11242 11243 11320 11321 11750 12100"),
    Expected("webhook", "ticket", OURS, OURS, "12101 12102 12200 12300 14101 14102 14103 14104"),
    Expected("webhook", "ticket", OURS, OURS, "14105 14106 14107 14108 14109 14110 14111"),
    Expected("webhook", "log", OURS, OURS, "12400"),
    # Carriers and Twilio itself.
    Expected("carrier", "log", ASK, ASK, "30008"),
    Expected("carrier", "ticket", ASK, ASK, "30043"),
    Expected("carrier", "log", LATER, LATER, "30017"),
    Expected("carrier", "log", OURS, OURS, "30038 30039"),
    Expected("carrier", "ticket", GONE, GONE, "30450 30453 30485 60410"),
    Expected("provider", "log", ASK, ASK, "503 20500 20503 30410 60607 60608"),
    Expected("provider", "ticket", ASK, ASK, "410 30046 90009"),
    Expected("provider", "log", LATER, LATER, "20504 21730 30020 30021 30047 30500 60613"),
    Expected("provider", "log", OURS, OURS, "30646 30647"),
)

STATUSES = {
    **dict.fromkeys(("20003", "20101", "20104", "20107", "20151", "20159", "20160"), 401),
    **dict.fromkeys(("20006", "20010", "20403", "20008"), 403),
    **dict.fromkeys(("20404", "30404"), 404),
    **dict.fromkeys(("20162", "20409"), 409),
    "20004": 405,
    "20410": 410,
    "20413": 413,
    "20426": 426,
    "20429": 429,
    "20500": 500,
    "20503": 503,
    **{code: int(code) for code in ("400", "403", "404", "410", "503")},
}
"""The HTTP status that a code comes with; all others come with 400."""

BARE = {"400", "403", "404", "410", "503"}
"""HTTP statuses of answers that have no code of Twilio's."""


def by_code() -> dict[str, Expected]:
    """The table by code; a code that is written twice is a mistake in it."""
    found: dict[str, Expected] = {}
    for expected in EXPECTED:
        for code in expected.codes.split():
            assert code not in found, code
            found[code] = expected
    return found
