"""What *Webhooks*, *Find*, *Readiness* and *Runbooks* must say, and what a person does on them."""

from __future__ import annotations

from functools import partial

from playwright.sync_api import Locator, Page, expect

from outbox.simulators import magic
from tests.browser.surf import WAIT_MS, cells, sees, settled
from tests.browser.told import Ask


def webhooks(page: Page, ask: Ask) -> None:
    """Received, applied and failed by provider."""
    shown = {row[0]: row for row in cells(page, "By provider")}
    for provider, words in (("twilio", "Twilio: receipts"), ("app", "the app")):
        (received, applied) = ask(
            "SELECT count(*), count(*) FILTER (WHERE note IS NULL AND done_at < received_at"
            " + interval '1 minute') FROM inbox WHERE provider = %s",
            provider,
        )
        assert shown[words][1:4] == [f"{received:,}", f"{received:,}", f"{applied:,}"], provider
    (failed,) = ask("SELECT count(*) FROM inbox WHERE note LIKE 'cannot be %%'")
    assert len(cells(page, "Could not be applied")) == failed == 1
    sees(page, "cannot be applied: a test said so")


def find(page: Page, ask: Ask, key: str) -> None:
    """By a number, which stays out of the address; then one is sent again, under a key."""
    box = page.get_by_label("Look for")
    box.fill(magic.number("undelivered_30005", 1).replace("+1", "+1 "))
    box.press("Enter")
    story = page.locator("ol.p-story")
    told = "receipt: undelivered — unknown handset (30005) → next: push"
    expect(story).to_contain_text(told, timeout=WAIT_MS)
    assert magic.number("undelivered_30005", 1)[2:] not in page.url
    picture = page.locator(".p-picture")
    for lane in ("SMS", "push", "the app", "decisions"):
        expect(picture.locator(".p-lane", has_text=lane)).to_be_visible()
    (identity,) = ask("SELECT id::text FROM notification WHERE recipient = 'c_none' ORDER BY id")
    box.fill(identity)
    box.press("Enter")
    expect(page.locator("ol.p-story")).to_contain_text("no device", timeout=WAIT_MS)
    assert identity in page.url
    page.get_by_role("button", name="Name and number").click()
    _open(page, ask, key)
    page.get_by_role("button", name="Send again").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("It begins anew: SMS, then push", timeout=WAIT_MS)
    dialog.get_by_label("Why").fill("the number was corrected")
    dialog.get_by_role("textbox", name="Your own API key").fill(key)
    dialog.get_by_text("I have read what would happen").click()
    sure = dialog.get_by_role("button", name="Send again")
    expect(sure).to_be_enabled(timeout=WAIT_MS)
    sure.click()
    expect(dialog).to_contain_text("Done: it is back at work", timeout=WAIT_MS)
    done = ask(
        "SELECT what, actor, reason, result FROM action WHERE notification::text = %s", identity
    )
    assert done[0] == "redrive"
    assert done[1].endswith("(test)")
    assert done[2:] == ("the number was corrected", "redriven")


def hold(page: Page, ask: Ask, key: str) -> None:
    """A person holds Twilio, sees that it is held, and releases it; both are kept."""
    sees(page, "Outbox")
    for verb, filled, done in (
        ("Hold", "texts arrive twice", "Done: no relay calls it"),
        ("Release", "it is mended", "Done: the relays call it again"),
    ):
        page.get_by_role("button", name=f"{verb} a provider").click()
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("rel", timeout=WAIT_MS)
        dialog.get_by_label("Why").fill(filled)
        dialog.get_by_role("textbox", name="Your own API key").fill(key)
        sure = dialog.get_by_role("button", name=f"{verb} it")
        # What is typed draws the dialog anew, perhaps below the pointer.
        settled(page, partial(_agree, dialog))
        expect(sure).to_be_enabled(timeout=WAIT_MS)
        if verb == "Hold":
            expect(dialog).to_contain_text("Alerts on the way that would have gone by it: 0.")
        sure.click()
        expect(dialog).to_contain_text(done, timeout=WAIT_MS)
        page.keyboard.press("Escape")
        if verb == "Hold":
            sees(page, "Twilio, all of it, is held until", "texts arrive twice", "▲ held by a")
    expect(page.locator("body")).not_to_contain_text("is held until", timeout=WAIT_MS)
    kept = ask("SELECT provider, sender, actor, reason, released_why FROM provider_hold")
    assert kept[:2] == ("twilio", "")
    assert kept[2].endswith("(test)")
    assert kept[3:] == ("texts arrive twice", "it is mended")


def acknowledge(page: Page, ask: Ask, key: str) -> None:
    """Somebody on call says that they know of an alert."""
    page.get_by_role("button", name="Acknowledge").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Nobody is paged for RelayDead again", timeout=WAIT_MS)
    dialog.get_by_label("Why").fill("I restart them")
    dialog.get_by_role("textbox", name="Your own API key").fill(key)
    settled(page, partial(_agree, dialog))
    sure = dialog.get_by_role("button", name="Acknowledge it")
    expect(sure).to_be_enabled(timeout=WAIT_MS)
    sure.click()
    expect(dialog).to_contain_text("Done: nobody is paged for it", timeout=WAIT_MS)
    kept = ask("SELECT alert, label, actor, reason, until - at FROM acknowledgement")
    assert kept[:2] == ("RelayDead", "")
    assert kept[2].endswith("(test)")
    assert (kept[3], kept[4].total_seconds()) == ("I restart them", 3600)


def _agree(dialog: Locator) -> None:
    box = dialog.get_by_role("checkbox")
    if not box.is_checked():
        dialog.get_by_text("I have read what would happen").click()
    expect(box).to_be_checked(timeout=1_000)


def _open(page: Page, ask: Ask, key: str) -> None:
    """A name is opened with a reason, by a key of one's own; the ledger knows."""
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("c_none is sealed", timeout=WAIT_MS)
    sure = dialog.get_by_role("button", name="Open", exact=True)
    sure.click()
    expect(dialog).to_contain_text("It takes a reason and your own key.", timeout=WAIT_MS)
    dialog.get_by_label("Why").fill("I ring them")
    dialog.get_by_role("textbox", name="Your own API key").fill(key)
    dialog.get_by_label("Why").press("Enter")
    sure.click()
    expect(dialog).to_contain_text(f"Bob, {magic.number('invalid', 1)}", timeout=WAIT_MS)
    kept = ask("SELECT recipient, actor, reason FROM opening")
    assert (kept[0], kept[2]) == ("c_none", "I ring them")
    assert kept[1].endswith("(test)")
    page.keyboard.press("Escape")


def readiness(page: Page, ask: Ask) -> None:
    """Who is out of reach."""
    shown = cells(page, "Out of reach")
    assert [row[0] for row in shown] == ["c_none"]
    (number,) = ask("SELECT count(*) FROM pruuf_unreachable()")
    assert len(shown) == number


def runbooks(page: Page) -> None:
    """Figures stand above the text, and its links land on pages here."""
    sees(page, "What it means for people", "SMS delivered")
    page.get_by_role("link", name="provider down").first.click()
    sees(page, "A provider is not called, as calls fail", "ProviderDown")
