"""Reads a topic to its end and holds it against the acknowledgements: each acked value exactly once, at its offset, in order.

verify.py bootstrap topic partitions ack-file [epoch-file]   prints what is wrong, then "ok N" or "bad N"

A broker can tell a retry by its sequence number, within one producer epoch. librdkafka 2.16 begins a new epoch for all
partitions when one of them was refused with OUT_OF_ORDER_SEQUENCE_NUMBER (two requests of that partition on their way to two
leaders), and sends again what may have been written. With an epoch-file (partition, offset, producer id, epoch; one line where
another begins) a value that was not acknowledged may lie there once more in a later epoch of its producer; without, nothing may.
"""
import bisect
import sys

from confluent_kafka import Consumer, TopicPartition


class Epochs:
    def __init__(self, path, partitions):
        self.begins = [[] for _ in range(partitions)]
        if path:
            with open(path) as lines:
                for partition, *what in (map(int, line.split()) for line in lines):
                    self.begins[partition].append(tuple(what))

    def at(self, partition, offset):
        begins = self.begins[partition]
        place = bisect.bisect_right(begins, (offset, 1 << 63, 0)) - 1
        return begins[place][1:] if place >= 0 else (-1, -1)

    def later(self, partition, before, after):
        (producer, epoch), (other, next_epoch) = self.at(partition, before), self.at(partition, after)
        return producer == other >= 0 and next_epoch > epoch


def main():
    bootstrap, topic, partitions, path = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
    acked = [{} for _ in range(partitions)]
    with open(path) as lines:
        for line in lines:
            if line.endswith("\n"):
                partition, value, offset = line.split()
                acked[int(partition)][int(value)] = int(offset)
    epochs = Epochs(sys.argv[5] if len(sys.argv) > 5 else None, partitions)
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "verify", "enable.auto.commit": False, "auto.offset.reset": "earliest",
                         "enable.partition.eof": True, "check.crcs": True, "fetch.wait.max.ms": 50, "log_level": 0})
    consumer.assign([TopicPartition(topic, p, 0) for p in range(partitions)])
    at_end, bad, read, again = set(), [], 0, 0
    seen = [{} for _ in range(partitions)]
    last = [-1] * partitions
    expected = [0] * partitions
    idle = 0
    while len(at_end) < partitions and idle < 30:
        batch = consumer.consume(5000, 1.0)
        idle = idle + 1 if not batch else 0
        for message in batch:
            p = message.partition()
            if message.error():
                if message.error().name() == "_PARTITION_EOF":
                    at_end.add(p)
                elif message.error().fatal() or not message.error().retriable():
                    bad.append(f"partition {p}: {message.error()}")
                continue
            read += 1
            value, offset = int(message.value()), message.offset()
            if offset != expected[p]:
                bad.append(f"partition {p}: offset {offset} follows {expected[p] - 1}")
            expected[p] = offset + 1
            if value in seen[p] and epochs.later(p, seen[p][value], offset):
                again += 1
            elif value in seen[p]:
                bad.append(f"partition {p}: value {value} at {seen[p][value]} and at {offset}")
            elif value <= last[p]:
                bad.append(f"partition {p}: value {value} after {last[p]}")
            seen[p][value] = offset
            last[p] = max(last[p], value)
    consumer.close()
    if len(at_end) < partitions:
        bad.append(f"only {len(at_end)} of {partitions} partitions were read to their end")
    for p in range(partitions):
        for value, offset in acked[p].items():
            if value not in seen[p]:
                bad.append(f"partition {p}: acked value {value} at offset {offset} is lost (end is {expected[p]})")
            elif offset >= 0 and seen[p][value] != offset:
                bad.append(f"partition {p}: value {value} was acked at {offset} and read at {seen[p][value]}")
    for line in bad[:20]:
        print(line)
    print(("bad" if bad else "ok"), len(bad) if bad else sum(map(len, acked)), "acked,", read, "read" + (f", {again} of them sent again in a later producer epoch" if again else ""))
    sys.exit(1 if bad else 0)


main()
