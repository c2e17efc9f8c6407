"""What is offered to CI: the action's steps are run as a runner would, and all YAML is held to its schema.

The schemas are SchemaStore's, as PyPI's check-jsonschema brings them along.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from xml.etree import ElementTree

import pytest
from conftest import CACHE, TREE, bare, run
from ruamel.yaml import YAML
from test_reports import BEYOND, found

ACTION = TREE / "integrations/github-action"
PAGE = TREE / "docs/src/how-to/ci.md"
ACTION_YML = YAML(typ="safe").load((ACTION / "action.yml").read_text())


@dataclass
class Ran:
    """What came of a use of the action."""

    outcomes: dict[str, str] = field(default_factory=dict)
    said: str = ""
    summary: str = ""
    uploads: list[str] = field(default_factory=list)
    path: str = ""


def use(directory: Path, under: list[str | Path] | None = None, system: str = "Linux", **inputs: str) -> Ran:
    """Runs the steps of action.yml with these inputs, in a directory of their own; what others wrote is noted alone."""
    given = {name: inputs.get(name, one.get("default", "")) for name, one in ACTION_YML["inputs"].items()}
    steps: dict[str, dict[str, str]] = {}
    ran, failed = Ran(), False

    def value(expression: str) -> str:
        name = expression.strip()
        if name.startswith("inputs."):
            return given[name.removeprefix("inputs.")]
        step, what, *output = name.removeprefix("steps.").split(".")
        return steps[step]["outcome"] if what == "outcome" else steps[step].get(output[0], "")

    def text(template: str) -> str:
        return re.sub(r"\$\{\{(.*?)\}\}", lambda found: value(found[1]), str(template))

    def is_due(condition: str) -> bool:
        return any(each_holds(terms) for terms in condition.split(" || "))

    def each_holds(condition: str) -> bool:
        terms = [term.strip() for term in condition.split("&&")]
        if "always()" not in terms and ("failure()" in terms) != failed:
            return False
        compared = [re.fullmatch(r"(\S+) (==|!=) '(.*)'", term) for term in terms if not term.endswith("()")]
        return all(one and (value(one[1]) == one[3]) == (one[2] == "==") for one in compared)

    files = {name: directory / name for name in ("GITHUB_OUTPUT", "GITHUB_PATH", "GITHUB_STEP_SUMMARY")}
    (directory / "work").mkdir(exist_ok=True)
    for step in ACTION_YML["runs"]["steps"]:
        name = step.get("id", "")
        steps[name] = {"outcome": "skipped"}
        if not is_due(step.get("if", "success()")):
            continue
        if "uses" in step:
            ran.uploads += [text(step["with"]["path"])] if "upload-artifact" in step["uses"] else []
            continue
        for file in (files["GITHUB_OUTPUT"], files["GITHUB_PATH"]):
            file.write_text("")
        environment = {
            **bare(),
            **{name: text(one) for name, one in step.get("env", {}).items()},
            **{name: str(file) for name, file in files.items()},
            **{"GITHUB_ACTION_PATH": str(ACTION), "RUNNER_TEMP": str(directory), "HOME": str(directory)},
            **{"RUNNER_OS": system, "RUNNER_ARCH": "X64", "PATH": f"{ran.path}{os.environ['PATH']}"},
        }
        script = directory / "step.sh"
        script.write_text(step["run"])
        command = [*(under or []), "bash", "--noprofile", "--norc", "-eo", "pipefail", script]
        done = subprocess.run(
            command,
            cwd=directory / "work",
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=120,
        )
        ran.said += done.stdout
        failed = failed or done.returncode != 0
        outputs = dict(line.split("=", 1) for line in files["GITHUB_OUTPUT"].read_text().splitlines())
        steps[name] = {**outputs, "outcome": "failure" if done.returncode else "success"}
        ran.path = "".join(f"{line}:" for line in files["GITHUB_PATH"].read_text().splitlines()) + ran.path
        ran.outcomes[step["run"].split()[-1]] = steps[name]["outcome"]
    if files["GITHUB_STEP_SUMMARY"].exists():
        ran.summary = files["GITHUB_STEP_SUMMARY"].read_text()
    return ran


@pytest.fixture(scope="module")
def confined(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What makes the rules of Docker and of Ubuntu's AppArmor."""
    confine = tmp_path_factory.mktemp("confine") / "confine"
    run(["gcc", "-O", "-o", confine, TREE / "tests/exec/confine.c"])
    return confine


