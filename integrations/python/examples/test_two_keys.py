import os

import pytest
import requests
from pytest_keyrig import Refused

SITE, ORIGIN = os.environ["SITE"], "https://login.example.com"


def ask(operation, url):
    requests.post(url, json=operation(requests.get(url).text)).raise_for_status()


def test_a_second_key_replaces_a_lost_one(keyrig):
    page, a, b = keyrig.client(ORIGIN), keyrig.key("keyrig"), keyrig.key("yubikey-5.7")
    for key in (a, b):
        keyrig.finger(key)
        ask(page.create, f"{SITE}/register")
    a.unplug()
    ask(page.get, f"{SITE}/login")


def test_a_page_from_elsewhere_gets_nothing(keyrig):
    with pytest.raises(Refused, match="rp-id-foreign"):
        ask(keyrig.client("https://login.example.net").create, f"{SITE}/register")
