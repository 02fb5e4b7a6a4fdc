"""The reliability page is what its generator makes of the figures, and knows every promise."""

import importlib.util
import json
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parent.parent / "docs"
pytestmark = pytest.mark.skipif(not DOCS.exists(), reason="away from the checkout")


def generator():
    spec = importlib.util.spec_from_file_location("reliability", DOCS / "reliability.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_up_to_date():
    assert (DOCS / "reliability.md").read_text(encoding="utf-8") == generator().page()


def test_figures_belong_to_promises_and_say_how_to_have_them_again():
    made = generator()
    assert list(made.PROMISES) == [f"R{n}" for n in range(1, 24)]
    data = json.loads((DOCS / "reliability.json").read_text(encoding="utf-8"))
    assert set(data) <= set(made.PROMISES)
    for runs in data.values():
        for run in runs.values():
            assert set(run) == {"figure", "reached", "command", "date", "machine"}
            assert isinstance(run["reached"], bool)
            assert all(run[k] for k in ("figure", "command", "date", "machine"))
