"""librdkafka through confluent-kafka: prints a transcript of steps (`## label`) free of ids and times."""
import sys
import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, ConsumerGroupTopicPartitions, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions, NewTopic, OffsetSpec

BOOT = {"bootstrap.servers": sys.argv[1], "log_level": 0, "error_cb": lambda _: None}


def step(label):
    print("##", label)


def outcome(futures):
    for name, future in sorted(futures.items(), key=lambda item: str(item[0])):
        try:
            result = future.result(timeout=20)
            print(name, "ok", "" if result is None else type(result).__name__)
        except KafkaException as error:
            print(name, error.args[0].name())


admin = AdminClient(BOOT)
step("rd: create topics")
outcome(admin.create_topics([NewTopic("rd", 3, 1), NewTopic("rd-compact", 1, 1, config={"cleanup.policy": "compact"}), NewTopic("rd", 3, 1)][:2]))
step("rd: create again and badly")
outcome(admin.create_topics([NewTopic("rd", 3, 1), NewTopic("rd bad", 1, 1), NewTopic("rd-rf", 1, 3), NewTopic("rd-conf", 1, 1, config={"x": "y"})]))
step("rd: validate only")
outcome(admin.create_topics([NewTopic("rd-only", 1, 1)], validate_only=True))
step("rd: more partitions")
outcome(admin.create_partitions([NewPartitions("rd", 4)]))
step("rd: fewer partitions")
outcome(admin.create_partitions([NewPartitions("rd", 2)]))
time.sleep(0.5)

for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
    for acks in ("all", "1"):
        step(f"rd: produce {codec} acks {acks}")
        done = []
        producer = Producer({**BOOT, "compression.type": codec, "acks": acks, "linger.ms": 20, "enable.idempotence": acks == "all"})
        for i in range(50):
            producer.produce("rd", key=f"key{i}", value=f"{codec} {acks} {i} " + "z" * 40, partition=i % 4, headers=[("h", b"1"), ("h", None), ("i", str(i).encode())],
                             timestamp=1700000000000 + i, on_delivery=lambda e, m: done.append((m.partition(), m.offset() if not e else e.name())))
        producer.flush(30)
        print(sorted(done))
step("rd: produce too large")
done = []
producer = Producer({**BOOT, "message.max.bytes": 5000000})
producer.produce("rd", value=b"x" * 2000000, partition=0, on_delivery=lambda e, m: done.append(e.name() if e else m.offset()))
producer.flush(20)
print(done)
step("rd: produce to an unknown partition")
done = []
producer = Producer({**BOOT, "message.timeout.ms": 3000})
try:
    producer.produce("rd", value=b"x", partition=77, on_delivery=lambda e, m: done.append(e.name() if e else m.offset()))
    producer.flush(20)
    print(done)
except KafkaException as error:
    print(error.args[0].name())

step("rd: consume everything by assignment")
consumer = Consumer({**BOOT, "group.id": "rd-assign", "enable.auto.commit": False, "auto.offset.reset": "earliest", "check.crcs": True, "enable.partition.eof": True})
consumer.assign([TopicPartition("rd", p, OFFSET_BEGINNING) for p in range(4)])
seen, ends = [], 0
until = time.time() + 30
while ends < 4 and time.time() < until:
    for m in consumer.consume(100, 1):
        if m.error():
            ends += 1
        else:
            seen.append((m.partition(), m.offset(), m.key(), m.value()[:20], m.headers(), m.timestamp()))
for one in sorted(seen, key=lambda s: s[:2]):
    print(one)
step("rd: watermarks")
for p in range(4):
    print(p, consumer.get_watermark_offsets(TopicPartition("rd", p), timeout=10))
step("rd: offsets for times")
for t in (0, 1700000000000, 1700000000020, 1700000000049, 1800000000000):
    print(t, [(p.partition, p.offset) for p in consumer.offsets_for_times([TopicPartition("rd", p, t) for p in range(4)], timeout=10)])
step("rd: seek")
consumer.seek(TopicPartition("rd", 0, 5))
found = None
until = time.time() + 10
while time.time() < until and found is None:
    m = consumer.poll(1)
    if m is not None and not m.error() and m.partition() == 0:
        found = m.offset()
print(found)
step("rd: commit and committed")
print([(p.partition, p.offset, p.error) for p in consumer.commit(offsets=[TopicPartition("rd", 0, 7), TopicPartition("rd", 1, 8, "note")], asynchronous=False)])
print([(p.partition, p.offset) for p in consumer.committed([TopicPartition("rd", p) for p in range(4)], timeout=10)])
consumer.close()

