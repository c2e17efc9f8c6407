"""What the plugin does for tests, seen in pytest runs of their own."""

import os
import select
import subprocess
import sys
import textwrap

import pytest
from pytest_keyrig import program

OPTIONS = {
    "rp": {"id": "example.com", "name": "Example"},
    "user": {"id": "AQ", "name": "alice", "displayName": "Alice"},
    "challenge": "q83vEjRWeJA",
    "pubKeyCredParams": [{"type": "public-key", "alg": -7}],
}
HEAD = f"import pytest\nOPTIONS = {OPTIONS!r}\n"


@pytest.fixture(autouse=True)
def found_from_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYRIG", str(program.find().absolute()))


def write(pytester: pytest.Pytester, test: str) -> None:
    pytester.makepyfile(HEAD + textwrap.dedent(test))


def test_racks_of_workers_do_not_meet(pytester: pytest.Pytester) -> None:
    write(
        pytester,
        """
        @pytest.mark.parametrize("number", range(6))
        def test_alone(keyrig, number):
            assert keyrig.keys() == []
            for _ in range(2):
                keyrig.key("yubikey-5.7")
            assert [key.name for key in keyrig.keys()] == ["yubikey-5.7", "yubikey-5.7-2"]
            assert keyrig.client("https://example.com").create(OPTIONS).touched == ["yubikey-5.7"]
        """,
    )
    pytester.runpytest_subprocess("-n", "2").assert_outcomes(passed=6)


def test_a_test_that_fails_shows_and_keeps_what_its_keys_were_asked(pytester: pytest.Pytester) -> None:
    write(
        pytester,
        """
        def test_fails(keyrig):
            keyrig.key(name="a")
            keyrig.client("https://example.com").create(OPTIONS)
            assert False
        def test_passes(keyrig):
            keyrig.key(name="b")
        """,
    )
    result = pytester.runpytest_subprocess("--keyrig-traces", "kept")
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["*what the keys were asked*", "*a *authenticatorMakeCredential*CTAP2_OK*"])
    kept = list((pytester.path / "kept").iterdir())
    assert len(kept) == 1
    shown = subprocess.run([program.find(), "trace", kept[0]], capture_output=True, text=True, check=True).stdout
    assert "authenticatorMakeCredential" in shown


def test_a_trace_has_every_answer_that_was_given(pytester: pytest.Pytester) -> None:
    write(
        pytester,
        """
        def test_traced(keyrig):
            keyrig.key(name="a")
            page = keyrig.client("https://example.com")
            for done in range(1, 51):
                page.create(OPTIONS)
                events = keyrig.trace()
                answers = [one for one in events if one["event"] == "response"]
                made = [one for one in answers if one["command"] == "authenticatorMakeCredential"]
                assert len(made) == done
        """,
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("marker", "words"),
    [
        ("keyrig('manual')", "*the marker keyrig is written keyrig(touch=POLICY)*"),
        ("keyrig(tuch='manual')", "*the marker keyrig is written keyrig(touch=POLICY)*"),
        ("keyrig(touch='sometimes')", "*is not a touch policy: choose auto*"),
    ],
)
def test_a_marker_that_is_wrong_is_told(pytester: pytest.Pytester, marker: str, words: str) -> None:
    write(pytester, f"@pytest.mark.{marker}\ndef test_marked(keyrig): pass\n")
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([words])


def test_settings_that_are_wrong_are_told_in_the_words_of_the_program(pytester: pytest.Pytester) -> None:
    write(pytester, "@pytest.mark.relying_party(config='colour = 1')\ndef test_marked(relying_party): pass\n")
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*keyrig rp serve has ended with status 1:*site.toml:1:1:*colour*"])


def test_a_profile_that_does_not_exist_is_told_with_those_that_do(pytester: pytest.Pytester) -> None:
    write(pytester, "def test_profile(keyrig): keyrig.key('yubikey-9')\n")
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(['*no profile is called "yubikey-9": the profiles are keyrig,*'])


@pytest.mark.parametrize(
    ("program_text", "words"),
    [
        (None, "*KEYRIG is '*keyrig', and no program is there*"),
        ("#!/bin/sh\necho hello\n", "*is not the keyrig that this plugin is for: it says b'hello\\n'*"),
        ("#!/bin/sh\necho no sockets today >&2; exit 3\n", "*has ended with status 3: no sockets today*"),
    ],
)
def test_a_program_that_is_none_is_told(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, program_text: str | None, words: str
) -> None:
    other = pytester.path / "keyrig"
    if program_text:
        other.write_text(program_text)
        other.chmod(0o755)
    monkeypatch.setenv("KEYRIG", str(other))
    write(pytester, "def test_any(keyrig): pass\n")
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([words])


def test_without_a_program_it_says_how_to_get_one(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KEYRIG")
    monkeypatch.setenv("PATH", str(pytester.path))
    write(pytester, "def test_any(): pass\n")
    with monkeypatch.context() as patched:
        patched.setattr("sysconfig.get_path", lambda name: str(pytester.path))
        result = pytester.runpytest_inprocess()
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["keyrig: the program keyrig is neither beside this Python nor on PATH*pip install*"])


