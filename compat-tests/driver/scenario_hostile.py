"""What a hostile client may try, on our broker alone: memory stays bounded and other clients don't notice."""
import gzip
import random
import socket
import struct
import threading
import time
import zlib

import probes
import proc
import wire

MB = 1 << 20


class Bystander:
    """A well-behaved client that produces and asks for metadata all the time and remembers its slowest answer."""

    def __init__(self, broker):
        self.broker, self.slowest, self.errors, self.calls, self.running = broker, 0.0, [], 0, True
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        try:
            with self.broker.connect(20) as connection:
                while self.running:
                    began = time.monotonic()
                    answer = probes.produce(connection, "victim", 0, wire.batch([(b"k", b"v")]))
                    connection.call(3, 5, {"Topics": [{"Name": "victim"}]})
                    self.slowest = max(self.slowest, time.monotonic() - began)
                    self.calls += 1
                    if answer["ErrorCode"]:
                        self.errors.append(answer)
                    time.sleep(0.01)
        except (OSError, ValueError) as error:
            self.errors.append(repr(error))

    def stop(self):
        self.running = False
        self.thread.join(30)


def attack(run, name, label, broker, action, growth_mb, slowest_s=2.0):
    """Runs one attack beside a bystander; checks memory, the bystander and that the broker lives."""
    bystander = Bystander(broker)
    time.sleep(0.3)
    before = broker.rss_kb()
    peak = [before]
    watching = [True]

    def watch():
        while watching:
            try:
                peak[0] = max(peak[0], broker.rss_kb())
            except OSError:
                return
            time.sleep(0.02)
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    trouble = None
    try:
        trouble = action(broker)
    except OSError as error:
        trouble = f"the attack itself failed: {error!r}"
    time.sleep(0.3)
    watching.clear()
    watcher.join(5)
    bystander.stop()
    grown = (peak[0] - before) / 1024
    run.report.check(f"{name}: {label}: memory grows {grown:.0f} MB, at most {growth_mb}", grown <= growth_mb, f"{before >> 10} MB became {peak[0] >> 10} MB")
    run.report.check(f"{name}: {label}: others are served", not bystander.errors and bystander.slowest < slowest_s and bystander.calls > 3,
                     f"{bystander.calls} calls, slowest {bystander.slowest:.2f} s, {bystander.errors[:2]}")
    if trouble:
        run.report.check(f"{name}: {label}: answered as it should", False, trouble)
    if not run.report.check(f"{name}: {label}: the broker lives", broker.process.alive(), broker.process.tail()):
        broker.start()


def _socket(broker, timeout=10):
    made = socket.create_connection(("127.0.0.1", broker.port), timeout)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def _send(made, data):
    try:
        made.sendall(data)
    except OSError:
        pass


def _frame(key, version, body, flexible=False):
    frame = struct.pack(">hhih", key, version, 1, 0) + (b"\0" if flexible else b"") + body
    return struct.pack(">i", len(frame)) + frame


def claims(broker):
    """A thousand connections that each claim a hundred megabytes and send ten bytes."""
    open_ones = []
    try:
        for _ in range(1000):
            made = _socket(broker)
            _send(made, struct.pack(">i", 100_000_000) + b"0123456789")
            open_ones.append(made)
        time.sleep(1)
    finally:
        for made in open_ones:
            made.close()


