"""One data folder, two brokers in turn: what one wrote the other serves, and continues."""
import glob
import json
import os
import re
import subprocess
import time

import probes
import proc
import wire
from harness import eventually

# A producer whose last record is more than a day old is forgotten on restart, so these records are from today.
NOW = int(time.time() * 1000)
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")


def read_all(connection, topic, partition):
    """Every batch from the log start to the end, as bytes."""
    out, offset = b"", None
    start = connection.call(2, 5, _list(topic, partition, -2))["Topics"][0]["Partitions"][0]
    if start["ErrorCode"] != 0:
        return f"error {start['ErrorCode']}"
    offset = start["Offset"]
    while True:
        answer = connection.call(1, 11, {"ReplicaId": -1, "MaxWaitMs": 50, "MinBytes": 1, "MaxBytes": 1 << 22, "IsolationLevel": 0, "SessionEpoch": -1, "Topics": [
            {"Topic": topic, "Partitions": [{"Partition": partition, "CurrentLeaderEpoch": -1, "FetchOffset": offset, "LogStartOffset": -1, "PartitionMaxBytes": 1 << 20}]}]})
        got = answer["Responses"][0]["Partitions"][0]
        if got["ErrorCode"] != 0:
            return f"error {got['ErrorCode']} at {offset}"
        data = bytes.fromhex(got["Records"] or "")
        if not data:
            return out
        at = 0
        while at + 61 <= len(data):
            size = 12 + int.from_bytes(data[at + 8:at + 12], "big")
            if at + size > len(data):
                break
            base = int.from_bytes(data[at:at + 8], "big")
            if base + int.from_bytes(data[at + 23:at + 27], "big") >= offset:
                out += data[at:at + size]
                offset = base + int.from_bytes(data[at + 23:at + 27], "big") + 1
            at += size
        if at == 0:
            return f"a batch cut short at {offset}"


def _list(topic, partition, when):
    return {"ReplicaId": -1, "Topics": [{"Name": topic, "Partitions": [{"PartitionIndex": partition, "Timestamp": when, "CurrentLeaderEpoch": -1}]}]}


TOPICS = {"swap": 2, "swapbig": 1, "swapidem": 1, "swapempty": 3}
TOPIC_CONFIGS = {"swap": {"retention.ms": "-1"}, "swapbig": {"segment.bytes": "65536", "retention.ms": "-1"}}


def look(broker):
    """All that a client can see of the folder's contents; topic configs are not among them, they live in ZooKeeper."""
    seen = {}
    with broker.connect(30) as connection:
        wait_leaders(connection)
        for topic, partitions in TOPICS.items():
            described = probes.metadata(connection, topic)
            seen[f"{topic} id"] = described["TopicId"]
            seen[f"{topic} partitions"] = len(described["Partitions"])
            for partition in range(partitions):
                seen[f"{topic}-{partition} records"] = read_all(connection, topic, partition)
                for when in (-1, -2, 1_700_000_000_010):
                    got = connection.call(2, 5, _list(topic, partition, when))["Topics"][0]["Partitions"][0]
                    seen[f"{topic}-{partition} offset at {when}"] = (got["ErrorCode"], got["Offset"])

        def offsets():
            answer = connection.call(9, 5, {"GroupId": "swapgroup", "Topics": None})
            return answer if answer["ErrorCode"] == 0 else None
        groups = eventually(offsets)
        seen["group offsets"] = sorted((t["Name"], p["PartitionIndex"], p["CommittedOffset"], p["Metadata"]) for t in groups["Topics"] for p in t["Partitions"]) if groups else "none"
        seen["cluster id"] = connection.call(3, 5, {"Topics": []})["ClusterId"]
    return seen


def wait_leaders(connection):
    """Until every partition has a leader and takes part: a broker answers before its controller has handed out the partitions."""
    def ready():
        for topic, partitions in TOPICS.items():
            described = probes.metadata(connection, topic)
            if len(described["Partitions"]) != partitions or any(p["ErrorCode"] or p["LeaderId"] < 0 for p in described["Partitions"]):
                return False
            if any(connection.call(2, 5, _list(topic, p, -1))["Topics"][0]["Partitions"][0]["ErrorCode"] for p in range(partitions)):
                return False
        return True
    eventually(ready, 30)


