"""Every claim at every seed: chapters run at seed = 0, 1, …, and what came of it is recorded for their pages.

Each run is kept in `_build/seeds`, and not repeated while its chapter is what it was. The record is committed.
A page shows what the record says of its chapter while their sources agree; the versions are told, and do not count.
"""

import json
import os
import platform
import re
from datetime import date
from pathlib import Path

from joblib import cpu_count
from rich.table import Table

from press import ROOT
from press.build.chapters import BUILD, Chapter, checked, digest, find, parameters, records, sealed
from press.build.execute import CONSOLE, Job, chosen, left_out, lock, refuse, run, tell_errors
from press.build.faults import call_faults, ledger_faults
from press.build.staleness import data, key, sources, versions

RECORD = "book/records/seeds.json"
MISSED = ": AssertionError: claims that failed:"  # in the error of a run that came to its end: claims.close() raised it
WHY = {  # how a problem of a record begins, and what it is in a word
    r"measured \S+, not ": "measured outside",
    r"measured \S+ does not miss ": "prediction not rejected",
    "control '": "control did not miss",
}


def run_seeds(names: list[str], n: int) -> None:
    """Run chapters at `n` seeds, tell which claims did not hold at all of them, and record it.

    A SystemExit of 1 where one did not. A chapter of which a run broke off is not recorded.
    """
    if n < 1:
        raise SystemExit(f"press: --n {n}: give 1 seed or more")
    named = chosen(names) or find()
    chapters = [chapter for chapter in named if "seed" in parameters(chapter)]
    undrawn = [f"{c.name} has no parameter 'seed': nothing in it is drawn" for c in named if c not in chapters]
    if names and undrawn:
        raise SystemExit(f"press: {undrawn[0]}")
    refuse(call_faults(chapters) + ledger_faults(chapters, whole=False))
    read()  # a wrong record is told before the work
    print(*undrawn, sep="\n", end="\n" if undrawn else "")
    with lock():
        kept = {chapter: ended(chapter, n) for chapter in chapters}
        wanted = [(chapter, seed) for chapter in chapters for seed in range(n) if seed not in kept[chapter]]
        print(f"{len(wanted)} runs to make; {len(chapters) * n - len(wanted)} are kept")
        done = run([Job(c, {"seed": seed}, place(c, seed), place(c, seed)) for c, seed in wanted])
        kept = {chapter: ended(chapter, n) for chapter in chapters}
        found = {chapter: tally(chapter, kept[chapter], n) for chapter in chapters}
        write(
            {
                title(chapter): entry(chapter, found[chapter], kept[chapter], n)
                for chapter in chapters
                if len(kept[chapter]) == n
            }
        )
    broken = {job: error for job, (error, _, _) in done.items() if job.changed["seed"] not in kept[job.chapter]}
    tell(found, n)
    tell_errors({job: error or "the book was changed while it ran" for job, error in broken.items()})
    if broken or any(missed for claims in found.values() for _, missed in claims.values()):
        raise SystemExit(1)


def place(chapter: Chapter, seed: int) -> Path:
    """Where the notebook of a seed lies, however its run ended."""
    return BUILD / "seeds" / chapter.name / f"{seed}.ipynb"


def ended(chapter: Chapter, n: int) -> dict[int, dict[str, dict]]:
    """By seed and claim, the records of runs of the chapter as it is that came to their end, whatever missed."""
    found = {}
    for seed in range(n):
        if not (notebook := sealed(place(chapter, seed))):
            continue
        kept, claims = notebook["metadata"]["press"], records(notebook)
        whole = MISSED in kept.get("error", MISSED) and not left_out(chapter, claims)
        if whole and kept["hash"] == key(chapter):
            found[seed] = {record["id"]: record for record in claims}
    return found


def tally(chapter: Chapter, kept: dict[int, dict], n: int) -> dict[str, tuple[int, dict[int, str]]]:
    """For each claim: at how many seeds it was measured, and at which of them it did not hold, and why.

    A run that did not come to its end counts against every claim of its chapter.
    """
    found = {}
    for _, claim in checked(chapter):
        ran = {seed: kept[seed][claim] if seed in kept else {"verdict": "missed"} for seed in range(n)}
        measured = sum(record["verdict"] != "not measured" for record in ran.values())
        found[claim] = measured, {seed: why(record) for seed, record in ran.items() if record["verdict"] == "missed"}
    return found


