"""Kafka Streams, exactly once and unmodified: a word count over repartition and changelog topics whose committed output must be
every word's counts 1, 2, … n, each once, whatever was killed on the way."""
import collections
import os
import random
import re
import shutil
import subprocess
import threading
import time

import proc
from harness import eventually

PARTITIONS = 4
WORDS = [f"word{i:02}" for i in range(40)]


def lines(seed, count):
    """The same lines for the same seed; some words are frequent, some rare."""
    dice = random.Random(seed)
    return [" ".join(dice.choices(WORDS, weights=range(1, len(WORDS) + 1), k=3)) for _ in range(count)]


def words_of(text):
    return collections.Counter(word for line in text for word in line.split())


def java(log, main, *args):
    return ["java", "-Xmx256m", *proc.SMALL_JVM, *proc.java_env(log), "-cp", proc.CLASSES + ":" + proc.LIBS + "/*", main, *[str(a) for a in args]]


class App:
    """One instance of the application: a process with a folder for its local state."""
    count = 0

    def __init__(self, broker, folder, state, topics):
        App.count += 1
        self.state = os.path.join(folder, state)
        log = os.path.join(folder, f"streams-{App.count}")
        self.process = proc.Process("streams", java(log + ".log4j", "StreamsApp", broker.bootstrap, "wordcount", self.state, *topics), log + ".out")

    def told(self):
        with open(self.process.log, errors="replace") as out:
            return out.read().splitlines()

    def last_state(self):
        states = [line for line in self.told() if line.startswith("STATE ")]
        return states[-1] if states else ""

    def running(self, timeout=60):
        return eventually(lambda: self.last_state() == "STATE RUNNING" or not self.process.alive(), timeout) and self.process.alive()

    def restored(self):
        """Records read back from the changelog into stores that were behind it."""
        return sum(int(line.split()[-1]) for line in self.told() if line.startswith("RESTORED "))

    def stop(self):
        """SIGTERM: commits what is open, leaves the group, closes its stores."""
        self.process.stop(30)
        return "CLOSED true" in self.told()

    def kill(self):
        self.process.kill()


class Writer(threading.Thread):
    """Lines into a topic, in the background."""

    def __init__(self, broker, folder, topic, text, per_second):
        super().__init__()
        self.argv = java(os.path.join(folder, "writer.log4j"), "LineTopic", "write", broker.bootstrap, topic, per_second)
        self.text, self.said = text, ""
        self.start()

    def run(self):
        try:
            done = subprocess.run(self.argv, input="\n".join(self.text) + "\n", capture_output=True, text=True, timeout=90)
            self.said = done.stdout + done.stderr
        except subprocess.TimeoutExpired as late:
            self.said = f"timeout {late}"

    def all_acked(self):
        self.join()
        return self.said.strip() == f"acked {len(self.text)} of {len(self.text)}"


def read(broker, folder, topic, kind, at_least, seconds=40):
    done = subprocess.run(java(os.path.join(folder, "reader.log4j"), "LineTopic", "read", broker.bootstrap, topic, kind, seconds, at_least),
                          capture_output=True, text=True, timeout=seconds + 40)
    return [line.split("\t") for line in done.stdout.splitlines()]


def wrong(seen, expected):
    """What is lost, counted twice or out of order in the output; empty when it is exactly the counts of the input."""
    counts = collections.defaultdict(list)
    for _, word, count in seen:
        counts[word].append(int(count))
    bad = [f"{word}: {expected[word]} in the input, in the output {counts[word][:5]}…{counts[word][-5:]} ({len(counts[word])})"
           for word in sorted(set(expected) | set(counts)) if counts[word] != list(range(1, expected[word] + 1))]
    return "\n".join(bad[:10])


def sorted_configs(described):
    """A topic's description with its configs in order: Kafka's comes out of a hash map."""
    return re.sub(r"Configs: (\S+)", lambda found: "Configs: " + ",".join(sorted(found[1].split(","))), described)


def create(broker, *topics):
    with broker.connect(30) as connection:
        connection.call(19, 4, {"timeoutMs": 20000, "Topics": [{"Name": t, "NumPartitions": PARTITIONS, "ReplicationFactor": 1} for t in topics]})


def end_offsets(broker, topic):
    """The sum over the partitions, uncommitted records included."""
    with broker.connect(30) as connection:
        answer = connection.call(2, 5, {"ReplicaId": -1, "IsolationLevel": 0, "Topics": [{"Name": topic, "Partitions": [
            {"PartitionIndex": p, "CurrentLeaderEpoch": -1, "Timestamp": -1} for p in range(PARTITIONS)]}]})
    return sum(partition["Offset"] for partition in answer["Topics"][0]["Partitions"])