def write_first(run, broker):
    tools, boot = run.tools, ["--bootstrap-server", broker.bootstrap]
    for topic, partitions in TOPICS.items():
        extra = [word for pair in TOPIC_CONFIGS.get(topic, {}).items() for word in ("--config", "=".join(pair))]
        made = tools.run("topics", [*boot, "--create", "--topic", topic, "--partitions", partitions, *extra])
        if made.exit != 0:
            raise RuntimeError(made.text())
    for codec in CODECS:
        lines = "".join(f"k{i}:{codec} {i} {'x' * 50}\n" for i in range(200))
        tools.run("console-producer", [*boot, "--topic", "swap", "--compression-codec", codec, "--property", "parse.key=true", "--property", "key.separator=:"], stdin=lines)
        tools.run("console-producer", [*boot, "--topic", "swapbig", "--compression-codec", codec, "--batch-size", "2000"], stdin=lines * 4)
    with broker.connect() as connection:
        for i in range(7):
            probes.produce(connection, "swapidem", 0, idempotent(i))
        for partition in range(2):
            part = {"PartitionIndex": partition, "CommittedOffset": 7 + partition, "CommittedMetadata": f"meta {partition}", "CommittedLeaderEpoch": -1}
            commit(connection, "swap", part)


def commit(connection, topic, part):
    def once():
        answer = connection.call(8, 7, {"GroupId": "swapgroup", "GenerationIdOrMemberEpoch": -1, "MemberId": "", "Topics": [{"Name": topic, "Partitions": [part]}]})
        return answer["Topics"][0]["Partitions"][0]["ErrorCode"] == 0
    connection.call(10, 1, {"Key": "swapgroup", "KeyType": 0})
    if not eventually(once, 20):
        raise RuntimeError("the group's offsets cannot be committed")


def idempotent(i):
    return wire.batch([(b"id", b"number %d.%d" % (i, n)) for n in range(3)], producer_id=31337, epoch=0, sequence=i * 3, timestamp=NOW + i)


def compare(report, label, before, after):
    for key in before:
        left, right = before[key], after.get(key)
        if isinstance(left, bytes) and isinstance(right, bytes):
            report.check(f"{label}: {key}: same {len(left)} bytes", left == right, _first_difference(left, right))
        else:
            report.check(f"{label}: {key}", left == right, f"before {left!r:.300}\nafter  {right!r:.300}")


def _first_difference(left, right):
    at = next((i for i, (a, b) in enumerate(zip(left, right)) if a != b), min(len(left), len(right)))
    return f"lengths {len(left)} and {len(right)}, first difference at {at}: {left[at:at + 40].hex()} / {right[at:at + 40].hex()}"


def continues(report, label, broker, number):
    """The last idempotent batch again is a duplicate, an old one is refused or known, and the next one is taken."""
    with broker.connect() as connection:
        end = connection.call(2, 5, _list("swapidem", 0, -1))["Topics"][0]["Partitions"][0]["Offset"]
        again = probes.produce(connection, "swapidem", 0, idempotent(number - 1))
        report.check(f"{label}: the retry of the last idempotent batch is a duplicate", (again["ErrorCode"], again["BaseOffset"]) == (0, end - 3), str(again))
        after = connection.call(2, 5, _list("swapidem", 0, -1))["Topics"][0]["Partitions"][0]["Offset"]
        report.check(f"{label}: and is not appended", after == end, f"{end} became {after}")
        gap = probes.produce(connection, "swapidem", 0, idempotent(number + 3))
        report.check(f"{label}: a gap in the sequence is refused", gap["ErrorCode"] == 45, str(gap))
        more = probes.produce(connection, "swapidem", 0, idempotent(number))
        report.check(f"{label}: the next idempotent batch is appended", (more["ErrorCode"], more["BaseOffset"]) == (0, end), str(more))
        for partition in range(2):
            probes.fill_one(connection, "swap", partition, b"written by %s" % broker.kind.encode())
        commit(connection, "swapbig", {"PartitionIndex": 0, "CommittedOffset": 40 + number, "CommittedMetadata": broker.kind[:1], "CommittedLeaderEpoch": -1})