for strategy in ("range", "roundrobin", "cooperative-sticky"):
    step(f"rd: two members share by {strategy}")
    group = {**BOOT, "group.id": f"rd-{strategy}", "auto.offset.reset": "earliest", "partition.assignment.strategy": strategy, "session.timeout.ms": 10000,
             "heartbeat.interval.ms": 500, "enable.auto.commit": False}
    members = [Consumer(group), Consumer(group)]
    for one in members:
        one.subscribe(["rd"])
    until = time.time() + 40
    while time.time() < until:
        for one in members:
            one.poll(0.2)
        shares = [sorted(p.partition for p in one.assignment()) for one in members]
        if sorted(map(len, shares)) == [2, 2] and sorted(sum(shares, [])) == [0, 1, 2, 3]:
            break
    print(sorted(map(len, shares)), sorted(sum(shares, [])))
    members[1].close()
    until = time.time() + 40
    while time.time() < until and len(members[0].assignment()) < 4:
        members[0].poll(0.2)
    print("after one left:", sorted(p.partition for p in members[0].assignment()))
    members[0].close()

step("rd: static member returns to its share")
static = {**BOOT, "group.id": "rd-static", "group.instance.id": "fixed", "auto.offset.reset": "earliest", "session.timeout.ms": 15000, "enable.auto.commit": False}
rebalances = []
for turn in range(2):
    one = Consumer(static)
    one.subscribe(["rd"], on_assign=lambda c, parts: rebalances.append(len(parts)))
    until = time.time() + 30
    while time.time() < until and len(one.assignment()) < 4:
        one.poll(0.2)
    print(turn, len(one.assignment()))
    one.close()

step("rd: list offsets")
for label, spec in (("earliest", OffsetSpec.earliest()), ("latest", OffsetSpec.latest()), ("max", OffsetSpec.max_timestamp()), ("time", OffsetSpec.for_timestamp(1700000000030))):
    got = admin.list_offsets({TopicPartition("rd", 0): spec})
    for p, f in got.items():
        r = f.result(timeout=10)
        print(label, r.offset, r.timestamp if label in ("max", "time") else "")
step("rd: delete records")
for p, f in admin.delete_records([TopicPartition("rd", 1, 10)]).items():
    print(p.partition, f.result(timeout=10).low_watermark)
step("rd: incremental alter and describe configs")
resource = ConfigResource(ConfigResource.Type.TOPIC, "rd", incremental_configs=[ConfigEntry("retention.ms", "123456", incremental_operation=AlterConfigOpType.SET)])
outcome(admin.incremental_alter_configs([resource]))
for r, f in admin.describe_configs([ConfigResource(ConfigResource.Type.TOPIC, "rd")]).items():
    for name, entry in sorted(f.result(timeout=10).items()):
        print(name, entry.value, entry.source, entry.is_default, entry.is_read_only, entry.is_sensitive, sorted((k, v.value, v.source) for k, v in entry.synonyms.items()))
step("rd: groups")
listed = admin.list_consumer_groups().result(timeout=10)
print(sorted((g.group_id, g.state.name, g.is_simple_consumer_group) for g in listed.valid if g.group_id.startswith("rd-")))
for name, f in admin.describe_consumer_groups(["rd-range", "rd-none"]).items():
    d = f.result(timeout=10)
    print(name, d.state.name, d.partition_assignor, len(d.members))
for name, f in admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions("rd-assign")]).items():
    print(name, sorted((p.partition, p.offset) for p in f.result(timeout=10).topic_partitions))
for name, f in admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions("rd-assign", [TopicPartition("rd", 2, 3)])]).items():
    print(name, [(p.partition, p.offset) for p in f.result(timeout=10).topic_partitions])
step("rd: delete groups")
outcome(admin.delete_consumer_groups(["rd-assign", "rd-never"]))
step("rd: describe cluster and topics")
d = admin.describe_cluster().result(timeout=10)
print(len(d.nodes), d.controller.id, bool(d.cluster_id))
metadata = admin.list_topics(timeout=10)
print(sorted((t.topic, len(t.partitions)) for t in metadata.topics.values() if t.topic.startswith("rd")))
step("rd: delete topics")
outcome(admin.delete_topics(["rd", "rd-compact", "rd-none"]))
