import json
from collections.abc import Callable
from typing import Any

import pytest
import webauthn
from pytest_keyrig import Keyrig, KeyrigError, Refused
from site_with_webauthn import ORIGIN, Site
from webauthn.helpers.exceptions import InvalidAuthenticationResponse


def test_options_are_text_or_a_mapping_with_publickey_around_them_or_not(keyrig: Keyrig) -> None:
    keyrig.key()
    page, site = keyrig.client(ORIGIN), Site()
    forms: list[Callable[[Any], Any]] = [
        webauthn.options_to_json,
        lambda options: webauthn.options_to_json(options).encode(),
        lambda options: json.loads(webauthn.options_to_json(options)),
        lambda options: {"publicKey": json.loads(webauthn.options_to_json(options))},
    ]
    for form in forms:
        options = site.creation()
        credential = page.create(form(options))
        site.registers(credential, options)
        assert json.loads(credential.text) == credential
        options = site.request()
        site.accepts(page.get(form(options)), options)
    assert len(site.registered) == len(forms)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("{", "no JSON"),
        (b"\xff", "no JSON"),
        ("[]", "a list"),
        (Site().creation(), "options_to_json"),
        ({"challenge": b"abc"}, "JSON has no bytes, and b'abc' is one: WebAuthn's JSON has base64url in its place"),
    ],
)
def test_options_of_another_kind_are_told_before_anything_is_asked(keyrig: Keyrig, options: str, words: str) -> None:
    page = keyrig.client(ORIGIN)
    with pytest.raises(TypeError, match=words):
        page.create(options)


def test_a_refusal_says_who_refused_and_why(keyrig: Keyrig) -> None:
    keyrig.key(name="a")
    with pytest.raises(Refused) as caught:
        Site().register(keyrig.client("https://login.example.net"))
    refusal = caught.value
    assert (refusal.code, refusal.name, refusal.refused_by) == ("rp-id-foreign", "SecurityError", "client")
    assert "example.com" in refusal.reason
    assert "refused by the client: rp-id-foreign" in str(refusal)

    site, page = Site(), keyrig.client(ORIGIN)
    credential = site.register(page)
    options = json.loads(webauthn.options_to_json(site.creation()))
    options["excludeCredentials"] = [{"type": "public-key", "id": credential["id"]}]
    with pytest.raises(Refused) as caught:
        page.create(options)
    assert (caught.value.name, caught.value.refused_by) == ("InvalidStateError", "authenticator")


def test_the_finger_chooses_among_keys_and_the_credential_names_them(keyrig: Keyrig) -> None:
    _, b = keyrig.key(name="a"), keyrig.key("yubikey-5.7", name="b")
    site = Site()
    keyrig.finger(b)
    credential = site.register(keyrig.client(ORIGIN))
    assert sorted(credential.blinked) == ["a", "b"]
    assert credential.touched == ["b"]
    keyrig.finger(None)
    assert site.register(keyrig.client(ORIGIN)).touched == ["a"]
    keyrig.finger(b)
    assert site.register(keyrig.client(ORIGIN, on=[b])).blinked == ["b"]


@pytest.mark.keyrig(touch="manual")
def test_a_test_touches_by_itself(keyrig: Keyrig) -> None:
    key, site, page = keyrig.key(), Site(), keyrig.client(ORIGIN)
    with pytest.raises(KeyrigError) as early:
        key.touch(timeout=0)
    assert early.value.code == "not-waiting"

    options = site.creation()
    ceremony = page.start_create(webauthn.options_to_json(options))
    key.wait("touch")
    assert not ceremony.done()
    with pytest.raises(TimeoutError):
        ceremony.result(timeout=0)
    key.touch()
    site.registers(ceremony.result(), options)
    assert ceremony.done()


@pytest.mark.keyrig(touch="manual")
def test_a_refused_touch_is_refused_by_the_key(keyrig: Keyrig) -> None:
    key, page = keyrig.key(), keyrig.client(ORIGIN)
    ceremony = page.start_create(webauthn.options_to_json(Site().creation()))
    key.deny()
    with pytest.raises(Refused) as caught:
        ceremony.result()
    assert caught.value.name == "NotAllowedError"


@pytest.mark.keyrig(touch="manual")
def test_a_page_that_is_closed_ends_the_wait_of_its_key(keyrig: Keyrig) -> None:
    key, page = keyrig.key(), keyrig.client(ORIGIN)
    ceremony = page.start_create(webauthn.options_to_json(Site().creation()))
    key.wait("touch")
    seen = keyrig.events()[-1]["id"]
    ceremony.cancel()
    with pytest.raises(KeyrigError, match="cancelled by the test"):
        ceremony.result()
    assert [event["event"] for event in keyrig.events(seen, timeout=30)] == ["cancelled"]


def test_a_pin_is_typed_by_the_page_and_a_wrong_one_costs_a_try(keyrig: Keyrig) -> None:
    key, site = keyrig.key("yubikey-5.7", pin="1234"), Site(verified=True, discoverable=True)
    site.register(keyrig.client(ORIGIN, pin="1234"))
    tries = key.pin()["retries"]
    with pytest.raises(Refused) as caught:
        site.log_in(keyrig.client(ORIGIN, pin="4321"))
    assert caught.value.code == "pin-invalid"
    assert key.pin()["retries"] == tries - 1
    assert site.log_in(keyrig.client(ORIGIN, pin="1234"))["id"] in site.registered
    assert [one["rp_id"] for one in key.credentials()] == ["example.com"]


def test_a_key_that_verifies_its_user_needs_no_pin(keyrig: Keyrig) -> None:
    key, site = keyrig.key("keyrig-uv"), Site(verified=True, discoverable=True)
    site.register(keyrig.client(ORIGIN))
    keyrig.touch_policy("manual")
    options = site.request()
    login = keyrig.client(ORIGIN).start_get(webauthn.options_to_json(options))
    key.verify(miss=True)
    key.verify()
    site.accepts(login.result(), options)


def test_a_snapshot_brings_back_what_a_reset_took(keyrig: Keyrig) -> None:
    key, site, page = keyrig.key(), Site(), keyrig.client(ORIGIN)
    site.register(page)
    kept = key.snapshot()
    key.reset()
    with pytest.raises(Refused):
        site.log_in(page)
    key.restore(kept)
    site.log_in(page)
    key.remove()
    keyrig.key("keyrig", name="again", snapshot=kept)
    # Its counter, too, is as it was when the snapshot was taken.
    with pytest.raises(InvalidAuthenticationResponse, match="sign count"):
        site.log_in(page)


def test_a_clone_is_found_by_its_counter(keyrig: Keyrig) -> None:
    key, site, page = keyrig.key(), Site(), keyrig.client(ORIGIN)
    site.register(page)
    copy = key.clone("copy")
    site.log_in(page)
    key.unplug()
    assert copy.state()["plugged"] and not key.state()["plugged"]
    with pytest.raises(InvalidAuthenticationResponse, match="sign count"):
        site.log_in(page)


def test_a_fault_is_switched_on_and_off(keyrig: Keyrig) -> None:
    key, site, page = keyrig.key(), Site(), keyrig.client(ORIGIN)
    site.register(page)
    key.fault("ctap-status,status=0x2E")
    with pytest.raises(Refused):
        site.log_in(page)
    key.no_faults()
    site.log_in(page)
