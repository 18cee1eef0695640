"""Measures the gateway from the homeserver's transaction to submit_sm, Kannel beside it.

Starts the stub homeserver, the gateway and the simulator on free loopback ports, anew for each row,
with SQLite (synchronous=FULL) and with a redis-server (appendfsync always); prints a table and
writes JSON.
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import statistics
import sys
import tempfile
import time
import typing

from bench_world import Kannel, PeerFailed, World, ask, until

STAMP = re.compile(r"#(\d+) @(\d+)")
ROWS = ("quiet", "long", "receipts", "phones", "kannel", "kannel-long")
# A text of three segments, the stamp in the last.
LONG_TEXT, LONG_SEGMENTS = "load " * 80, 3
KANNEL = ("kannel", "kannel-long")
ENGINES = {"sqlite": "SQLite", "redis": "Redis"}


def main():
    arguments = parse_arguments()
    target = pathlib.Path(arguments.target).resolve()
    results = {"started": int(time.time()), "cores": os.cpu_count(), "load_before": os.getloadavg(),
               "rooms": arguments.rooms, "messages": arguments.messages, "rows": []}
    for number in range(arguments.rounds):
        for row, engine in chosen(arguments):
            results["rows"].append(measure(row, engine, target, arguments) | {"round": number})
            print_row(results["rows"][-1])
    results["load_after"] = os.getloadavg()
    print_table(results)
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(results, indent=1) + "\n")
    return 0


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", default="target", help="the build folder")
    parser.add_argument("--messages", type=int, default=20_000, help="of each row")
    parser.add_argument("--rooms", type=int, default=500, help="conversations")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--row", action="append", choices=ROWS, help="only these")
    parser.add_argument("--engine", action="append", choices=ENGINES, help="only with these")
    parser.add_argument("--json", help="where the results go")
    parser.add_argument("--keep", help="keep the folders of the rows here")
    return parser.parse_args()


def chosen(arguments):
    """Each row with each engine; the engines of a row one after the other."""
    for row in arguments.row or ROWS:
        if row in KANNEL:
            yield row, None
        else:
            yield from ((row, engine) for engine in arguments.engine or ENGINES)


def measure(row, engine, target, arguments):
    home = pathlib.Path(tempfile.mkdtemp(prefix="matrix-smpp-bench-", dir=arguments.keep))
    try:
        if row in KANNEL:
            return kannel(target, home, arguments, row == "kannel-long")
        with World(target, home, arguments.rooms, row == "receipts", engine) as world:
            return {"engine": ENGINES[engine]} | MEASURES[row](world, arguments)
    except PeerFailed as problem:
        for log in sorted(home.glob("*.log")):
            print(f"--- {log.name}", *log.read_text(errors="replace").splitlines()[-15:],
                  sep="\n", file=sys.stderr)
        raise SystemExit(f"{row}: {problem}") from None
    finally:
        if not arguments.keep:
            shutil.rmtree(home, ignore_errors=True)


# --- the rows ------------------------------------------------------------------------------------


def quiet(world, arguments):
    """Rooms to phones by a route that shows people only what fails."""
    return rooms_to_phones("rooms to phones, nothing told", world, arguments, tell=False)


def long(world, arguments):
    """The same with texts of several segments; a segment counts as a message."""
    return rooms_to_phones("long texts to phones, nothing told", world, arguments, tell=False,
                           text=LONG_TEXT, segments=LONG_SEGMENTS)


def receipts(world, arguments):
    return rooms_to_phones("rooms to phones, receipts and status", world, arguments, tell=True)


def rooms_to_phones(name, world, arguments, tell, text="load", segments=1):
    texts = Texts(text, segments, arguments.messages // segments)
    rate, cost = flat_out(world, texts, tell)
    waits = half_rate(world, rate, texts, tell)
    world.audit()
    return {"row": name, "per_second": rate} | waits | cost


class Texts(typing.NamedTuple):
    """What people write."""
    text: str
    segments: int
    events: int

    @property
    def count(self):
        """How many segments all of them have."""
        return self.events * self.segments


def flat_out(world, texts, tell):
    """All at once: the rate between the first and the last, and what one message took."""
    count = texts.count
    before, known = world.cost(), world.simulator.counted()
    after = world.simulator.last_arrival()
    begun = time.monotonic()
    world.flood(1_000_000, texts.events, texts.text)
    world.sent(known + count)
    if tell:
        world.quiet()
    seconds = time.monotonic() - begun
    used = per_message(before, world.cost(), count)
    times = [one["at"] for one in world.simulator.submits(after)]
    if len(times) != count:
        raise PeerFailed(f"{len(times)} messages were sent, not {count}")
    wire = max(times[-1] - times[0], 1) / 1_000
    return count / (seconds if tell else wire), used


def half_rate(world, rate, texts, tell):
    """From when a person writes to the wire (of the last segment), at half of what is possible."""
    known, after = world.simulator.counted(), world.simulator.last_arrival()
    world.flood(max(int(rate / 2 / texts.segments), 1), texts.events, texts.text)
    world.sent(known + texts.count)
    if tell:
        world.quiet()
    waits = []
    for one in world.simulator.submits(after):
        if stamp := STAMP.search(one["text"]):
            waits.append(one["at"] - int(stamp[2]))
    if len(waits) != texts.events:
        raise PeerFailed(f"{len(waits)} texts came whole, not {texts.events}")
    return {"p50_ms": statistics.median(waits), "p99_ms": percentile(waits, 99)}


def phones(world, arguments):
    """Phones write by themselves; counted where the homeserver has the event."""
    pairs = {one["destination"]: one["source"] for one in world.simulator.submits(0)}
    each = max(arguments.messages // len(pairs), 1)
    plans = [{"from": phone, "to": number, "text": "load", "every": "1ms", "times": each}
             for phone, number in pairs.items()]
    said = lambda: world.counts()["sent"].get("m.room.message", 0)
    before, known, count = world.cost(), said(), each * len(pairs)
    begun = time.monotonic()
    ask(f"{world.simulator.url}/scenario", "POST", {"mo": plans})
    until("all texts are in their rooms", lambda: said() >= known + count)
    seconds = time.monotonic() - begun
    used = per_message(before, world.cost(), count)
    return {"row": "phones to rooms", "per_second": count / seconds} | used


def kannel(target, home, arguments, is_long):
    text, segments = (LONG_TEXT, LONG_SEGMENTS) if is_long else ("load", 1)
    texts = arguments.messages // segments
    count = texts * segments
    with Kannel(target, home) as box:
        before = box.cost()
        batch = box.batch(texts, text)
        until("Kannel has sent all", lambda: box.simulator.counted() >= count)
        batch.wait()
        used = per_message(before, box.cost(), count)
        times = [one["at"] for one in box.simulator.submits(0)]
        name = "Kannel 1.4.5, long texts" if is_long else "Kannel 1.4.5"
        return {"row": name, "engine": "its files, not synced",
                "per_second": count / (max(times[-1] - times[0], 1) / 1_000)} | used


MEASURES = {"quiet": quiet, "long": long, "receipts": receipts, "phones": phones}


def per_message(before, after, count):
    used = {name: (after[name] - before[name]) / count for name in after}
    return {f"{name}_us" if name.endswith("_cpu") else name:
            value * 1e6 if name.endswith("_cpu") else value for name, value in used.items()}


def percentile(values, percent):
    ordered = sorted(values)
    return ordered[min(len(ordered) * percent // 100, len(ordered) - 1)]


# --- the table -----------------------------------------------------------------------------------

COLUMNS = (("per_second", "per second", 0), ("p50_ms", "p50 ms", 0), ("p99_ms", "p99 ms", 0),
           ("commits", "commits", 3), ("changes", "changes", 2), ("questions", "questions", 2),
           ("journeys", "calls of Redis", 3), ("puts", "PUTs", 2),
           ("gateway_cpu_us", "gateway µs", 0), ("redis_cpu_us", "Redis µs", 0),
           ("simulator_cpu_us", "simulator µs", 0), ("stub_cpu_us", "homeserver µs", 0))


def print_row(row):
    print(f"{row['row']} ({row['engine']}):", *(f"{title} {row[name]:.{digits}f}," for name, title, digits in COLUMNS
                              if name in row), flush=True)


def print_table(results):
    load = " to ".join(f"{results[when][0]:.1f}" for when in ("load_before", "load_after"))
    print(f"\n{results['messages']} messages a row, {results['rooms']} conversations, "
          f"{results['cores']} cores, load average {load}; per message:\n")
    print("| row | engine |", " | ".join(title for _, title, _ in COLUMNS), "|")
    print("|---" * (len(COLUMNS) + 2) + "|")
    for name, engine in dict.fromkeys((row["row"], row["engine"]) for row in results["rows"]):
        rows = [row for row in results["rows"] if (row["row"], row["engine"]) == (name, engine)]
        cells = (cell([row[key] for row in rows if key in row], digits)
                 for key, _, digits in COLUMNS)
        print(f"| {name} | {engine} |", " | ".join(cells), "|")


def cell(values, digits):
    return f"{statistics.median(values):,.{digits}f}" if values else ""


if __name__ == "__main__":
    sys.exit(main())
