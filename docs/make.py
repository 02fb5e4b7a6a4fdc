"""Write the pages of docs/ that come from docstrings: one per family of operations, and layers.

Run ``python docs/make.py`` after a change to a docstring; a test compares the pages with what this
gives.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import fastnn
from fastnn import layers, testing

HERE = Path(__file__).parent

CODE_OR_BOLD = re.compile(r"(``.+?``|`[^`]+`|\*\*\S[^*]*\*\*)", re.DOTALL)
STAR = re.compile(r"(?!^\* )\*", re.MULTILINE)  # one that does not begin a list's entry


def pages() -> dict[str, str]:
    """The text of every generated page by its path inside docs."""
    families = _families()
    found = {f"ops/{name}.md": _family_page(name, ops) for name, ops in families.items()}
    found["layers.md"] = _layers_page()
    found["README.md"] = _index(families)
    return found


def _families() -> dict[str, list[Any]]:
    """The operations by the folder that they live in, both in alphabetical order."""
    for module in pkgutil.iter_modules(fastnn.ops.__path__, "fastnn.ops."):
        importlib.import_module(module.name)
    found: dict[str, list[Any]] = {}
    for _, op in sorted(fastnn.dispatch.OPS.items()):
        if op.__module__.startswith("fastnn.ops."):  # not those that tests register
            found.setdefault(op.__module__.split(".")[2], []).append(op)
    return dict(sorted(found.items()))


def _title(family: str) -> str:
    text = inspect.getdoc(importlib.import_module(f"fastnn.ops.{family}")) or family
    return re.split(r"[:.]", text, maxsplit=1)[0]


def _summary(thing: Any) -> str:
    return _escape((inspect.cleandoc(thing.__doc__ or "").split("\n\n")[0]).replace("\n", " "))


# -- pages ---------------------------------------------------------------------------------------


def _index(families: dict[str, list[Any]]) -> str:
    lines = [
        "# fastnn",
        "",
        "* [Guide](guide.md): a first script, dispatch, threads, memory, errors, files.",
        "* [Layers](layers.md): state around the operations, and containers.",
        "* [Adding an operation or an implementation](../CONTRIBUTING.md).",
        "* [Benchmarks](../benchmarks/README.md).",
        "* [Reliability](reliability.md): what is promised, how it is tested, the figures.",
        "",
        "## Operations",
    ]
    for family, ops in families.items():
        lines += ["", f"### [{_title(family)}](ops/{family}.md)", ""]
        lines += [f"* [`{op.name}`](ops/{family}.md#{op.name}): {_summary(op)}" for op in ops]
    return _page(lines)


def _family_page(family: str, ops: list[Any]) -> str:
    lines = [f"# {_title(family)}", "", "[All pages](../README.md)"]
    for op in ops:
        lines += ["", f"## {op.name}", ""]
        lines += _document(op.__doc__ or "", repr(op))
        lines += ["", "### Implementations", "", *_implementations(op)]
        lines += ["", *_cases(op)]
    return _page(lines)


def _layers_page() -> str:
    things = {name: thing for name, thing in vars(layers).items() if not name.startswith("_")}
    lines = ["# Layers", "", "[All pages](README.md)"]
    for name, thing in sorted(things.items(), key=lambda pair: pair[0].lower()):
        if inspect.isclass(thing) or inspect.isfunction(thing):
            lines += ["", f"## {name}", ""]
            lines += _document(thing.__doc__ or "", f"fastnn.layers.{name}{_signature(thing)}")
        if thing is layers.Layer:
            lines += ["", "Every layer has:", "", *_members(thing)]
    return _page(lines)


def _members(owner: type) -> Iterator[str]:
    for name, member in vars(owner).items():
        if name.startswith("_") or not (inspect.isfunction(member) or isinstance(member, property)):
            continue
        call = _signature(member, skip=1) if inspect.isfunction(member) else ""
        yield f"* `{name}{call}`: {_summary(member)}"


def _signature(thing: Any, skip: int = 0) -> str:
    """The parameters without their annotations, and without the first `skip`."""
    found = inspect.signature(thing)
    plain = [p.replace(annotation=p.empty) for p in found.parameters.values()]
    return re.sub(r"<class 'numpy\.(\w+)'>", r"np.\1", str(inspect.Signature(plain[skip:])))


def _implementations(op: Any) -> list[str]:
    """A table of what each refuses among the operation's own core and edge cases."""
    calls = [
        op.front(**testing.draw(op, case, dtype))[0]
        for case in op.cases()
        if case.kind != "bench"
        for dtype in ("float32", "float64")
    ]
    calls = [call for call in calls if not call.empty]
    rows = []
    for name in op.impls:
        supports = op.impl(name)._load()[2]  # past the question whether its backend is installed
        alike: dict[str, list[str]] = {}  # reasons that differ in numbers only
        for why in sorted({why for call in calls if (why := supports(call)) is not None}):
            alike.setdefault(re.sub(r"\d+", "0", why), []).append(why)
        text = "; ".join(whys[0] + " and the like" * (len(whys) > 1) for whys in alike.values())
        rows.append(f"| `{name}` | {_escape(text).replace('|', chr(92) + '|') or 'nothing'} |")
    return ["| name | refuses |", "| --- | --- |", *rows]


