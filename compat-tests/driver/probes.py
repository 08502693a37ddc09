"""Raw frames against both brokers: every version, wrong bytes, and what a broken or malicious client sends."""
import gzip
import json
import struct
import zlib

import wire
from harness import eventually


def fill(s, topic, counts, producer_id=-1, key=b"k", start=0, partition_batches=1, timestamp=1_700_000_000_000):
    """Puts `counts[partition]` one-record batches into each partition, with known bytes and timestamps."""
    with s.broker.connect() as connection:
        for partition, count in counts.items():
            for i in range(count):
                data = wire.batch([(key, b"value %d" % (start + i))], timestamp=timestamp + i)
                answer = produce(connection, topic, partition, data)
                if answer["ErrorCode"] != 0:
                    raise RuntimeError(f"cannot fill {topic}-{partition}: {answer}")


def fill_one(connection, topic, partition, value):
    answer = produce(connection, topic, partition, wire.batch([(b"k", value)]))
    if answer["ErrorCode"] != 0:
        raise RuntimeError(f"cannot write to {topic}-{partition}: {answer}")


def produce(connection, topic, partition, records, version=9, acks=-1, transactional_id=None):
    answer = connection.call(0, version, {"TransactionalId": transactional_id, "Acks": acks, "TimeoutMs": 10000, "TopicData": [
        {"Name": topic, "PartitionData": [{"Index": partition, "Records": records}]}]})
    return answer["Responses"][0]["PartitionResponses"][0]


T0 = 1_700_000_000_000
ZERO = "00000000-0000-0000-0000-000000000000"


def metadata(connection, topic):
    return connection.call(3, 12, {"Topics": [{"Name": topic}]})["Topics"][0]


IDENTITY = ("Name", "Topic", "TopicId", "Partition", "PartitionIndex", "Index", "GroupId", "ResourceType", "ResourceName", "NodeId", "MemberId", "ProducerId")


class Probe:
    """Calls recorded as checks; ids that differ by nature are replaced."""

    def __init__(self, s):
        self.s = s
        self.connection = s.broker.connect(6)
        self.ids = []

    def call(self, label, key, version, body, shape=lambda answer: answer):
        """Asks, and records the answer as `shape` leaves it."""
        try:
            answer = shape(self.connection.call(key, version, body))
        except (OSError, ValueError) as broken:
            self.connection.close()
            self.connection = self.s.broker.connect(6)
            answer = f"undecodable: {broken}" if isinstance(broken, ValueError) else "silent" if isinstance(broken, TimeoutError) else "closed"
        self.s.record(label, self.scrub(answer))
        return answer

    def scrub(self, value):
        if isinstance(value, dict):
            if value.get("Documentation"):
                value = {**value, "Documentation": "prose of each project's own"}
            return {k: "ID" if k in ("TopicId", "ClusterId") and v not in (None, "", ZERO) else self.scrub(v) for k, v in value.items()}
        if isinstance(value, list):
            # Kafka answers in the order of its hash maps; what counts is what is answered, not in which order.
            return sorted((self.scrub(v) for v in value), key=lambda v: str([v[k] for k in IDENTITY if k in v]) if isinstance(v, dict) else "")
        return value


def _every_version(connection, key):
    low, high = wire.versions(connection.schemas[key]["request"]["validVersions"])
    return range(low, high + 1)


def versions_probe(s):
    """ApiVersions in every version and beyond, and keys and versions nobody knows."""
    p = Probe(s)
    for version in (0, 1, 2, 3, 4, 5, 99, 32767, -1):
        body = {"ClientSoftwareName": "probe", "ClientSoftwareVersion": "1.0"}
        if version in range(5):
            p.s.record(f"ApiVersions v{version} shape", _shape(p.connection.call(18, version, body)))
        else:
            p.connection.send(18, version, b"")
            p.s.record(f"ApiVersions v{version}", _frame(p))
    for name, software in [("empty", ""), ("odd", "a b"), ("dash first", "-a")]:
        p.connection.send(18, 3, {"ClientSoftwareName": software, "ClientSoftwareVersion": "1"})
        p.s.record(f"ApiVersions with {name} software name", _shape(p.connection.decode(18, 3, p.connection.read_frame())))
    for key, version in [(99, 0), (-1, 0), (999, 3), (71, 0), (80, 0), (3, 13), (3, 99), (0, 12), (1, 18), (3, -1)]:
        _send_raw(p, key, version)
        p.s.record(f"key {key} version {version}", _frame(p))


def _send_raw(p, key, version):
    frame = struct.pack(">hhih", key, version, 7, 5) + b"probe" + b"\x00" * 8
    p.connection.socket.sendall(struct.pack(">i", len(frame)) + frame)


def _frame(p, length=10):
    """The bytes of the answer up to what differs by nature, or that the connection went away; reconnects then."""
    p.connection.socket.settimeout(5)
    try:
        # Correlation id and error; then follows, for ApiVersions, how many APIs there are.
        return p.connection.read_frame()[:length].hex()
    except (ConnectionError, OSError) as gone:
        p.connection.close()
        p.connection = p.s.broker.connect()
        return "silent" if isinstance(gone, TimeoutError) else "closed"


def _old_messages(answer):
    """A Fetch answer with its old-format records taken apart: the same contents can be compressed in many ways."""
    for topic in answer["Responses"]:
        for partition in topic["Partitions"]:
            partition["Records"] = _unpack(bytes.fromhex(partition["Records"] or ""))
    return answer


