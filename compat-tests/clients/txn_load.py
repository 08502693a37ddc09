"""Transactions while the broker is killed. `write N` appends numbered transactions, one record per partition of two
topics, and prints `acked <n>` for each whose commit was confirmed and `aborted <n>` for each that was aborted; `verify`
reads all that is committed and demands whole transactions, in order, each once."""
import collections
import signal
import sys
import time

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

BOOT, VERB = sys.argv[1], sys.argv[2]
PARTS = [("txl-a", 0), ("txl-a", 1), ("txl-b", 0)]


def create():
    admin = AdminClient({"bootstrap.servers": BOOT, "log_level": 0})
    for made in admin.create_topics([NewTopic("txl-a", 2, 1), NewTopic("txl-b", 1, 1)]).values():
        made.result()


def make(name):
    while True:
        try:
            p = Producer({"bootstrap.servers": BOOT, "transactional.id": name, "linger.ms": 0, "transaction.timeout.ms": 10000, "log_level": 0,
                          "reconnect.backoff.max.ms": 200})
            p.init_transactions(20)
            return p
        except KafkaException as fault:
            if fault.args[0].fatal():
                raise
            time.sleep(0.2)


def write(number):
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    p = make(f"load-{number}")
    n = committed = 0
    while not stop:
        n += 1
        try:
            p.begin_transaction()
            for topic, partition in PARTS:
                p.produce(topic, f"{number} {n}", partition=partition)
            if n % 7 == 0:
                p.flush(5)
                p.abort_transaction(20)
                print(f"aborted {number} {n}", flush=True)
                continue
            p.commit_transaction(20)
            committed += 1
            print(f"acked {number} {n}", flush=True)
        except KafkaException as fault:
            error = fault.args[0]
            try:
                if error.txn_requires_abort():
                    p.abort_transaction(20)
                    print(f"aborted {number} {n}", flush=True)
                    continue
            except KafkaException:
                pass
            # The outcome is unknown: a new producer finds out for itself.
            p = make(f"load-{number}")
    print(f"committed {committed}", flush=True)


def verify():
    acked, aborted = set(), set()
    for line in sys.stdin:
        words = line.split()
        if words and words[0] in ("acked", "aborted"):
            (acked if words[0] == "acked" else aborted).add((int(words[1]), int(words[2])))
    time.sleep(12)  # transactions of writers that were stopped time out
    seen, faults = {}, []
    consumer = Consumer({"bootstrap.servers": BOOT, "group.id": "v", "isolation.level": "read_committed", "enable.partition.eof": True, "log_level": 0})
    for topic, partition in PARTS:
        consumer.assign([TopicPartition(topic, partition, 0)])
        found = []
        while True:
            message = consumer.poll(20)
            if message is None:
                faults.append(f"{topic}-{partition}: no end in sight, the last stable offset is stuck")
                break
            if message.error():
                break
            found.append(tuple(map(int, message.value().split())))
        low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition))
        at = consumer.position([TopicPartition(topic, partition)])[0].offset
        seen[topic, partition] = found
        for writer in {w for w, _ in found}:
            numbers = [n for w, n in found if w == writer]
            if numbers != sorted(set(numbers)):
                faults.append(f"{topic}-{partition}: writer {writer} out of order or twice")
    consumer.close()
    whole = [set(found) for found in seen.values()]
    for one in whole[1:]:
        if one != whole[0]:
            faults.append(f"torn transactions: {sorted(one ^ whole[0])[:10]}")
    if acked - whole[0]:
        faults.append(f"lost: {sorted(acked - whole[0])[:10]}")
    if aborted & whole[0]:
        faults.append(f"aborted but seen: {sorted(aborted & whole[0])[:10]}")
    print(f"{len(whole[0])} transactions seen, {len(acked)} acked, {len(aborted)} aborted")
    print("\n".join(faults))
    sys.exit(1 if faults else 0)


{"create": create, "write": lambda: write(int(sys.argv[3])), "verify": verify}[VERB]()
