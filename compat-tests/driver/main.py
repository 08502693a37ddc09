"""Runs the compatibility scenarios: the same script on Apache Kafka and on Monedula, then compares the answers."""
import argparse
import os
import shutil
import signal
import sys
import time

import harness
import proc
import scenarios


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--long", action="store_true", help="also the scenarios of many minutes")
    parser.add_argument("--subject", choices=["monedula", "kafka"], default="monedula",
                        help="kafka: the harness tests itself, Apache Kafka against Apache Kafka")
    parser.add_argument("--rounds", type=int, default=0, help="rounds of the crash loop")
    parser.add_argument("--lane", choices=["", "main", "beside"], default="",
                        help="one of two runs side by side: beside has the scenarios that mostly wait, main all others")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    if options.list:
        for name, _, _ in scenarios.ALL:
            print(name)
        return 0
    folder = os.path.join(proc.WORK, f"run-{time.strftime('%m%d-%H%M%S')}-{os.getpid()}")
    old = sorted(entry for entry in os.listdir(proc.WORK) if entry.startswith("run-"))
    for entry in old[:-4]:
        shutil.rmtree(os.path.join(proc.WORK, entry), ignore_errors=True)
    proc.lane = options.lane
    report = harness.Report(folder)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    run = scenarios.Run(report, folder, options)
    try:
        run.all()
    finally:
        run.close()
        proc.stop_all()
        for entry in os.listdir(folder):
            path = os.path.join(folder, entry)
            if os.path.isdir(path) and not report.failed:
                shutil.rmtree(path, ignore_errors=True)
    slowest = sorted(report.seconds.items(), key=lambda entry: -entry[1])
    print("seconds:", ", ".join(f"{name} {seconds:.0f}" for name, seconds in slowest if seconds >= 10))
    if report.failures:
        print("failed:", *report.failures, sep="\n  ")
    print(f"scenarios: {report.passed} passed, {report.failed} failed, {report.skipped} skipped")
    with open(os.path.join(proc.WORK, "last-result" + (options.lane and "-" + options.lane)), "w") as out:
        out.write(f"{report.passed} {report.failed} {report.skipped}\n")
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
