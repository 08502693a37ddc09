"""Reads a topic to its end and holds it against the acknowledgements: each acked value exactly once, at its offset, in order.

verify.py bootstrap topic partitions ack-file [log-dir…]   prints what is wrong, then "ok N" or "bad N"

A broker can tell a retry by its sequence number, within one producer epoch. librdkafka 2.16 begins a new epoch for all
partitions when one of them was refused with OUT_OF_ORDER_SEQUENCE_NUMBER (two requests of that partition on their way to two
leaders), and sends again what may have been written. With the brokers' log dirs a value whose first copy was not acknowledged
may lie there once more in a later epoch of its producer; without, nothing may.
"""
import os
import sys

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "driver"))
import batches  # noqa: E402


class Judge:
    """Takes the records of each partition in the order of their offsets."""

    def __init__(self, acked):
        """For each partition: value to offset, −1 if it is not known."""
        self.acked, self.read, self.bad, self.repeats = acked, 0, [], []
        self.seen = [{} for _ in acked]
        self.last, self.expected = [-1] * len(acked), [0] * len(acked)

    def take(self, p, value, offset):
        self.read += 1
        if offset != self.expected[p]:
            self.bad.append(f"partition {p}: offset {offset} follows {self.expected[p] - 1}")
        self.expected[p] = offset + 1
        if value in self.seen[p]:
            self.repeats.append((p, value, self.seen[p][value], offset))
        elif value <= self.last[p]:
            self.bad.append(f"partition {p}: value {value} after {self.last[p]}")
        self.seen[p][value] = offset
        self.last[p] = max(self.last[p], value)

    def verdict(self, epoch_at):
        """What is wrong, as lines, and how many values were sent again; `epoch_at` tells producer id and epoch of an offset."""
        bad, again = list(self.bad), 0
        for p, value, first, second in self.repeats:
            (producer, epoch), (other, later) = epoch_at(p, first), epoch_at(p, second)
            if producer == other >= 0 and later > epoch and self.acked[p].get(value, second) == second:
                again += 1
            else:
                bad.append(f"partition {p}: value {value} at {first} and at {second}")
        for p, acked in enumerate(self.acked):
            for value, offset in acked.items():
                if value not in self.seen[p]:
                    bad.append(f"partition {p}: acked value {value} at offset {offset} is lost (end is {self.expected[p]})")
                elif offset >= 0 and self.seen[p][value] != offset:
                    bad.append(f"partition {p}: value {value} was acked at {offset} and read at {self.seen[p][value]}")
        return bad, again


def read(judge, bootstrap, topic):
    from confluent_kafka import Consumer, TopicPartition
    partitions = len(judge.acked)
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "verify", "enable.auto.commit": False, "auto.offset.reset": "earliest",
                         "enable.partition.eof": True, "check.crcs": True, "fetch.wait.max.ms": 50, "log_level": 0})
    consumer.assign([TopicPartition(topic, p, 0) for p in range(partitions)])
    at_end, idle = set(), 0
    while len(at_end) < partitions and idle < 30:
        batch = consumer.consume(5000, 1.0)
        idle = idle + 1 if not batch else 0
        for message in batch:
            p = message.partition()
            if message.error():
                if message.error().name() == "_PARTITION_EOF":
                    at_end.add(p)
                elif message.error().fatal() or not message.error().retriable():
                    judge.bad.append(f"partition {p}: {message.error()}")
                continue
            judge.take(p, int(message.value()), message.offset())
    consumer.close()
    if len(at_end) < partitions:
        judge.bad.append(f"only {len(at_end)} of {partitions} partitions were read to their end")


def main():
    bootstrap, topic, partitions, path = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
    acked = [{} for _ in range(partitions)]
    with open(path) as lines:
        for line in lines:
            if line.endswith("\n"):
                partition, value, offset = line.split()
                acked[int(partition)][int(value)] = int(offset)
    judge = Judge(acked)
    read(judge, bootstrap, topic)
    bad, again = judge.verdict(batches.Epochs(topic, sys.argv[5:]).at)
    for line in bad[:20]:
        print(line)
    print(("bad" if bad else "ok"), len(bad) if bad else sum(map(len, acked)), "acked,", judge.read, "read" + (f", {again} of them sent again in a later producer epoch" if again else ""))
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