@pytest.mark.parametrize("rules", [None, "apparmor", "docker"])
def test_the_commands_find_their_keys_under_the_rules_of_runners(
    tmp_path: Path, program: Path, confined: Path, rules: str | None
) -> None:
    command = 'test -c /dev/hidraw0 && test -c /dev/hidraw1\ncurl -sSf "$KEYRIG_URL/v1/ready"\n'
    under = [confined, rules] if rules else None
    ran = use(tmp_path, under, program=str(program), run=command, keys="a=keyrig\n  b=yubikey-5.7\n")
    assert ran.outcomes == {"install": "success", "run": "success", "summary": "success"}, ran.said
    assert '{"ready":true}' in ran.said
    assert ran.summary == "### keyrig: success\n"
    assert ran.uploads == []
    assert (tmp_path / "keyrig/bin/keyrig").samefile(program)


def test_what_stands_in_front_of_drivers_is_on_path(tmp_path: Path, program: Path) -> None:
    # In the place of drivers, what says by which name it was started.
    told = """
        export KEYRIG_CHROMEDRIVER=/usr/bin/env KEYRIG_GECKODRIVER=/usr/bin/env
        for driver in chromedriver geckodriver; do "$(command -v "keyrig-$driver")" --help; done
    """
    ran = use(tmp_path, program=str(program), run=textwrap.dedent(told))
    assert ran.outcomes["run"] == "success", ran.said
    assert ran.said.count("Usage: /usr/bin/env ") == 2, ran.said  # noqa: PLR2004


@pytest.fixture
def fetched_from(tmp_path: Path, program: Path) -> Iterator[str]:
    """An address on this machine with the program behind it, at another name at first."""
    served = tmp_path / "served"
    served.mkdir()
    (served / "keyrig").symlink_to(program)

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/latest":
                self.send_response(302)
                self.send_header("Location", "/keyrig")
                self.end_headers()
            else:
                super().do_GET()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(served))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/latest"
        server.shutdown()


def test_a_program_is_fetched_once_if_its_hash_is_the_one_that_was_said(
    tmp_path: Path, program: Path, fetched_from: str
) -> None:
    digest = hashlib.sha256(program.read_bytes()).hexdigest()
    ran = use(tmp_path, program=fetched_from, sha256=digest, run="test -c /dev/hidraw0")
    assert ran.outcomes == {"key": "success", "install": "success", "run": "success", "summary": "success"}, ran.said
    assert (tmp_path / "keyrig-built/bin/keyrig").read_bytes() == program.read_bytes()
    # From the cache, with nobody at that address.
    ran = use(tmp_path, program="http://127.0.0.1:1/keyrig", sha256=digest, run="keyrig --version")
    assert ran.outcomes["run"] == "success", ran.said


@pytest.mark.parametrize(
    ("digest", "words"),
    [
        ("", "'sha256' has to say what is fetched"),
        ("0" * 63, "'sha256' has to say what is fetched"),
        ("0" * 64, "is another program than 'sha256' says: its hash is "),
    ],
)
def test_a_program_with_another_hash_or_none_is_not_run(
    tmp_path: Path, fetched_from: str, digest: str, words: str
) -> None:
    ran = use(tmp_path, program=fetched_from, sha256=digest, run="true")
    assert "run" not in ran.outcomes, ran.said
    assert words in ran.said
    assert not (tmp_path / "keyrig/bin/keyrig").exists()