def _unpack(data):
    found = []
    while len(data) >= 12:
        offset, size = struct.unpack(">qi", data[:12])
        message, data = data[12:12 + size], data[12 + size:]
        if len(message) < size:
            # Kafka announces a size before it converts, and fills what is missing with the head of a batch without an
            # end; ours converts first. It counts only where there is nothing else.
            if offset != -1 or not found:
                found.append(f"cut at {offset}")
            return found
        crc, magic, attributes = struct.unpack(">IbB", message[:6])
        if zlib.crc32(message[4:]) != crc:
            found.append("wrong crc")
        time = struct.unpack(">q", message[6:14])[0] if magic else None
        at, fields = 14 if magic else 6, []
        for _ in range(2):
            length = struct.unpack(">i", message[at:at + 4])[0]
            fields.append(message[at + 4:at + 4 + length] if length >= 0 else None)
            at += 4 + max(length, 0)
        key, value = fields
        value = _unpack(gzip.decompress(value)) if attributes & 7 == 1 else value and value.hex()
        found.append([offset, magic, attributes, time, key and key.hex(), value])
    return found + [f"cut at {len(data)} bytes"] if data else found


def _shape(answer):
    """An ApiVersions answer without the list, whose length differs while APIs are missing."""
    return {k: ("list" if isinstance(v, list) else v) for k, v in answer.items() if k not in ("FinalizedFeaturesEpoch",)}


