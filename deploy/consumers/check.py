"""Loads what unbraid wrote in the programs that people use it with, and compares with the truth.

UNBRAID=path/to/unbraid python check.py [--only NAME]
"""
import sys
import tempfile
from pathlib import Path

import comparing
import decompositions
import experts
import extraction
import fused
import initialisations
import merging
import profiles
import servers
import spectra
import tensors
from support import Skip

TOPICS = [extraction, decompositions, experts, initialisations, merging, fused, profiles, servers, spectra, comparing, tensors]


def main():
    only = sys.argv[2] if sys.argv[1:2] == ["--only"] else None
    count = {"ok": 0, "FAILED": 0, "skipped": 0}
    for check in (check for topic in TOPICS for check in topic.CHECKS):
        if only not in (None, check.__name__):
            continue
        with tempfile.TemporaryDirectory() as folder:
            try:
                figure = check(Path(folder))
                outcome, text = "ok", f" ({figure})" if figure else ""
            except Skip as reason:
                outcome, text = "skipped", f": {reason}"
            except Exception as error:  # noqa: BLE001: every failure is reported, none ends the run
                outcome, text = "FAILED", f": {type(error).__name__}: {error}"
        count[outcome] += 1
        print(f"{outcome} {check.__name__}{text}", flush=True)
    print(f"{count['ok']} passed, {count['FAILED']} failed, {count['skipped']} skipped")
    sys.exit(count["FAILED"] > 0)


if __name__ == "__main__":
    main()
