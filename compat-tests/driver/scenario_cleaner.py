"""Compaction: one data folder, cleaned by Apache Kafka and, a copy of it, by the other broker. What stays must be the same."""
import glob
import os
import re
import shutil
import time

import probes
import proc
import wire
from harness import eventually

# Producers that were silent for a day are forgotten; and far enough from now that no delta of a horizon is a byte longer on one side.
EARLIER = int(time.time() * 1000) - 3_600_000
CODECS = ("gzip", "snappy", "lz4", "zstd")
TOPICS = ("cl-plain", "cl-codecs", "cl-idem", "cl-txn", "cl-open", "cl-batches")
RETENTION_MS = 3000
POLICY = {
    "log.cleanup.policy": "compact",
    "log.segment.bytes": "4096",
    "log.cleaner.min.cleanable.ratio": "0.01",
    "log.cleaner.delete.retention.ms": str(RETENTION_MS),
    "log.cleaner.backoff.ms": "100",
    "log.roll.hours": "1000000",
}


def clean_by_both(run, name):
    run.close_pair()
    report, other = run.report, run.options.subject
    kafka = proc.make("kafka", os.path.join(run.folder, "cleaner-kafka"), overrides={**POLICY, "log.cleaner.enable": "false"})
    kafka.start()
    write(run, kafka)
    kafka.stop()
    copy = os.path.join(run.folder, "cleaner-copy")
    shutil.copytree(kafka.log_dir, copy)
    before = {topic: segments(copy, topic) for topic in TOPICS}
    report.check(f"{name}: there is something to clean", all(len(bases) > 1 for bases in before.values()), str(before))
    kafka.overrides = dict(POLICY)
    zookeeper = {"zookeeper": proc.ZooKeeper(os.path.join(run.folder, "cleaner-zk")).start()} if other == "kafka" else {}
    subject = proc.make(other, os.path.join(run.folder, "cleaner-other"), overrides=POLICY, log_dirs=copy, **zookeeper)
    if zookeeper:
        import scenario_disk
        scenario_disk.tell_zookeeper(zookeeper["zookeeper"], copy)
    try:
        kafka.start()
        subject.start()
        for number in range(1, 4):
            passed(run, f"{name}: pass {number}", kafka, subject)
            if number < 3:
                time.sleep(RETENTION_MS / 1000 + 1)
                for broker in (kafka, subject):
                    roll(broker, number)
        merged = [topic for topic in TOPICS if len(segments(copy, topic)) < len(before[topic]) + 2]
        report.check(f"{name}: small segments have become one", "cl-plain" in merged and "cl-idem" in merged, str(merged))
        read_back(run, name, kafka, subject)
        subject.stop()
        sound(run, f"{name}: {other}", subject)
        subject.start()
        compare(run, f"{name}: after a restart of {other}", kafka, subject)
    finally:
        subject.stop()
        kafka.close()
        for server in zookeeper.values():
            server.stop()


