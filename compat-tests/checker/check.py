"""check.py history.jsonl…   prints a summary and every anomaly; exit 1 if there is one."""
import json
import sys

import analyses
import history


def main():
    bad = 0
    for path in sys.argv[1:]:
        ops = history.read(path)
        print(path.rsplit("/", 1)[-1], json.dumps(analyses.summary(ops)))
        for name, found in analyses.check(ops).items():
            bad += len(found)
            print(f"  {name}: {len(found)}")
            for one in found[:5]:
                print("    " + json.dumps(one)[:400])
    sys.exit(1 if bad else 0)


main()
