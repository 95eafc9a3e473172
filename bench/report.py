"""What was measured, its medians, and how they are shown: Markdown, and a picture as SVG."""

import datetime
import os
import platform
import statistics
import subprocess
from dataclasses import dataclass, field
from pathlib import Path


# HAProxy with as many servers behind it as Shardloom's sharded table has.
BOTH = "haproxy, two servers"


@dataclass(frozen=True)
class Failed:
    """A measurement that gave no figure, and why."""

    why: str


@dataclass(frozen=True)
class Run:
    """One sysbench run: queries a second, the proxy's CPU per query, latency of an event (a transaction)."""

    rate: float
    cpu_us: float
    p95_ms: float


@dataclass(frozen=True)
class Answer:
    """One statement over and over: median time, bytes of the answer, the proxy's CPU for one."""

    seconds: float
    size: int
    cpu_ms: float


@dataclass
class Results:
    """Everything, in the order in which it was measured."""

    flavour: str
    rounds: int
    seconds: int
    contenders: list
    rows: int
    cells: dict = field(default_factory=dict)    # (workload, threads, mode) -> contender -> [Run | Failed]
    answers: dict = field(default_factory=dict)  # name -> contender -> [Answer | Failed]
    memories: dict = field(default_factory=dict)  # (name, contender) -> number
    commits: dict = field(default_factory=dict)  # (groups, name) -> [seconds]
    counts: dict = field(default_factory=dict)   # (schema, mode) -> (instructions, allocations)

    def sysbench(self, workload, threads, mode, contender, run):
        self.cells.setdefault((workload, threads, mode), {}).setdefault(contender, []).append(run)

    def answer(self, name, contender, answer):
        self.answers.setdefault(name, {}).setdefault(contender, []).append(answer)

    def memory(self, name, contender, number):
        self.memories[name, contender] = number
        print(f"{name}: {contender} {number:.1f}", flush=True)

    def commit(self, groups, name, seconds):
        self.commits.setdefault((groups, name), []).append(seconds)

    def count(self, schema, mode, instructions, allocations):
        self.counts[schema, mode] = (instructions, allocations)
        print(f"point select, {schema}, {mode}: {instructions:.0f} instructions, {allocations:.2f} allocations", flush=True)

    def progress(self, *cell):
        shown = (f"{name} {show(median(runs, 'cpu_us'), '.1f')} us {show(median(runs, 'rate'), '.0f')}/s"
                 for name, runs in self.cells[cell].items())
        print(*cell, *shown, sep="  ", flush=True)


def median(measured, what):
    """The median of one figure; the reason of the first failure if there was one."""
    failed = [one for one in measured if isinstance(one, Failed)]
    return failed[0] if failed else statistics.median(getattr(one, what) for one in measured)


def show(number, form):
    return "failed" if isinstance(number, Failed) else "-" if number is None else format(number, form)


def ratio(number, reference):
    """`number` as a multiple of `reference`, if both are there."""
    known = isinstance(number, float) and isinstance(reference, float) and reference > 0
    return number / reference if known else None


def write(results, folder, name):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.md").write_text(markdown(results, name))
    if any(workload == "oltp_point_select" for workload, _, _ in results.cells):
        (folder / f"{name}.svg").write_text(picture(results))
    print(f"written: {folder / name}.md")


