from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent


@pytest.mark.parametrize("name", ["LICENSE-MIT", "LICENSE-APACHE"])
def test_the_package_has_the_licences_of_the_whole(name: str) -> None:
    assert (PACKAGE / name).read_text() == (PACKAGE / "../.." / name).read_text()


def test_the_readme_shows_the_example_as_it_is_run() -> None:
    example = (PACKAGE / "examples/test_two_keys.py").read_text()
    assert f"```python\n{example}```" in (PACKAGE / "README.md").read_text()
    assert len(example.splitlines()) <= 25  # noqa: PLR2004
