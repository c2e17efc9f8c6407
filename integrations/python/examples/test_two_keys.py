import os

import pytest
import requests
from pytest_keyrig import Refused

SITE, ORIGIN = os.environ["SITE"], "https://login.example.com"


def register(page):
    requests.post(f"{SITE}/register", json=page.create(requests.get(f"{SITE}/register").text)).raise_for_status()


def test_a_second_key_replaces_a_lost_one(keyrig):
    page, a, b = keyrig.client(ORIGIN), keyrig.key("keyrig"), keyrig.key("yubikey-5.7")
    for key in (a, b):
        keyrig.finger(key)
        register(page)
    a.unplug()
    requests.post(f"{SITE}/login", json=page.get(requests.get(f"{SITE}/login").text)).raise_for_status()


def test_a_page_from_elsewhere_gets_nothing(keyrig):
    with pytest.raises(Refused, match="rp-id-foreign"):
        register(keyrig.client("https://login.example.net"))
