"""librdkafka's transactional producer: prints a transcript of steps ("## label") free of ids and times."""
import sys
import time

from confluent_kafka import Consumer, IsolationLevel, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

BOOT = sys.argv[1]
ADMIN = AdminClient({"bootstrap.servers": BOOT, "log_level": 0})


def step(label, body):
    print(f"## librdkafka: {label}", flush=True)
    try:
        body()
    except KafkaException as fault:
        error = fault.args[0]
        print(f"failed: {error.name()} fatal={error.fatal()} abortable={error.txn_requires_abort()} retriable={error.retriable()}")


def attempt(label, body):
    try:
        body()
        print(f"{label}: ok")
    except KafkaException as fault:
        error = fault.args[0]
        print(f"{label}: {error.name()} fatal={error.fatal()} abortable={error.txn_requires_abort()}")


def producer(name, **more):
    made = Producer({"bootstrap.servers": BOOT, "transactional.id": name, "linger.ms": 0, "log_level": 0, **more})
    made.init_transactions(30)
    return made


def read(topic, isolation):
    consumer = Consumer({"bootstrap.servers": BOOT, "group.id": "x", "isolation.level": isolation, "enable.partition.eof": True, "log_level": 0})
    consumer.assign([TopicPartition(topic, 0, 0)])
    seen = []
    while True:
        message = consumer.poll(10)
        if message is None or message.error():
            break
        seen.append(f"{message.offset()}:{message.value().decode()}")
    consumer.close()
    time.sleep(0.1)
    print(isolation, seen)


def end(topic, isolation):
    asked = {TopicPartition(topic, 0): OffsetSpec.latest()}
    return [found.result().offset for found in ADMIN.list_offsets(asked, isolation_level=isolation, request_timeout=10).values()]


def settle(topic):
    """Markers are written after EndTxn is answered: wait until nothing is open before looking."""
    until = time.monotonic() + 20
    while end(topic, IsolationLevel.READ_COMMITTED) != end(topic, IsolationLevel.READ_UNCOMMITTED):
        if time.monotonic() > until:
            return print("transactions do not settle")
        time.sleep(0.02)


def both(topic):
    settle(topic)
    read(topic, "read_uncommitted")
    read(topic, "read_committed")


def commit_and_abort():
    p = producer("rd")
    for i in range(6):
        p.begin_transaction()
        p.produce("rtx", f"{i} first", partition=0)
        p.produce("rtx", f"{i} second", partition=0)
        p.flush(10)
        p.abort_transaction(30) if i % 3 == 1 else p.commit_transaction(30)
    both("rtx")


def fencing():
    first = producer("rd-fence")
    first.begin_transaction()
    first.produce("rtx", "of the first", partition=0)
    first.flush(10)
    second = producer("rd-fence")
    attempt("first commits", lambda: first.commit_transaction(30))
    second.begin_transaction()
    second.produce("rtx", "of the second", partition=0)
    attempt("second commits", lambda: second.commit_transaction(30))
    both("rtx")


def transform():
    consumer = Consumer({"bootstrap.servers": BOOT, "group.id": "rtx-group", "auto.offset.reset": "earliest", "enable.auto.commit": False, "log_level": 0})
    consumer.subscribe(["rtx"])
    first = None
    for _ in range(60):
        first = consumer.poll(0.5)
        if first is not None and not first.error():
            break
    p = producer("rd-transform")
    for offset, commit in ((3, True), (5, False)):
        p.begin_transaction()
        p.produce("rtx-out", first.value() + b"!", partition=0)
        p.flush(10)
        p.send_offsets_to_transaction([TopicPartition("rtx", 0, offset)], consumer.consumer_group_metadata(), 30)
        p.commit_transaction(30) if commit else p.abort_transaction(30)
        # Asks for stable offsets, as every reader of what is committed does: the client waits for the marker by itself.
        print("committed", [(t.topic, t.partition, t.offset) for t in consumer.committed([TopicPartition("rtx", 0)], 10)])
    consumer.close()
    both("rtx-out")


def main():
    for made in ADMIN.create_topics([NewTopic("rtx", 1, 1), NewTopic("rtx-out", 1, 1)]).values():
        made.result()
    step("commit and abort", commit_and_abort)
    step("fencing", fencing)
    step("read, transform, write", transform)
    step("a timeout that is refused", lambda: producer("rd-bad", **{"transaction.timeout.ms": 1_000_000, "message.timeout.ms": 1000}))


main()
