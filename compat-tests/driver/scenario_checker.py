"""The checker (../checker): its own tests, its workloads while one broker is killed again and again, and the helper that runs them."""
import os
import random
import subprocess
import sys
import time
import traceback

import cluster as clusters
import proc
from scenario_crash import CLIENTS, VENV, have_librdkafka

CHECKER = os.path.join(proc.COMPAT, "checker")
KINDS = ("append", "txn", "group")


def selftest(run, name):
    """Each detector fires on a bad history and is silent on good ones; masks hide what they are to hide."""
    for folder in (CHECKER, CLIENTS, proc.HERE):
        done = subprocess.run([sys.executable, os.path.join(folder, "selftest.py")], capture_output=True, text=True, timeout=60)
        run.report.check(f"{name}: {done.stderr.strip().splitlines()[-3] if done.stderr.strip() else 'no answer'}", done.returncode == 0, done.stderr)


class Checker:
    """The three workloads against a cluster, and the verdict on what they saw."""

    def __init__(self, bootstrap, folder, replication=1, min_isr=1, rate=60, processes=4, kinds=KINDS, prefix=()):
        """`prefix` is put before each command: the network namespace of the clients, say."""
        self.bootstrap, self.folder, self.kinds = bootstrap, folder, kinds
        self.arguments = ["--replication", str(replication), "--min-isr", str(min_isr), "--rate", str(rate), "--processes", str(processes)]
        self.prefix, self.children = list(prefix), {}
        os.makedirs(folder, exist_ok=True)

    def path(self, kind, suffix="jsonl"):
        return os.path.join(self.folder, f"{kind}.{suffix}")

    def start(self, seconds):
        for kind in self.kinds:
            with open(self.path(kind, "log"), "w") as log:
                child = subprocess.Popen([*self.prefix, VENV, os.path.join(CHECKER, "workload.py"), "--bootstrap", self.bootstrap, "--kind", kind, "--out", self.path(kind),
                                          "--seconds", str(seconds), *self.arguments], stdin=subprocess.PIPE, stdout=log, stderr=log, text=True)
            self.children[kind] = child
        return self

    def said(self):
        """The last line of each workload, for progress lines."""
        lines = []
        for kind in self.kinds:
            with open(self.path(kind, "log"), errors="replace") as log:
                text = log.read().strip().splitlines()
            lines.append(f"{kind}: {text[-1] if text else 'nothing yet'}")
        return ", ".join(lines)

    def wait_started(self, timeout=90):
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if all("started" in open(self.path(kind, "log")).read() for kind in self.kinds):
                return
            time.sleep(0.2)
        raise RuntimeError(f"the workloads did not start: {self.said()}")

    def finish(self, report, name, timeout=400):
        """Call it once the cluster is healed. Ends the workloads, reads everything, and judges."""
        for child in self.children.values():
            child.terminate()
        for child in self.children.values():
            child.stdin.write("healed\n")
            child.stdin.flush()
        end = time.monotonic() + timeout
        for kind, child in self.children.items():
            try:
                code = child.wait(max(1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
                code = "killed"
            report.check(f"{name}: {kind}: everything acknowledged is read to its end", code == 0, self.said())
        clean = True
        for kind in self.kinds:
            done = subprocess.run([sys.executable, os.path.join(CHECKER, "check.py"), self.path(kind)], capture_output=True, text=True, timeout=300)
            report.line("     " + (done.stdout.splitlines() or ["?"])[0])
            clean &= report.check(f"{name}: {kind}: no anomaly", done.returncode == 0, done.stdout + done.stderr)
        return clean

    def close(self):
        for child in self.children.values():
            if child.poll() is None:
                child.kill()
            child.wait()


def on_cluster(run, name, kinds, tell, overrides=None, rate=20, processes=2):
    """`tell(cluster, checker)` on three brokers of these kinds, with a checker of RF 3 that `tell` starts and finishes."""
    if not have_librdkafka():
        return run.report.skip(name, "librdkafka is not here")
    run.close_pair()
    seed = random.randrange(1 << 30)
    random.seed(seed)
    run.report.line(f"{name}: seed {seed}")
    mix = {number: run.options.subject if kind == "monedula" else kind for number, kind in kinds.items()}
    cluster = clusters.Cluster(os.path.join(run.folder, name), mix, overrides)
    checker = None
    try:
        cluster.start()
        checker = Checker(cluster.bootstrap, os.path.join(run.folder, f"{name}-histories"), replication=3, min_isr=2, rate=rate, processes=processes)
        tell(cluster, checker)
    except Exception:
        run.report.check(f"{name}: runs", False, traceback.format_exc() + cluster.logs())
    finally:
        if checker:
            checker.close()
        cluster.close()
        proc.stop_all()


def kill(run, name):
    """One broker under the three workloads, killed without a word every few seconds for five minutes."""
    if not have_librdkafka():
        return run.report.skip(name, "librdkafka is not here")
    run.close_pair()
    report, kind = run.report, run.options.subject
    seed = random.randrange(1 << 30)
    random.seed(seed)
    seconds = 20 * run.options.rounds or 300
    report.line(f"{name}: {seconds} s, seed {seed}")
    broker = proc.make(kind, os.path.join(run.folder, name)).start()
    checker = Checker(broker.bootstrap, os.path.join(run.folder, f"{name}-histories"), rate=80)
    try:
        checker.start(seconds).wait_started()
        began, said, kills = time.monotonic(), time.monotonic(), 0
        while time.monotonic() < began + seconds:
            time.sleep(random.uniform(2, 15))
            broker.kill()
            kills += 1
            if kind == "kafka":
                time.sleep(8)  # until ZooKeeper forgets the dead broker's session
            elif random.random() < 0.3:
                time.sleep(random.uniform(0, 12))  # long enough for transactions and sends to run out of time
            broker.start(90)
            if time.monotonic() > said + 30:
                said = time.monotonic()
                report.line(f".... {said - began:.0f} s, {kills} kills; {checker.said()}")
        report.line(f".... {kills} kills; {checker.said()}")
        checker.finish(report, name)
    finally:
        checker.close()
        broker.close()