def wait_for_work(broker, topic):
    """Until more of the output is written than before: who is killed now is killed at work."""
    before = end_offsets(broker, topic)
    return eventually(lambda: end_offsets(broker, topic) > before + 100, 30, 0.02)


def clean(s):
    """On both sides: what Streams makes of the broker, and its counts."""
    folder = os.path.join(s.folder, "streams")
    os.makedirs(folder, exist_ok=True)
    create(s.broker, "lines", "counts")
    text = lines(1, 300)
    writer = Writer(s.broker, folder, "lines", text, 1000)
    app = App(s.broker, folder, "state", ("lines", "counts"))
    try:
        s.record("it runs", str(app.running()))
        s.record("all input is taken", str(writer.all_acked()))
        expected = words_of(text)
        s.record("the committed output is every count once", wrong(read(s.broker, folder, "counts", "long", sum(expected.values())), expected) or "yes")
        for topic in ("wordcount-words-repartition", "wordcount-counts-changelog"):
            s.record(topic, sorted_configs(s.tool("", "topics", "--describe", "--topic", topic, keep=False).out))
        s.tool("its group", "groups", "--describe", "--group", "wordcount", "--state")
        # Streams deletes what it has read of its own repartition topic (DeleteRecords).
        purged = lambda: all(int(line.rsplit(":", 1)[1]) > 0 for line in s.tool(
            "", "get-offsets", "--topic", "wordcount-words-repartition", "--time", "-2", keep=False).out.split())
        s.record("the repartition topic is purged", str(eventually(purged, 15, 0.5)))
        s.record("it closes", str(app.stop()))
        s.tool("its group without it", "groups", "--describe", "--group", "wordcount", "--state")
    finally:
        app.kill()


def kills(run, name):
    """Local state wiped, the broker killed, the application killed twice; one account at the end."""
    folder = os.path.join(run.folder, name)
    report, topics = run.report, ("lines", "counts")
    began = time.monotonic()
    check = lambda label, ok, why="": report.check(f"{name}: {label}", bool(ok), why)
    broker = proc.make(run.options.subject, os.path.join(folder, "broker"), overrides={"log.segment.bytes": "65536"}).start()
    apps = []

    def start(state):
        apps.append(App(broker, folder, state, topics))
        return apps[-1]

    def seen_at_least(text, seconds=60):
        return read(broker, folder, "counts", "long", sum(words_of(text).values()), seconds)
    try:
        create(broker, *topics)
        text = lines(2, 600)
        writer = Writer(broker, folder, "lines", text, 2000)
        app = start("first")
        check("it runs", app.running(), app.process.tail())
        check("input is taken", writer.all_acked(), writer.said)
        check("every count once", not (why := wrong(seen_at_least(text), words_of(text))), why)
        check("it closes", app.stop(), app.process.tail())

        shutil.rmtree(app.state)
        app = start("first")
        check("it runs again without its local state", app.running(), app.process.tail())
        check("the counts come back from the changelog", app.restored() > 0, app.process.tail())

        more = lines(3, 2400)
        writer = Writer(broker, folder, "lines", more, 300)
        text += more
        time.sleep(2.5)
        broker.kill()
        if broker.kind == "kafka":
            time.sleep(8)  # until ZooKeeper forgets the dead broker's session
        broker.start()
        check("it goes on with the new broker", wait_for_work(broker, "counts"), app.process.tail())
        app.kill()
        app = start("second")
        check("a new instance takes over from a killed one", app.running(), app.process.tail())
        check("input is taken over the broker's death", writer.all_acked(), writer.said)
        check("every count once after both were killed", not (why := wrong(seen_at_least(text), words_of(text))), why)

        more = lines(4, 1000)
        writer = Writer(broker, folder, "lines", more, 400)
        text += more
        check("it works when it is killed", wait_for_work(broker, "counts"), app.process.tail())
        app.kill()
        app = start("second")
        check("it takes up its own folder after kill -9", app.running(), app.process.tail())
        check("the rest of the input is taken", writer.all_acked(), writer.said)
        seen_at_least(text)
        check("it closes at the end", app.stop(), app.process.tail())
        seen = seen_at_least(text, 10)
        check(f"every count once at the end, {len(seen)} of them", not (why := wrong(seen, words_of(text))), why)
        report.line(f"---- {name}: {time.monotonic() - began:.0f} s, {sum(line.startswith('REPLACED') for app in apps for line in app.told())} threads replaced")
    finally:
        for app in apps:
            app.kill()
        broker.close()
