"""References: what was signed comes back whole, and nothing else passes."""

from __future__ import annotations

import base64
import hmac
import re
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbox.domain.references import Purpose, Reference, ReferenceSigner

_OLD, _NEW, _FOREIGN = bytes(range(32)), bytes(range(32, 64)), bytes(range(64, 96))
_signer = ReferenceSigner([_NEW, _OLD])

_bytes = st.integers(0, 255)
_references = st.builds(
    Reference,
    purpose=st.sampled_from(Purpose),
    notification=st.uuids(),
    step=_bytes,
    fence=st.integers(0, 2**32 - 1),
    lane=_bytes,
    ordinal=_bytes,
)
_ONE = Reference(
    purpose=Purpose.SMS_STATUS,
    notification=UUID("01920000-0000-7000-8000-000000000003"),
    step=1,
    fence=2,
    lane=0,
)


@given(_references)
def test_what_was_signed_comes_back_whole(reference: Reference) -> None:
    assert _signer.verify(_signer.sign(reference), reference.purpose) == reference


@given(_references)
def test_a_reference_fits_into_an_address_and_a_push_as_it_is(reference: Reference) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]{55}", _signer.sign(reference))


@given(_references)
def test_another_purpose_is_refused(reference: Reference) -> None:
    [other] = set(Purpose) - {reference.purpose}
    assert _signer.verify(_signer.sign(reference), other) is None


@given(_references, st.integers(0, 40), st.integers(1, 255))
def test_one_changed_byte_is_refused(reference: Reference, place: int, change: int) -> None:
    raw = bytearray(base64.urlsafe_b64decode(_signer.sign(reference) + "="))
    raw[place] ^= change
    token = base64.urlsafe_b64encode(raw).decode().rstrip("=")
    assert all(_signer.verify(token, purpose) is None for purpose in Purpose)


@given(_references, st.data())
def test_one_changed_character_is_refused(reference: Reference, data: st.DataObject) -> None:
    token = _signer.sign(reference)
    place = data.draw(st.integers(0, len(token) - 1))
    character = data.draw(st.characters().filter(lambda c: c != token[place]))
    changed = token[:place] + character + token[place + 1 :]
    assert _signer.verify(changed, reference.purpose) is None


@given(_references, st.data())
def test_what_is_cut_or_longer_is_refused(reference: Reference, data: st.DataObject) -> None:
    token = _signer.sign(reference)
    cut = data.draw(st.integers(0, len(token) - 1))
    assert _signer.verify(token[:cut], reference.purpose) is None
    more = data.draw(st.text(min_size=1, max_size=8))
    place = data.draw(st.integers(0, len(token)))
    longer = token[:place] + more + token[place:]
    assert _signer.verify(longer, reference.purpose) is None


@pytest.mark.parametrize("more", ["=", "==", "\n", " ", "!", "=AAAA"])
def test_a_decoders_leniency_lets_nothing_pass(more: str) -> None:
    token = _signer.sign(_ONE)
    for forged in (token + more, more + token, token[:9] + more + token[9:]):
        assert _signer.verify(forged, Purpose.SMS_STATUS) is None


@given(st.one_of(st.text(), st.from_regex(r"[A-Za-z0-9_-]{54,56}", fullmatch=True)))
def test_any_other_text_is_refused_and_raises_nothing(text: str) -> None:
    assert all(_signer.verify(text, purpose) is None for purpose in Purpose)


@given(_references)
def test_a_rotated_key_verifies_until_it_is_removed(reference: Reference) -> None:
    before = ReferenceSigner([_OLD]).sign(reference)
    assert _signer.verify(before, reference.purpose) == reference
    assert ReferenceSigner([_NEW]).verify(before, reference.purpose) is None


@given(_references)
def test_the_newest_key_signs(reference: Reference) -> None:
    token = _signer.sign(reference)
    assert ReferenceSigner([_NEW]).verify(token, reference.purpose) == reference
    assert ReferenceSigner([_OLD]).verify(token, reference.purpose) is None


@given(_references)
def test_a_key_of_somebody_else_is_refused(reference: Reference) -> None:
    forged = ReferenceSigner([_FOREIGN]).sign(reference)
    assert _signer.verify(forged, reference.purpose) is None


def test_the_signing_key_is_not_the_sealing_key_itself() -> None:
    body = base64.urlsafe_b64decode(_signer.sign(_ONE) + "=")[:25]
    forged = base64.urlsafe_b64encode(body + hmac.digest(_NEW, body, "sha256")[:16]).decode()
    assert _signer.verify(forged.rstrip("="), Purpose.SMS_STATUS) is None


def test_a_later_layout_is_refused_even_if_its_signature_fits() -> None:
    body = b"\x02" + base64.urlsafe_b64decode(_signer.sign(_ONE) + "=")[1:25]
    signed = body + ReferenceSigner._mac(_signer._keys[0], body)
    later = base64.urlsafe_b64encode(signed).decode().rstrip("=")
    assert _signer.verify(later, Purpose.SMS_STATUS) is None
