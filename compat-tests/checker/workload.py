"""The workload that writes a history (history.py). Runs until SIGTERM or its time is over, then waits for a line on stdin
(whoever injects faults heals the cluster first), reads everything once more and ends.

workload.py --bootstrap a:1,b:2 --kind append|txn|group --out history.jsonl [--seconds 60] [--rate 100] [--processes 4]

A process is a thread with one producer and one consumer, bound to one bootstrap server; it is replaced after an operation of unknown
outcome and, now and then, for no reason. Keys are partitions: key n is partition n % 2 of topic `<prefix>-<n / 2>`; they rotate.
"""
import argparse
import itertools
import random
import select
import signal
import sys
import threading
import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Producer, TopicPartition, libversion
from confluent_kafka.admin import AdminClient, NewTopic

import history

QUIET = {"log_level": 0, "error_cb": lambda _: None, "reconnect.backoff.ms": 50, "reconnect.backoff.max.ms": 1000, "socket.connection.setup.timeout.ms": 2000,
         "socket.timeout.ms": 10000, "topic.metadata.refresh.interval.ms": 5000}
if libversion()[1] >= 0x020B0000:
    # When no broker is up, librdkafka forgets those it knows and begins anew (KIP-899), and a request queued at a forgotten one waits
    # there until the transaction has run out of time: the workload would mostly stand still.
    QUIET["metadata.recovery.strategy"] = "none"
# offsets.commit.timeout.ms. A commit that not all of the ISR take in that time is refused but stays in the log, and the next coordinator
# knows it; the client tries again unasked, and what refuses it in the end says nothing of the first try.
COMMIT_TIMEOUT_S = 5
ACTIVE_KEYS = 8
WRITES_PER_KEY = 400


class Keys:
    """Which keys are written now, and the next value of each. New topics come all along the run."""

    def __init__(self, options):
        self.prefix, self.options, self.lock = options.prefix, options, threading.Lock()
        self.next_topic, self.active, self.all, self.stop = 0, [], [], False
        self.counters, self.written = {}, {}
        while len(self.active) < ACTIVE_KEYS:
            self._make(30)
        threading.Thread(target=self._rotate, daemon=True).start()

    def _make(self, timeout):
        """Creates one topic, two keys; an answer that got lost shows as TOPIC_ALREADY_EXISTS the next time."""
        admin = AdminClient({"bootstrap.servers": self.options.bootstrap, **QUIET})
        name = f"{self.prefix}-{self.next_topic}"
        end = time.monotonic() + timeout
        while True:
            try:
                topic = NewTopic(name, 2, self.options.replication, config={"min.insync.replicas": str(self.options.min_isr), "segment.bytes": "262144"})
                admin.create_topics([topic], operation_timeout=10, request_timeout=10)[name].result(15)
                break
            except Exception as error:
                if isinstance(error, KafkaException) and error.args[0].name() == "TOPIC_ALREADY_EXISTS":
                    break
                if self.stop or time.monotonic() > end:
                    raise
                time.sleep(0.5)
        while not self.stop and time.monotonic() < end:
            found = _quietly(lambda: admin.list_topics(name, timeout=5).topics[name])
            if found and found.error is None and len(found.partitions) == 2 and all(p.leader >= 0 for p in found.partitions.values()):
                break
            time.sleep(0.1)
        with self.lock:
            for partition in range(2):
                key = f"{name}:{partition}"
                self.counters[key], self.written[key] = itertools.count(), 0
                self.active.append(key)
                self.all.append(key)
            self.next_topic += 1

    def _rotate(self):
        while not self.stop:
            time.sleep(0.5)
            with self.lock:
                full = [key for key in self.active if self.written[key] >= WRITES_PER_KEY]
                need = len(full) - (len(self.active) - ACTIVE_KEYS)
            if need >= 2:
                try:
                    self._make(60)
                except Exception as error:
                    print("no new topic:", error, flush=True)
            with self.lock:
                for key in full:
                    if len(self.active) > ACTIVE_KEYS:
                        self.active.remove(key)

    def draw(self):
        with self.lock:
            key = random.choice(self.active)
            self.written[key] += 1
            return key, next(self.counters[key])

    def some(self, count):
        with self.lock:
            return random.sample(self.active, min(count, len(self.active)))

    def topics(self):
        with self.lock:
            return sorted({key.split(":")[0] for key in self.all[-3 * ACTIVE_KEYS:]})


