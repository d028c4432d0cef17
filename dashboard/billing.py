"""Page *Billing*: who has what, trials that end, money at risk, what is wrong, and the webhooks."""

from __future__ import annotations

import streamlit as st

from dashboard import billing_queries, frame, theme, words
from dashboard.billing_queries import Billing
from dashboard.frame import zone
from dashboard.theme import Column, Sentence
from outbox import wording
from outbox.domain.billing_books import CAUSES
from outbox.domain.billing_entitlement import Entitlement
from outbox.domain.billing_rules import RULES

_REFRESH_S = 10
_KEPT_S = 5.0
_LATE_S = 60.0
_WORDS = {
    Entitlement.MEMBER_FREE: "Member, free",
    Entitlement.GRANDFATHERED: "was a Member, free for ever",
    Entitlement.TRIALING: "in the trial",
    Entitlement.ACTIVE: "paying",
    Entitlement.GRACE: "payment failed, nothing taken away yet",
    Entitlement.LAPSED: "lapsed",
}


def page() -> None:
    """The page; only its inner part is drawn anew by itself."""
    source = frame.source()
    st.title("Billing", anchor=False)
    frame.live(
        lambda: source.read("billing", billing_queries.read, keep_s=_KEPT_S),
        _show,
        every_s=_REFRESH_S,
        unknown="Billing is unknown.",
        at=lambda seen: seen.at,
    )


def _show(seen: Billing) -> None:
    _verdict(seen)
    _metrics(seen)
    _wrong(seen)
    left, right = st.columns(2, gap="large")
    with left:
        st.header("Accounts by entitlement", anchor=False)
        _entitled(seen)
    with right:
        st.header("Trials that end within 7 days", anchor=False)
        _trials(seen)
    st.header("Stripe's webhooks of the last 24 hours", anchor=False)
    _webhooks(seen)


def _verdict(seen: Billing) -> None:
    """Worst first; a person acts on the first line."""
    said: list[Sentence] = []
    rules, books = seen.numbers.get("rules", 0), seen.numbers.get("stripe", 0)
    if rules:
        said.append(Sentence("bad", f"{words.number(rules)} rows of ours break a rule of billing."))
    if books:
        text = f"{words.number(books)} differences from Stripe's books. Run: pruuf reconcile stripe"
        said.append(Sentence("bad", text))
    late = None if seen.oldest is None else (seen.at - seen.oldest).total_seconds()
    if late is not None and late > _LATE_S:
        said.append(Sentence("look", f"The oldest webhook has waited for {wording.span(late)}."))
    if seen.failed:
        text = f"{words.number(seen.failed)} webhooks could not be applied in the last 24 hours."
        said.append(Sentence("look", text))
    if "rules" not in seen.looked:
        text = "Nobody has checked the rules of billing yet: is a relay alive?"
        said.append(Sentence("look", text))
    good = Sentence("good", "Nobody is charged who must not be, as far as both books tell.")
    theme.say(*said or [good])


def money(cents: int) -> str:
    """``$2.99``."""
    return f"${cents / 100:,.2f}"


def _metrics(seen: Billing) -> None:
    looked = {name: at for name, (at, _) in seen.looked.items()}
    rules, books = (
        words.number(seen.numbers.get(name, 0)) if name in looked else wording.UNKNOWN
        for name in ("rules", "stripe")
    )
    figures = (
        ("Rules broken", rules, f"Rows of ours, checked {_age(seen, 'rules')}."),
        ("Drift", books, f"Differences from Stripe's books, compared {_age(seen, 'stripe')}."),
        ("Unpaid", money(seen.unpaid), "Invoices whose payment failed and that are still open."),
        ("Disputed", money(seen.disputed), "Payments that a bank may take back."),
        ("Trials ending", words.number(seen.trials_ending), "Within 7 days."),
        ("Webhooks waiting", words.number(seen.waiting), "Stored and not applied yet."),
        ("Webhook lag p99", wording.span(seen.lag_p99_s), "From arrival to effect, 24 hours."),
    )
    with st.container(key="figures"):
        for label, value, meaning in figures:
            st.metric(label, value, help=meaning, border=True)


def _age(seen: Billing, source: str) -> str:
    looked = seen.looked.get(source)
    return "never" if looked is None else words.ago(looked[0], seen.at)


def _wrong(seen: Billing) -> None:
    if not seen.found:
        theme.soft("No rule is broken, and no difference from Stripe's books is known.")
        return
    columns = [
        Column("What"),
        Column("Object", "id"),
        Column("Account", "id"),
        Column("At stake", "n"),
        Column("Since", "id"),
        Column("How", "wide"),
    ]
    rows = [
        [
            _why(each.source, each.cause),
            each.object,
            each.account or "–",
            money(each.amount),
            words.ago(each.found_at, seen.at),
            each.detail,
        ]
        for each in seen.found
    ]
    st.header("What is wrong", anchor=False)
    theme.table("What is wrong", columns, rows)


def _why(source: str, cause: str) -> str:
    if source == "rules":
        return RULES[cause].why if cause in RULES else cause
    return CAUSES[cause].why if cause in CAUSES else cause


def _entitled(seen: Billing) -> None:
    if not seen.entitled:
        theme.soft("No account was opened yet.")
        return
    rows = [
        [each, _WORDS[each], words.number(seen.entitled[each])]
        for each in Entitlement
        if seen.entitled.get(each)
    ]
    columns = [Column("Entitlement", "id"), Column("What it is"), Column("Accounts", "n")]
    theme.table("Accounts by entitlement", columns, rows)


def _trials(seen: Billing) -> None:
    if not seen.trials:
        theme.soft("No trial ends within 7 days.")
        return
    rows = [
        [
            each.account,
            words.clock(each.trial_end, zone()),
            "cancelled" if each.ends else "a card is there" if each.card else "no card: it pauses",
        ]
        for each in seen.trials
    ]
    columns = [Column("Account", "id"), Column("Ends", "id"), Column("Then")]
    theme.table("Trials that end within 7 days", columns, rows)
    if seen.trials_ending > len(seen.trials):
        theme.soft(f"and {words.number(seen.trials_ending - len(seen.trials))} more")


RESULTS = {
    "applied": "✓ applied",
    "stale": "– known already",
    "asked": "◔ Stripe was asked",
    "kept": "– kept, nothing to do",
    "unknown": "▲ of no account or state that is known",
}


def _webhooks(seen: Billing) -> None:
    if not seen.types:
        theme.soft("No webhook of Stripe was applied in the last 24 hours.")
        return
    rows = [
        [
            each.type,
            RESULTS.get(each.result, each.result),
            words.number(each.number),
            words.ago(each.newest, seen.at),
        ]
        for each in seen.types
    ]
    columns = [Column("Type"), Column("Result", "id"), Column("Times", "n"), Column("Newest", "id")]
    theme.table("Webhooks by type and result", columns, rows)
