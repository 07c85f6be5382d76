# SPDX-License-Identifier: Apache-2.0
"""index.html: the headline, the curves, everything beside the headline, and example pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from nepi_ros.bench.examples import Example, settings_words
from nepi_ros.bench.table import HEADER, LABELS, beside_rows, cells, headline_title

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --muted: #777; --ours: #d1105a; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1180px; margin: 2rem auto; padding: 0 1rem; }
h1 { margin-bottom: 0; } h2 { margin-top: 2.5rem; } .muted { color: var(--muted); }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid var(--line); text-align: right; }
th { font-weight: 600; vertical-align: bottom; } th:first-child, td:first-child, td.words { text-align: left; }
tr.ours td { color: var(--ours); font-weight: 600; } .wide { overflow-x: auto; font-size: 12px; }
.wide td { white-space: nowrap; padding: .2rem .45rem; }
img.plot { width: 100%; max-width: 860px; background: white; border-radius: 6px; }
.frames { display: grid; grid-template-columns: repeat(auto-fill, minmax(250px, 1fr)); gap: 14px; }
figure { margin: 0; } figure img { width: 100%; display: block; border-radius: 4px; margin-bottom: 3px; }
figcaption { font-size: 13px; }
"""

_ANSWERS = "; epitomes bring some answers themselves, which were learnt from these networks"


def page(
    results: Mapping[str, Any], plots: Mapping[str, Mapping[str, str]], examples: Sequence[Sequence[Example]]
) -> str:
    """The page's HTML; pictures are files beside it."""
    run = results["run"]
    name, size = escape(run["set"]), f"{run['input']['width']} x {run['input']['height']}"
    bundle = f"{escape(run['bundle']['name'])} ({run['bundle']['id']})"
    parts = [
        f"<h1>Rate and accuracy on {name}</h1>",
        f'<p class="muted">{run["frames"]} frames of {size}, bundle {bundle}, measured {run["date"][:10]}. '
        "Every method codes the same frames at the networks' input size, and the same frozen networks judge what "
        f"arrives{_ANSWERS if run['bundle']['answers'] else ''}.</p>",
        *(_headline(task, row, results, plots) for task, row in results["headline"].items()),
        *_beside(results),
        *_examples(examples),
        _other_plots(plots),
        _notes(results),
    ]
    meta = '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    head = f"<head>{meta}<title>{name}: bytes and accuracy</title><style>{_STYLE}</style></head>"
    body = "\n".join(part for part in parts if part)
    return f'<!doctype html>\n<html lang="en">{head}\n<body>\n{body}\n</body></html>\n'


def _headline(task: str, row: Mapping[str, Any], results: Mapping[str, Any], plots: Mapping[str, Any]) -> str:
    title = headline_title(task, row)[len(task) + 2 :]
    main = next(iter(plots))
    lines = "".join(
        _line(cell, words={5}, ours=cell[0] == LABELS["epitome"]) for cell in cells(row, results["problems"])
    )
    return (
        f"<h2>{escape(task)}</h2><p>{escape(title[0].upper() + title[1:])}.</p>"
        f"<table>{_line(HEADER, tag='th')}{lines}</table>"
        f'<img class="plot" src="{escape(plots[main][task])}" alt="{escape(task)}: accuracy over bytes">'
    )


def _beside(results: Mapping[str, Any]) -> list[str]:
    rows = beside_rows(results)
    if not rows:
        return []
    methods = [method for method in results["beside"][0]["bytes"] if method != "epitome"]
    head = ("task", "by", "below target", "bytes", "networks", "epitome, bytes", *(LABELS.get(m, m) for m in methods))
    lines = "".join(_line(row, words=set(range(5))) for row in rows)
    return [
        "<h2>The same, asked otherwise</h2>",
        "<p>Bytes of the epitome, and of each method as a multiple of it (in bytes where the epitome never gets "
        "there): at other distances from the target, by agreement with the networks on the untouched frame instead of "
        "labels, with all headers of ROS 2, RTPS, UDP and IP, and with networks trained for JPEG. A dash: never gets "
        "there.</p>",
        f'<div class="wide"><table>{_line(head, tag="th")}{lines}</table></div>',
    ]


def _examples(rows: Sequence[Sequence[Example]]) -> list[str]:
    if not rows:
        return []
    parts = [
        "<h2>Examples</h2>",
        "<p>Each method at its smallest setting with the headline's accuracy on the whole set (its best setting where "
        "it has none): what arrives, and below it what the networks see.</p>",
    ]
    for row in rows:
        parts.append(f'<h3>{escape(row[0].frame)}</h3><div class="frames">{"".join(map(_figure, row))}</div>')
    return parts


def _figure(example: Example) -> str:
    label = LABELS.get(example.method, example.method)
    size = f"<b>{example.size:,} bytes</b>, {escape(settings_words(example.setting))}" if example.size else ""
    images = "".join(
        f'<img loading="lazy" src="{escape(file)}" alt="{escape(f"{label}: {what}")}">'
        for what, file in {"picture": example.picture, **example.results}.items()
        if file
    )
    words = "; ".join(example.words.values())
    caption = "<br>".join(part for part in (f"{escape(label)} {size}", escape(words)) if part)
    return f"<figure>{images}<figcaption>{caption}</figcaption></figure>"


def _other_plots(plots: Mapping[str, Mapping[str, str]]) -> str:
    others = [name for targets in list(plots)[1:] for name in plots[targets].values()]
    if not others:
        return ""
    images = "".join(f'<img class="plot" src="{escape(name)}" alt="{escape(name)}">' for name in others)
    return f"<h2>With the robust target networks</h2>{images}"


def _notes(results: Mapping[str, Any]) -> str:
    run = results["run"]
    missing = "".join(
        f"<li>{escape(LABELS.get(m, m))}: not measured, {escape(why)}</li>" for m, why in results["problems"].items()
    )
    versions = ", ".join(f"{name} {value}" for name, value in run["versions"].items())
    return (
        "<h2>How it was measured</h2><ul>"
        f"{missing}"
        "<li>A curve is swept over one setting; more bytes never count as worse. Between two points it is linear over "
        "the logarithm of bytes, and it ends with them. Of a method with several curves (chroma subsampling, scale, "
        "tables) the best one counts.</li>"
        f"<li>Intervals: {run['confidence']:.0%} of {run['resamples']:,} resamples of the frames, the target's "
        "accuracy resampled with them. &ldquo;Never&rdquo;: that end of the interval is not reached.</li>"
        "<li>JPEG: the smaller of baseline and progressive, with optimised Huffman tables. Video: one packet per "
        "frame, no look-ahead; parameter sets are not counted.</li>"
        f"<li>{escape(versions)}; {escape(run['machine']['system'])}</li>"
        '<li><a href="results.json">results.json</a> has every figure.</li></ul>'
    )


def _line(texts: Sequence[str], tag: str = "td", words: set[int] = frozenset(), ours: bool = False) -> str:
    row = "".join(
        f'<{tag}{" class=words" if place in words else ""}>{escape(text)}</{tag}>' for place, text in enumerate(texts)
    )
    return f'<tr{" class=ours" if ours else ""}>{row}</tr>'