def place(key, offset=None):
    topic, partition = key.split(":")
    return TopicPartition(topic, int(partition)) if offset is None else TopicPartition(topic, int(partition), offset)


def key_of(p):
    return f"{p.topic}:{p.partition}"


def _quietly(action):
    try:
        return action()
    except Exception:
        return None


def name_of(error):
    error = error.args[0] if isinstance(error, KafkaException) else error
    return error.name() if hasattr(error, "name") else type(error).__name__


class Reader:
    """A consumer that keeps in mind which keys were moved on purpose."""

    def __init__(self, bootstrap, group, eof=False):
        self.reset, self.assigned, self.group = set(), set(), group
        self.consumer = Consumer({
            "bootstrap.servers": bootstrap, "group.id": group, "enable.auto.commit": False, "auto.offset.reset": "earliest", "isolation.level": "read_committed",
            "session.timeout.ms": 6000, "heartbeat.interval.ms": 500, "fetch.wait.max.ms": 100, "fetch.error.backoff.ms": 100, "check.crcs": True, "enable.partition.eof": eof,
            "allow.auto.create.topics": False, **QUIET})

    def assign(self, keys, beginning=False):
        committed = {} if beginning else {key_of(p): p.offset for p in _quietly(lambda: self.consumer.committed([place(k) for k in keys], timeout=5)) or []}
        self.consumer.assign([place(key, committed[key] if committed.get(key, -1) >= 0 else OFFSET_BEGINNING) for key in keys])
        self.assigned = set(keys)
        self.reset |= self.assigned

    def subscribe(self, topics):
        def moved(_, partitions):
            self.reset |= {key_of(p) for p in partitions}

        def given(_, partitions):
            moved(_, partitions)
            self.assigned |= {key_of(p) for p in partitions}

        def taken(_, partitions):
            moved(_, partitions)
            self.assigned -= {key_of(p) for p in partitions}
        self.consumer.subscribe(topics, on_assign=given, on_revoke=taken, on_lost=taken)

    def poll(self, seconds=0.1, count=100):
        """The records by key and the names of the errors; a record of a foreign key is kept under its own name, and so is found."""
        records, ends = {}, set()
        for message in self.consumer.consume(count, seconds):
            key = key_of_message(message)
            if message.error():
                if message.error().name() == "_PARTITION_EOF":
                    ends.add(key)
                continue
            value = int(message.value()) if message.key() == key.encode() else f"{message.key()} {message.value()}"
            records.setdefault(key, []).append([message.offset(), value])
        return records, ends

    def rewind(self, polled):
        """Back to the first record of an operation that did not succeed."""
        for key, records in polled.items():
            self.reset.add(key)
            try:
                self.consumer.seek(place(key, records[0][0]))
            except KafkaException:
                pass  # taken away meanwhile; the next owner begins at what is committed

    def take_reset(self):
        taken, self.reset = sorted(self.reset), set()
        return taken


def key_of_message(message):
    return f"{message.topic()}:{message.partition()}"