def markdown(results, name):
    parts = [
        f"# Shardloom measured ({name})\n\n{machine(results)}\n\nHow to read this: [README](../README.md).",
        "## Targets\n\n" + table(["what", "target", "measured", "met"], targets(results)),
    ]
    if any(workload == "oltp_point_select" for workload, _, _ in results.cells):
        parts.append(f"![CPU per point select of each proxy]({name}.svg)")
    if results.cells:
        parts += [
            "## sysbench: the proxy's CPU per query (µs; in brackets the multiple of HAProxy's)\n\n"
            + cell_table(results, [one for one in results.contenders if one != "direct"], cpu_figure),
            "## sysbench: queries a second\n\n"
            + cell_table(results, results.contenders, lambda runs, _: show(median(runs, "rate"), ",.0f")),
            "## sysbench: latency of a transaction (ms, 95th percentile; a point select is one of its own)\n\n"
            + cell_table(results, results.contenders, lambda runs, _: show(median(runs, "p95_ms"), ".2f")),
        ]
    for statement, measured in results.answers.items():
        rows = [answer_row(name, measured) for name in results.contenders if name in measured]
        parts.append(f"## {statement}\n\n" + table(["through", "ms", "MB/s", "proxy's CPU, ms"], rows))
    if results.commits:
        rows = [[groups, name, f"{statistics.median(took) * 1e3:.2f}", f"{statistics.quantiles(took, n=20)[-1] * 1e3:.2f}",
                 f"{len(took):,}"] for (groups, name), took in results.commits.items()]
        parts.append("## A transaction of one client, on servers that flush at every commit\n\n"
                     + table(["over", "through", "ms, median", "ms, 95th percentile", "transactions"], rows))
    if results.memories:
        rows = [[what, who, f"{number:.1f}"] for (what, who), number in results.memories.items()]
        parts.append("## Memory\n\n" + table(["what", "of", "measured"], rows))
    if results.counts:
        rows = [["shardloom, sharded" if schema == "sharded" else "shardloom", MODES[mode], f"{instructions:,.0f}",
                 f"{allocations:.2f}"] for (schema, mode), (instructions, allocations) in results.counts.items()]
        parts.append("## A point select whose plan is cached, counted by callgrind (user space, whole process)\n\n"
                     + table(["of", "statements", "instructions", "allocations"], rows))
    failures = sorted({f"- {contender}: `{run.why}`" for cell in (*results.cells.values(), *results.answers.values())
                       for contender, runs in cell.items() for run in runs if isinstance(run, Failed)})
    if failures:
        parts.append("## What failed\n\n" + "\n".join(failures))
    return "\n\n".join(parts) + "\n"


def machine(results):
    cpu = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                if line.startswith("model name")), platform.machine())
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / 2**20
    commit = subprocess.run(["git", "-C", Path(__file__).parent, "rev-parse", "--short", "HEAD"],
                            capture_output=True, text=True).stdout.strip()
    load = os.getloadavg()[2]
    return (f"{datetime.date.today()}, commit {commit or 'unknown'}. {os.cpu_count()} × {cpu}, {memory:.0f} GB, "
            f"Linux {platform.release()}; {results.flavour}. Clients, proxies and servers share this machine; its load "
            f"over the last 15 minutes was {load:.1f}. {results.rows:,} rows; {results.rounds} rounds of "
            f"{results.seconds} s each, in turns; medians.")


def targets(results):
    rows = []
    for (workload, threads, mode), cell in results.cells.items():
        if workload == "oltp_point_select" and threads in (8, 64):
            for name, relay in (("shardloom", "haproxy"), ("shardloom, sharded", BOTH)):
                if {name, relay} <= cell.keys():
                    found = ratio(median(cell[name], "cpu_us"), median(cell[relay], "cpu_us"))
                    rows.append([f"CPU per point select of {name}, {threads} threads, {MODES[mode]}", f"<= 1.2 x {relay}",
                                 show(found, ".2f"), verdict(found, lambda figure: figure <= 1.2)])
    for statement, measured in results.answers.items():
        if statement.startswith("large") and {"haproxy", "shardloom"} <= measured.keys():
            found = ratio(speed(measured["shardloom"]), speed(measured["haproxy"]))
            rows.append(["MB/s of a large result", ">= 0.9 x HAProxy", show(found, ".2f"),
                         verdict(found, lambda figure: figure >= 0.9)])
    for statement, measured in results.answers.items():
        limit = 5.0 if statement.startswith("join") else 1.0 if statement.startswith("aggregate") else None
        if limit and {"direct", "shardloom, sharded"} <= measured.keys():
            found = ratio(median(measured["shardloom, sharded"], "seconds"), median(measured["direct"], "seconds"))
            rows.append([f"time: {statement}", f"<= {limit:.0f} x one server", show(found, ".2f"),
                         verdict(found, lambda figure, limit=limit: figure <= limit)])
    for (what, who), number in results.memories.items():
        limit = 20 if what.startswith("idle") else 64 if what.startswith("peak") else None
        if limit and who == "shardloom":
            rows.append([what, f"<= {limit}", f"{number:.1f}", verdict(number, lambda figure, limit=limit: figure <= limit)])
    for (schema, mode), (_, allocations) in results.counts.items():
        rows.append([f"allocations per point select, {schema}, {MODES[mode]}", "<= 5", f"{allocations:.2f}",
                     verdict(allocations, lambda figure: figure <= 5)])
    return rows


