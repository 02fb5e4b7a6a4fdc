"""The pages of docs/: those from docstrings are up to date, and the guide's code runs."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

import fastnn
from fastnn import dispatch

DOCS = Path(fastnn.__file__).parents[1] / "docs"

pytestmark = pytest.mark.skipif(not (DOCS / "make.py").exists(), reason="docs is not installed")


@pytest.fixture(scope="module")
def make():
    spec = importlib.util.spec_from_file_location("docs_make", DOCS / "make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_pages_are_what_the_docstrings_say(make):
    for backend in ("cython", "numba"):
        if dispatch.unavailable(backend) is not None:
            pytest.skip(f"the tables of implementations need {backend}")
    pages = make.pages()
    stale = [name for name, text in pages.items() if not _equals(DOCS / name, text)]
    known = {f"ops/{path.name}" for path in (DOCS / "ops").glob("*.md")}
    orphans = sorted(known - pages.keys())
    assert not stale and not orphans, f"run python docs/make.py: {stale} differ, {orphans} are old"


def _equals(path, text):
    return path.exists() and path.read_text(encoding="utf-8") == text


def test_every_operation_and_layer_has_its_place(op):
    family = op.__module__.split(".")[2]
    page = (DOCS / "ops" / f"{family}.md").read_text(encoding="utf-8")
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    assert f"\n## {op.name}\n" in page
    assert f"(ops/{family}.md#{op.name})" in index
    for name in op.impls:
        assert f"| `{name}` |" in page
    for parameter in op.__signature__.parameters:
        assert re.search(rf"^\* \*\*([^*]+, )?{parameter}\b", page, re.MULTILINE), parameter


def test_links_between_pages_lead_somewhere():
    for page in DOCS.rglob("*.md"):
        text = page.read_text(encoding="utf-8")
        text = re.sub(r"```.*?```|``.*?``|`.*?`", "", text, flags=re.DOTALL)
        for target, anchor in re.findall(r"\]\(([^)#:]+)(?:#([^)]+))?\)", text):
            found = (page.parent / target).resolve()
            assert found.exists(), f"{page.name} links to {target}"
            if anchor:
                titles = re.findall(r"^#+ (.*)$", found.read_text(encoding="utf-8"), re.MULTILINE)
                assert anchor in [t.lower().replace(" ", "-") for t in titles], anchor


@pytest.mark.parametrize(
    ("page", "conventions"),
    [
        ("pool", ["first maximum in row-major order", "or the first NaN", "no\n  whole window",
                  "//sh + 1", "ceil_mode"]),
        ("norm", ["(1 - momentum) * running_var  + momentum * var * M / (M - 1)", "**updated in",
                  "- mean[c])^2 / M"]),
        ("conv", ["//sh + 1", "whole window reaches are ignored", "empty batch"]),
        ("loss", ["NaN", "empty batch"]),
    ],
)  # fmt: skip
def test_pages_state_the_conventions(page, conventions):
    text = (DOCS / "ops" / f"{page}.md").read_text(encoding="utf-8")
    flat = " ".join(text.split())
    for convention in conventions:
        assert " ".join(convention.split()) in flat, convention


def test_markdown_of_a_docstring(make):
    doc = """First a*b line.

    See ``x * y`` and **this *is* not** a < b*c::

        y = a * b

        z

    * an entry
      of two lines

    Parameters
    ----------
    x : N C
        Text.
    *rest
        More::

            code

        and more.

    Examples
    --------
    >>> 1 * 1
    1

    Text.
    """
    assert "\n".join(make._document(doc, "f(x)")) == (
        "First a\\*b line.\n\n```python\nf(x)\n```\n\n\n"
        "See ``x * y`` and \\*\\*this \\*is\\* not\\*\\* a &lt; b\\*c:\n\n"
        "```text\ny = a * b\n\nz\n```\n\n* an entry\n  of two lines\n\n\n"
        "**Parameters**\n\n* **x** (N C): Text.\n* **\\*rest**: More:\n\n  ```text\n  code\n  ```\n"
        "\n  and more.\n\n**Examples**\n\n```pycon\n>>> 1 * 1\n1\n```\n\nText."
    )


def test_the_guides_blocks_run(capsys):
    pytest.importorskip("sklearn")
    text = (DOCS / "guide.md").read_text(encoding="utf-8")
    space = {}
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) > 8
    for block in blocks:
        exec(compile(block, "guide.md", "exec"), space)
    assert space["accuracy"] > 0.9
    printed = capsys.readouterr().out
    assert "conv2d: x has C=3 channels but w takes 2 per group and groups=1; C must be 2" in printed
    assert "total" in printed