class Process(threading.Thread):
    """One thread; `number` names its incarnation in the history."""

    numbers = itertools.count(1)

    def __init__(self, slot, options, keys, writer, stop):
        super().__init__(daemon=True)
        servers = options.bootstrap.split(",")
        self.slot, self.options, self.keys, self.writer, self.stop = slot, options, keys, writer, stop
        self.server = servers[slot % len(servers)]
        self.producer = self.reader = None

    def run(self):
        pause = self.options.processes / self.options.rate
        due = time.monotonic()
        while not self.stop.is_set():
            try:
                if self.producer is None:
                    self.renew()
                if random.random() < pause / 30:  # a crash about every 30 s
                    self.drop()
                    continue
                self.step()
            except Exception as error:
                if not isinstance(error, KafkaException):
                    print("process", self.slot, repr(error), flush=True)
                self.drop()
            due = max(due + pause, time.monotonic() - 2)
            self.stop.wait(max(0, due - time.monotonic()))
        self.drop()

    def renew(self):
        self.number = next(Process.numbers)
        txn = self.options.kind == "txn"
        settings = {"bootstrap.servers": self.server, "enable.idempotence": True, "acks": "all", "retries": 1000, "linger.ms": 0, "message.timeout.ms": 10000,
                    "request.timeout.ms": 3000, "retry.backoff.ms": 100, "allow.auto.create.topics": False, **QUIET}
        if txn:
            settings |= {"transactional.id": f"{self.options.prefix}-{self.slot}", "transaction.timeout.ms": 10000}
        producer = Producer(settings)
        if txn:
            try:
                producer.init_transactions(15)
            except KafkaException:
                retire(producer)
                time.sleep(0.3)
                raise
        shared = self.options.kind == "group"
        self.producer = producer
        self.reader = Reader(self.server, f"{self.options.prefix}-group" if shared else f"{self.options.prefix}-group-{self.slot}")
        self.move()

    def drop(self):
        """A crash: the clients are let go without a word; a thread waits for them to be gone."""
        for client in (self.producer, self.reader and self.reader.consumer):
            if client is not None:
                retire(client)
        self.producer = self.reader = None

    def move(self):
        if self.options.kind == "group":
            self.reader.subscribe(self.keys.topics())
        else:
            self.reader.assign(self.keys.some(random.randint(2, ACTIVE_KEYS)))

    def step(self):
        draw = random.random()
        if draw < 1 / 64:
            self.move()
        elif draw < 0.04:
            self.ask_latest()
        elif draw < 0.08:
            self.ask_committed()
        elif self.options.kind == "txn":
            self.transaction()
        elif draw < 0.55:
            self.send()
        else:
            self.poll()

    def note(self, f, begin, outcome, mops=(), **more):
        reset = self.reader.take_reset() if self.reader else []
        op = {"process": self.number, "f": f, "begin": begin, "end": time.monotonic(), "outcome": outcome, "mops": list(mops), **{k: v for k, v in more.items() if v}}
        if reset:
            op["reset"] = reset
        self.writer.add(op)

    def produce(self, mop, reports):
        def done(error, message):
            if error is None:
                mop[3] = message.offset() if message.offset() >= 0 else None
            reports.append((mop, error))
        topic, partition = mop[1].split(":")
        self.producer.produce(topic, key=mop[1].encode(), value=b"%d" % mop[2], partition=int(partition), on_delivery=done)

    def send(self):
        begin, mops, reports = time.monotonic(), [], []
        key, value = self.keys.draw()
        mops.append(["send", key, value, None])
        try:
            self.produce(mops[0], reports)
            self.producer.flush(14)
        except (KafkaException, BufferError) as error:
            # Nothing was queued.
            self.note("send", begin, "fail" if not reports else "info", mops, error=name_of(error))
            return self.drop()
        error = reports[0][1] if reports else None
        outcome = "info" if not reports else "ok" if error is None else history.classify(error.name())
        self.note("send", begin, outcome, mops, error=error.name() if error else None if reports else "_UNANSWERED")
        if outcome == "info" or (error is not None and error.fatal()):
            self.drop()

    def poll(self):
        begin = time.monotonic()
        records, _ = self.reader.poll()
        if self.options.kind != "group":
            return self.note("poll", begin, "ok", [["poll", records]] if records else [])
        commits = []
        if records:
            offsets = {key: those[-1][0] + 1 for key, those in records.items()}
            commit = {"group": self.reader.group, "offsets": offsets, "begin": time.monotonic(), "outcome": "ok"}
            try:
                failed = [p.error for p in self.reader.consumer.commit(offsets=[place(k, o) for k, o in offsets.items()], asynchronous=False) if p.error]
                commit["outcome"] = "ok" if not failed else "info"
            except KafkaException as error:
                commit["outcome"] = history.classify(name_of(error), history.COMMIT_REFUSED)
                commit["error"] = name_of(error)
            commit["end"] = time.monotonic()
            if commit["outcome"] == "fail" and commit["end"] - commit["begin"] >= COMMIT_TIMEOUT_S:
                commit["outcome"] = "info"
            commits.append(commit)
        self.note("poll", begin, "ok", [["poll", records]] if records else [], commits=commits, error=commits[0].get("error") if commits else None)
        if commits and commits[0]["outcome"] != "ok":
            self.reader.rewind(records)

    def ask_latest(self):
        begin = time.monotonic()
        latest, errors = {}, None
        for key in sorted(self.reader.assigned)[:3]:
            try:
                latest[key] = self.reader.consumer.get_watermark_offsets(place(key), timeout=3, cached=False)[1]
            except KafkaException as error:
                errors = name_of(error)
        self.note("offsets", begin, "ok" if latest else "fail", latest=latest, error=errors)

    def ask_committed(self):
        begin, keys = time.monotonic(), self.keys.some(4)
        try:
            answer = self.reader.consumer.committed([place(key) for key in keys], timeout=5)
            failed = [p.error for p in answer if p.error]
            if failed:
                raise KafkaException(failed[0])
            self.note("committed", begin, "ok", committed=[self.reader.group, {key_of(p): max(p.offset, -1) for p in answer}])
        except KafkaException as error:
            self.note("committed", begin, "fail", error=name_of(error))

    def transaction(self):
        """1 to 4 sends and polls; aborted with a chance of one in ten at each step; half of them take their time."""
        begin, mops, reports, polled, commits = time.monotonic(), [], [], {}, []
        slow = random.random() < self.options.slow
        committing = False
        try:
            self.producer.begin_transaction()
            aborts = False
            for _ in range(random.randint(1, 4)):
                if random.random() < 0.5:
                    records, _ = self.reader.poll(0.05)
                    if records:
                        mops.append(["poll", records])
                        for key, those in records.items():
                            polled.setdefault(key, []).extend(those)
                else:
                    key, value = self.keys.draw()
                    mops.append(["send", key, value, None])
                    self.produce(mops[-1], reports)
                if slow:
                    time.sleep(random.uniform(0, 0.3))
                if random.random() < 0.1:
                    aborts = True
                    break
            if polled and not aborts:
                offsets = {key: those[-1][0] + 1 for key, those in polled.items()}
                commits.append({"group": self.reader.group, "offsets": offsets, "begin": time.monotonic()})
                self.producer.send_offsets_to_transaction([place(k, o) for k, o in offsets.items()], self.reader.consumer.consumer_group_metadata(), 10)
            if aborts or random.random() < 0.1:
                self.producer.flush(10)
                self.producer.abort_transaction(15)
                return self.ended(begin, "fail", mops, polled, commits, "aborted")
            committing = True
            self.producer.commit_transaction(15)
            self.ended(begin, "ok", mops, polled, commits)
        except (KafkaException, BufferError) as error:
            self.failed(begin, mops, polled, commits, error, committing)

    def failed(self, begin, mops, polled, commits, error, committing):
        """A transaction that met an error: certainly without effect if it was never told to commit, or if it could be aborted."""
        problem = error.args[0] if isinstance(error, KafkaException) else None
        if problem is not None and problem.txn_requires_abort():
            try:
                self.producer.abort_transaction(15)
                return self.ended(begin, "fail", mops, polled, commits, name_of(error))
            except KafkaException as second:
                name, outcome = f"{name_of(error)}, abort: {name_of(second)}", "info" if committing else "fail"
        else:
            name, outcome = name_of(error), history.classify(name_of(error)) if committing else "fail"
        self.ended(begin, outcome, mops, polled, commits, name)
        self.drop()

    def ended(self, begin, outcome, mops, polled, commits, error=None):
        for commit in commits:
            commit |= {"outcome": outcome, "end": time.monotonic()}
        self.note("txn", begin, outcome, mops, commits=commits, error=error)
        if outcome != "ok":
            self.reader.rewind(polled)


