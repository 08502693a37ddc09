"""A live cluster of three Apache Kafka brokers becomes one of Monedula on the same server.properties and log.dirs, broker by broker, and
Kafka's again, under transactions, groups, compaction and an idempotent writer; and no client may notice beyond what it retries."""
import glob
import os
import re
import struct
import subprocess
import threading
import time
import traceback

import cluster as clusters
import proc
import scenario_cluster
import wire
from harness import eventually
from scenario_crash import have_librdkafka

# Partitions of roll-in, roll-out and roll-keys, as ../java/RollingLoad.java writes them.
TOPICS = {"roll-in": 3, "roll-out": 3, "roll-keys": 2}
COMPACTED = ["--config", "cleanup.policy=compact", "--config", "segment.bytes=65536", "--config", "min.cleanable.dirty.ratio=0.01", "--config", "delete.retention.ms=3600000"]
OFFSETS_PARTITIONS = 5
# A group may be rebalanced when its coordinator moves; its members have this long to find the new one.
SETTLE_S = 15


def scenario(rounds):
    """There and back so many times, or `--rounds N`."""
    return lambda run, name: rolling(run, name, run.options.rounds or rounds)


def rolling(run, name, rounds):
    if not have_librdkafka() or run.options.subject != "monedula":
        return run.report.skip(name, "needs librdkafka and Monedula")
    run.close_pair()
    report, began = run.report, time.monotonic()
    cluster = clusters.Cluster(os.path.join(run.folder, name), {1: "kafka", 2: "kafka", 3: "kafka"}, {"log.cleaner.backoff.ms": "1000"})
    app = seats = None
    try:
        cluster.start()
        scenario_cluster.create(report, name, cluster, "load")
        for topic, partitions in TOPICS.items():
            more = COMPACTED if topic == "roll-keys" else []
            code, text = clusters.tool(scenario_cluster.TOPICS, "--bootstrap-server", cluster.bootstrap, "--create", "--topic", topic, "--partitions", partitions,
                                       "--replication-factor", 3, *more)
            report.check(f"{name}: the tool creates {topic}", code == 0, text)
            cluster.until_whole(topic)
        load = scenario_cluster.ClusterLoad(cluster, run.folder, "load", rate=800)
        load.start()
        app = Application(cluster, run.folder)
        seats = Seats(cluster, {"group watch": ("__consumer_offsets", "watch"), "group transform": ("__consumer_offsets", "transform"),
                                "transaction transform": ("__transaction_state", "transform")})
        report.check(f"{name}: the application runs", app.settled(), app.tail())
        _there_and_back(report, name, cluster, load, app, rounds)
        load.stop()
        app.finish()
        seats.close()
        _judge(report, name, cluster, load, app, seats)
        report.line(f"---- {name}: {time.monotonic() - began:.0f} s; {app.summary}")
    except Exception:
        report.check(f"{name}: runs", False, traceback.format_exc() + (app.tail() if app else "") + cluster.logs())
    finally:
        for one in (app, seats):
            if one:
                one.close()
        cluster.close()
        proc.stop_all()


def _there_and_back(report, name, cluster, load, app, rounds):
    """Every broker in turn becomes Monedula, then Kafka again; all topics are whole before the next. The cleaner works in each age."""
    _cleans(report, name, cluster, "kafka")
    for kind in ("monedula", "kafka") * rounds:
        for number in sorted(cluster.brokers):
            marks = [time.monotonic()]
            code = cluster.brokers[number].stop(60)
            marks.append(time.monotonic())
            report.check(f"{name}: broker {number} stops in order", code in (0, 143), f"exit {code}\n" + cluster.logs())
            cluster.place(number, kind)
            cluster.restart(number)
            marks.append(time.monotonic())
            for topic in cluster.topics():
                cluster.until_whole(topic)
            marks.append(time.monotonic())
            if not report.check(f"{name}: broker {number} is {kind} now and takes writes", load.wait_progress(60) and app.alive(), app.tail() + cluster.logs()):
                raise RuntimeError("no use going on")
            report.line(f".... broker {number} became {kind}: {', '.join(f'{what} in {b - a:.1f} s' for what, a, b in zip(('stopped', 'ready', 'whole'), marks, marks[1:]))}")
        _cleans(report, name, cluster, kind)


