"""Search of the locked versions for known weaknesses: ``python infra/vulnerabilities.py PIP_AUDIT``.

PIP_AUDIT is the program. It fails where a version could not be looked up, and where a weakness is known that
infra/vulnerabilities.yaml does not name. It fails too where an entry of that file has run out or is not used.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
EXCEPTIONS = ROOT / "infra/vulnerabilities.yaml"
LOCK = ROOT / "constraints.txt"


def faults(
    report: Mapping[str, Any], exceptions: Sequence[Mapping[str, Any]], locked: Sequence[str], today: date
) -> list[str]:
    """Return what is wrong with the locked versions, a line each.

    Args:
        report: Report of pip-audit, from its JSON.
        exceptions: Entries of the file of exceptions.
        locked: Names of the locked packages.
        today: Day by which entries run out.
    """
    lines = []
    audited = {each["name"].lower().replace("_", "-"): each for each in report["dependencies"]}
    for name in locked:
        entry = audited.get(name.lower().replace("_", "-"), {"skip_reason": "not in the report"})
        if "vulns" not in entry:
            lines.append(f"{name}: could not be looked up: {entry.get('skip_reason', 'no reason given')}")
    allowed = {(entry["package"], entry["id"]): entry for entry in exceptions}
    needed = set()
    for name, entry in audited.items():
        for weakness in entry.get("vulns", ()):
            ids = {weakness["id"], *weakness.get("aliases", ())}
            exception = next((allowed[name, id] for id in ids if (name, id) in allowed), None)
            fixed = ", ".join(weakness.get("fix_versions", ())) or "none yet"
            if exception is None:
                lines.append(f"{name} {entry['version']}: {weakness['id']}, fixed in: {fixed}")
                continue
            needed.add((exception["package"], exception["id"]))
            if exception["until"] < today:
                lines.append(f"{name}: the exception for {exception['id']} ran out on {exception['until']}")
    unused = sorted(set(allowed) - needed)
    return lines + [f"{name}: {id} is no longer found: delete its exception" for name, id in unused]


def main(program: str) -> int:
    """Print the faults; give 1 where there are any."""
    options = ["--requirement", str(LOCK), "--no-deps", "--disable-pip", "--strict", "--format", "json"]
    done = subprocess.run([program, *options], capture_output=True, text=True, check=False)
    try:
        report = json.loads(done.stdout)
    except ValueError:
        print(done.stderr.strip() or "pip-audit gave no report", file=sys.stderr)
        return 1
    locked = [line.partition("==")[0] for line in LOCK.read_text("utf-8").split() if "==" in line]
    exceptions = yaml.safe_load(EXCEPTIONS.read_text("utf-8"))
    lines = faults(report, exceptions, locked, date.today())
    print("\n".join([*lines, f"{len(locked)} locked versions, {len(lines)} faults"]))
    return int(bool(lines))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