def retire(client):
    """Lets go of a client without waiting for it."""
    def away(holder):
        one = holder.pop()
        if isinstance(one, Consumer):
            _quietly(one.close)
        else:
            _quietly(lambda: one.purge(True, True, False))
        del one
    threading.Thread(target=away, args=([client],), daemon=True).start()


def read_all(options, keys, writer, highest, seconds):
    """The final phase: everything is read once more, from the beginning to the end of each key and past all that was acknowledged."""
    end, left = time.monotonic() + seconds, set(keys.all)
    number = 0
    while left and time.monotonic() < end:
        number += 1
        reader = Reader(options.bootstrap, f"{options.prefix}-final", eof=True)
        reader.assign(sorted(left), beginning=True)
        at, fresh = {}, time.monotonic() + 60
        while left and time.monotonic() < min(end, fresh):
            begin = time.monotonic()
            records, ends = reader.poll(0.5, 5000)
            for key, those in records.items():
                at[key] = those[-1][0]
            op = {"process": f"final-{number}", "f": "final", "begin": begin, "end": time.monotonic(), "outcome": "ok", "mops": [["poll", records]]}
            if number > 1 or reader.reset:
                op["reset"] = reader.take_reset()
            if records:
                writer.add(op)
            left -= {key for key in ends if at.get(key, -1) >= highest.get(key, -1)}
        retire(reader.consumer)
    return left


