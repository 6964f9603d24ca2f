"""Compares `taggant detect --format` with the real packages, unit by unit: see README.md.

    python peers.py [--taggant PATH] [--units N | --full] [--times] [--markdown FILE] [--write-vectors DIR] [FORMAT …]

Exit status 1 if anything differs.
"""

import argparse
import json
import math
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import packages
from formats import Case, Figure, Format, Row, formats

SKIPPED = {
    "lmw-*": "lm-watermarking is not published on PyPI",
    "textseal-dual": "TextSeal 2 is not published on PyPI",
    "deepmind-synthid without a table": "the main branch of synthid-text is not published on PyPI",
    "maryland, openai": "three_bricks is not published on PyPI, and its licence is non-commercial: read from the formulas",
}
FULL = 100_000
QUICK = 2_000
# p-values below this are compared by logarithm only where both are above it: the packages' doubles end here.
FLOOR = 1e-290


@dataclass
class Tally:
    """What was compared for one format."""

    units: int = 0
    marked: int = 0
    rows: int = 0
    figures: int = 0
    score_error: float = 0.0
    figure_error: float = 0.0
    ours_error: float = 0.0
    ours_rows: int = 0
    mismatches: list[str] = field(default_factory=list)
    # p-values of rows that nobody marked: the package's and ours.
    null: list[tuple[float, float]] = field(default_factory=list)
    found: int = 0
    marked_rows: int = 0
    seconds: tuple[float, float, int] | None = None

    def fault(self, text: str) -> None:
        self.mismatches.append(text)
        if len(self.mismatches) <= 5:
            print(f"  MISMATCH {text}", flush=True)


