"""The pages about models of others: their code runs, and prints what they say, but for the digits of differences."""

import contextlib
import io
import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

DOCS = Path(__file__).parents[2] / "docs"
DIFFERENCES = re.compile(r"(difference \d\.\de[-+]\d+|by up to [\d.e-]+:)")


@pytest.mark.parametrize("page", ["replace", "torchvision", "smp", "transformers"])
def test_code_prints_what_the_page_shows(page):
    parts = re.findall(r"```(python|text)\n(.*?)```", (DOCS / f"{page}.md").read_text(), re.DOTALL)
    scope, printed = {}, []
    for language, body in parts:
        if language == "python":
            with contextlib.redirect_stdout(io.StringIO()) as output:
                exec(body, scope)
            printed.append(output.getvalue())
        else:
            assert DIFFERENCES.sub("…", printed[-1]) == DIFFERENCES.sub("…", body)
