"""A crash at every step of the cleaner's swap: both brokers must come to the same log from there, each on its own and on the other's.

The steps are made of what a broker really left: its folder before the cleaning, and the one after it, in which the replaced
segments still lie as `.deleted`. Taking renames back one by one gives every state between. While it cleans it is stopped (SIGSTOP)
again and again, and what lies there then is tried too: it shows that the order of the steps is not only imagined.
"""
import base64
import glob
import os
import re
import shutil
import signal
import time
import uuid

import probes
import proc
import scenario_cleaner as cleaner
import scenario_crash
import scenario_disk
import wire
from harness import eventually

SOURCES = ("plain", "txn")
SUFFIXES = (".log", ".index", ".timeindex", ".txnindex")
LEFTOVERS = (".cleaned", ".swap", ".deleted")
# Of the states that were met, so many per topic are tried.
SEEN_MAX = 4
INDEX_BYTES = 65536
POLICY = {
    "log.cleanup.policy": "compact",
    # What is written with segments of 4 KiB (see `write`) is cleaned into fewer.
    "log.segment.bytes": "14336",
    "log.cleaner.dedupe.buffer.size": "2097152",
    "log.index.size.max.bytes": str(INDEX_BYTES),
    "log.cleaner.min.cleanable.ratio": "0.01",
    "log.cleaner.backoff.ms": "100",
    "log.roll.hours": "1000000",
    "log.retention.check.interval.ms": "3600000",
}
NAME = re.compile(r"(\d{20})(\.log|\.index|\.timeindex|\.txnindex|\.snapshot)(\.cleaned|\.swap|\.deleted)?$")


def crashes(run, name):
    run.close_pair()
    states, began = [], time.monotonic()
    for kind in dict.fromkeys(("kafka", run.options.subject)):
        states += Cleaned(run, name, kind).states()
    run.report.line(f".... {len(states)} states")
    start_all(run, name, states)
    run.report.line(f"---- {name}: {time.monotonic() - began:.0f} s")


# --- what a broker leaves ---------------------------------------------------------------------------------------------