def write(run, broker):
    tools, boot = run.tools, ["--bootstrap-server", broker.bootstrap]
    for topic in TOPICS:
        made = tools.run("topics", [*boot, "--create", "--topic", topic, "--partitions", 1])
        if made.exit != 0:
            raise RuntimeError(made.text())
    for codec in CODECS:
        lines = "".join(f"k{i % 40}:{codec} {i} {'x' * (i % 60)}\n" for i in range(200))
        tools.run("console-producer", [*boot, "--topic", "cl-codecs", "--compression-codec", codec, "--batch-size", "1500", "--property",
                                       "parse.key=true", "--property", "key.separator=:"], stdin=lines)
    with broker.connect(30) as connection:
        def put(topic, records, transactional_id=None, **more):
            answer = probes.produce(connection, topic, 0, wire.batch(records, **more), transactional_id=transactional_id)
            if answer["ErrorCode"] != 0:
                raise RuntimeError(f"cannot write to {topic}: {answer}")
        for i in range(150):
            put("cl-plain", [(b"k%d" % (i % 17), None if i % 11 == 0 else b"value %d " % i + b"y" * (i % 50))], timestamp=probes.T0 + i)
        for i in range(60):
            put("cl-batches", [(b"k%d" % ((i * 7 + n) % 23), None if (i + n) % 9 == 0 else b"%d.%d" % (i, n)) for n in range(5)], timestamp=probes.T0 + i)
        for i in range(80):
            pid = 9000 + i % 3
            put("cl-idem", [(b"k%d" % (i % 5), b"by %d number %d" % (pid, i)), (b"same", b"%d" % i)], producer_id=pid, epoch=0,
                sequence=i // 3 * 2, timestamp=EARLIER + i)
        for i in range(40):
            transaction(connection, put, "cl-txn", f"tx-{i % 3}", i, committed=i % 3 != 1)
        for i in range(60):
            put("cl-open", [(b"k%d" % (i % 4), b"before %d" % i + b"z" * 40)], timestamp=probes.T0 + i)
        transaction(connection, put, "cl-open", "tx-open", 0, committed=None)
        for i in range(100):
            put("cl-open", [(b"k%d" % (i % 4), b"after %d" % i + b"z" * 40)], timestamp=probes.T0 + i)


_PRODUCERS = {}


def transaction(connection, put, topic, name, number, committed):
    """Two batches of one transaction; `committed` None leaves it open."""
    def until_known(key, version, body):
        def once():
            answer = connection.call(key, version, body)
            code = answer["ErrorCode"] if "ErrorCode" in answer else 0
            codes = [p["PartitionErrorCode"] for t in answer.get("ResultsByTopicV3AndBelow", []) for p in t["ResultsByPartition"]]
            return answer if all(c == 0 for c in [code, *codes]) else None
        answer = eventually(once, 30)
        if not answer:
            raise RuntimeError(f"{key} for {name}: {connection.call(key, version, body)}")
        return answer
    if name not in _PRODUCERS:
        until_known(10, 1, {"Key": name, "KeyType": 1})
        _PRODUCERS[name] = [until_known(22, 1, {"TransactionalId": name, "TransactionTimeoutMs": 900000}), 0]
    producer, sequence = _PRODUCERS[name]
    identity = {"transactional_id": name, "producer_id": producer["ProducerId"], "epoch": producer["ProducerEpoch"]}
    until_known(24, 1, {"V3AndBelowTransactionalId": name, "V3AndBelowProducerId": producer["ProducerId"], "V3AndBelowProducerEpoch": producer["ProducerEpoch"],
                        "V3AndBelowTopics": [{"Name": topic, "Partitions": [0]}]})
    for half in range(2):
        records = [(b"%s key %d" % (name.encode(), (number + half) % 4), b"%d.%d %s" % (number, half, str(committed).encode()))]
        put(topic, records, sequence=sequence, attributes=0x10, timestamp=EARLIER + number, **identity)
        sequence += 1
    _PRODUCERS[name][1] = sequence
    if committed is not None:
        until_known(26, 1, {"TransactionalId": name, "ProducerId": producer["ProducerId"], "ProducerEpoch": producer["ProducerEpoch"], "Committed": committed})
    return producer


def roll(broker, number):
    """A record that fills a segment: the one before is sealed, and the log is dirty again."""
    with broker.connect(30) as connection:
        for topic in TOPICS:
            data = wire.batch([(b"roll %d" % number, b"r" * 3900)], timestamp=probes.T0 + 1000 + number)
            answer = eventually(lambda: (lambda a: a if a["ErrorCode"] == 0 else None)(probes.produce(connection, topic, 0, data)), 30)
            if not answer:
                raise RuntimeError(f"cannot write to {topic}")


def segments(folder, topic):
    return sorted(int(os.path.basename(path)[:20]) for path in glob.glob(os.path.join(folder, f"{topic}-0", "*.log")))


def checkpoint(broker):
    try:
        with open(os.path.join(broker.log_dir, "cleaner-offset-checkpoint")) as text:
            lines = [line.split() for line in text.read().splitlines()[2:]]
            return {topic: int(offset) for topic, _, offset in lines if topic in TOPICS}
    except (OSError, ValueError):
        return {}


def passed(run, label, kafka, subject):
    """Waits until both have cleaned all that can be cleaned, then compares."""
    for broker in (kafka, subject):
        def done():
            found = checkpoint(broker)
            return all(found.get(topic) == segments(broker.log_dir, topic)[-1] for topic in TOPICS if topic != "cl-open") and "cl-open" in found
        run.report.check(f"{label}: {broker.kind} has cleaned", bool(eventually(done, 30)), f"{checkpoint(broker)}")
    eventually(lambda: checkpoint(kafka) == checkpoint(subject), 5)
    run.report.check(f"{label}: same checkpoint", checkpoint(kafka) == checkpoint(subject), f"{checkpoint(kafka)}\n{checkpoint(subject)}")
    compare(run, label, kafka, subject)


def compare(run, label, kafka, subject):
    for topic in TOPICS:
        left, right = dump(run, kafka, topic), dump(run, subject, topic)
        differs = [f"kafka    {a}\nmonedula {b}" for a, b in zip(left, right) if a != b]
        if len(left) != len(right):
            differs.append(f"{len(left)} lines and {len(right)}")
        run.report.check(f"{label}: {topic}: same {len(left)} lines of dump-log", not differs, "\n".join(differs[:12]))


def dump(run, broker, topic):
    """What DumpLogSegments says of every segment and transaction index, without what differs by nature."""
    lines = []
    folder = os.path.join(broker.log_dir, f"{topic}-0")
    for path in sorted(glob.glob(os.path.join(folder, "*.log")) + glob.glob(os.path.join(folder, "*.txnindex"))):
        # Kafka leaves an empty transaction index where we leave none.
        if os.path.getsize(path) == 0 and path.endswith(".txnindex"):
            continue
        lines.append(os.path.basename(path))
        more = ["--print-data-log", "--deep-iteration"] if path.endswith(".log") else []
        answer = run.tools.run("dump-log", ["--files", path, *more])
        for line in answer.out.splitlines():
            if not line.startswith(("baseOffset", "|", "version")):
                continue
            line = re.sub(r"OptionalLong\[\d+\]", "OptionalLong[T]", line)
            line = re.sub(r" crc: \d+", "", line)
            line = re.sub(r"partitionLeaderEpoch: \d+ ", "", line)
            # Two implementations of a codec need not make the same bytes.
            if topic == "cl-codecs":
                line = re.sub(r" (size|position): \d+", "", line)
            lines.append(line)
        if answer.exit != 0:
            lines.append(answer.text())
    return lines


def read_back(run, name, kafka, subject):
    """What consumers see, from the beginning, committed or not."""
    for topic in TOPICS:
        for isolation in ("read_uncommitted", "read_committed"):
            seen = []
            for broker in (kafka, subject):
                answer = run.tools.run("console-consumer", ["--bootstrap-server", broker.bootstrap, "--topic", topic, "--from-beginning", "--timeout-ms", "4000",
                                                            "--isolation-level", isolation, "--property", "print.offset=true", "--property", "print.key=true"], timeout=60)
                seen.append(answer.out)
            run.report.check(f"{name}: {topic} {isolation}: same {len(seen[0].splitlines())} records", seen[0] == seen[1] and seen[0].strip() != "",
                             f"{seen[0][:1500]}\n--- and\n{seen[1][:1500]}")


def sound(run, label, broker):
    """Kafka's own dump tool finds nothing wrong with the indexes, and nothing half done lies about."""
    trouble = []
    for topic in TOPICS:
        folder = os.path.join(broker.log_dir, f"{topic}-0")
        for path in sorted(glob.glob(os.path.join(folder, "*index"))):
            answer = run.tools.run("dump-log", ["--files", path])
            if answer.exit != 0 or re.search(r"(?i)mismatch|exception|out of order", answer.out + answer.err):
                trouble.append(path + "\n" + answer.text()[:500])
        trouble += [path for path in glob.glob(os.path.join(folder, "*")) if path.endswith((".cleaned", ".swap"))]
    run.report.check(f"{label}: indexes are sound", not trouble, "\n".join(trouble))