def dump_clean(run, label, broker):
    """Kafka's own dump tool finds nothing wrong in any file of the folder."""
    trouble, files = [], 0
    for path in sorted(glob.glob(os.path.join(broker.log_dir, "*-*", "*"))):
        if not path.endswith((".log", ".index", ".timeindex", ".snapshot")) or os.path.getsize(path) == 0:
            continue
        if "__consumer_offsets" in path and not path.endswith(".log"):
            continue
        files += 1
        args = ["--files", path, "--deep-iteration"] if path.endswith(".log") else ["--files", path]
        answer = run.tools.run("dump-log", args)
        if answer.exit != 0 or re.search(r"(?i)mismatch|isvalid: false|invalid|exception|corrupt|fail", answer.out + answer.err):
            trouble.append(path + "\n" + "\n".join(re.findall(r"(?i).*(?:mismatch|false|invalid|exception|corrupt|fail).*", answer.out + answer.err)[:4]))
    run.report.check(f"{label}: dump-log finds {files} files sound", not trouble and files > 5, "\n".join(trouble))


def strangers(report, label, broker):
    """Nothing may lie in the folder that would keep the other broker from starting."""
    odd = [e for e in os.listdir(broker.log_dir) if os.path.isdir(os.path.join(broker.log_dir, e)) and not re.fullmatch(r"[\w.-]+-\d+", e)]
    report.check(f"{label}: only partition folders in log.dirs", not odd, str(odd))


def set_topic_configs(run, broker):
    """Topic configurations are in ZooKeeper, not in the folder. A broker that takes the folder over and coordinates itself
    cannot know them: its operator sets them again, as here."""
    for topic, config in TOPIC_CONFIGS.items():
        pairs = ",".join(f"{key}={value}" for key, value in config.items())
        done = run.tools.run("configs", ["--bootstrap-server", broker.bootstrap, "--alter", "--entity-type", "topics", "--entity-name", topic, "--add-config", pairs])
        if done.exit != 0:
            raise RuntimeError(done.text())


def in_place(run, name):
    """The same `server.properties` for both, ZooKeeper and all: one broker is stopped, the other started in its place."""
    kafka_first(run, name, same_zookeeper=True)


def topic_configs(run, broker):
    """What the tool says of every topic's own configuration, a new topic's among them."""
    described = run.tools.run("topics", ["--bootstrap-server", broker.bootstrap, "--describe"]).out
    in_order = lambda configs: ",".join(sorted(configs.split(",")))
    return sorted(re.sub(r"(?<=Configs: )\S+", lambda found: in_order(found[0]), line) for line in described.splitlines() if line.startswith("Topic:"))


def create_one_more(run, report, label, broker):
    made = run.tools.run("topics", ["--bootstrap-server", broker.bootstrap, "--create", "--topic", f"made-by-{broker.kind}", "--partitions", "2",
                                    "--config", "max.message.bytes=54321"])
    report.check(f"{label}: creates a topic", made.exit == 0, made.text())


def store_tests(run, name):
    """The conformance suite and the session drills of our ZooKeeper store, against a real ZooKeeper."""
    zookeeper = proc.ZooKeeper(os.path.join(run.folder, "store-zk")).start()
    try:
        env = {**os.environ, "MONEDULA_ZOOKEEPER": f"127.0.0.1:{zookeeper.port}", "MONEDULA_ZOOKEEPER_CLASSPATH": proc.LIBS + "/*"}
        done = subprocess.run(["cargo", "test", "--test", "zookeeper"], cwd=proc.ROOT, env=env, capture_output=True, text=True, timeout=600)
        for test, verdict in re.findall(r"^test (\S+) \.\.\. (\w+)", done.stdout, re.M):
            run.report.check(f"{name}: {test}", verdict == "ok", done.stdout[-3000:])
        run.report.check(f"{name}: all ran", done.returncode == 0 and "skipped:" not in done.stdout, (done.stdout + done.stderr)[-3000:])
    finally:
        zookeeper.stop()


