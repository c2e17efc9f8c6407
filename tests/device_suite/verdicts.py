"""Writes what became of each test to the file that KEYRIG_VERDICTS names: a JSON object a line."""

import json
import os

# Open until pytest ends.
verdicts = open(os.environ["KEYRIG_VERDICTS"], "w", encoding="utf-8")  # noqa: SIM115


def pytest_runtest_logreport(report):
    # Setting up and tearing down count when they fail or skip: a test is run between them.
    if report.when == "call" or not report.passed:
        reason = ""
        if report.skipped:
            reason = report.longrepr[2].removeprefix("Skipped: ")
        elif report.failed:
            reason = report.longreprtext
        line = {"test": report.nodeid, "outcome": report.outcome, "reason": reason}
        verdicts.write(json.dumps(line) + "\n")
        verdicts.flush()
