"""What reports in JUnit's form say, as Markdown: junit.py FILE…"""

import sys
from xml.etree import ElementTree

# Failures that are told, and characters of each.
TOLD, LONG = 20, 2000


def main(files: list[str]) -> None:
    cases, bad = 0, []
    for file in files:
        try:
            root = ElementTree.parse(file).getroot()
        except (ElementTree.ParseError, OSError) as error:
            print(f"`{file}` is no report: {str(error)!r}\n")
            continue
        for case in root.iter("testcase"):
            cases += 1
            for problem in [*case.findall("failure"), *case.findall("error")]:
                name = f"{case.get('classname', '')} {case.get('name', '')}".strip()
                bad.append((name, (problem.text or problem.get("message") or "").strip()))
    print(f"{cases} tests, {len(bad)} failed.\n")
    for name, text in bad[:TOLD]:
        # As code: it is what tests print.
        print("".join(f"    {line}\n" for line in [name, *text[:LONG].splitlines()]))
    if len(bad) > TOLD:
        print(f"And {len(bad) - TOLD} more.")


if __name__ == "__main__":
    main(sys.argv[1:])