def counts(broker):
    """Arrays that claim two thousand million elements, in each API and version we know how to begin."""
    schemas = wire.load_schemas(proc.LIBS)
    for key in (0, 1, 2, 3, 8, 9, 10, 11, 12, 13, 14, 15, 16, 19, 20, 21, 22, 23, 32, 33, 35, 37, 42, 44, 47, 60, 61):
        low, high = wire.versions(schemas[key]["request"]["validVersions"])
        for version in range(low, high + 1):
            flexible = wire.in_range(schemas[key]["request"].get("flexibleVersions", "none"), version)
            for body in (b"\x7f\xff\xff\xff" * 4, b"\xff\xff\xff\xff\x07" * 4, b"\0" * 16 + b"\x7f\xff\xff\xff" + b"\0" * 64, b"\0\1a" + b"\x7f\xff\xff\xf0" + bytes(40)):
                with _socket(broker) as made:
                    _send(made, _frame(key, version, body, flexible))
    # An array as long as its frame allows, of elements as small as they come.
    big = 4_000_000
    for version, body in ((1, struct.pack(">i", big // 2) + b"\0\0" * (big // 2)), (12, b"\xff\xff\xff\x07" + b"\0" * big), (1, struct.pack(">i", big) + b"\0" * big)):
        with _socket(broker) as made:
            _send(made, _frame(3, version, body, version == 12))
            made.settimeout(5)
            try:
                made.recv(1)
            except OSError:
                pass


def tags(broker):
    """Twenty megabytes of unknown empty tags."""
    def uvarint_tags(n):
        out = bytearray(wire.uvarint(n))
        for i in range(n):
            out += wire.uvarint(i + 100) + b"\0"
        return bytes(out)
    body = b"\1" + b"\0\0\0" + uvarint_tags(4_000_000)
    with _socket(broker) as made:
        _send(made, _frame(3, 9, body, True))
        made.settimeout(10)
        try:
            made.recv(1)
        except OSError:
            pass


def slow(broker):
    """A hundred clients that send a request a byte at a time."""
    request = _frame(3, 1, struct.pack(">i", 0))
    open_ones = [_socket(broker) for _ in range(100)]
    for byte in request:
        for made in open_ones:
            made.sendall(bytes([byte]))
        time.sleep(0.02)
    answered = 0
    for made in open_ones:
        if made.recv(4):
            answered += 1
        made.close()
    return None if answered == 100 else f"only {answered} of 100 slow requests were answered"


def deaf(broker):
    """Clients that ask for much and read nothing."""
    with broker.connect() as connection:
        for _ in range(20):
            probes.produce(connection, "victim", 1, wire.batch([(b"k", b"x" * 900_000)]))
    open_ones = []
    body = struct.pack(">iiiibiii", -1, 0, 1, 50 * MB, 0, 0, -1, 1) + b"\0\6victim" + struct.pack(">iiiqqi", 1, 1, -1, 0, -1, 50 * MB) + struct.pack(">ih", 0, 0)
    with _socket(broker) as made:
        made.sendall(_frame(1, 11, body))
        if struct.unpack(">i", made.recv(4))[0] < MB:
            return "the fetch that is to hurt does not fetch"
    for _ in range(30):
        made = _socket(broker)
        for _ in range(20):
            made.setblocking(False)
            try:
                made.send(_frame(1, 11, body))
            except OSError:
                break
        open_ones.append(made)
    time.sleep(2)
    for made in open_ones:
        made.close()


def garbage(broker):
    """Random bodies for every API and version, then whole frames of noise."""
    schemas = wire.load_schemas(proc.LIBS)
    rng = random.Random(7)
    for _ in range(3000):
        key = rng.choice((0, 1, 2, 3, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 19, 20, 21, 22, 23, 32, 33, 35, 37, 42, 44, 47, 60, 61))
        low, high = wire.versions(schemas[key]["request"]["validVersions"])
        version = rng.randint(low, high)
        flexible = wire.in_range(schemas[key]["request"].get("flexibleVersions", "none"), version)
        body = rng.randbytes(rng.randint(0, 200))
        if rng.random() < 0.3:
            body = bytes(rng.choice((0, 0, 0, 1, 2, 255)) for _ in range(rng.randint(0, 200)))
        with _socket(broker) as made:
            _send(made, _frame(key, version, body, flexible))
    for _ in range(300):
        with _socket(broker) as made:
            _send(made, rng.randbytes(rng.randint(1, 2000)))


def churn(broker):
    """Connections that come and go: two thousand of them, half with a reset."""
    for i in range(2000):
        made = _socket(broker)
        if i % 2:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        made.close()


# --- decompression bombs ---------------------------------------------------------------------------------------------

def gzip_bomb():
    """A gigabyte of zeros, about one megabyte packed."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    zeros = bytes(MB)
    out = b"".join(packer.compress(zeros) for _ in range(900)) + packer.flush()
    return out


def gzip_members():
    """Many members, one behind the other."""
    return gzip.compress(bytes(4 * MB), 9) * 200


def zstd_bomb(window=0x58):
    """Run-length blocks of 128 KiB, four bytes each: 900 000 bytes are 28 GB."""
    block = struct.pack("<I", (128 * 1024 << 3) | (1 << 1))[:3] + b"\0"
    last = struct.pack("<I", (128 * 1024 << 3) | (1 << 1) | 1)[:3] + b"\0"
    return b"\x28\xb5\x2f\xfd\x00" + bytes([window]) + block * 224_000 + last


def zstd_window():
    """A frame that wants a window of two gigabytes."""
    return b"\x28\xb5\x2f\xfd\x00" + bytes([(31 - 10) << 3]) + struct.pack("<I", (1000 << 3) | (1 << 1) | 1)[:3] + b"\0"


def zstd_content():
    """A frame whose header promises 2^60 bytes."""
    return b"\x28\xb5\x2f\xfd\xe0" + struct.pack("<Q", 1 << 60) + struct.pack("<I", (1000 << 3) | (1 << 1) | 1)[:3] + b"\0"


def lz4_block(size):
    """A block that is one byte, repeated."""
    extra = size - 1 - 4 - 15
    return b"\x1f\0" + b"\1\0" + b"\xff" * (extra // 255) + bytes([extra % 255]) + b"\x50" + b"\0" * 5


def _lz4_frame(flags, size_field, blocks):
    descriptor = bytes([flags, 0x70]) + size_field
    # Header checksum: second byte of xxh32 of the descriptor.
    return b"\x04\x22\x4d\x18" + descriptor + bytes([(_xxh32(descriptor) >> 8) & 0xFF]) + b"".join(struct.pack("<I", len(b)) + b for b in blocks) + bytes(4)


def lz4_bomb():
    """Blocks of four megabytes, sixteen kilobytes each."""
    return _lz4_frame(0x60, b"", [lz4_block(4 * MB - 10)] * 55)


def lz4_content():
    """A content size of 2^60."""
    return _lz4_frame(0x68, struct.pack("<Q", 1 << 60), [lz4_block(1000)])


def snappy_chunk():
    """Xerial's framing with a chunk that claims two gigabytes."""
    return b"\x82SNAPPY\0" + struct.pack(">ii", 1, 1) + b"\x7f\xff\xff\xff" + b"x" * 100


def snappy_length():
    """A raw block whose first varint promises four gigabytes."""
    return b"\xff\xff\xff\xff\x0f" + b"\xfe\1\0" * 100_000


def snappy_bomb():
    """Copies of 64 bytes, three bytes each, in many chunks."""
    size = 64 * 300_000
    chunk = wire.uvarint(size + 1) + b"\0x" + (b"\xfe\1\0" * 300_000)
    return b"\x82SNAPPY\0" + struct.pack(">ii", 1, 1) + struct.pack(">i", len(chunk)) + chunk


def _xxh32(data):
    p1, p2, p3, p4, p5, mask = 2654435761, 2246822519, 3266489917, 668265263, 374761393, 0xFFFFFFFF
    rol = lambda x, r: ((x << r) | (x >> (32 - r))) & mask
    h, at = (p5 + len(data)) & mask, 0
    while at + 4 <= len(data):
        h = (rol((h + struct.unpack_from("<I", data, at)[0] * p3) & mask, 17) * p4) & mask
        at += 4
    for byte in data[at:]:
        h = (rol((h + byte * p5) & mask, 11) * p1) & mask
    h = ((h ^ h >> 15) * p2) & mask
    h = ((h ^ h >> 13) * p3) & mask
    return h ^ h >> 16


BOMBS = [("gzip", 1, gzip_bomb), ("gzip members", 1, gzip_members), ("zstd", 4, zstd_bomb), ("zstd window", 4, zstd_window), ("zstd content size", 4, zstd_content),
         ("lz4", 3, lz4_bomb), ("lz4 content size", 3, lz4_content), ("snappy chunk", 2, snappy_chunk), ("snappy length", 2, snappy_length), ("snappy", 2, snappy_bomb)]


def bomb(codec, payload):
    def action(broker):
        with broker.connect(30) as connection:
            for count in (1, 100_000):
                began = time.monotonic()
                data = wire.batch([], attributes=codec, payload=payload, count=count)
                answer = probes.produce(connection, "victim", 1, data)
                if answer["ErrorCode"] == 0:
                    return f"accepted: {answer}"
                if time.monotonic() - began > 10:
                    return f"took {time.monotonic() - began:.1f} s"
        return None
    return action


def hostile(run, name):
    if run.options.subject != "monedula":
        run.report.skip(name, "a suite for our broker alone")
        return
    # Python's own table-driven CRC is slow on a megabyte; the bombs' checksums are computed once each.
    broker = proc.make("monedula", f"{run.folder}/hostile")
    broker.start()
    with broker.connect() as connection:
        connection.call(19, 4, {"timeoutMs": 10000, "Topics": [{"Name": "victim", "NumPartitions": 2, "ReplicationFactor": 1}]})
    attack(run, name, "1000 connections that claim 100 MB each", broker, claims, 50)
    attack(run, name, "absurd counts", broker, counts, 100)
    attack(run, name, "unknown tags", broker, tags, 120)
    attack(run, name, "slow senders", broker, slow, 30)
    attack(run, name, "readers that don't read", broker, deaf, 150)
    attack(run, name, "random bodies", broker, garbage, 60)
    attack(run, name, "connection churn", broker, churn, 50)
    for label, codec, make in BOMBS:
        attack(run, name, f"bomb: {label}", broker, bomb(codec, make()), 100, slowest_s=3.0)
    code = broker.stop()
    run.report.check(f"{name}: stops cleanly after all that", code in (0, 143), f"exit {code}")


def many_partitions(run, name):
    """Ten topics of a thousand partitions: made, stopped, started within two seconds and 300 MB, written and read."""
    run.close_pair()
    kind = run.options.subject
    topics, partitions = (10, 1000) if kind == "monedula" else (2, 100)
    broker = proc.make(kind, f"{run.folder}/many")
    broker.start()
    began = time.monotonic()
    with broker.connect(120) as connection:
        for i in range(topics):
            answer = connection.call(19, 4, {"timeoutMs": 100000, "Topics": [{"Name": f"many{i}", "NumPartitions": partitions, "ReplicationFactor": 1}]})
            run.report.check(f"{name}: topic {i} of {partitions} partitions is created", answer["Topics"][0]["ErrorCode"] == 0, str(answer))
    run.report.line(f".... created in {time.monotonic() - began:.1f} s, {broker.rss_kb() >> 10} MB")
    _use(run, name, "after creation", broker, topics, partitions)
    began = time.monotonic()
    code = broker.stop(120)
    run.report.check(f"{name}: clean stop in {time.monotonic() - began:.1f} s", code in (0, 143), f"exit {code}")
    began = time.monotonic()
    broker.start()
    with broker.connect(120) as connection:
        ready = False
        while not ready and time.monotonic() - began < 60:
            answer = connection.call(3, 8, {"Topics": None, "AllowAutoTopicCreation": False})
            found = [p for t in answer["Topics"] if t["Name"].startswith("many") for p in t["Partitions"] if p["LeaderId"] >= 0 and not p["ErrorCode"]]
            ready = len(found) == topics * partitions
    took, rss = time.monotonic() - began, broker.rss_kb() >> 10
    limits = (2.0, 300) if kind == "monedula" else (60, 4000)
    run.report.check(f"{name}: all leaders {took:.2f} s after start, at most {limits[0]} s", ready and took <= limits[0])
    run.report.check(f"{name}: {rss} MB resident, at most {limits[1]}", rss <= limits[1])
    _use(run, name, "after restart", broker, topics, partitions)
    run.report.check(f"{name}: {broker.rss_kb() >> 10} MB after use, at most {limits[1]}", broker.rss_kb() >> 10 <= limits[1])
    broker.close()


def _use(run, name, when, broker, topics, partitions):
    rng = random.Random(5)
    places = [(f"many{rng.randrange(topics)}", rng.randrange(partitions)) for _ in range(200)]
    wrong = []
    with broker.connect(60) as connection:
        for topic, partition in places:
            answer = probes.produce(connection, topic, partition, wire.batch([(b"k", f"{topic}-{partition}".encode())]))
            if answer["ErrorCode"]:
                wrong.append((topic, partition, answer))
        for topic, partition in places:
            got = connection.call(1, 11, {"ReplicaId": -1, "MaxWaitMs": 100, "MinBytes": 1, "MaxBytes": MB, "SessionEpoch": -1, "Topics": [
                {"Topic": topic, "Partitions": [{"Partition": partition, "CurrentLeaderEpoch": -1, "FetchOffset": 0, "LogStartOffset": -1, "PartitionMaxBytes": MB}]}]})
            if f"{topic}-{partition}".encode().hex() not in (got["Responses"][0]["Partitions"][0]["Records"] or ""):
                wrong.append((topic, partition, got))
    run.report.check(f"{name}: 200 partitions written and read {when}", not wrong, str(wrong[:2]))