def produce_probe(s):
    """Produce in every version, both old message formats, and each way a batch can be wrong."""
    s.tool("", "topics", "--create", "--topic", "raw", "--partitions", "2", keep=False)
    p = Probe(s)

    def send(label, data, version=9, acks=-1, topic="raw", partition=0, **more):
        body = {"TransactionalId": more.get("txn"), "Acks": acks, "TimeoutMs": 5000,
                "TopicData": [{"Name": topic, "PartitionData": [{"Index": partition, "Records": data}]}]}
        return p.call(label, 0, version, body)
    for magic, high in ((0, 1), (1, 2)):
        for version in range(high + 1):
            if magic == 1 and version < 2:
                continue
            data = b"".join(wire.legacy_message(magic, b"k", b"old %d" % i, offset=i) for i in range(3))
            send(f"Produce v{version} magic {magic}", data, version)
    send("Produce v2 magic 0 in v2", wire.legacy_message(0, None, b"x"), 2)
    send("Produce v2 magic 1 with a wrong crc", wire.legacy_message(1, b"k", b"v", crc=1), 2)
    send("Produce v2 with a batch of magic 2", wire.batch([(b"k", b"v")]), 2)
    send("Produce v2 with nothing", b"", 2)
    send("Produce v1 of a null key and value", wire.legacy_message(0, None, None), 1)
    send("Produce v3 with magic 1", wire.legacy_message(1, b"k", b"v"), 3)
    for version in range(3, 12):
        send(f"Produce v{version}", wire.batch([(b"k", b"v%d" % version), (None, None)]), version)
    send("unknown topic", wire.batch([(b"k", b"v")]), topic="nowhere")
    send("unknown partition", wire.batch([(b"k", b"v")]), partition=9)
    send("bad topic name", wire.batch([(b"k", b"v")]), topic="bad name")
    send("acks 2", wire.batch([(b"k", b"v")]), acks=2)
    send("acks -2", wire.batch([(b"k", b"v")]), acks=-2)
    send("acks 1", wire.batch([(b"k", b"v")]), acks=1)
    send("wrong crc", wire.batch([(b"k", b"v")], crc=5))
    send("empty records", b"")
    # Null records are left out: Kafka's handler trips over them and never answers.
    send("two batches in one partition", wire.batch([(b"k", b"1")]) + wire.batch([(b"k", b"2")]))
    send("count too high", wire.batch([(b"k", b"v")], count=2))
    send("count too high and delta", wire.batch([(b"k", b"v")], count=5, last_delta=4))
    send("count too low", wire.batch([(b"k", b"v"), (b"k", b"w")], count=1, last_delta=0))
    send("delta lies", wire.batch([(b"k", b"v")], last_delta=7))
    send("negative count", wire.batch([(b"k", b"v")], count=-1, last_delta=-2))
    send("no records inside", wire.batch([], count=0, last_delta=-1))
    send("records are garbage", wire.batch([], payload=b"\xff" * 30, count=1))
    packed = lambda label, payload, **more: send(label, wire.batch([], attributes=1, payload=gzip.compress(payload, mtime=0), **more))
    one = wire.record(0, b"g", b"zipped")
    packed("gzip, count too high", one, count=2)
    packed("gzip, count too low", one + wire.record(1, b"g", b"zipped"), count=1)
    packed("gzip, records are garbage", b"\xff" * 30, count=1)
    packed("gzip, record cut", one[:-3], count=1)
    packed("gzip, nothing inside", b"", count=1)
    # Not asked: a gzipped record longer than it says. Kafka stores it, and no consumer can read it then; ours refuses.
    send("gzip, stream cut", wire.batch([], attributes=1, payload=gzip.compress(one, mtime=0)[:-10], count=1))
    packed("gzip, offsets do not count up", one + one, count=2)
    plain = lambda label, payload, **more: send(label, wire.batch([], payload=payload, **more))
    plain("record cut", one[:-3], count=1)
    plain("record longer than it says", bytes([one[0] - 2]) + one[1:], count=1)
    plain("a size without an end", b"\xff\xff", count=1)
    plain("offsets do not count up", one + one, count=2)
    send("length lies high", wire.batch([(b"k", b"v")], length=4000))
    send("length lies low", wire.batch([(b"k", b"v")], length=20))
    send("length negative", wire.batch([(b"k", b"v")], length=-5))
    send("magic 3", wire.batch([(b"k", b"v")], magic=3))
    send("magic -1", wire.batch([(b"k", b"v")], magic=-1))
    send("truncated header", wire.batch([(b"k", b"v")])[:40])
    send("truncated body", wire.batch([(b"k", b"v" * 50)])[:90])
    send("trailing bytes", wire.batch([(b"k", b"v")]) + b"tail")
    send("unknown codec", wire.batch([(b"k", b"v")], attributes=5))
    send("gzip of garbage", wire.batch([], attributes=1, payload=b"not gzip", count=1))
    send("snappy of garbage", wire.batch([], attributes=2, payload=b"not snappy at all", count=1))
    send("lz4 of garbage", wire.batch([], attributes=3, payload=b"not lz4 at all", count=1))
    send("zstd of garbage", wire.batch([], attributes=4, payload=b"not zstd at all", count=1))
    send("zstd in v6", wire.batch([], attributes=4, payload=b"x", count=1), 6)
    send("base offset is ignored", wire.batch([(b"k", b"v")], base_offset=77))
    send("leader epoch is ignored", wire.batch([(b"k", b"v")], leader_epoch=44))
    send("control batch", wire.batch([(b"\x00\x00\x00\x00", b"v")], attributes=0x20, producer_id=5, epoch=0, sequence=0))
    send("transactional without an id", wire.batch([(b"k", b"v")], attributes=0x10, producer_id=5, epoch=0, sequence=0), only=True)
    send("timestamp negative", wire.batch([(b"k", b"v")], timestamp=-1))
    send("timestamp very old", wire.batch([(b"k", b"v")], timestamp=0))
    send("timestamp in the far future", wire.batch([(b"k", b"v")], timestamp=9_000_000_000_000))
    send("too large", wire.batch([(b"k", b"x" * 1_048_600)]))
    send("to __consumer_offsets", wire.batch([(b"k", b"v")]), topic="__consumer_offsets")
    body = {"TransactionalId": None, "Acks": -1, "TimeoutMs": 5000, "TopicData": [
        {"Name": "raw", "PartitionData": [{"Index": 0, "Records": wire.batch([(b"k", b"a")])}, {"Index": 9, "Records": wire.batch([(b"k", b"b")])},
                                          {"Index": 1, "Records": wire.batch([(b"k", b"c")], crc=9)}]}]}
    p.call("three partitions, one good", 0, 9, body)
    p.call("no topics", 0, 9, {"Acks": -1, "TimeoutMs": 5000, "TopicData": []})
    # acks 0 has no answer: the next request's answer comes first; an error with acks 0 closes the connection.
    p.connection.send(0, 9, {"Acks": 0, "TimeoutMs": 5000, "TopicData": [{"Name": "raw", "PartitionData": [{"Index": 0, "Records": wire.batch([(b"k", b"zero")])}]}]})
    p.call("after acks 0", 2, 5, {"ReplicaId": -1, "Topics": [{"Name": "raw", "Partitions": [{"PartitionIndex": 0, "Timestamp": -1, "CurrentLeaderEpoch": -1}]}]})
    p.connection.send(0, 9, {"Acks": 0, "TimeoutMs": 5000, "TopicData": [{"Name": "nowhere", "PartitionData": [{"Index": 0, "Records": wire.batch([(b"k", b"zero")])}]}]})
    s.record("acks 0 to an unknown topic", _frame(p))
    # Idempotence: sequences, duplicates, gaps, epochs.
    seq = lambda n, count=1, epoch=0, pid=4242, **more: wire.batch([(b"k", b"s%d" % (n + i)) for i in range(count)], producer_id=pid, epoch=epoch, sequence=n, **more)
    send("sequence 0", seq(0, 3), partition=1)
    send("sequence 3", seq(3, 2), partition=1)
    send("duplicate of the last", seq(3, 2), partition=1)
    send("duplicate of the first", seq(0, 3), partition=1)
    send("gap", seq(9), partition=1)
    for n in range(5, 11):
        send(f"sequence {n}", seq(n), partition=1)
    send("duplicate older than five batches", seq(0, 3), partition=1)
    send("overlapping", seq(9, 2), partition=1)
    send("new epoch at 0", seq(0, 1, epoch=1), partition=1)
    send("old epoch", seq(11, 1, epoch=0), partition=1)
    send("new epoch not at 0", seq(5, 1, epoch=2), partition=1)
    send("unknown producer not at 0", seq(7, pid=5555), partition=1)
    send("sequence near the end", seq(2147483646, 1, pid=6666), partition=1)
    send("sequence wraps", seq(2147483647, 3, pid=6667), partition=1)
    send("producer without a sequence", wire.batch([(b"k", b"v")], producer_id=7777, epoch=0, sequence=-1), partition=1)
    send("two idempotent batches", seq(0, pid=8888) + seq(1, pid=8888), partition=1)
    p.call("producers", 61, 0, {"Topics": [{"Name": "raw", "PartitionIndexes": [0, 1, 9]}, {"Name": "nowhere", "PartitionIndexes": [0]}]})
    for version in _every_version(p.connection, 22):
        ask = {"TransactionalId": None, "TransactionTimeoutMs": 60000, "ProducerId": -1, "ProducerEpoch": -1}
        # The first one of a broker's life may find the block of ids still being reserved.
        answer = eventually(lambda: (lambda a: a if a["ErrorCode"] != 14 else None)(p.connection.call(22, version, ask)))
        s.record(f"InitProducerId v{version}", {**answer, "ProducerId": "P" if answer["ProducerId"] >= 0 else answer["ProducerId"]})