def why(record: dict) -> str:
    """In a word, why a claim missed."""
    problems = record.get("problems", ())
    words = [word for problem in problems for begins, word in WHY.items() if re.match(begins, problem)]
    return " and ".join(words) or "error"


def tell(found: dict[Chapter, dict], n: int) -> None:
    """The closing table: of each chapter the claims that did not hold at every seed."""
    table = Table("chapter", "seeds", "claims", "held", "missed at", box=None, header_style="bold")
    for chapter, claims in found.items():
        misses = {claim: (measured, missed) for claim, (measured, missed) in claims.items() if missed}
        table.add_row(chapter.name, str(n), f"{len(claims) - len(misses)} of {len(claims)} at every seed")
        for claim, (measured, missed) in misses.items():
            seeds = {word: [str(seed) for seed in missed if missed[seed] == word] for word in missed.values()}
            told = "; ".join(f"{', '.join(seeds[word])}: {word}" for word in seeds)
            table.add_row("", "", claim, f"{measured - len(missed)} of {measured}", told)
    CONSOLE.print(table)


def title(chapter: Chapter) -> str:
    """The chapter's name in the record; one that reads data has an entry for each state of them."""
    return f"{chapter.name} with data {digest(found)}" if (found := data(chapter)) else chapter.name


def spread(claim: str, kept: dict[int, dict]) -> list[float]:
    """What the claim measured at its seeds, each number once, to five figures."""
    ran = (records[claim].get("measured") for records in kept.values() if claim in records)
    return sorted({float(f"{value:.5g}") for value in ran if value is not None})


def entry(chapter: Chapter, found: dict[str, tuple[int, dict]], kept: dict[int, dict], n: int) -> dict:
    """What is recorded of a chapter whose every seed came to its end."""
    latest = max(place(chapter, seed).stat().st_mtime for seed in range(n))
    return {
        "command": f"python -m press seeds {chapter.name} --n {n}",
        "n": n,
        "machine": machine(),
        "date": date.fromtimestamp(latest).isoformat(),
        "versions": versions(),
        "sources": sources(chapter),
        "claims": {
            claim: {"held": measured - len(missed), "of": measured}
            | ({"missed": list(missed)} if missed else {})
            | ({"values": values} if len(values := spread(claim, kept)) > 1 else {})
            for claim, (measured, missed) in found.items()
        },
    }


def machine() -> str:
    """The processor and its cores."""
    file = Path("/proc/cpuinfo")
    named = re.search(r"model name\s*: (.+)", file.read_text()) if file.exists() else None
    return f"{named[1] if named else platform.processor() or platform.machine()}, {cpu_count()} cores"


def read() -> dict[str, dict]:
    """The record, chapter by chapter; nothing where there is none."""
    file = ROOT / RECORD
    try:
        found = json.loads(file.read_text(encoding="utf-8-sig")) if file.exists() else {}
        for entry in found.values():
            _ = [claim[name] for claim in entry.get("claims", {}).values() for name in ("held", "of")]
    except ValueError as error:
        raise ValueError(f"{RECORD}: not valid JSON: {error}") from None
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{RECORD}: is no record of seeds: {type(error).__name__}: {error}") from None
    return found


def write(entries: dict[str, dict]) -> None:
    """Put entries into the record in place of their old ones; the others stay."""
    if entries:
        whole = (ROOT / RECORD).with_name(".seeds.json")
        whole.parent.mkdir(exist_ok=True)
        text = json.dumps(read() | entries, indent=1, sort_keys=True, ensure_ascii=False)
        whole.write_text(text + "\n", encoding="utf-8")
        os.replace(whole, ROOT / RECORD)


def recorded(chapter: Chapter) -> dict[str, tuple[str, str, list[float]]]:
    """By claim, what is recorded of its seeds: in words; how, when and where; and what was measured, while it holds."""
    if not (entry := read().get(title(chapter))):
        return {}
    made, current = f"{entry['command']}, {entry['date']}, {entry['machine']}", entry["sources"] == sources(chapter)
    earlier = "seeds recorded for an earlier state of this chapter"
    return {
        claim: (
            f"{found['held']} of {found['of']} seeds" if current else earlier,
            made,
            found.get("values", []) if current else [],
        )
        for claim, found in entry["claims"].items()
        if found["of"]
    }