MODES = {"disable": "text", "auto": "prepared"}


def verdict(figure, holds):
    return "-" if figure is None else "yes" if holds(figure) else "**no**"


def speed(measured):
    """MB/s of an answer."""
    seconds = median(measured, "seconds")
    return seconds if isinstance(seconds, Failed) else median(measured, "size") / seconds / 1e6


def answer_row(name, measured):
    seconds = median(measured[name], "seconds")
    ms = seconds if isinstance(seconds, Failed) else seconds * 1e3
    cpu = "-" if name == "direct" else show(median(measured[name], "cpu_ms"), ".1f")
    return [name, show(ms, ".1f"), show(speed(measured[name]), ",.1f"), cpu]


def cpu_figure(runs, cell):
    own = median(runs, "cpu_us")
    multiple = ratio(own, median(cell["haproxy"], "cpu_us") if "haproxy" in cell else None)
    return show(own, ".1f") + (f" ({multiple:.2f})" if multiple else "")


def cell_table(results, contenders, figure):
    rows = [[workload, str(threads), MODES[mode], *(figure(cell[name], cell) if name in cell else "-" for name in contenders)]
            for (workload, threads, mode), cell in results.cells.items()]
    return table(["workload", "threads", "statements", *contenders], rows)


def table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


COLOURS = {"haproxy": "#9aa5b1", BOTH: "#c5ccd3", "mysqlrouter": "#d9a441", "proxysql": "#b5651d", "shardloom": "#2f6f9f",
           "shardloom, sharded": "#7fb3d5"}


def picture(results):
    """Bars: CPU per point select of each proxy, a group of bars for each number of threads and way of asking."""
    names = [name for name in results.contenders if name != "direct"]
    groups = [(f"{threads} thread{'s' * (threads > 1)}", MODES[mode],
               [median(cell[name], "cpu_us") if name in cell else None for name in names])
              for (workload, threads, mode), cell in results.cells.items() if workload == "oltp_point_select"]
    bar, gap, left, top, height = 26, 30, 60, 60, 260
    group_width = bar * len(names) + gap
    width = max(left + group_width * len(groups) + 20, 480)
    highest = max([figure for _, _, figures in groups for figure in figures if isinstance(figure, float)] or [1]) * 1.1
    y = lambda figure: top + height * (1 - figure / highest)  # noqa: E731
    shapes = [f'<text x="{left - 40}" y="22" font-size="15">CPU of the proxy per point select, µs (less is better)</text>']
    for number, name in enumerate(names):
        x = left + number * 150
        shapes.append(f'<rect x="{x}" y="34" width="12" height="12" fill="{COLOURS.get(name, "#555")}"/>'
                      f'<text x="{x + 17}" y="45">{name}</text>')
    step = max(round(highest / 5), 1)
    for mark in range(0, int(highest) + 1, step):
        shapes.append(f'<line x1="{left}" x2="{width - 10}" y1="{y(mark):.1f}" y2="{y(mark):.1f}" stroke="#ddd"/>'
                      f'<text x="{left - 8}" y="{y(mark) + 4:.1f}" text-anchor="end">{mark}</text>')
    for number, (threads, mode, figures) in enumerate(groups):
        start = left + gap / 2 + number * group_width
        for place, (name, figure) in enumerate(zip(names, figures)):
            if isinstance(figure, float):
                x = start + place * bar
                shapes.append(f'<rect x="{x:.1f}" y="{y(figure):.1f}" width="{bar - 3}" '
                              f'height="{top + height - y(figure):.1f}" fill="{COLOURS.get(name, "#555")}"/>'
                              f'<text x="{x + (bar - 3) / 2:.1f}" y="{y(figure) - 4:.1f}" font-size="10" '
                              f'text-anchor="middle">{figure:.0f}</text>')
        middle = start + bar * len(names) / 2
        shapes.append(f'<text x="{middle:.1f}" y="{top + height + 18}" text-anchor="middle">{threads}</text>'
                      f'<text x="{middle:.1f}" y="{top + height + 34}" text-anchor="middle">{mode}</text>')
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{top + height + 50}" '
            f'font-family="sans-serif" font-size="12" fill="#222"><rect width="100%" height="100%" fill="#fff"/>\n'
            + "\n".join(shapes) + "\n</svg>\n")