def _cases(op: Any) -> list[str]:
    """How many cases there are, and where the shapes of benchmarks come from."""
    cases = list(op.cases())
    counts = {k: sum(c.kind == k for c in cases) for k in ("core", "edge", "bench")}
    errors = sum(1 for _ in op.errors())
    lines = [
        f"Tested on {counts['core']} core and {counts['edge']} edge cases in both dtypes on every "
        f"implementation, and on {errors} calls that must fail with their numbers in the text."
    ]
    bench = [case for case in cases if case.kind == "bench"]
    if bench:
        lines += ["", "| benchmark | shapes and options | source |", "| --- | --- | --- |"]
    for case in bench:
        shapes = [f"{k} {' '.join(map(str, v))}" for k, v in case.arrays.items()]
        options = [f"{k}={v!r}" for k, v in case.options.items()]
        text = ", ".join(shapes + options)
        lines.append(f"| {case.name} | {_escape(text)} | {_escape(case.source)} |")
    return lines


def _page(lines: Sequence[str]) -> str:
    note = "<!-- Generated by docs/make.py from docstrings: change those, not this. -->"
    return re.sub(r"\n{3,}", "\n\n", "\n".join([note, "", *lines])).rstrip() + "\n"


# -- numpydoc to Markdown ------------------------------------------------------------------------


def _document(doc: str, signature: str) -> list[str]:
    """A docstring: its first line, the signature, then everything else."""
    lines = inspect.cleandoc(doc).split("\n")
    first = lines.index("") if "" in lines else len(lines)
    out = [_escape("\n".join(lines[:first])), "", "```python", signature, "```"]
    for title, body in _sections(lines[first:]):
        out += ["", f"**{title}**", ""] if title else [""]
        entries = title in ("Parameters", "Returns", "Raises")
        out += list(_entries(body)) if entries else list(_blocks(body))
    return out


def _sections(lines: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """(title, lines) of each underlined section; what is before the first has no title."""
    title, body = "", list[str]()
    for i, line in enumerate(lines):
        if i + 1 < len(lines) and line and set(lines[i + 1]) == {"-"}:
            if title or any(body):
                yield title, body
            title, body = line, []
        elif not (line and set(line) == {"-"}):
            body.append(line)
    yield title, body


def _entries(lines: Sequence[str]) -> Iterator[str]:
    """``name : what`` with an indented text as a list."""
    starts = [i for i, line in enumerate(lines) if line and not line.startswith(" ")]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        name, _, what = lines[start].partition(" : ")
        body = inspect.cleandoc("\n".join(["", *lines[start + 1 : end]])).split("\n")
        text = list(_blocks(body))
        head = f"**{_escape(name)}**" + f" ({_escape(what)})" * bool(what)
        yield f"* {head}: {text[0]}"
        yield from (f"  {line}".rstrip() for line in text[1:])


def _blocks(lines: Sequence[str]) -> Iterator[str]:
    """Paragraphs, indented blocks after ``::`` and examples."""
    rest = list(lines)
    while rest:
        if rest[0].startswith(">>>"):
            yield from ("```pycon", *_taken(rest, lambda line: line != ""), "```")
        elif not rest[0]:
            yield rest.pop(0)
        else:
            text = _taken(rest, lambda line: line != "" and not line.startswith(">>>"))
            code = text[-1].endswith("::")
            if code:
                text[-1] = text[-1][:-1] if text[-1] != "::" else ""
            yield from _escape("\n".join(text)).split("\n")
            if code:
                block = _taken(rest, lambda line: line == "" or line.startswith(" "))
                yield from ("", "```text", *inspect.cleandoc("\n".join(["", *block])).split("\n"))
                yield from ("```", "")


def _taken(rest: list[str], fits: Callable[[str], bool]) -> list[str]:
    """The first lines of `rest` that fit, taken off it."""
    count = next((i for i, line in enumerate(rest) if not fits(line)), len(rest))
    found = rest[:count]
    del rest[:count]
    return found


def _escape(text: str) -> str:
    """Text whose stars and angle brackets are no markup, except in code, bold words and lists."""
    parts = CODE_OR_BOLD.split(text)
    parts[::2] = [STAR.sub(r"\\*", part).replace("<", "&lt;") for part in parts[::2]]
    return "".join(parts)


def main() -> None:
    """Write all pages."""
    found = pages()
    (HERE / "ops").mkdir(exist_ok=True)
    for path in (HERE / "ops").glob("*.md"):
        path.unlink()  # a family may have been renamed
    for name, text in found.items():
        (HERE / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