def fetch_probe(s):
    """Fetch, ListOffsets, Metadata and OffsetForLeaderEpoch in every version over known contents."""
    s.tool("", "topics", "--create", "--topic", "fet", "--partitions", "2", keep=False)
    fill(s, "fet", {0: 5, 1: 2})
    packed = wire.batch([], attributes=1, count=3, timestamp=T0 + 50,
                        payload=gzip.compress(b"".join(wire.record(i, b"g", b"zipped %d" % i) for i in range(3)), mtime=0))
    p = Probe(s)
    produce(p.connection, "fet", 0, packed)
    topic_id = metadata(p.connection, "fet")["TopicId"]

    def fetch(label, version, offset=0, partition=0, **more):
        entry = {"Partition": partition, "CurrentLeaderEpoch": more.get("epoch", -1), "FetchOffset": offset, "LastFetchedEpoch": more.get("last", -1),
                 "LogStartOffset": -1, "PartitionMaxBytes": more.get("max", 1 << 20)}
        topic = {"Topic": more.get("topic", "fet"), "TopicId": more.get("id", topic_id), "Partitions": [entry]}
        return p.call(label, 1, version, {"ReplicaId": -1, "MaxWaitMs": more.get("wait", 100), "MinBytes": more.get("min", 1),
                                          "MaxBytes": more.get("bytes", 1 << 20), "IsolationLevel": more.get("level", 0), "SessionId": more.get("session", 0),
                                          "SessionEpoch": more.get("session_epoch", -1), "Topics": [topic] if more.get("topic", "fet") else []},
                      shape=_old_messages if version < 4 else lambda answer: answer)
    for version in range(18):
        fetch(f"Fetch v{version}", version)
        fetch(f"Fetch v{version} from the middle of a batch", version, offset=6)
        fetch(f"Fetch v{version} at the end", version, offset=8)
        fetch(f"Fetch v{version} out of range", version, offset=100)
        fetch(f"Fetch v{version} unknown partition", version, partition=7)
    for version in range(5):
        for most in (1, 20, 100, 160):
            fetch(f"Fetch v{version} of at most {most} bytes", version, max=most)
            fetch(f"Fetch v{version} of at most {most} bytes in all", version, bytes=most)
    fetch("unknown topic by name", 12, topic="nowhere")
    fetch("unknown topic by id", 13, id="11111111-2222-3333-4444-555555555555")
    fetch("zero topic id", 13, id=ZERO)
    fetch("negative offset", 12, offset=-5)
    fetch("tiny partition maximum", 12, max=1)
    fetch("tiny total maximum", 12, bytes=1)
    fetch("zero maximum", 12, max=0, bytes=0)
    fetch("limited to about two batches", 12, max=160)
    fetch("read committed", 12, level=1)
    fetch("a future epoch", 12, epoch=9)
    fetch("the current epoch", 12, epoch=0)
    fetch("a last epoch from the future", 12, last=5, offset=3)
    fetch("a known last epoch", 12, last=0, offset=3)
    fetch("an unknown session", 12, session=123456, session_epoch=3)
    fetch("a bad session epoch", 12, session=0, session_epoch=5)
    fetch("nothing asked", 12, topic="")
    fetch("long poll is cut short by the limit", 12, offset=8, wait=300, min=1000)
    # A session: full, empty increment, data arrives, forget.
    entry = lambda partition, offset: {"Partition": partition, "CurrentLeaderEpoch": -1, "FetchOffset": offset, "LastFetchedEpoch": -1, "LogStartOffset": -1,
                                       "PartitionMaxBytes": 1 << 20}
    base = {"ReplicaId": -1, "MaxWaitMs": 100, "MinBytes": 1, "MaxBytes": 1 << 20, "IsolationLevel": 0}
    ask = lambda session, epoch, topics, forgotten=(): p.connection.call(1, 12, {**base, "SessionId": session, "SessionEpoch": epoch, "Topics": topics,
                                                                                 "ForgottenTopicsData": list(forgotten)})
    first = ask(0, 0, [{"Topic": "fet", "Partitions": [entry(0, 8), entry(1, 2)]}])
    session = first["SessionId"]
    s.record("session opens", {**first, "SessionId": session != 0})
    for label, args in [("session, nothing new", (1, [])), ("session, new partition offset", (2, [{"Topic": "fet", "Partitions": [entry(0, 0)]}])),
                        ("session, wrong epoch", (9, [])),
                        ("session, forget one", (3, [], [{"Topic": "fet", "Partitions": [0]}])), ("session closes", (-1, [{"Topic": "fet", "Partitions": [entry(1, 0)]}]))]:
        answer = ask(session, *args)
        s.record(label, {**answer, "SessionId": answer["SessionId"] == session})
    for version in range(10):
        for when in (-1, -2, -3, -4, -5, 0, T0 + 2, T0 + 51, 1_900_000_000_000):
            where = {"PartitionIndex": 0, "Timestamp": when, "CurrentLeaderEpoch": -1, "MaxNumOffsets": 5}
            p.call(f"ListOffsets v{version} {when}", 2, version, {"ReplicaId": -1, "Topics": [{"Name": "fet", "Partitions": [where]}]})
    where = lambda partition, epoch: {"PartitionIndex": partition, "Timestamp": -1, "CurrentLeaderEpoch": epoch, "MaxNumOffsets": 1}
    for label, topic, part, epoch in [("unknown partition", "fet", 8, -1), ("unknown topic", "nowhere", 0, -1), ("future epoch", "fet", 0, 3)]:
        p.call(f"ListOffsets {label}", 2, 7, {"ReplicaId": -1, "Topics": [{"Name": topic, "Partitions": [where(part, epoch)]}]})
    p.call("ListOffsets twice the same", 2, 7, {"ReplicaId": -1, "Topics": [{"Name": "fet", "Partitions": [where(0, -1), where(0, -1)]}]})
    p.call("ListOffsets as a replica", 2, 7, {"ReplicaId": 5, "Topics": [{"Name": "fet", "Partitions": [where(0, -1)]}]})
    for version in range(13):
        topics = [{"Name": "fet"}] if version < 10 else [{"Name": "fet", "TopicId": ZERO}]
        p.call(f"Metadata v{version}", 3, version, {"Topics": topics, "AllowAutoTopicCreation": False, "IncludeClusterAuthorizedOperations": True,
                                                   "IncludeTopicAuthorizedOperations": True})
        p.call(f"Metadata v{version} unknown", 3, version, {"Topics": [{"Name": "bad name", "TopicId": ZERO}], "AllowAutoTopicCreation": False})
        if version >= 4:
            p.call(f"Metadata v{version} missing", 3, version, {"Topics": [{"Name": "not-here", "TopicId": ZERO}], "AllowAutoTopicCreation": False})
        if version >= 1:
            p.call(f"Metadata v{version} none", 3, version, {"Topics": [], "AllowAutoTopicCreation": False})
    p.call("Metadata by id", 3, 12, {"Topics": [{"Name": None, "TopicId": topic_id}], "AllowAutoTopicCreation": False})
    p.call("Metadata by unknown id", 3, 12, {"Topics": [{"Name": None, "TopicId": "11111111-2222-3333-4444-555555555555"}], "AllowAutoTopicCreation": False})
    for version in _every_version(p.connection, 23):
        for epoch in (0, 1, 5, -1):
            p.call(f"OffsetForLeaderEpoch v{version} epoch {epoch}", 23, version, {"ReplicaId": -2, "Topics": [
                {"Topic": "fet", "Partitions": [{"Partition": 0, "CurrentLeaderEpoch": -1, "LeaderEpoch": epoch}]}]})
    p.call("OffsetForLeaderEpoch unknown", 23, 4, {"ReplicaId": -2, "Topics": [{"Topic": "nowhere", "Partitions": [{"Partition": 0, "CurrentLeaderEpoch": -1, "LeaderEpoch": 0}]},
                                                                              {"Topic": "fet", "Partitions": [{"Partition": 0, "CurrentLeaderEpoch": 7, "LeaderEpoch": 0}]}]})
    for version in _every_version(p.connection, 60):
        p.call(f"DescribeCluster v{version}", 60, version, {"IncludeClusterAuthorizedOperations": True, "EndpointType": 1})
    eventually(lambda: p.connection.call(10, 3, {"Key": "pg", "KeyType": 0})["ErrorCode"] == 0)
    for version in _every_version(p.connection, 10):
        p.call(f"FindCoordinator v{version}", 10, version, {"Key": "pg", "KeyType": 0, "CoordinatorKeys": ["pg", "ph"]})
    p.call("FindCoordinator bad type", 10, 4, {"KeyType": 9, "CoordinatorKeys": ["x"]})
    p.call("FindCoordinator empty group", 10, 3, {"Key": "", "KeyType": 0})
    for version in _every_version(p.connection, 21):
        p.call(f"DeleteRecords v{version}", 21, version, {"TimeoutMs": 3000, "Topics": [{"Name": "fet", "Partitions": [
            {"PartitionIndex": 1, "Offset": 1}, {"PartitionIndex": 5, "Offset": 0}]}, {"Name": "nowhere", "Partitions": [{"PartitionIndex": 0, "Offset": 0}]}]})
    p.call("DeleteRecords beyond", 21, 2, {"TimeoutMs": 3000, "Topics": [{"Name": "fet", "Partitions": [{"PartitionIndex": 1, "Offset": 99}]}]})
    fetch("Fetch below the start", 12, offset=0, partition=1)