def _cleans(report, name, cluster, kind):
    """Each broker's own cleaner gets on with the compacted topic."""
    before = {number: _cleaned(broker) for number, broker in cluster.brokers.items()}
    ok = eventually(lambda: all(_cleaned(broker) > before[number] for number, broker in cluster.brokers.items()), 30, 0.2)
    report.check(f"{name}: {kind}'s cleaner gets on at every broker", ok, f"{before}\n{ {n: _cleaned(b) for n, b in cluster.brokers.items()} }")


def _cleaned(broker):
    """The sum of the offsets up to which the partitions of roll-keys are clean."""
    try:
        with open(os.path.join(broker.log_dir, "cleaner-offset-checkpoint")) as text:
            return sum(int(line.split()[2]) for line in text.read().splitlines()[2:] if line.startswith("roll-keys "))
    except (OSError, ValueError):
        return 0


class Application:
    """RollingLoad, the Java clients' part of the load."""

    def __init__(self, cluster, folder):
        self.folder, self.log, self.summary = folder, os.path.join(folder, "rolling-load.out"), {}
        argv = ["java", "-Xmx384m", *proc.SMALL_JVM, *proc.java_env(os.path.join(folder, "rolling-load.log4j")), "-cp", proc.CLASSES + ":" + proc.LIBS + "/*",
                "RollingLoad", cluster.bootstrap, folder]
        with open(self.log, "w") as out:
            self.child = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=out, stderr=out, text=True)

    def said(self):
        with open(self.log, errors="replace") as out:
            return out.read().splitlines()

    def tail(self):
        return "\n".join(["--- the application", *self.said()[-12:], ""])

    def alive(self):
        return self.child.poll() is None

    def settled(self):
        """All members of the group agree on a generation in which each has its share."""
        def once():
            last = {}
            for line in self.said():
                found = re.match(r"EVENT (\d+) generation (\d+) member (\d) \[(.+)\]", line)
                if found:
                    last[found[3]] = found[2]
            return len(last) == 3 and len(set(last.values())) == 1
        return eventually(once, 60, 0.3)

    def generations(self):
        """(when, generation) of each new one."""
        seen = {}
        for line in self.said():
            found = re.match(r"EVENT (\d+) generation (\d+) ", line)
            if found:
                seen.setdefault(int(found[2]), int(found[1]) / 1000)
        return sorted((when, generation) for generation, when in seen.items())

    def finish(self):
        self.child.stdin.write("end\n")
        self.child.stdin.flush()
        self.child.wait(240)
        self.summary = {line.split()[1]: int(line.split()[2]) for line in self.said() if line.startswith("SUMMARY ")}

    def errors(self):
        return [line for line in self.said() if not re.match("EVENT |SUMMARY |SLF4J|log4j", line)]

    def latest(self):
        """Key to the last value sent, all of it acknowledged; None when the last was a tombstone."""
        with open(os.path.join(self.folder, "latest")) as text:
            return {key: None if value == "-" else value for key, value in (line.rstrip("\n").split("\t") for line in text)}

    def close(self):
        if self.alive():
            self.child.kill()
        self.child.wait()


class Seats(threading.Thread):
    """Watches which broker coordinates each id, and of which kind that broker is at the time."""

    def __init__(self, cluster, wanted):
        super().__init__(daemon=True)
        self.cluster, self.wanted, self.moves, self.over = cluster, wanted, {what: [] for what in wanted}, threading.Event()
        self.view = clusters.ZkView(cluster.zookeeper.connect)
        self.start()

    def run(self):
        while not self.over.wait(0.2):
            for what, (topic, name) in self.wanted.items():
                try:
                    leader = self.view.json(f"/brokers/topics/{topic}/partitions/{wire.java_hash(name) % OFFSETS_PARTITIONS}/state")["leader"]
                except Exception:
                    continue  # not made yet, or ZooKeeper is busy; asked again at once
                seen = self.moves[what]
                if leader >= 0 and (not seen or seen[-1][1] != leader):
                    seen.append((time.time(), leader, self.cluster.brokers[leader].kind))

    def both_ways(self, what):
        """Whether the seat went from Kafka to Monedula and back."""
        kinds = [kind for _, _, kind in self.moves[what]]
        pairs = set(zip(kinds, kinds[1:]))
        return ("kafka", "monedula") in pairs and ("monedula", "kafka") in pairs

    def close(self):
        if not self.over.is_set():
            self.over.set()
            self.join()
            self.view.close()


