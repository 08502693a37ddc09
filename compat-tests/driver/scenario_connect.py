"""Kafka Connect, distributed and unmodified: a file into a topic, exactly once, and the topic into another file, with its
configurations, offsets and states in compacted topics of the broker."""
import json
import os
import threading
import time
import urllib.error
import urllib.request

import proc
from harness import eventually, port_mask
from scenario_streams import java, read, sorted_configs

INTERNAL = ("connect-configs", "connect-offsets", "connect-status")


class Worker:
    """One distributed worker, spoken to through its REST interface."""
    count = 0

    def __init__(self, broker, folder):
        Worker.count += 1
        self.port = proc.free_port()
        log = os.path.join(folder, f"connect-{Worker.count}")
        path = log + ".properties"
        json_converter = "org.apache.kafka.connect.json.JsonConverter"
        properties = {
            "bootstrap.servers": broker.bootstrap, "group.id": "connect", "listeners": f"http://127.0.0.1:{self.port}", "plugin.discovery": "service_load",
            "key.converter": json_converter, "value.converter": json_converter,
            "config.storage.topic": INTERNAL[0], "config.storage.replication.factor": 1,
            "offset.storage.topic": INTERNAL[1], "offset.storage.replication.factor": 1, "offset.storage.partitions": 3,
            "status.storage.topic": INTERNAL[2], "status.storage.replication.factor": 1, "status.storage.partitions": 2,
            "exactly.once.source.support": "enabled", "offset.flush.interval.ms": 500, "scheduled.rebalance.max.delay.ms": 0,
            "session.timeout.ms": 6000, "heartbeat.interval.ms": 1000, "task.shutdown.graceful.timeout.ms": 3000,
            "producer.transaction.timeout.ms": 8000, "consumer.session.timeout.ms": 6000, "consumer.heartbeat.interval.ms": 1000,
        }
        with open(path, "w") as out:
            out.writelines(f"{key}={value}\n" for key, value in properties.items())
        argv = java(log + ".log4j", "org.apache.kafka.connect.cli.ConnectDistributed", path)
        self.process = proc.Process("connect", ["java", "-Xmx384m", *argv[2:]], log + ".out")

    def ask(self, method, path, body=None):
        """The status and the JSON of an answer."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", method=method, headers={"Content-Type": "application/json"},
                                         data=None if body is None else json.dumps(body).encode())
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                text = answer.read()
                return answer.status, json.loads(text) if text else None
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read().decode(errors="replace")
        except OSError as error:
            return 0, str(error)

    def ready(self, timeout=90):
        """True once it has joined its group and read its topics."""
        return eventually(lambda: self.ask("GET", "/connectors")[0] == 200 or not self.process.alive(), timeout, 0.2) and self.process.alive()

    def create(self, source, topic, sink):
        """The pair of connectors; what the worker said to each."""
        return [self.ask("PUT", "/connectors/source/config", {"connector.class": "FileStreamSource", "tasks.max": "1", "file": source, "topic": topic,
                                                              "exactly.once.support": "required", "topic.creation.default.partitions": "1",
                                                              "topic.creation.default.replication.factor": "1"}),
                self.ask("PUT", "/connectors/sink/config", {"connector.class": "FileStreamSink", "tasks.max": "1", "file": sink, "topics": topic})]

    def states(self, name):
        """The states of a connector and its tasks: RUNNING RUNNING."""
        code, found = self.ask("GET", f"/connectors/{name}/status")
        return " ".join([found["connector"]["state"], *(task["state"] for task in found["tasks"])]) if code == 200 else str(found)

    def running(self, timeout=40):
        return eventually(lambda: all(self.states(name) == "RUNNING RUNNING" for name in ("source", "sink")), timeout, 0.2)

    def stop(self):
        return self.process.stop(30)

    def kill(self):
        self.process.kill()


class Lines(threading.Thread):
    """Appends numbered lines to the source's file, a few at a time."""

    def __init__(self, path, first, count, per_second):
        super().__init__()
        self.path, self.numbers, self.per_second = path, range(first, first + count), per_second
        self.start()

    def run(self):
        with open(self.path, "a") as out:
            for number in self.numbers:
                out.write(f"line {number:06}\n")
                out.flush()
                time.sleep(1 / self.per_second)


def content(path):
    if not os.path.exists(path):
        return []
    with open(path) as text:
        return text.read().splitlines()


def settle(source, sink, timeout=60):
    """Waits until the sink holds the source's last line; what the source holds then."""
    eventually(lambda: content(sink)[-1:] == content(source)[-1:], timeout, 0.2)
    return content(source)


def in_topic(broker, folder, topic, expected):
    """The topic's committed values against the source's lines; empty when they are the same in the same order."""
    seen = [json.loads(value)["payload"] for _, _, value in read(broker, folder, topic, "text", len(expected), 30)]
    if seen == expected:
        return ""
    double = sorted({line for line in seen if seen.count(line) > 1})
    return f"{len(expected)} lines, {len(seen)} records; missing {sorted(set(expected) - set(seen))[:10]}, twice {double[:10]}, in order {seen == sorted(seen)}"