def kafka_first(run, name, same_zookeeper=False):
    """Apache Kafka writes; the other broker takes the folder over, writes; Apache Kafka takes it back."""
    run.close_pair()
    report, other = run.report, run.options.subject
    kafka = proc.make("kafka", os.path.join(run.folder, "swap-kafka"))
    kafka.start()
    write_first(run, kafka)
    first = look(kafka)
    configs = topic_configs(run, kafka)
    kafka.stop()
    dump_clean(run, "kafka wrote", kafka)
    shares = same_zookeeper or other == "kafka"
    subject = proc.make(other, os.path.join(run.folder, "swap-other"), log_dirs=kafka.log_dir, **({"zookeeper": kafka.zookeeper} if shares else {}))
    try:
        subject.start()
        if shares:
            report.check(f"{name}: kafka → {other}: topic configurations", topic_configs(run, subject) == configs, "\n".join(configs))
            create_one_more(run, report, f"{name}: {other}", subject)
        else:
            set_topic_configs(run, subject)
        compare(report, f"{name}: kafka → {other}", first, look(subject))
        continues(report, f"{name}: kafka → {other}", subject, 7)
        second = look(subject)
        configs = topic_configs(run, subject)
        subject.stop()
        dump_clean(run, f"{other} wrote", kafka)
        strangers(report, f"{name}: {other} wrote", kafka)
        kafka.start()
        compare(report, f"{name}: back to kafka", second, look(kafka))
        if shares:
            report.check(f"{name}: back to kafka: topic configurations", topic_configs(run, kafka) == configs, "\n".join(configs))
        continues(report, f"{name}: back to kafka", kafka, 8)
        third = look(kafka)
        kafka.stop()
        subject.start()
        compare(report, f"{name}: and to {other} again", third, look(subject))
    finally:
        subject.stop()
        kafka.close()


def subject_first(run, name):
    """The other broker writes a fresh folder; Apache Kafka starts on it, with ZooKeeper told what the folder holds."""
    run.close_pair()
    report, other = run.report, run.options.subject
    subject = proc.make(other, os.path.join(run.folder, "first-other"))
    subject.start()
    write_first(run, subject)
    first = look(subject)
    subject.close()
    dump_clean(run, f"{other} wrote", subject)
    strangers(report, f"{name}: {other} wrote", subject)
    zookeeper = proc.ZooKeeper(os.path.join(run.folder, "first-zk")).start()
    kafka = proc.make("kafka", os.path.join(run.folder, "first-kafka"), log_dirs=subject.log_dir, zookeeper=zookeeper)
    try:
        tell_zookeeper(zookeeper, subject.log_dir)
        kafka.start()
        compare(report, f"{name}: {other} → kafka", first, look(kafka))
        continues(report, f"{name}: {other} → kafka", kafka, 7)
    finally:
        kafka.stop()
        zookeeper.stop()


def tell_zookeeper(zookeeper, log_dir):
    """What the controller would have written: the cluster, and each topic with its id, partitions and leader epochs."""
    with open(os.path.join(log_dir, "meta.properties")) as meta:
        cluster = re.search(r"cluster\.id=(\S+)", meta.read())[1].replace("\\", "")
    lines = ["/cluster/id\t" + json.dumps({"version": "1", "id": cluster})]
    topics = {}
    for folder in glob.glob(os.path.join(log_dir, "*-*")):
        topic, _, partition = os.path.basename(folder).rpartition("-")
        if not partition.isdigit() or not os.path.isdir(folder):
            continue
        topic_id = None
        if os.path.exists(os.path.join(folder, "partition.metadata")):
            with open(os.path.join(folder, "partition.metadata")) as text:
                topic_id = re.search(r"topic_id: (\S+)", text.read())[1]
        epoch = 0
        try:
            with open(os.path.join(folder, "leader-epoch-checkpoint")) as text:
                entries = text.read().split("\n")[2:]
                epoch = max([int(e.split()[0]) for e in entries if e.strip()], default=0)
        except OSError:
            pass
        topics.setdefault(topic, {"id": topic_id, "partitions": {}})["partitions"][int(partition)] = epoch
    for topic, known in topics.items():
        lines.append(f"/brokers/topics/{topic}\t" + json.dumps({"partitions": {str(p): [0] for p in known["partitions"]}, "topic_id": known["id"], "adding_replicas": {},
                                                               "removing_replicas": {}, "version": 3}))
        internal = {"__consumer_offsets": {"cleanup.policy": "compact", "segment.bytes": "104857600", "compression.type": "producer"}}
        config = (internal | TOPIC_CONFIGS).get(topic, {})
        lines.append(f"/config/topics/{topic}\t" + json.dumps({"version": 1, "config": config}))
        for partition, epoch in known["partitions"].items():
            lines.append(f"/brokers/topics/{topic}/partitions/{partition}/state\t" + json.dumps(
                {"controller_epoch": 1, "leader": 0, "version": 1, "leader_epoch": epoch, "isr": [0]}))
    subprocess.run(["java", "-Xmx64m", *proc.SMALL_JVM, *proc.java_env("/dev/null"), "-cp", proc.CLASSES + ":" + proc.LIBS + "/*", "ZkPrep", f"127.0.0.1:{zookeeper.port}"],
                   input="\n".join(lines) + "\n", text=True, check=True, timeout=60)
