import pytest
from pytest_keyrig import Keyrig, Refused, RelyingParty


def test_a_user_registers_two_keys_loses_one_and_logs_in_with_the_other(
    keyrig: Keyrig, relying_party: RelyingParty
) -> None:
    a, b, page = keyrig.key(name="a"), keyrig.key(name="b"), keyrig.client(relying_party.origin)
    alice = relying_party.user("alice")
    session = alice.log_in()
    assert session.state == "logged_in"
    lost = session.register(page, "a")
    keyrig.finger(b)
    session.register(page, "b")
    assert [factor["description"] for factor in session.factors()] == ["a", "b"]

    a.unplug()
    session = alice.log_in(page)
    session.delete_factor(lost)
    assert [factor["description"] for factor in session.factors()] == ["b"]
    with pytest.raises(ValueError, match="second factor"):
        alice.log_in()


def test_a_passkey_needs_a_key_that_knows_its_user(keyrig: Keyrig, relying_party: RelyingParty) -> None:
    key = keyrig.key("keyrig", pin="1234")
    session = relying_party.user("alice").log_in()
    session.register(keyrig.client(relying_party.origin, pin="1234"), "passkey", passkey=True)
    assert [one["rp_id"] for one in key.credentials()] == ["localhost"]


def test_a_wrong_password_is_refused_by_the_relying_party(relying_party: RelyingParty) -> None:
    alice = relying_party.user("alice")
    alice.password = "another one"
    with pytest.raises(Refused) as caught:
        alice.log_in()
    assert caught.value.refused_by == "relying_party"
    assert caught.value.name is None


def test_a_signature_that_is_wrong_is_reported_check_by_check(keyrig: Keyrig, relying_party: RelyingParty) -> None:
    key, page, alice = keyrig.key(), keyrig.client(relying_party.origin), relying_party.user("alice")
    alice.log_in().register(page)
    key.fault("bad-signature")
    with pytest.raises(Refused, match="signature") as caught:
        alice.log_in(page)
    assert caught.value.refused_by == "relying_party"
    assert "report" in caught.value.details


def test_a_realm_that_requires_a_key_lets_its_users_enrol_one(keyrig: Keyrig, relying_party: RelyingParty) -> None:
    keyrig.key()
    alice = relying_party.user("alice")
    relying_party.request("PUT", "/api/realms/pve", {"requirement": {"type": "webauthn"}})
    session = alice.log_in()
    assert session.state == "enrolment_required"
    page = keyrig.client(relying_party.origin)
    session.register(page)
    assert session.state == "logged_in"
    assert alice.log_in(page).state == "logged_in"


@pytest.mark.relying_party(config='rp_id = "example.com"\norigins = ["https://login.example.com"]')
def test_settings_are_those_of_the_marker(keyrig: Keyrig, relying_party: RelyingParty) -> None:
    keyrig.key()
    with pytest.raises(Refused, match="rp-id-foreign"):
        relying_party.user("alice").log_in().register(keyrig.client(relying_party.origin))
    relying_party.user("bob").log_in().register(keyrig.client("https://login.example.com"))