def plain(case: Case, bounded: bool, units: int, seed: int, reads_prompt: bool) -> list[Row]:
    """Rows that nobody marked: uniform ids, ids of a Zipf law, few ids again and again, and the shortest ones."""
    random = np.random.default_rng(seed)
    most = case.vocabulary if bounded else 1 << 18
    rows: list[Row] = []

    def add(kind: str, tokens: Any) -> None:
        # Every second prompt is there, where prompts are read; the first tokens of others have no whole window.
        prompt = random.integers(0, most, 9).tolist() if reads_prompt and len(rows) % 2 else None
        rows.append(Row(f"{kind}-{len(rows)}", [int(token) for token in tokens], False, prompt))

    left, kinds = units, ("uniform", "zipf", "few")
    while left > 0:
        kind = kinds[len(rows) % 3]
        length = int(random.integers(case.length // 2, case.length * 3 // 2))
        if kind == "uniform":
            add(kind, random.integers(0, most, length))
        elif kind == "zipf":
            add(kind, random.zipf(1.3, length) % most)
        else:
            add(kind, random.choice(random.integers(0, most, 6), length))
        left -= length
    for length in range(8):
        add("short", random.integers(0, most, length))
    add("zeros", [0] * 20)
    add("largest", [most - 1, 0, most - 1, most - 1, 1, most - 1] * 4)
    if not bounded:
        add("huge", random.integers(1 << 30, (1 << 31) - 1, 60))
    return rows


def make(form: Format, case: Case, units: int, seed: int) -> list[Row]:
    """Rows of about so many tokens."""
    count = max(2, round(units * case.marked / case.length))
    rows = form.marked(case, count, seed)
    # Text that quotes itself: what repeats must count once.
    for row in rows[::4]:
        row.tokens += row.tokens[: case.length // 4]
    have = sum(len(row.tokens) for row in rows)
    return rows + plain(case, form.bounded, max(units - have, case.length), seed + 1, form.reads_prompt)


def as_json(row: Row) -> str:
    line: dict[str, Any] = {"id": row.id, "tokens": row.tokens}
    if row.prompt is not None:
        line["prompt_tokens"] = row.prompt
    return json.dumps(line)


def detect(taggant: Path, form: Format, case: Case, rows: Path, folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    config = folder / "config.json"
    config.touch(mode=0o600)
    config.write_text(json.dumps(case.config))
    name = form.id.split()[0]
    command = [str(taggant), "detect", "--format", name, "--format-config", str(config), "--input", str(rows), "--json", *more]
    found = subprocess.run(command, capture_output=True, text=True)
    if found.returncode not in (0, 1):
        raise SystemExit(f"{form.id}: taggant failed: {found.stderr.strip()}")
    return found


def near(a: float | None, b: float | None, tolerance: float) -> tuple[bool, float]:
    """Whether two figures agree relative to their size, and by how much they differ."""
    if a is None or b is None:
        return a is b, 0.0
    error = abs(a - b) / max(abs(a), abs(b), 1e-300)
    return error <= tolerance or abs(a - b) <= 1e-12 * max(1.0, abs(a)), error


def compare_units(form: Format, case: Case, row: Row, ours: list[dict[str, Any]], tally: Tally) -> None:
    theirs = form.values(row)
    place = f"{form.id} {public(case)} row {row.id}"
    if [unit["position"] for unit in ours] != [value.position for value in theirs]:
        mine, other = [unit["position"] for unit in ours], [value.position for value in theirs]
        tally.fault(f"{place}: positions {mine[:3]}…{mine[-1:]} ({len(mine)}) are {other[:3]}…{other[-1:]} ({len(other)}) in the package")
        return
    for unit, value in zip(ours, theirs):
        tally.units += 1
        tally.marked += row.marked
        what = f"{place} position {value.position} window {unit['window']} token {unit['token']}"
        if unit["token"] != row.tokens[value.position]:
            tally.fault(f"{what}: token is {row.tokens[value.position]}")
        if unit["raw"] != value.raw:
            tally.fault(f"{what}: raw {unit['raw']} words {unit['words']}, the package says {value.raw}")
        error = abs(unit["score"] - value.score)
        tally.score_error = max(tally.score_error, error)
        if error > form.score_tolerance * max(1.0, abs(value.score)):
            tally.fault(f"{what}: score {unit['score']}, the package says {value.score} (raw {value.raw})")
    counted = form.counted(row)
    if counted is not None and counted != (mine := [unit["position"] for unit in ours if unit["counted"]]):
        first = next(iter(sorted(set(counted) ^ set(mine))))
        tally.fault(f"{place}: counts {len(mine)} positions, the package {len(counted)}; the first that differs is {first}")


def compare_figures(form: Format, case: Case, row: Row, line: dict[str, Any], figure: Figure | None, tally: Tally) -> None:
    place = f"{form.id} {public(case)} row {row.id}"
    p_value = 10.0 ** line["log10_p"] if line["log10_p"] > -300 else 0.0
    if row.marked:
        tally.marked_rows += 1
        tally.found += line["verdict"] == "Detected"
    if figure is None:
        return
    tally.figures += 1
    peer = line["peer"]
    if peer["units"] != figure.units:
        tally.fault(f"{place}: peer.units {peer['units']}, the package counts {figure.units}")
        return
    if figure.units == 0:
        return
    if figure.accurate is not None and figure.accurate > FLOOR and not near(peer["p_value"], figure.accurate, 1e-9)[0]:
        tally.fault(f"{place}: peer.p_value {peer['p_value']}, its law is {figure.accurate} ({figure.units} units)")
    for name in ("score", "z", "mean", "weighted_mean", "p_value"):
        mine, theirs = peer.get(name), getattr(figure, name)
        if theirs is None or (name == "p_value" and (theirs < FLOOR or mine < FLOOR)):
            continue
        if name == "p_value" and form.figure_tolerance > 1e-9:
            # What its single precision does to a score of n units, a p-value shows by its logarithm.
            good, error = near(math.log(mine), math.log(theirs), form.figure_tolerance)
        else:
            good, error = near(mine, theirs, form.figure_tolerance)
        tally.figure_error = max(tally.figure_error, error)
        if not good:
            tally.fault(f"{place}: peer.{name} {mine}, the package says {theirs} ({figure.units} units)")
    if figure.p_value is not None and not row.marked and figure.units >= 20:
        tally.null.append((figure.p_value, p_value))
    if form.ours and figure.p_value is not None and line["units"] == figure.units and min(figure.p_value, p_value) > FLOOR:
        tally.ours_rows += 1
        shift = math.log(p_value) - math.log(figure.p_value)
        if form.ours == "above":
            tally.ours_error = max(tally.ours_error, -shift)
            if shift < -1e-9:
                tally.fault(f"{place}: p {p_value} is below the package's {figure.p_value}")
            return
        tally.ours_error = max(tally.ours_error, abs(shift))
        # Where scores have a grain, the law that bounds them shifts ln p by less than the grain for each unit.
        if abs(shift) > 1e-9 + form.slack * figure.units:
            tally.fault(f"{place}: p {p_value}, the package says {figure.p_value} ({figure.units} units)")


def public(case: Case) -> str:
    """A case's parameters in a few words."""
    kept = ("algorithm", "context_width", "context_window", "key_b", "seeding_scheme", "prefix_length", "f_scheme", "ngram", "ngram_len")
    found = [f"{name}={case.config[name]}" for name in kept if name in case.config]
    return f"[V={case.vocabulary} {' '.join(found)}]"


def run_case(taggant: Path, form: Format, case: Case, units: int, seed: int, tally: Tally) -> None:
    form.open(case)
    rows = make(form, case, units, seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "rows.jsonl"
        path.write_text("".join(as_json(row) + "\n" for row in rows))
        lines = [json.loads(line) for line in detect(taggant, form, case, path, folder, "--units").stdout.splitlines()]
    ours: dict[str, list[dict[str, Any]]] = {row.id: [] for row in rows}
    verdicts: dict[str, dict[str, Any]] = {}
    for line in lines:
        if "position" in line:
            ours[line["id"]].append(line)
        elif "id" in line:
            verdicts[line["id"]] = line
    for row in rows:
        tally.rows += 1
        compare_units(form, case, row, ours[row.id], tally)
        compare_figures(form, case, row, verdicts[row.id], form.figure(row), tally)


def timed(taggant: Path, form: Format, case: Case, tally: Tally) -> None:
    """The package's detector and ours on the same rows that nobody marked, in turn, three times each.

    In seconds of CPU: both have one thread, and on a machine that others use, wall time says who else was there. Ours are those of a whole
    process, from its start over parsing rows to its end.
    """
    form.open(case)

    def package(some: list[Row]) -> float:
        start = time.process_time()
        for row in some:
            form.figure(row)
        return time.process_time() - start

    def children() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    def rows_of(tokens: int) -> list[Row]:
        return [row for row in plain(case, form.bounded, tokens, 99, form.reads_prompt) if len(row.tokens) > 50]

    few = rows_of(6 * case.length)
    pace = package(few) / sum(len(row.tokens) for row in few)
    # As many as take the package some seconds: a process that starts for next to nothing is not what to time.
    rows = rows_of(min(int(4.0 / pace), 4_000_000))
    theirs, ours = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "rows.jsonl"
        path.write_text("".join(as_json(row) + "\n" for row in rows))
        for _ in range(3):
            theirs.append(package(rows))
            start = children()
            detect(taggant, form, case, path, folder)
            ours.append(children() - start)
    tally.seconds = statistics.median(theirs), statistics.median(ours), sum(len(row.tokens) for row in rows)


def write_vectors(folder: Path, form: Format) -> None:
    """Some 300 units of each format's first case, as the package computes them."""
    name = form.id.replace(" (two keys)", "-two-keys")
    case = form.cases[0]
    form.open(case)
    rows = form.marked(Case(case.config, case.vocabulary, 1.0, length=60, batch=2), 2, 7)
    rows[0].tokens += rows[0].tokens[:20]
    random = np.random.default_rng(8)
    most = case.vocabulary if form.bounded else 1 << 18
    rows += [
        Row("uniform", random.integers(0, most, 80).tolist(), False),
        Row("few", random.choice(random.integers(0, most, 5), 50).tolist(), False),
        Row("edges", [0, most - 1, 0, 0, 1, most - 1, 2, 0, 0, 0, 0, 0], False),
        Row("short", [5, 7, 11], False),
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.config.json").write_text(json.dumps(case.config, indent=1) + "\n")
    (folder / f"{name}.rows.jsonl").write_text("".join(as_json(row) + "\n" for row in rows))
    with (folder / f"{name}.units.jsonl").open("w") as file:
        for row in rows:
            for value in form.values(row):
                file.write(json.dumps({"id": row.id, "position": value.position, "token": row.tokens[value.position], "raw": value.raw}) + "\n")


def null_words(tally: Tally) -> str:
    """How rows that nobody marked fare under the package's rule and ours."""
    if not tally.null:
        return "no p-value"
    theirs, ours = zip(*tally.null)
    share = lambda values: sum(p <= 0.01 for p in values) / len(values)
    return f"{share(theirs):.1%} / {share(ours):.1%} of {len(theirs)}; least {min(theirs):.0e} / {min(ours):.0e}"


def table(tallies: dict[str, Tally]) -> str:
    head = (
        "| format | units | of them marked | mismatches | max score difference | rows with figures | max figure difference | "
        "max ln p difference to ours (rows) | unmarked rows at p <= 0.01, package / Taggant | marked rows found | package | Taggant | ratio |\n"
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|\n"
    )
    lines = []
    for name, tally in tallies.items():
        times = "| – | – | – |"
        if tally.seconds:
            theirs, ours, tokens = tally.seconds
            times = f"| {1e6 * theirs / tokens:.2f} µs/token | {1e6 * ours / tokens:.3f} µs/token | {theirs / ours:.0f}x |"
        own = f"{tally.ours_error:.1e} ({tally.ours_rows})" if tally.ours_rows else "–"
        lines.append(
            f"| {name} | {tally.units:,} | {tally.marked:,} | {len(tally.mismatches)} | {tally.score_error:.1e} | {tally.figures:,} | "
            f"{tally.figure_error:.1e} | {own} | {null_words(tally)} | {tally.found} of {tally.marked_rows} {times}"
        )
    return head + "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("formats", nargs="*", metavar="FORMAT", help="only formats whose name begins so")
    parser.add_argument("--taggant", type=Path, default=Path(__file__).parents[2] / "target/release/taggant")
    parser.add_argument("--peers", type=Path, default=packages.DEFAULT, help="where packages are that are only unpacked")
    parser.add_argument("--units", type=int, default=QUICK, help="units of each format")
    parser.add_argument("--full", action="store_true", help=f"{FULL:,} units of each format")
    parser.add_argument("--times", action="store_true", help="also time both detectors")
    parser.add_argument("--markdown", type=Path, help="write a table")
    parser.add_argument("--write-vectors", type=Path, metavar="DIR", help="only write test vectors")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    packages.use(args.peers)
    chosen = [form for form in formats() if not args.formats or any(form.id.startswith(name) for name in args.formats)]
    if args.write_vectors:
        for form in chosen:
            write_vectors(args.write_vectors, form)
        return 0
    for name, why in SKIPPED.items():
        print(f"skipped: {name}: {why}")
    tallies: dict[str, Tally] = {}
    for form in chosen:
        tally = tallies[form.id] = Tally()
        start = time.perf_counter()
        units = FULL if args.full else args.units
        for number, case in enumerate(form.cases):
            # A little more than asked for: rows are shorter by a window.
            run_case(args.taggant, form, case, round(1.06 * units * case.share) + 20, args.seed + 100 * number, tally)
        if args.times:
            timed(args.taggant, form, next((case for case in form.cases if case.timed), form.cases[0]), tally)
        ratio = f", {tally.seconds[0] / tally.seconds[1]:.0f}x faster" if tally.seconds else ""
        print(
            f"{'ok  ' if not tally.mismatches else 'FAIL'} {form.id}: {tally.units:,} units ({tally.marked:,} of marked rows), {len(tally.mismatches)} mismatches, "
            f"score within {tally.score_error:.1e}, {tally.figures} figures within {tally.figure_error:.1e}{ratio}, {time.perf_counter() - start:.0f} s",
            flush=True,
        )
        if args.markdown:
            args.markdown.write_text(table(tallies))
    return 1 if any(tally.mismatches for tally in tallies.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
