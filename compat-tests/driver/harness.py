"""Transcripts of the same script against two brokers, and the comparison that turns them into checks."""
import difflib
import fnmatch
import json
import os
import queue
import re
import subprocess
import threading
import time
import traceback

import proc

TOOLS = {
    "topics": "org.apache.kafka.tools.TopicCommand",
    "configs": "kafka.admin.ConfigCommand",
    "groups": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    "get-offsets": "org.apache.kafka.tools.GetOffsetShell",
    "delete-records": "org.apache.kafka.tools.DeleteRecordsCommand",
    "log-dirs": "org.apache.kafka.tools.LogDirsCommand",
    "api-versions": "kafka.admin.BrokerApiVersionsCommand",
    "console-consumer": "org.apache.kafka.tools.consumer.ConsoleConsumer",
    "console-producer": "kafka.tools.ConsoleProducer",
    "dump-log": "kafka.tools.DumpLogSegments",
    "verifiable-producer": "org.apache.kafka.tools.VerifiableProducer",
    "verifiable-consumer": "org.apache.kafka.tools.VerifiableConsumer",
    "producer-perf": "org.apache.kafka.tools.ProducerPerformance",
    "consumer-perf": "org.apache.kafka.tools.ConsumerPerformance",
    "cluster": "org.apache.kafka.tools.ClusterTool",
}


class Result:
    def __init__(self, exit_code, out, err, late=False):
        self.exit, self.out, self.err, self.late = exit_code, out, err, late

    def text(self):
        return f"exit {self.exit}\n{self.out}" + (f"\n--- stderr\n{self.err}" if self.err.strip() else "")


class Tools:
    """The JVM in which the official tools run; calls may overlap."""

    def __init__(self, folder):
        os.makedirs(folder, exist_ok=True)
        log = os.path.join(folder, "tools.log")
        self.child = subprocess.Popen(
            ["java", "-Xmx256m", *proc.SMALL_JVM, *proc.java_env(log), "-cp", proc.CLASSES + ":" + proc.LIBS + "/*", "ToolRunner"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=open(log + ".err", "ab"), text=True)
        self.waiting, self.lock, self.count = {}, threading.Lock(), 0
        threading.Thread(target=self._answers, daemon=True).start()

    def _answers(self):
        for line in self.child.stdout:
            answer = json.loads(line)
            with self.lock:
                box = self.waiting.pop(answer["id"], None)
            if box is not None:
                box.put(answer)

    def start(self, tool, args, stdin=None, timeout=30):
        with self.lock:
            self.count += 1
            name = str(self.count)
            box = self.waiting[name] = queue.Queue()
            command = {"id": name, "main": TOOLS.get(tool, tool), "args": [str(a) for a in args], "timeout": int(timeout * 1000)}
            if stdin is not None:
                command["stdin"] = stdin
            self.child.stdin.write(json.dumps(command) + "\n")
            self.child.stdin.flush()
        return box, timeout

    def finish(self, handle):
        box, timeout = handle
        try:
            answer = box.get(timeout=timeout + 20)
        except queue.Empty:
            return Result("no answer", "", "", True)
        return Result(answer["exit"], answer["out"], answer["err"], answer["late"])

    def run(self, tool, args, stdin=None, timeout=30):
        return self.finish(self.start(tool, args, stdin, timeout))

    def stop(self):
        self.child.stdin.close()
        try:
            self.child.wait(10)
        except subprocess.TimeoutExpired:
            self.child.kill()


class Side:
    """One broker, the tools pointed at it, and the transcript of what it answered."""

    def __init__(self, broker, tools, folder):
        self.broker, self.tools, self.folder = broker, tools, folder
        self.transcript, self.order, self.masks = {}, [], []
        self.error = None

    @property
    def bootstrap(self):
        return self.broker.bootstrap

    def record(self, label, value):
        """Remembers an answer that both brokers must give alike."""
        label = label if label not in self.transcript else f"{label} (again {self.order.count(label)})"
        while label in self.transcript:
            label += "'"
        self.order.append(label)
        self.transcript[label] = self.normal(value if isinstance(value, str) else json.dumps(value, indent=1, sort_keys=True))

    def normal(self, text):
        text = text.replace(self.broker.log_dir, "LOGDIR").replace(self.folder, "FOLDER")
        text = re.sub(port_mask(self.broker.port), "PORT", text)
        for pattern, replacement in self.masks + COMMON_MASKS:
            text = re.sub(pattern, replacement, text)
        return "\n".join(line.rstrip() for line in text.strip().splitlines())

    def tool(self, label, tool, *args, stdin=None, timeout=30, sort=False, boot=True, keep=True, only=None):
        """Runs an official tool against this broker; its exit code, output and errors are one check."""
        argv = list(args)
        if boot:
            flag = "--broker-list" if boot == "list" else "--bootstrap-server"
            argv = [flag, self.bootstrap, *argv]
        result = self.tools.run(tool, argv, stdin, timeout)
        if keep:
            text = result.text()
            if only:
                text = "\n".join(line for line in text.splitlines() if re.search(only, line))
            if sort:
                text = "\n".join(sorted(text.splitlines()))
            self.record(label, text)
        return result

    def command(self, label, argv, stdin=None, timeout=60, env=None, keep=True, sort=False):
        """Runs any client program; its exit code and output are one check."""
        try:
            done = subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=timeout, env=env, errors="replace")
            text = f"exit {done.returncode}\n" + ("\n".join(sorted(done.stdout.splitlines())) if sort else done.stdout)
            if done.returncode != 0:
                text += "\n--- stderr\n" + "\n".join(done.stderr.splitlines()[-20:])
        except subprocess.TimeoutExpired as late:
            text = f"timeout after {timeout} s\n{(late.stdout or b'').decode(errors='replace')}"
        if keep:
            self.record(label, text)
        return text

    def jvm(self, main, *args, timeout=60):
        """A Java program in a JVM of its own (those with JVM shutdown hooks); returns its exit code and output."""
        argv = ["java", "-Xmx256m", *proc.SMALL_JVM, *proc.java_env(os.path.join(self.folder, "client.log")),
                "-cp", proc.CLASSES + ":" + proc.LIBS + "/*", main, *[str(a) for a in args]]
        try:
            done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout)
            return Result(done.returncode, done.stdout, done.stderr)
        except subprocess.TimeoutExpired as late:
            return Result(None, (late.stdout or b"").decode(), (late.stderr or b"").decode(), True)

    def steps(self, text):
        """A client program's transcript: every line `## label` opens a check, the lines below it are the answer."""
        label, lines = None, []
        for line in text.splitlines() + ["##"]:
            if line.startswith("##"):
                if label is not None:
                    self.record(label, "\n".join(lines))
                label, lines = line[2:].strip(), []
            else:
                lines.append(line)