def highest_acked(path):
    best = {}
    for op in history.read(path):
        for mop in op["mops"]:
            if mop[0] == "send" and mop[3] is not None and op["outcome"] == "ok":
                best[mop[1]] = max(best.get(mop[1], -1), mop[3])
            elif mop[0] == "poll":
                for key, records in mop[1].items():
                    best[key] = max(best.get(key, -1), records[-1][0])
    return best


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--kind", choices=["append", "txn", "group"], required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--prefix")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--final-seconds", type=float, default=200)
    parser.add_argument("--rate", type=float, default=60)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--replication", type=int, default=1)
    parser.add_argument("--min-isr", type=int, default=1)
    parser.add_argument("--slow", type=float, default=0.2, help="share of transactions that dawdle")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--debug", help="librdkafka debug contexts, to stderr")
    options = parser.parse_args()
    options.prefix = options.prefix or options.kind
    random.seed(options.seed)
    if options.debug:
        QUIET.update({"debug": options.debug, "log_level": 7})
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    keys, writer = Keys(options), history.Writer(options.out)
    print("started", flush=True)
    processes = [Process(slot, options, keys, writer, stop) for slot in range(options.processes)]
    for process in processes:
        process.start()
    end, said = time.monotonic() + options.seconds, time.monotonic()
    while time.monotonic() < end and not stop.is_set():
        stop.wait(0.5)
        if time.monotonic() > said + 10:
            said = time.monotonic()
            print(f"{writer.count} operations", flush=True)
    stop.set()
    keys.stop = True
    for process in processes:
        process.join(60)
    print(f"stopped after {writer.count} operations", flush=True)
    select.select([sys.stdin], [], [], 600)
    sys.stdin.readline()
    writer.out.flush()
    time.sleep(1)
    left = read_all(options, keys, writer, highest_acked(options.out), options.final_seconds)
    writer.add({"f": "end", "complete": not left})
    writer.close()
    print("not read to the end:" if left else "read to the end", *sorted(left), flush=True)
    # Clients that were let go may still be waiting for a broker.
    sys.stdout.flush()
    import os
    os._exit(1 if left else 0)


main()