def _judge(report, name, cluster, load, app, seats):
    check = lambda label, ok, why="": report.check(f"{name}: {label}", bool(ok), why)
    ok, text = load.verify()
    check(f"every acked record is there once and in order ({text.splitlines()[-1] if text else ''})", ok, text)
    with open(load.process.log) as log:
        said = log.read()
    check("the producer saw no error", "errors 0 left 0" in said and "fatal" not in said, said[-500:])
    check(f"the application saw no error but retriable ones, and every record came through its transactions once ({app.summary.get('records')})",
          not app.errors() and app.child.returncode == 0, "\n".join(app.errors()[:20]) + app.tail())
    check("the load was real", all(app.summary.get(what, 0) > least for what, least in {"records": 3000, "transactions": 150, "aborted": 5, "updates": 3000}.items()), app.summary)
    for what in seats.wanted:
        check(f"the coordinator of {what} moved from Kafka to Monedula and back", seats.both_ways(what), seats.moves[what])
    _rebalances(report, name, app, seats)
    scenario_cluster.finish(report, name, cluster, "load")
    for topic in ("roll-in", "roll-out"):
        eventually(lambda: not cluster.different(topic, TOPICS[topic]), 10)
        wrong = cluster.different(topic, TOPICS[topic])
        check(f"the replicas of {topic} are equal", not wrong, "\n".join(wrong))
    _compacted(report, name, cluster, app)


def _rebalances(report, name, app, seats):
    """Once settled, the group's generation stays; only a move of its coordinator may change it."""
    moved = [when for when, _, _ in seats.moves["group watch"]]
    settled = [when for when, _ in app.generations()][:1]
    late = [(when, generation) for when, generation in app.generations() if when > settled[0] + SETTLE_S]
    loose = [f"generation {generation} at {when:.1f}" for when, generation in late if not any(move - 1 <= when <= move + SETTLE_S for move in moved)]
    report.check(f"{name}: no rebalance but by a move of the coordinator ({len(moved) - 1} moves, {len(late)} rebalances)", not loose,
                 "\n".join(loose + [str(seats.moves["group watch"])]))
    report.check(f"{name}: the group read a record twice only if it was rebalanced", late or not app.summary.get("duplicates"), app.summary)


def _compacted(report, name, cluster, app):
    """On every replica the last value of each key is the last acknowledged, and most of what it replaced is gone."""
    expected, updates = app.latest(), app.summary.get("updates", 0)
    for number, broker in cluster.brokers.items():
        found, records, offsets = {}, 0, []
        for partition in range(TOPICS["roll-keys"]):
            last = -1
            for offset, key, value in read_log(os.path.join(broker.log_dir, f"roll-keys-{partition}")):
                if offset <= last:
                    offsets.append(f"partition {partition}: {offset} follows {last}")
                last, records = offset, records + 1
                found[key.decode()] = value if value is None else value.decode()
        wrong = [f"{key}: {str(found.get(key, 'nothing'))[:30]} where {str(value)[:30]} is due" for key, value in expected.items() if found.get(key) != value]
        wrong += [f"{key} is not one of the keys" for key in set(found) - set(expected)]
        report.check(f"{name}: broker {number}: the compacted topic holds the last value of each of {len(expected)} keys, in {records} records of {updates}",
                     not wrong and not offsets and expected and records < updates / 3, "\n".join(wrong[:10] + offsets[:10]))


def read_log(folder):
    """(offset, key, value) of every record of uncompressed batches of the current format, in the order of the files."""
    for path in sorted(glob.glob(os.path.join(folder, "*.log"))):
        with open(path, "rb") as log:
            content = log.read()
        at = 0
        while at + 61 <= len(content):
            base, length = struct.unpack(">qi", content[at:at + 12])
            if length <= 0 or at + 12 + length > len(content):
                break
            attributes, = struct.unpack(">h", content[at + 21:at + 23])
            count, = struct.unpack(">i", content[at + 57:at + 61])
            body = wire.Reader({}, 0, content[at + 61:at + 12 + length])
            for _ in range(count if not attributes & 0x20 else 0):
                yield _record(body, base)
            at += 12 + length


def _record(body, base):
    def signed():
        value = body.uvarint()
        return (value >> 1) ^ -(value & 1)

    def blob():
        size = signed()
        return None if size < 0 else body.take(size)
    length = signed()
    end = body.at + length
    body.take(1)  # attributes, of which none is defined
    signed()      # timestamp delta
    offset, key, value = base + signed(), blob(), blob()
    body.at = end
    return offset, key, value