COMMON_MASKS = [
    (r"TopicId: [A-Za-z0-9_-]{22}", "TopicId: ID"),
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UUID"),
    (r"20\d\d-\d\d-\d\d[T ]\d\d:\d\d:\d\d[.,]\d+", "DATE"),
    (r"/127\.0\.0\.1(:\d+)?", "/HOST"),
    (r"(?m)^\s+at .*\n?", ""),
    (r"(deadlineMs|tries|nextAllowedTryMs)=\d+", r"\1=N"),
    (r"timed out at \d+ after \d+", "timed out at T after N"),
    (r"correlation id \d+", "correlation id N"),
    # An admin call whose time ends while it asks for metadata again and again: in which of its states that finds it is chance.
    (r"TimeoutException: (?:Timed out waiting for a node assignment\. Call: (\w+)\(api=METADATA\)"
     r"|Call\(callName=(\w+)\(api=METADATA\)[^\n<]*timed out at T after N attempt\(s\))(?: <- DisconnectException)?", r"TimeoutException: \1\2 found no leader"),
    (r"[ \t]+\n", "\n"),
    (r"[ \t]{2,}", "  "),
]


def port_mask(port):
    """A port as a number of its own: its digits may be among those of a record shown in hex."""
    return rf"(?<![\w.]){port}(?!\w)"


class Report:
    """Counts and prints. One line per check; a failure shows its diff."""

    def __init__(self, folder):
        self.passed = self.failed = self.skipped = 0
        self.folder, self.failures, self.lock = folder, [], threading.Lock()
        self.seconds = {}
        os.makedirs(folder, exist_ok=True)
        self.log = open(os.path.join(folder, "report.txt"), "a")

    def line(self, text):
        with self.lock:
            print(text, flush=True)
            self.log.write(text + "\n")
            self.log.flush()

    def check(self, label, ok, why=""):
        if ok:
            self.passed += 1
            self.line(f"PASS {label}")
        else:
            self.failed += 1
            self.failures.append(label)
            self.line(f"FAIL {label}" + ("\n" + "\n".join("     " + l for l in str(why).splitlines()[:60]) if why else ""))
        return ok

    def skip(self, label, why):
        self.skipped += 1
        self.line(f"SKIP {label}: {why}")

    def compare(self, scenario, reference, subject):
        for side in (reference, subject):
            if side.error:
                self.check(f"{scenario}: the script runs on {side.broker.kind}", False, side.error)
        for label in list(dict.fromkeys(reference.order + subject.order)):
            left, right = reference.transcript.get(label), subject.transcript.get(label)
            if left is None or right is None:
                missing = reference if left is None else subject
                if not missing.error:
                    self.check(f"{scenario}: {label}", False, f"no answer on {missing.broker.kind}")
                continue
            diff = "\n".join(difflib.unified_diff(left.splitlines(), right.splitlines(), "kafka", "monedula", lineterm="", n=2))
            self.check(f"{scenario}: {label}", left == right, diff)


def both(report, scenario, sides, script, parallel=True):
    """Runs `script(side)` on both sides and compares the transcripts."""
    started = time.monotonic()

    def run(side):
        side.transcript, side.order, side.error, side.masks = {}, [], None, []
        try:
            script(side)
        except Exception:
            side.error = traceback.format_exc()
    threads = [threading.Thread(target=run, args=(side,)) for side in sides]
    for thread in threads:
        thread.start()
        if not parallel:
            thread.join()
    for thread in threads:
        thread.join()
    for side in sides:
        with open(os.path.join(report.folder, f"{scenario}-{side.broker.folder.rsplit('/', 1)[-1]}.transcript"), "w") as out:
            for label in side.order:
                out.write(f"## {label}\n{side.transcript[label]}\n\n")
            if side.error:
                out.write(side.error)
    report.compare(scenario, *sides)
    report.line(f"---- {scenario}: {time.monotonic() - started:.0f} s")


def eventually(condition, timeout=15, step=0.1):
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value or time.monotonic() > end:
            return value
        time.sleep(step)


def wanted(name, only):
    return not only or any(pattern in name or fnmatch.fnmatch(name, pattern) for pattern in only.split(","))