class Cleaned:
    """A broker cleans two topics; `before`, `after` and `seen` are folders of that history."""

    def __init__(self, run, name, kind):
        self.run, self.kind = run, kind
        folder = os.path.join(run.folder, f"swap-by-{kind}")
        broker = proc.make(kind, os.path.join(folder, "broker"), overrides={**POLICY, "log.segment.delete.delay.ms": "600000"})
        broker.start()
        try:
            self.write(broker)
            self.before, self.after = (os.path.join(folder, side) for side in ("before", "after"))
            copy(broker.log_dir, self.before)
            self.seen = self.sample(broker, os.path.join(folder, "seen"))
        finally:
            if broker.process.alive():
                broker.kill()
            broker.close()
        copy(broker.log_dir, self.after)
        self.ends = self.cleaned_to(self.after)
        run.report.check(f"{name}: {kind} has cleaned", all(len(self.groups(topic)) > 1 for topic in SOURCES), str([self.groups(topic) for topic in SOURCES]))

    def write(self, broker):
        for topic in SOURCES:
            # Not to be cleaned until it is told to.
            made = self.run.tools.run("topics", ["--bootstrap-server", broker.bootstrap, "--create", "--topic", topic, "--partitions", 1,
                                               "--config", "min.cleanable.dirty.ratio=1.0", "--config", "segment.bytes=4096"])
            if made.exit != 0:
                raise RuntimeError(made.text())
        with broker.connect(30) as connection:
            def put(topic, records, transactional_id=None, **more):
                answer = probes.produce(connection, topic, 0, wire.batch(records, **more), transactional_id=transactional_id)
                if answer["ErrorCode"] != 0:
                    raise RuntimeError(f"cannot write to {topic}: {answer}")
            for i in range(280):
                put("plain", [(b"k%d" % (i % 23 if i < 90 else i), None if i % 11 == 0 else b"value %d " % i + b"y" * (i % 90))], timestamp=probes.T0 + i)
            for i in range(60):
                cleaner.transaction(connection, put, "txn", f"{self.kind}-{i % 3}", i, committed=i % 3 != 1)
                put("txn", [(b"k%d" % (i % 6 if i < 40 else i), b"z" * 40)], timestamp=cleaner.EARLIER + i)
            # One that aborts far behind its first record, and one that stays open.
            late = cleaner.transaction(connection, put, "txn", f"{self.kind}-late", 0, committed=None)
            for i in range(30):
                put("txn", [(b"k%d" % i, b"between %d" % i + b"z" * 60)], timestamp=cleaner.EARLIER + i)
            connection.call(26, 1, {"TransactionalId": f"{self.kind}-late", "ProducerId": late["ProducerId"], "ProducerEpoch": late["ProducerEpoch"], "Committed": False})
            for i in range(60):
                put("txn", [(b"k%d" % i, b"after %d" % i + b"z" * 60)], timestamp=cleaner.EARLIER + i)
            cleaner.transaction(connection, put, "txn", f"{self.kind}-open", 0, committed=None)
            for i in range(60):
                put("txn", [(b"k%d" % i, b"behind the open one %d" % i + b"z" * 60)], timestamp=cleaner.EARLIER + i)

    def sample(self, broker, into):
        """Lets it clean, and stops it again and again to see what lies there. One folder for every state that was met."""
        for topic in SOURCES:
            done = self.run.tools.run("configs", ["--bootstrap-server", broker.bootstrap, "--alter", "--entity-type", "topics", "--entity-name", topic,
                                                  "--delete-config", "min.cleanable.dirty.ratio,segment.bytes"])
            if done.exit != 0:
                raise RuntimeError(done.text())
        seen, looks, end = {}, 0, time.monotonic() + 30
        while time.monotonic() < end and len(self.cleaned_to(broker.log_dir)) < len(SOURCES):
            scenario_crash.stop_whole(broker.process.pid)
            looks += 1
            for topic in SOURCES:
                folder = os.path.join(broker.log_dir, f"{topic}-0")
                names = frozenset(entry for entry in os.listdir(folder) if NAME.match(entry))
                if (topic, names) not in seen and any(entry.endswith(LEFTOVERS) for entry in names):
                    seen[topic, names] = os.path.join(into, f"{topic}-{len(seen)}")
                    copy(folder, seen[topic, names])
            os.kill(broker.process.pid, signal.SIGCONT)
            time.sleep(0.0005)
        self.run.report.line(f".... {self.kind} was stopped {looks} times while it cleaned, in {len(seen)} states of a swap")
        return seen

    def cleaned_to(self, folder):
        try:
            with open(os.path.join(folder, "cleaner-offset-checkpoint")) as text:
                lines = [line.split() for line in text.read().splitlines()[2:]]
                return {topic: int(offset) for topic, _, offset in lines if topic in SOURCES}
        except (OSError, ValueError):
            return {}

    def files(self, folder, topic):
        return sorted(entry for entry in os.listdir(os.path.join(folder, f"{topic}-0")) if NAME.match(entry))

    def groups(self, topic):
        """Base offset of every segment that was written anew, with those of the segments it stands for."""
        old = sorted({int(entry[:20]) for entry in self.files(self.after, topic) if entry.endswith(".log.deleted")})
        live = {int(entry[:20]) for entry in self.files(self.after, topic) if entry.endswith(".log")}
        new = [base for base in old if base in live]
        ends = new[1:] + [1 << 62]
        return [(base, [other for other in old if base <= other < end]) for base, end in zip(new, ends)]

    def states(self):
        """(topic's name, a function that makes its folder, this history, its source)"""
        found = []
        for topic in SOURCES:
            groups = self.groups(topic)
            found += Swap(self, topic, groups[:1], groups[1:2]).states(f"{self.kind}-{topic}-one")
            # Two new segments put in place at once, as after the split of one whose offsets overflow.
            found += Swap(self, topic, groups[:-2], groups[-2:]).states(f"{self.kind}-{topic}-two")
            imagined = {frozenset(names) for _, names in Swap.walk(self, topic, groups)}
            met = [folder for (source, _), folder in self.seen.items() if source == topic]
            for folder in met[::max(1, len(met) // SEEN_MAX)]:
                found.append((f"{self.kind}-{os.path.basename(folder)}-seen", lambda to, folder=folder: copy(folder, to), self, topic))
            unknown = [sorted(entry for entry in names if entry.endswith(LEFTOVERS)) for source, names in self.seen if source == topic and names not in imagined]
            self.run.report.check(f"{self.kind}: {topic}: every state that was met is one of those made", not unknown, "\n".join(map(str, unknown[:6])))
        return found


class Swap:
    """The renames of one swap as files of three suffixes, and the folder at any of them."""

    def __init__(self, history, topic, done, swapped):
        self.history, self.topic = history, topic
        self.before = os.path.join(history.before, f"{topic}-0")
        self.after = os.path.join(history.after, f"{topic}-0")
        self.new, self.old = [base for base, _ in swapped], sorted(base for _, olds in swapped for base in olds)
        # What earlier swaps of the same cleaning have done already.
        self.done_new, self.done_old = [base for base, _ in done], sorted(base for _, olds in done for base in olds)

    @staticmethod
    def walk(history, topic, groups):
        """Every state of a whole cleaning, with the names that lie in it."""
        for number in range(len(groups)):
            swap = Swap(history, topic, groups[:number], [groups[number]])
            yield from ((label, set(files)) for label, files in swap.steps())

    def start(self):
        """name → where its bytes are, before the swap's first rename: the cleaned segments are complete."""
        files = {entry: os.path.join(self.before, entry) for entry in os.listdir(self.before) if NAME.match(entry)}
        for base in self.done_old:
            self.rename(files, base, "", ".deleted")
        for base in self.done_new:
            files.update({entry: os.path.join(self.after, entry) for entry in self.written(base)})
        for base in [b for b in self.done_old if b not in self.done_new]:
            self.rename_snapshot(files, base)
        for base in self.new:
            files.update({entry + ".cleaned": os.path.join(self.after, entry) for entry in self.written(base)})
        return files

    def written(self, base):
        return [f"{base:020}{suffix}" for suffix in SUFFIXES if os.path.exists(os.path.join(self.after, f"{base:020}{suffix}"))]

    @staticmethod
    def rename(files, base, old, new):
        for _ in Swap.renames(files, base, old, new):
            pass

    @staticmethod
    def renames(files, base, old, new):
        for suffix in SUFFIXES:
            name = f"{base:020}{suffix}"
            if name + old in files:
                files[name + new] = files.pop(name + old)
                yield

    @staticmethod
    def rename_snapshot(files, base):
        name = f"{base:020}.snapshot"
        if name in files:
            files[name + ".deleted"] = files.pop(name)

    def steps(self):
        """(label, {name: path}) at every rename. The order is Kafka's; only when snapshots go differs between the two."""
        files = self.start()
        replaced = [base for base in self.old if base not in self.new]
        # The cleaned segment's files come one after the other: Kafka's transaction index with the first entry, ours last.
        order = (".log", ".txnindex", ".index", ".timeindex") if self.history.kind == "kafka" else SUFFIXES
        for made in (1, 2, 3):
            missing = {f"{base:020}{suffix}.cleaned" for base in self.new[-1:] for suffix in order[made:]}
            yield "making", {entry: path for entry, path in files.items() if entry not in missing}
        yield "made", dict(files)
        for base in reversed(self.new):
            for _ in self.renames(files, base, ".cleaned", ".swap"):
                yield "swap", dict(files)
        for base in self.old:
            for _ in self.renames(files, base, "", ".deleted"):
                yield "out", dict(files)
            if self.history.kind != "kafka" and base in replaced:
                self.rename_snapshot(files, base)
                yield "out", dict(files)
        for base in self.new:
            for _ in self.renames(files, base, ".swap", ""):
                yield "in", dict(files)
        if self.history.kind == "kafka":
            for base in replaced:
                self.rename_snapshot(files, base)
                yield "snapshots", dict(files)
        for base in self.old:
            for suffix in SUFFIXES:
                if files.pop(f"{base:020}{suffix}.deleted", None):
                    yield "gone", dict(files)

    def states(self, prefix):
        """Every step; of the many where old segments' files go away, every fourth."""
        found, before = [], None
        for number, (label, files) in enumerate(self.steps()):
            if files == before or label in ("out", "gone") and number % 4:
                continue
            before = files
            found.append((f"{prefix}-{number:02}-{label}", lambda to, files=files: self.make(files, to), self.history, self.topic))
        partly = dict(self.start())
        found.append((f"{prefix}-partly", lambda to: self.make(partly, to, torn=True), self.history, self.topic))
        return found

    def make(self, files, to, torn=False):
        os.makedirs(to)
        for entry, path in files.items():
            shutil.copy2(path, os.path.join(to, entry))
            if torn and entry.endswith(".log.cleaned"):
                os.truncate(os.path.join(to, entry), os.path.getsize(path) * 2 // 3)
            elif torn and entry.endswith(("index.cleaned",)):
                # As long as it is written to, Kafka's is mapped, zeros up to its largest size.
                os.truncate(os.path.join(to, entry), INDEX_BYTES // 12 * 12)
        for entry in ("leader-epoch-checkpoint", "partition.metadata"):
            shutil.copy2(os.path.join(self.before, entry), to)


def copy(source, target):
    shutil.copytree(source, target)


# --- and what becomes of it -------------------------------------------------------------------------------------------

def start_all(run, name, states):
    """Both brokers on copies of one log dir with a topic for every state; then each on what the other one left."""
    report, other = run.report, run.options.subject
    source = os.path.join(run.folder, "swap-states")
    build(states, source)
    topics = {topic: (history, origin) for topic, _, history, origin in states}
    zookeeper = proc.ZooKeeper(os.path.join(run.folder, "swap-zk")).start()
    dirs = {kind: os.path.join(run.folder, f"swap-on-{kind}") for kind in ("kafka", "subject")}
    for folder in dirs.values():
        copy(source, folder)
    scenario_disk.tell_zookeeper(zookeeper, source)
    more = {"zookeeper": proc.ZooKeeper(os.path.join(run.folder, "swap-zk2")).start()} if other == "kafka" else {}
    if more:
        scenario_disk.tell_zookeeper(more["zookeeper"], source)
    kafka = proc.make("kafka", os.path.join(run.folder, "swap-kafka"), overrides=POLICY, log_dirs=dirs["kafka"], zookeeper=zookeeper)
    subject = proc.make(other, os.path.join(run.folder, "swap-subject"), overrides=POLICY, log_dirs=dirs["subject"], **more)
    try:
        first = both_clean(run, f"{name}: after the crash", kafka, subject, topics)
        uncrashed(run, name, topics, first)
        subject.stop(), kafka.stop()
        kafka.log_dir, subject.log_dir = subject.log_dir, kafka.log_dir
        second = both_clean(run, f"{name}: on the other's folder", kafka, subject, topics)
        for topic in topics:
            report.check(f"{name}: {topic}: stays as it was when handed over", first[0].get(topic) == second[0].get(topic), differs(first[0].get(topic), second[0].get(topic)))
        subject.stop(), kafka.stop()
    finally:
        subject.stop()
        kafka.stop()
        for server in [zookeeper, *more.values()]:
            server.stop()


def build(states, into):
    """A log dir as a crash leaves it: no mark of a clean stop. Every other topic's recovery point is its last segment's begin, the others
    have none: all is recovered."""
    os.makedirs(into)
    points = []
    for number, (topic, make, history, origin) in enumerate(states):
        folder = os.path.join(into, f"{topic}-0")
        make(folder)
        path = os.path.join(folder, "partition.metadata")
        with open(path) as text:
            version = text.readline()
        with open(path, "w") as text:
            text.write(f"{version}topic_id: {wire_id()}")
        if number % 2 == 0:
            active = max(int(entry[:20]) for entry in os.listdir(folder) if entry.endswith(".log"))
            points.append(f"{topic} 0 {active}")
    with open(os.path.join(into, "recovery-point-offset-checkpoint"), "w") as out:
        out.write("\n".join(["0", str(len(points)), *points, ""]))
    shutil.copy2(os.path.join(states[0][2].before, "meta.properties"), into)


def wire_id():
    """A topic id as Kafka writes it. It does not begin with a dash."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not text.startswith("-"):
            return text


def both_clean(run, label, kafka, subject, topics):
    """Starts both and waits until all is recovered, cleaned and tidied; compares. Gives (kafka's, the subject's) dumps by topic."""
    report = run.report
    kafka.start(), subject.start()
    dumps = []
    for broker in (kafka, subject):
        def missing():
            found = checkpoint(broker)
            return [topic for topic, (history, origin) in topics.items() if found.get(topic, -1) < history.ends[origin]]
        eventually(lambda: not missing(), 40)
        report.check(f"{label}: {broker.kind} has cleaned all", not missing(), f"{missing()}\n{checkpoint(broker)}")
        eventually(lambda: not leftovers(broker, topics), 15)
        report.check(f"{label}: {broker.kind} leaves nothing half done", not leftovers(broker, topics), "\n".join(leftovers(broker, topics)[:20]))
        dumps.append(dump(run, broker, topics))
    for topic in topics:
        report.check(f"{label}: {topic}: same {len(dumps[0].get(topic, []))} lines of dump-log", topic in dumps[0] and dumps[0].get(topic) == dumps[1].get(topic),
                     differs(dumps[0].get(topic), dumps[1].get(topic)))
        left, right = listing(kafka, topic), listing(subject, topic)
        report.check(f"{label}: {topic}: same files", left == right, f"kafka    {left}\nmonedula {right}")
    views = [committed(broker, topics) for broker in (kafka, subject)]
    wrong = [f"{topic}: {views[0][topic]} and {views[1][topic]}" for topic in topics if views[0][topic] != views[1][topic]]
    report.check(f"{label}: same records and aborted transactions read from all", not wrong, "\n".join(wrong[:10]))
    return dumps


def checkpoint(broker):
    try:
        with open(os.path.join(broker.log_dir, "cleaner-offset-checkpoint")) as text:
            return {line.split()[0]: int(line.split()[2]) for line in text.read().splitlines()[2:]}
    except (OSError, ValueError, IndexError):
        return {}


def leftovers(broker, topics):
    return [path for topic in topics for path in glob.glob(os.path.join(broker.log_dir, f"{topic}-0", "*")) if path.endswith(LEFTOVERS)]


def listing(broker, topic):
    """Names in the folder; an empty transaction index counts as none."""
    folder = os.path.join(broker.log_dir, f"{topic}-0")
    return sorted(entry for entry in os.listdir(folder) if not (entry.endswith(".txnindex") and os.path.getsize(os.path.join(folder, entry)) == 0))


def dump(run, broker, topics):
    """What DumpLogSegments says of every segment and transaction index, by topic."""
    paths = []
    for topic in topics:
        folder = os.path.join(broker.log_dir, f"{topic}-0")
        paths += sorted(glob.glob(os.path.join(folder, "*.log")))
        paths += [path for path in sorted(glob.glob(os.path.join(folder, "*.txnindex"))) if os.path.getsize(path)]
    answer = run.tools.run("dump-log", ["--files", ",".join(paths), "--print-data-log", "--deep-iteration"], timeout=120)
    if answer.exit != 0:
        raise RuntimeError(answer.text()[:3000])
    found, lines = {}, None
    for line in answer.out.splitlines():
        if line.startswith("Dumping "):
            folder, entry = os.path.split(line.removeprefix("Dumping ").strip())
            lines = found.setdefault(os.path.basename(folder).rpartition("-")[0], [])
            lines.append(entry)
        elif line.startswith(("baseOffset", "|", "version")):
            line = re.sub(r"OptionalLong\[\d+\]", "OptionalLong[T]", line)
            line = re.sub(r" crc: \d+", "", line)
            lines.append(re.sub(r"partitionLeaderEpoch: \d+ ", "", line))
    return found


def differs(left, right):
    if left is None or right is None:
        return f"nothing of {'the first' if left is None else 'the second'}"
    pairs = [f"one   {a}\nother {b}" for a, b in zip(left, right) if a != b]
    return "\n".join(pairs[:6] + ([f"{len(left)} lines and {len(right)}"] if len(left) != len(right) else []))


def committed(broker, topics):
    """By topic: how far a read_committed reader gets, how many bytes that is, and which transactions it is told to leave out."""
    seen = {}
    with broker.connect(30) as connection:
        for topic in topics:
            offset, size, aborted = 0, 0, set()
            for _ in range(200):
                answer = connection.call(1, 11, {"ReplicaId": -1, "MaxWaitMs": 0, "MinBytes": 0, "MaxBytes": 1 << 22, "IsolationLevel": 1, "SessionEpoch": -1, "Topics": [
                    {"Topic": topic, "Partitions": [{"Partition": 0, "CurrentLeaderEpoch": -1, "FetchOffset": offset, "LogStartOffset": -1, "PartitionMaxBytes": 1 << 20}]}]})
                got = answer["Responses"][0]["Partitions"][0]
                if got["ErrorCode"] != 0:
                    offset = f"error {got['ErrorCode']} at {offset}"
                    break
                aborted |= {(one["ProducerId"], one["FirstOffset"]) for one in got["AbortedTransactions"] or []}
                data, at = bytes.fromhex(got["Records"] or ""), 0
                while at + 61 <= len(data):
                    batch = 12 + int.from_bytes(data[at + 8:at + 12], "big")
                    if at + batch > len(data):
                        break
                    offset = int.from_bytes(data[at:at + 8], "big") + int.from_bytes(data[at + 23:at + 27], "big") + 1
                    at += batch
                size += at
                if at == 0:
                    break
            seen[topic] = (offset, size, sorted(aborted))
    return seen


def records(lines):
    """Offset, key and payload of each record."""
    return [tuple(re.search(pattern, line)[0] for pattern in (r"offset: \d+", r"(?<=key: )\S+|$", r"payload: .*|$")) for line in lines if line.startswith("|")]


def uncrashed(run, name, topics, dumps):
    """The records are those that the cleaning left which no crash interrupted."""
    for history in {id(history): history for history, _ in topics.values()}.values():
        whole = dump(run, type("Folder", (), {"log_dir": history.after}), SOURCES)
        for topic, (one, origin) in topics.items():
            if one is history:
                left, right = records(whole[origin]), records(dumps[1].get(topic, []))
                run.report.check(f"{name}: {topic}: same {len(left)} records as without a crash", left == right and bool(left), differs(left, right))
