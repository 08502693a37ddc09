"""kafka-python: prints a transcript of steps (`## label`) free of ids and times."""
import sys
import time

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic

BOOT = sys.argv[1]
admin = KafkaAdminClient(bootstrap_servers=BOOT)
print("## py: create")
admin.create_topics([NewTopic("py", 2, 1)])
time.sleep(0.5)
print(sorted(t for t in admin.list_topics() if t == "py"))
for codec in (None, "gzip"):
    print(f"## py: produce {codec}")
    producer = KafkaProducer(bootstrap_servers=BOOT, compression_type=codec, acks="all")
    for i in range(20):
        sent = producer.send("py", key=b"k%d" % i, value=b"%d %s" % (i, str(codec).encode()), partition=i % 2, headers=[("h", b"v")], timestamp_ms=1700000000000 + i).get(20)
        print(sent.partition, sent.offset)
    producer.close()
print("## py: consume")
consumer = KafkaConsumer(bootstrap_servers=BOOT, auto_offset_reset="earliest", enable_auto_commit=False, group_id="py-g", consumer_timeout_ms=4000)
consumer.assign([TopicPartition("py", 0), TopicPartition("py", 1)])
print(*sorted((m.partition, m.offset, m.key, m.value, m.timestamp, m.headers) for m in consumer), sep="\n")
print("## py: offsets")
both = [TopicPartition("py", 0), TopicPartition("py", 1)]
print(sorted((p.partition, o) for p, o in consumer.end_offsets(both).items()), sorted((p.partition, o) for p, o in consumer.beginning_offsets(both).items()))
print(sorted((p.partition, o and o.offset) for p, o in consumer.offsets_for_times({p: 1700000000010 for p in both}).items()))
consumer.commit()
print([consumer.committed(p) for p in both])
consumer.close()
print("## py: subscribe")
consumer = KafkaConsumer("py", bootstrap_servers=BOOT, auto_offset_reset="earliest", group_id="py-s", consumer_timeout_ms=6000)
print(len([m for m in consumer]))
consumer.close()
print("## py: delete")
admin.delete_topics(["py"])
admin.close()
