import os

import requests

SITE, KEYRIG = os.environ["SITE"], os.environ["KEYRIG_URL"]
HEADERS = {"Authorization": f"Bearer {os.environ['KEYRIG_TOKEN']}"}


def keyrig(method, path, **body):
    answer = requests.request(method, f"{KEYRIG}/v1/{path}", json=body, headers=HEADERS)
    assert answer.ok, answer.json()["error"]
    return answer.json()


def ask(ceremony, url):
    page = {"origin": "https://login.example.com", "options": requests.get(url).json()}
    requests.post(url, json=keyrig("POST", f"client/{ceremony}", **page)).raise_for_status()


def test_a_second_key_replaces_a_lost_one():
    for key in ("a", "b"):
        keyrig("PUT", "finger", key=key)
        ask("create", f"{SITE}/register")
    keyrig("POST", "keys/a/unplug")
    ask("get", f"{SITE}/login")
