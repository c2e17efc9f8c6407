"""The JUnit XML that keyrig writes, held to the schema that Jenkins publishes, which pytest's source has."""

from pathlib import Path

import pytest
import xmlschema
from conftest import CACHE, TREE, run

SCHEMA = xmlschema.XMLSchema(CACHE / "junit-10.xsd")

# What pytest and cargo-nextest write as well, beyond this schema: properties of a test, and how many were disabled.
BEYOND = {
    "Unexpected child with tag 'properties' at position 1.",
    "'disabled' attribute not allowed for element",
}
# Scenarios that come with keyrig, in the cells of their matrices: at least.
SHIPPED = 50


def found(report: Path) -> set[str]:
    return {str(error.reason) for error in SCHEMA.iter_errors(str(report))}


def test_a_report_of_scenarios_is_what_build_servers_read(program: Path, tmp_path: Path) -> None:
    report, traces = tmp_path / "junit.xml", tmp_path / "traces"
    run([program, "run", "fixtures/scenarios", "--junit", report, "--trace", traces])
    assert found(report) <= BEYOND
    assert report.read_text().count("<testcase ") > SHIPPED


@pytest.mark.parametrize("status", [0, 3])
def test_a_report_of_a_program_is_what_build_servers_read(program: Path, tmp_path: Path, status: int) -> None:
    report = tmp_path / "junit.xml"
    command = (
        f'"{program}" exec --plug none --seed 1 --junit "{report}" -- sh -c "exit {status}" || test $? -eq {status}'
    )
    run(["sh", "-c", command], cwd=TREE)
    assert found(report) <= BEYOND
    assert (f"it ended with status {status}" in report.read_text()) == (status != 0)


def test_what_is_no_report_is_refused_by_the_schema(tmp_path: Path) -> None:
    report = tmp_path / "junit.xml"
    report.write_text('<testsuites><testsuite name="a"><testcase/></testsuite></testsuites>')
    assert found(report) - BEYOND