def no_coordinator_probe(s):
    """What is asked of a coordinator that is not one: byte by byte, in every version. The first script of a broker, as nothing may
    have created the offsets topic yet. v0 of OffsetCommit and OffsetFetch know no coordinator."""
    p = Probe(s)
    part = {"PartitionIndex": 0, "CommittedOffset": 2, "CommittedMetadata": "meta", "CommittedLeaderEpoch": 0, "CommitTimestamp": -1}
    topics = [{"Name": "none", "PartitionIndexes": [0, 3]}, {"Name": "other", "PartitionIndexes": [1]}]
    empty = [{"Name": "none", "PartitionIndexes": []}]
    member = {"GroupId": "g", "GenerationId": 1, "GenerationIdOrMemberEpoch": -1, "MemberId": "m"}
    txn = {"TransactionalId": "t", "ProducerId": 7, "ProducerEpoch": 1}
    in_txn = {"V3AndBelowTransactionalId": "t", "V3AndBelowProducerId": 7, "V3AndBelowProducerEpoch": 1, "V3AndBelowTopics": [{"Name": "none", "Partitions": [0]}]}
    protocols = {"ProtocolType": "consumer", "Protocols": [{"Name": "range", "Metadata": b"\x00\x01"}], "SessionTimeoutMs": 10000, "RebalanceTimeoutMs": 10000}
    asked = [
        ("OffsetFetch", 9, {"GroupId": "g", "Topics": topics, "Groups": [{"GroupId": "g", "Topics": topics}]}),
        ("OffsetFetch of no partition", 9, {"GroupId": "g", "Topics": empty, "Groups": [{"GroupId": "g", "Topics": empty}]}),
        ("OffsetFetch of no topic", 9, {"GroupId": "g", "Topics": [], "Groups": [{"GroupId": "g", "Topics": []}]}),
        ("OffsetFetch of all", 9, {"GroupId": "g", "Topics": None, "Groups": [{"GroupId": "g", "Topics": None}, {"GroupId": "h", "Topics": topics}]}),
        ("OffsetFetch of the empty group", 9, {"GroupId": "", "Topics": topics, "Groups": [{"GroupId": "", "Topics": topics}]}),
        ("OffsetCommit", 8, {**member, "MemberId": "", "RetentionTimeMs": -1, "Topics": [{"Name": "none", "Partitions": [part]}]}),
        ("JoinGroup", 11, {"GroupId": "g", "MemberId": "", **protocols}), ("Heartbeat", 12, member),
        ("LeaveGroup", 13, {"GroupId": "g", "MemberId": "m", "Members": [{"MemberId": "m"}]}),
        ("SyncGroup", 14, {**member, "Assignments": []}), ("DescribeGroups", 15, {"Groups": ["g"]}), ("ListGroups", 16, {"StatesFilter": [], "TypesFilter": []}),
        ("DeleteGroups", 42, {"GroupsNames": ["g"]}), ("OffsetDelete", 47, {"GroupId": "g", "Topics": [{"Name": "none", "Partitions": [{"PartitionIndex": 0}]}]}),
        ("InitProducerId", 22, {"TransactionalId": "t", "TransactionTimeoutMs": 1000}), ("AddPartitionsToTxn", 24, in_txn),
        ("AddOffsetsToTxn", 25, {**txn, "GroupId": "g"}), ("EndTxn", 26, {**txn, "Committed": True}),
        ("TxnOffsetCommit", 28, {**txn, "GroupId": "g", "GenerationId": -1, "Topics": [{"Name": "none", "Partitions": [part]}]}),
        ("DescribeTransactions", 65, {"TransactionalIds": ["t"]}), ("ListTransactions", 66, {"StateFilters": [], "ProducerIdFilters": []}),
    ]
    for label, key, body in asked:
        for version in _every_version(p.connection, key):
            # v4 is asked by brokers, of many transactions at once.
            if key in (8, 9) and version == 0 or key == 24 and version >= 4 or body.get("Topics", ()) is None and version < 2:
                continue
            p.connection.send(key, version, body)
            p.s.record(f"{label} v{version}", _frame(p, 400)[8:])