def test_what_failed_is_told_and_kept(tmp_path: Path, program: Path) -> None:
    ceremony = """
        cat > report.xml <<'END'
        <testsuites><testsuite><testcase name="passes"/><testcase classname="logins" name="fails">
        <failure>expected a login &lt;b&gt;</failure></testcase></testsuite></testsuites>
        END
        fido2-cred -M -i options $(ls /dev/hidraw0) || exit 7
    """
    work = tmp_path / "work"
    work.mkdir()
    # A challenge's hash, an RP ID, a user's name and id, as fido2-cred takes them.
    (work / "options").write_text("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\nexample.com\nalice\nAQ==\n")
    options = "--touch=deny\n--quiet"
    ran = use(tmp_path, program=str(program), run=textwrap.dedent(ceremony), junit="*.xml", exec=options, traces="kept")
    assert ran.outcomes == {"install": "success", "run": "failure", "summary": "success"}, ran.said
    assert "### keyrig: failure" in ran.summary
    assert "2 tests, 1 failed." in ran.summary
    assert "    logins fails\n    expected a login <b>\n" in ran.summary
    assert "exec.jsonl: who said no" in ran.summary
    assert "example.com" in ran.summary
    assert ran.uploads == ["kept"]
    trace = run([program, "trace", work / "kept/exec.jsonl"]).stdout
    assert "authenticatorMakeCredential" in trace


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"program": "http://127.0.0.1:1/keyrig", "sha256": "0" * 64}, "http://127.0.0.1:1/keyrig cannot be fetched"),
        ({"sha256": "0" * 64}, "is another program than 'sha256' says"),
        ({"program": "/nowhere/keyrig"}, "::error title=keyrig::there is no program at /nowhere/keyrig"),
        ({"system": "macOS"}, "::error title=keyrig::'keyrig exec' is for Linux, and this runner has macOS"),
        ({"keys": " "}, "::error title=keyrig::'keys' is empty"),
        ({"keys": "a=yubikey-9"}, "no profile is called"),
        ({"exec": "--tuch=deny"}, "--tuch"),
        ({"run": "exit 3"}, ""),
        ({"run": "false | true"}, ""),
    ],
)
def test_what_is_wrong_fails_with_words(tmp_path: Path, program: Path, inputs: dict[str, str], words: str) -> None:
    ran = use(tmp_path, **{"program": str(program), "run": "true", **inputs})
    assert "failure" in ran.outcomes.values(), ran.said
    assert words in ran.said


def test_without_a_program_it_is_built_once_for_the_same_sources(tmp_path: Path, program: Path) -> None:
    # In place of cargo, what it would have made.
    built = tmp_path / "keyrig-built/bin"
    built.mkdir(parents=True)
    shutil.copy(program, built / "keyrig")
    ran = use(tmp_path, run="keyrig --version")
    assert ran.outcomes == {"key": "success", "install": "success", "run": "success", "summary": "success"}, ran.said
    outputs = [dict(line.split("=", 1) for line in keyed(tmp_path).splitlines()) for _ in range(2)]
    assert outputs[0] == outputs[1]
    assert re.fullmatch(r"keyrig-Linux-X64-[0-9a-f]{64}", outputs[0]["key"])


def keyed(directory: Path) -> str:
    output = directory / "output"
    output.write_text("")
    runner = {"RUNNER_TEMP": str(directory), "RUNNER_OS": "Linux", "RUNNER_ARCH": "X64", "GITHUB_OUTPUT": str(output)}
    runner = {**runner, "KEYRIG_PROGRAM": "", "KEYRIG_SHA256": ""}
    run([ACTION / "action.sh", "key"], env={**bare(), **runner})
    return output.read_text()


def test_a_rack_in_a_container_is_what_its_file_says(tmp_path: Path, program: Path) -> None:
    """Its command line, but for the address; and any name of the host is served to who has the token."""
    lines = (ACTION / "Containerfile").read_text().splitlines()
    words = [json.loads(line.split(" ", 1)[1]) for line in lines if line.startswith(("ENTRYPOINT", "CMD"))]
    command = [*words[0], *words[1], "--json", "--control", f"unix:{tmp_path}/control", "--exit-on-stdin-end"]
    assert command[0] == "keyrig" and "0.0.0.0:8100" in command
    command = [str(program), *("127.0.0.1:0" if word == "0.0.0.0:8100" else word for word in command[1:])]
    environment = {**bare(), "KEYRIG_TOKEN": "token-of-this-test"}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as rack:
        assert rack.stdin and rack.stdout
        url = json.loads(rack.stdout.readline())["http"]["url"]
        ask = ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "-H", "Host: keyrig:8100", f"{url}/v1/keys"]
        assert run([*ask, "-H", "Authorization: Bearer token-of-this-test"]).stdout == "200"
        assert run(ask).stdout == "401"
        rack.stdin.close()
        assert rack.wait(20) == 0


