"""Raw frames against both brokers: every version, wrong bytes, and what a broken or malicious client sends."""
import wire


def fill(s, topic, counts, producer_id=-1, key=b"k", start=0, partition_batches=1, timestamp=1_700_000_000_000):
    """Puts `counts[partition]` one-record batches into each partition, with known bytes and timestamps."""
    with s.broker.connect() as connection:
        for partition, count in counts.items():
            for i in range(count):
                data = wire.batch([(key, b"value %d" % (start + i))], timestamp=timestamp + i)
                answer = produce(connection, topic, partition, data)
                if answer["ErrorCode"] != 0:
                    raise RuntimeError(f"cannot fill {topic}-{partition}: {answer}")


def produce(connection, topic, partition, records, version=9, acks=-1, transactional_id=None):
    answer = connection.call(0, version, {"TransactionalId": transactional_id, "Acks": acks, "TimeoutMs": 10000, "TopicData": [
        {"Name": topic, "PartitionData": [{"Index": partition, "Records": records}]}]})
    return answer["Responses"][0]["PartitionResponses"][0]