def test_without_a_program_the_relying_party_says_that_it_needs_one(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEYRIG", str(pytester.path / "keyrig"))
    monkeypatch.setenv("KEYRIG_URL", "http://127.0.0.1:8100")
    monkeypatch.setenv("KEYRIG_TOKEN", "token")
    write(pytester, "def test_site(relying_party): pass\n")
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(errors=1)
    words = "*the fixture relying_party starts a program of its own, also where KEYRIG_URL names a rack: KEYRIG is *"
    result.stdout.fnmatch_lines([words])


def test_a_failed_test_shows_its_own_line_and_the_reason_alone(pytester: pytest.Pytester) -> None:
    write(
        pytester,
        """
        def test_refused(keyrig):
            keyrig.key()
            keyrig.client("https://example.net").create(OPTIONS)
        def test_not_there(keyrig):
            keyrig.key().wait("attached", timeout=0)
        def test_site(relying_party):
            relying_party.request("GET", "/api/nothing")
        """,
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(failed=3)
    result.stdout.fnmatch_lines(['>*keyrig.client("https://example.net").create(OPTIONS)', "E *rp-id-foreign*"])
    places = [line for line in result.outlines if ".py:" in line and "::" not in line]
    assert len(places) >= 3, places  # noqa: PLR2004
    assert [line for line in places if not line.startswith("test_")] == []


def test_a_rack_that_ends_in_the_middle_is_told(pytester: pytest.Pytester) -> None:
    write(
        pytester,
        """
        def test_killed(keyrig):
            keyrig._service._why_silent.__self__._process.kill()
            keyrig._service._why_silent.__self__._process.wait()
            keyrig.keys()
        """,
    )
    result = pytester.runpytest_subprocess()
    # The end of the fixture tells it as well: a test that did not ask any more would not have seen it.
    result.assert_outcomes(failed=1, errors=1)
    result.stdout.fnmatch_lines(
        ["*GET http://127.0.0.1:*/v1/keys was not answered: keyrig serve has ended with status -9*"]
    )


def test_under_exec_the_rack_is_the_one_there(pytester: pytest.Pytester) -> None:
    write(
        pytester,
        """
        import os
        from pytest_keyrig import KeyrigError
        from pytest_keyrig.http import Service
        def test_shared(keyrig):
            assert keyrig.url == os.environ["KEYRIG_URL"]
            assert keyrig.keys() == []
            keys = keyrig.ask("GET", "keys").json["keys"]
            assert [(key["name"], key["plugged"]) for key in keys] == [("there", False), ("keyrig", False)]
            keyrig.touch_policy("manual")
            key = keyrig.key("yubikey-5.7", name="mine")
            ceremony = keyrig.client("https://example.com").start_create(OPTIONS)
            key.touch()
            assert ceremony.result().blinked == ["mine"]
            assert [key.name for key in keyrig.keys()] == ["mine"]
        def test_names_of_the_rack_around_are_taken(keyrig):
            assert keyrig.key().name == "keyrig-2"
            for make in (lambda: keyrig.key(name="there"), lambda: keyrig.keys()[0].clone("there")):
                with pytest.raises(KeyrigError, match="a key there is there already.*give another name"):
                    make()
        @pytest.mark.parametrize("time", [1, 2])
        def test_afterwards_it_is_as_before(time):
            token = {"Authorization": f"Bearer {os.environ['KEYRIG_TOKEN']}"}
            rack = Service(os.environ["KEYRIG_URL"]).carrying(token).ask("GET", "/v1/keys").json
            assert [(key["name"], key["plugged"]) for key in rack["keys"]] == [("there", True), ("keyrig", True)]
            assert rack["touch"] == "auto"
        """,
    )
    command = [program.find(), "exec", "--quiet", "--plug", "none", "--key", "there=keyrig", "--key", "keyrig", "--"]
    run = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
    environment = {name: value for name, value in os.environ.items() if name != "KEYRIG_TOKEN"}

    def pytest_under_exec(*more: str) -> subprocess.CompletedProcess[str]:
        words = [*map(str, command), *run, *more]
        return subprocess.run(words, cwd=pytester.path, env=environment, capture_output=True, text=True, check=False)

    done = pytest_under_exec()
    assert "4 passed" in done.stdout, done.stdout + done.stderr
    done = pytest_under_exec("-n", "2")
    assert "workers cannot share its keys" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 1


@pytest.mark.parametrize("fixture", ["keyrig", "relying_party"])
def test_nothing_outlives_a_run_that_is_killed(pytester: pytest.Pytester, fixture: str) -> None:
    write(
        pytester,
        f"""
        import gc, os, signal
        from pytest_keyrig import program
        def test_killed({fixture}):
            [server] = [one for one in gc.get_objects() if isinstance(one, program.Server)]
            os.write(int(os.environ["WRITTEN"]), str(server._process.pid).encode())
            signal.pause()
        """,
    )
    read, written = os.pipe()
    run = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"],
        cwd=pytester.path,
        env={**os.environ, "WRITTEN": str(written)},
        pass_fds=[written],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(written)
    number = os.read(read, 20)
    os.close(read)
    assert number, "the run ended before it was ready"
    server = os.pidfd_open(int(number))
    run.kill()
    run.wait()
    assert select.select([server], [], [], 20)[0], "the server is still there"
    os.close(server)


def test_its_markers_are_listed(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_subprocess("--markers")
    result.stdout.fnmatch_lines(["@pytest.mark.keyrig(touch=POLICY):*", "@pytest.mark.relying_party(config=TOML):*"])