def blocks() -> list[tuple[str, str]]:
    pages = [(ACTION / "README.md").read_text(), PAGE.read_text()]
    listed = [block for page in pages for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)]
    gitlab = {"keyrig:": "gitlab-ci", "scenarios:": "gitlab-ci"}
    kinds = {"name:": "github-workflows", "services:": "compose-spec", **gitlab}
    return [(f"vendor.{kinds[block.split(maxsplit=1)[0]]}", block) for block in listed]


def holds(schema: str, text: str, file: Path) -> bool:
    file.write_text(text)
    command = [CACHE / "venv/bin/check-jsonschema", "--builtin-schema", schema, file]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_what_others_read_is_what_they_have_a_schema_for(tmp_path: Path) -> None:
    action = (ACTION / "action.yml").read_text()
    shown = [("vendor.github-actions", action), *blocks()]
    assert sorted({schema for schema, _ in shown}) == [
        "vendor.compose-spec",
        "vendor.github-actions",
        "vendor.github-workflows",
        "vendor.gitlab-ci",
    ]
    for number, (schema, text) in enumerate(shown):
        assert holds(schema, text, tmp_path / f"{number}.yml"), text
    assert not holds("vendor.github-actions", action.replace("using: composite", "using: bash"), tmp_path / "wrong.yml")


def test_the_inputs_that_are_shown_are_those_of_the_action() -> None:
    for _, block in blocks():
        for job in YAML(typ="safe").load(block).get("jobs", {}).values():
            for step in job["steps"]:
                if "keyrig" in step.get("uses", ""):
                    assert set(step["with"]) <= set(ACTION_YML["inputs"])
                    assert {name for name, one in ACTION_YML["inputs"].items() if one.get("required")} <= set(
                        step["with"]
                    )


def cases(report: Path) -> list[str]:
    return sorted(case.get("name", "") for case in ElementTree.parse(report).getroot().iter("testcase"))


def shown(begins: str) -> dict:
    [block] = [block for _, block in blocks() if block.startswith(begins)]
    return YAML(typ="safe").load(block)


def test_a_matrix_of_jobs_runs_each_scenario_once_and_their_reports_are_one(tmp_path: Path, program: Path) -> None:
    """GitHub's and GitLab's, as their runners would fill them in."""
    kept = ("lost-key", "wrong-origins", "firmware-generations", "first-key")
    for name in kept:
        (tmp_path / "scenarios").mkdir(exist_ok=True)
        shutil.copy(TREE / f"fixtures/scenarios/{name}.toml", tmp_path / "scenarios")
    environment = {**bare(), "PATH": f"{program.parent}:/usr/bin:/bin", "HOME": str(tmp_path)}
    run([program, "run", "scenarios", "--junit", "all.xml"], cwd=tmp_path, env=environment)
    whole = cases(tmp_path / "all.xml")
    assert len(whole) > len(kept)

    jobs = shown("name: scenarios")["jobs"]
    parts = jobs["part"]["strategy"]["matrix"]["part"]
    [command] = [step["with"]["run"] for step in jobs["part"]["steps"] if "keyrig" in step.get("uses", "")]
    for part in parts:
        words = command.replace("${{ matrix.part }}", str(part))
        run(["bash", "-euc", words], cwd=tmp_path, env=environment)
    [join] = [step["run"] for step in jobs["report"]["steps"] if step.get("shell") == "python"]
    run([sys.executable, "-c", join], cwd=tmp_path, env=environment)
    assert cases(tmp_path / "report.xml") == whole
    assert found(tmp_path / "report.xml") <= BEYOND

    job = shown("scenarios:")["scenarios"]
    ran = []
    for index in range(1, job["parallel"] + 1):
        node = {"CI_NODE_INDEX": str(index), "CI_NODE_TOTAL": str(job["parallel"])}
        run(["bash", "-euc", "\n".join(job["script"])], cwd=tmp_path, env={**environment, **node})
        ran += cases(tmp_path / job["artifacts"]["reports"]["junit"])
    assert sorted(ran) == whole


def test_the_readme_of_the_action_is_one_screen_and_names_its_inputs() -> None:
    text = (ACTION / "README.md").read_text()
    assert len(text.splitlines()) <= 45  # noqa: PLR2004
    listed = re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)))
    assert sorted(listed) == sorted(ACTION_YML["inputs"])