def group_probe(s):
    """The group APIs in every version with hand-made members."""
    s.tool("", "topics", "--create", "--topic", "grp", "--partitions", "2", keep=False)
    fill(s, "grp", {0: 3})
    p = Probe(s)
    # Asking for the coordinator is what creates its topic.
    eventually(lambda: p.connection.call(10, 1, {"Key": "warm", "KeyType": 0})["ErrorCode"] == 0)
    eventually(lambda: p.connection.call(9, 5, {"GroupId": "warm", "Topics": None})["ErrorCode"] == 0)
    for version in _every_version(p.connection, 8):
        part = {"PartitionIndex": 0, "CommittedOffset": 2, "CommittedMetadata": "meta", "CommittedLeaderEpoch": 0, "CommitTimestamp": -1}
        p.call(f"OffsetCommit v{version}", 8, version, {"GroupId": f"simple{version}", "GenerationIdOrMemberEpoch": -1, "MemberId": "", "RetentionTimeMs": -1, "Topics": [
                {"Name": "grp", "Partitions": [part, {**part, "PartitionIndex": 7}]}, {"Name": "nowhere", "Partitions": [part]}]})
    part = {"PartitionIndex": 0, "CommittedOffset": 2, "CommittedMetadata": "m" * 5000, "CommittedLeaderEpoch": 0}
    p.call("OffsetCommit with too much metadata", 8, 7, {"GroupId": "simple", "GenerationIdOrMemberEpoch": -1, "Topics": [{"Name": "grp", "Partitions": [part]}]})
    part["CommittedMetadata"] = None
    p.call("OffsetCommit by an unknown member", 8, 7, {"GroupId": "simple", "GenerationIdOrMemberEpoch": 3, "MemberId": "x", "Topics": [{"Name": "grp", "Partitions": [part]}]})
    p.call("OffsetCommit to the empty group", 8, 7, {"GroupId": "", "GenerationIdOrMemberEpoch": -1, "Topics": [{"Name": "grp", "Partitions": [part]}]})
    for version in _every_version(p.connection, 9):
        group = {"GroupId": "simple2", "Topics": [{"Name": "grp", "PartitionIndexes": [0, 1]}, {"Name": "nowhere", "PartitionIndexes": [0]}]}
        p.call(f"OffsetFetch v{version}", 9, version, {**group, "Groups": [group], "RequireStable": version % 2 == 1})
        if version >= 2:
            none = {"GroupId": "simple2", "Topics": None}
            p.call(f"OffsetFetch v{version} all", 9, version, {**none, "Groups": [none, {"GroupId": "never", "Topics": None}]})
    join = {"GroupId": "jg", "SessionTimeoutMs": 10000, "RebalanceTimeoutMs": 10000, "MemberId": "", "ProtocolType": "consumer",
            "Protocols": [{"Name": "range", "Metadata": b"\x00\x01\x00\x00\x00\x01\x00\x03grp\xff\xff\xff\xff\x00\x00\x00\x00"}]}
    for version in _every_version(p.connection, 11):
        group, known = f"jg{version}", []
        answer = p.connection.call(11, version, {**join, "GroupId": group})
        if answer["MemberId"]:
            known.append(answer["MemberId"])
        s.record(f"JoinGroup v{version}", _mask(answer, known))
        if answer["ErrorCode"] == 79:
            answer = p.connection.call(11, version, {**join, "GroupId": group, "MemberId": answer["MemberId"]})
            s.record(f"JoinGroup v{version} with the id given", _mask(answer, known))
        member, generation = answer["MemberId"], answer["GenerationId"]
        sv, hv, lv = min(version, 5), min(version, 4), min(version, 5)
        before = {"GroupId": group, "GenerationId": generation, "MemberId": member}
        s.record(f"Heartbeat before sync {version}", p.connection.call(12, hv, before))
        s.record(f"SyncGroup v{sv} for {version}", _mask(p.connection.call(14, sv, {**before, "ProtocolType": "consumer", "ProtocolName": "range",
                                                                           "Assignments": [{"MemberId": member, "Assignment": b"abc"}]}), known))
        s.record(f"Heartbeat v{hv} for {version}", p.connection.call(12, hv, before))
        s.record(f"Heartbeat wrong generation {version}", p.connection.call(12, hv, {**before, "GenerationId": 99}))
        s.record(f"Heartbeat unknown member {version}", p.connection.call(12, hv, {**before, "MemberId": "who"}))
        s.record(f"DescribeGroups {version}", _mask(p.connection.call(15, min(version, 5), {"Groups": [group, "nobody", ""], "IncludeAuthorizedOperations": True}), known))
        leave = {"GroupId": group, "MemberId": member, "Members": [{"MemberId": member}, {"MemberId": "who"}]}
        s.record(f"LeaveGroup v{lv} for {version}", _mask(p.connection.call(13, lv, leave), known))
        s.record(f"Heartbeat after leaving {version}", p.connection.call(12, hv, before))
    for label, change in [("empty group", {"GroupId": ""}), ("session too short", {"SessionTimeoutMs": 5}), ("session too long", {"SessionTimeoutMs": 99999999}),
                          ("no protocols", {"Protocols": []}), ("no protocol type", {"ProtocolType": ""}), ("unknown member", {"MemberId": "who"})]:
        p.call(f"JoinGroup with {label}", 11, 5, {**join, "GroupId": "jbad", **change})
    p.call("SyncGroup of nobody", 14, 5, {"GroupId": "nobody", "GenerationId": 1, "MemberId": "x"})
    p.call("LeaveGroup of nobody", 13, 5, {"GroupId": "nobody", "Members": [{"MemberId": "x"}]})
    for version in _every_version(p.connection, 16):
        answer = p.connection.call(16, version, {"StatesFilter": [], "TypesFilter": []})
        answer["Groups"] = sorted((g for g in answer["Groups"] if g["GroupId"].startswith(("simple", "jg"))), key=lambda g: g["GroupId"])
        s.record(f"ListGroups v{version}", answer)
    p.call("OffsetDelete", 47, 0, {"GroupId": "simple2", "Topics": [{"Name": "grp", "Partitions": [{"PartitionIndex": 0}, {"PartitionIndex": 9}]}]})
    p.call("OffsetDelete of nobody", 47, 0, {"GroupId": "nobody", "Topics": [{"Name": "grp", "Partitions": [{"PartitionIndex": 0}]}]})
    for version in _every_version(p.connection, 42):
        p.call(f"DeleteGroups v{version}", 42, version, {"GroupsNames": [f"simple{version}", "nobody", ""]})