def clean(s):
    """On both sides: what Connect makes of the broker, and its answers."""
    folder = os.path.join(s.folder, "connect")
    os.makedirs(folder, exist_ok=True)
    source, sink = os.path.join(folder, "source.txt"), os.path.join(folder, "sink.txt")
    Lines(source, 0, 300, 100_000).join()
    worker = Worker(s.broker, folder)
    # How many transactions, and so control records, the lines came in is chance.
    s.masks += [(port_mask(worker.port), "REST"), (r'"kafka_offset": \d+', '"kafka_offset": N')]
    try:
        s.record("the worker is ready", str(worker.ready()))
        s.record("connectors are made", worker.create(source, "connected", sink))
        s.record("connectors run", str(worker.running()))
        Lines(source, 300, 200, 1000).join()
        expected = settle(source, sink)
        s.record("the sink's file is the source's", str(content(sink) == expected))
        s.record("the topic holds every line once", in_topic(s.broker, folder, "connected", expected) or "yes")
        for name in ("source", "sink"):
            s.record(f"{name}: state", worker.ask("GET", f"/connectors/{name}/status"))
        offsets = lambda name: worker.ask("GET", f"/connectors/{name}/offsets")
        eventually(lambda: "kafka_offset" in json.dumps(offsets("sink")), 10, 0.3)
        s.record("source: offsets", offsets("source"))
        s.record("sink: offsets", offsets("sink"))
        for topic in (*INTERNAL, "connected"):
            s.record(topic, sorted_configs(s.tool("", "topics", "--describe", "--topic", topic, keep=False).out))
        s.tool("group of the workers", "groups", "--describe", "--group", "connect", "--state")
        s.tool("group of the sink", "groups", "--describe", "--group", "connect-sink", "--state")
        # Offsets are reset of a stopped connector only: fences its transactional producer, deletes the group's offsets.
        for name in ("source", "sink"):
            s.record(f"{name}: stops", worker.ask("PUT", f"/connectors/{name}/stop")[0])
            eventually(lambda: worker.states(name) == "STOPPED", 15, 0.2)
            s.record(f"{name}: offsets are reset", worker.ask("DELETE", f"/connectors/{name}/offsets"))
            s.record(f"{name}: offsets after it", offsets(name))
            s.record(f"{name}: is deleted", worker.ask("DELETE", f"/connectors/{name}")[0])
        s.record("it closes", worker.stop())
    finally:
        worker.kill()


def kills(run, name):
    """The broker killed while lines come, then the worker; the topic must hold every line once, the sink none less."""
    folder = os.path.join(run.folder, name)
    began = time.monotonic()
    check = lambda label, ok, why="": run.report.check(f"{name}: {label}", bool(ok), why)
    broker = proc.make(run.options.subject, os.path.join(folder, "broker"), overrides={"log.segment.bytes": "65536"}).start()
    source, sink = os.path.join(folder, "source.txt"), os.path.join(folder, "sink.txt")
    workers = []

    def start():
        workers.append(Worker(broker, folder))
        return workers[-1]
    try:
        Lines(source, 0, 200, 100_000).join()
        worker = start()
        check("the worker is ready", worker.ready(), worker.process.tail())
        worker.create(source, "connected", sink)
        check("connectors run", worker.running(), [worker.states(n) for n in ("source", "sink")])
        lines = Lines(source, 200, 2000, 250)
        time.sleep(2)
        broker.kill()
        if broker.kind == "kafka":
            time.sleep(8)  # until ZooKeeper forgets the dead broker's session
        broker.start()
        time.sleep(2)
        lines.join()
        expected = settle(source, sink)
        check("connectors run after the broker's death", worker.running(), [worker.states(n) for n in ("source", "sink")])
        check("the topic holds every line once", not (why := in_topic(broker, folder, "connected", expected)), why)
        seen = content(sink)
        check("the sink's file has every line in order", list(dict.fromkeys(seen)) == expected, f"{len(seen)} lines for {len(expected)}")

        lines = Lines(source, 2200, 1500, 250)
        time.sleep(1.5)
        worker.kill()
        worker = start()
        check("a new worker takes over from a killed one", worker.ready() and worker.running(), worker.process.tail())
        lines.join()
        expected = settle(source, sink)
        check("the topic holds every line once at the end", not (why := in_topic(broker, folder, "connected", expected)), why)
        seen = content(sink)
        # The sink's offsets are committed behind its writes: what it wrote since the last commit comes again.
        check("the sink's file has every line at the end", set(seen) == set(expected), f"{len(seen)} lines for {len(expected)}")
        worker.stop()
        run.report.line(f"---- {name}: {time.monotonic() - began:.0f} s, {len(seen) - len(expected)} of {len(expected)} lines twice in the sink's file")
    finally:
        for worker in workers:
            worker.kill()
        broker.close()