def _mask(value, known):
    text = json.dumps(value)
    for i, name in enumerate(known):
        text = text.replace(name, f"member{i}")
    return json.loads(text)


def admin_probe(s):
    """The admin APIs in every version."""
    p = Probe(s)
    for version in _every_version(p.connection, 19):
        name = f"adm{version}"
        topic = lambda name, partitions=1, factor=1, **more: {"Name": name, "NumPartitions": partitions, "ReplicationFactor": factor, **more}
        p.call(f"CreateTopics v{version}", 19, version, {"timeoutMs": 5000, "Topics": [
            topic(name), topic("bad name"), topic("", 1), topic(f"rf{version}", 1, 3), topic(f"zero{version}", 0, 1), topic(f"conf{version}", 1, 1, Configs=[{"Name": "retention.ms", "Value": "x"}]),
            topic(f"placed{version}", -1, -1, Assignments=[{"PartitionIndex": 0, "BrokerIds": [0]}]), topic(f"gap{version}", -1, -1, Assignments=[{"PartitionIndex": 1, "BrokerIds": [0]}]),
            topic(f"both{version}", 1, 1, Assignments=[{"PartitionIndex": 0, "BrokerIds": [0]}]), topic(f"nullconf{version}", 1, 1, Configs=[{"Name": "retention.ms", "Value": None}])]})
        p.call(f"CreateTopics v{version} again", 19, version, {"timeoutMs": 5000, "Topics": [topic(name)]})
        p.call(f"CreateTopics v{version} twice in one", 19, version, {"timeoutMs": 5000, "Topics": [topic(f"twice{version}"), topic(f"twice{version}", 2)]})
        if version >= 1:
            p.call(f"CreateTopics v{version} validate only", 19, version, {"timeoutMs": 5000, "validateOnly": True, "Topics": [topic(f"only{version}", 2), topic(name)]})
        if version >= 4:
            p.call(f"CreateTopics v{version} defaults", 19, version, {"timeoutMs": 5000, "Topics": [topic(f"defaults{version}", -1, -1, Configs=[{"Name": "segment.ms", "Value": "70000"}])]})
    for version in _every_version(p.connection, 37):
        p.call(f"CreatePartitions v{version}", 37, version, {"TimeoutMs": 5000, "ValidateOnly": False, "Topics": [
            {"Name": f"adm{version}", "Count": 3, "Assignments": None}, {"Name": "nowhere", "Count": 3, "Assignments": None}, {"Name": "adm4", "Count": 1, "Assignments": None},
            {"Name": "adm5", "Count": 0, "Assignments": None}, {"Name": "adm6", "Count": 2, "Assignments": [{"BrokerIds": [9]}]}, {"Name": "adm7", "Count": 2, "Assignments": []}]})
    for version in _every_version(p.connection, 32):
        for kind, name, keys in [(2, "adm0", ["retention.ms", "cleanup.policy", "nope"]), (4, "0", ["num.io.threads", "log.retention.hours", "background.threads"]), (2, "nowhere", None), (4, "7", None),
                                 (4, "abc", None), (3, "x", None), (8, "0", ["kafka"]), (2, "bad name", None)]:
            p.call(f"DescribeConfigs v{version} {kind} {name}", 32, version, {"IncludeSynonyms": True, "IncludeDocumentation": version >= 3, "Resources": [
                {"ResourceType": kind, "ResourceName": name, "ConfigurationKeys": keys}]}) if not (kind == 8 and version == 0) else None
    for version in _every_version(p.connection, 33):
        p.call(f"AlterConfigs v{version}", 33, version, {"ValidateOnly": False, "Resources": [
            {"ResourceType": 2, "ResourceName": "adm0", "Configs": [{"Name": "retention.ms", "Value": str(1000 + version)}]},
            {"ResourceType": 2, "ResourceName": "adm1", "Configs": [{"Name": "retention.ms", "Value": "x"}]},
            {"ResourceType": 2, "ResourceName": "nowhere", "Configs": []}, {"ResourceType": 77, "ResourceName": "x", "Configs": []}]})
    for version in _every_version(p.connection, 44):
        for label, key, op, value in [("set", "segment.bytes", 0, "2000000"), ("delete", "segment.bytes", 1, None), ("append", "cleanup.policy", 2, "compact"),
                                      ("subtract", "cleanup.policy", 3, "delete"), ("append to a number", "retention.ms", 2, "5"), ("bad op", "retention.ms", 9, "5"),
                                      ("null", "retention.ms", 0, None), ("unknown key", "nope", 0, "5"), ("bad value", "retention.ms", 0, "x")]:
            p.call(f"IncrementalAlterConfigs v{version} {label}", 44, version, {"ValidateOnly": False, "Resources": [
                {"ResourceType": 2, "ResourceName": "adm2", "Configs": [{"Name": key, "ConfigOperation": op, "Value": value}]}]})
        p.call(f"IncrementalAlterConfigs v{version} twice", 44, version, {"ValidateOnly": False, "Resources": [
            {"ResourceType": 2, "ResourceName": "adm2", "Configs": [{"Name": "retention.ms", "ConfigOperation": 0, "Value": "5"}, {"Name": "retention.ms", "ConfigOperation": 0, "Value": "6"}]}]})
        p.call(f"IncrementalAlterConfigs v{version} validate only", 44, version, {"ValidateOnly": True, "Resources": [
            {"ResourceType": 2, "ResourceName": "adm2", "Configs": [{"Name": "retention.ms", "ConfigOperation": 0, "Value": "77"}]},
            {"ResourceType": 2, "ResourceName": "adm2", "Configs": []}]})
    for version in _every_version(p.connection, 35):
        answer = p.connection.call(35, version, {"Topics": [{"Topic": "adm0", "Partitions": [0, 5]}, {"Topic": "nowhere", "Partitions": [0]}]})
        for entry in answer["Results"]:
            entry["Topics"].sort(key=lambda t: t["Name"])
            for name in ("TotalBytes", "UsableBytes"):
                if name in entry:
                    entry[name] = entry[name] > 0
        s.record(f"DescribeLogDirs v{version}", answer)
    for version in _every_version(p.connection, 20):
        names = [f"adm{version}", "nowhere", "bad name"]
        p.call(f"DeleteTopics v{version}", 20, version, {"TimeoutMs": 5000, "TopicNames": names, "Topics": [{"Name": n, "TopicId": ZERO} for n in names]})
    p.call("DeleteTopics by unknown id", 20, 6, {"TimeoutMs": 5000, "Topics": [{"Name": None, "TopicId": "11111111-2222-3333-4444-555555555555"}]})
    p.call("DeleteTopics twice in one", 20, 6, {"TimeoutMs": 5000, "Topics": [{"Name": "adm7", "TopicId": ZERO}, {"Name": "adm7", "TopicId": ZERO}]})


def frames_probe(s):
    """Frames that are no requests at all: what happens to the connection must be the same."""
    for label, data in [
        ("negative length", struct.pack(">i", -1) + b"x" * 10), ("length of two gigabytes", b"\x7f\xff\xff\xff" + b"x" * 10),
        ("above socket.request.max.bytes", struct.pack(">i", 104857601)), ("empty frame", struct.pack(">i", 0)), ("one byte frame", struct.pack(">i", 1) + b"x"),
        ("header cut short", struct.pack(">i", 4) + b"\x00\x03\x00\x01"), ("http", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"), ("tls hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(600)),
        ("client id length lies", struct.pack(">ihhih", 10, 3, 1, 7, 999)), ("metadata body cut", _framed(struct.pack(">hhih", 3, 1, 7, 0) + b"\x00\x00\x00\x05\x00\x02ab")),
        ("metadata of 2^31 topics", _framed(struct.pack(">hhih", 3, 1, 7, 0) + b"\x7f\xff\xff\xff")), ("fetch body garbage", _framed(struct.pack(">hhih", 1, 11, 7, 0) + b"\xff" * 40)),
        ("trailing bytes", _framed(struct.pack(">hhih", 3, 1, 7, 0) + b"\x00\x00\x00\x00" + b"tail")),
        ("null client id", _framed(struct.pack(">hhih", 18, 0, 7, -1))),
    ]:
        p = Probe(s)
        try:
            p.connection.socket.sendall(data)
        except OSError:
            pass
        s.record(label, _frame(p, 6 if label == "null client id" else 10))
        p.connection.close()
    p = Probe(s)
    p.call("still answers", 3, 1, {"Topics": []})


def _framed(frame):
    return struct.pack(">i", len(frame)) + frame
