"""An idempotent librdkafka producer that writes numbered values for as long as it lives and notes each acknowledgement.

load.py bootstrap topic partitions ack-file [rate [steady]]   until SIGTERM

The rate is a lower bound, unless it is to be steady.
"""
import signal
import sys
import time

from confluent_kafka import Producer


def main():
    bootstrap, topic, partitions, path = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
    rate = float(sys.argv[5]) if len(sys.argv) > 5 else 4000
    steady = "steady" in sys.argv[6:]
    acked = open(path, "a", buffering=1 << (10 if steady else 16))
    running = [True]
    signal.signal(signal.SIGTERM, lambda *_: running.clear())
    errors = [0]

    def make():
        return Producer({
            "bootstrap.servers": bootstrap, "enable.idempotence": True, "acks": "all", "linger.ms": 3, "message.timeout.ms": 120000,
            "reconnect.backoff.ms": 20, "reconnect.backoff.max.ms": 200, "retry.backoff.ms": 50, "socket.timeout.ms": 5000,
            "request.timeout.ms": 5000, "queue.buffering.max.messages": 20000, "debug": "eos", "log_level": 7, "error_cb": lambda _: None,
            "topic.metadata.refresh.interval.ms": 2000, "metadata.max.age.ms": 10000, "connections.max.idle.ms": 0})
    producer = make()

    def done(error, message):
        if error is not None:
            errors[0] += 1
        else:
            # A duplicate that the broker recognised but no longer knows the place of has no offset.
            offset = message.offset() if message.offset() is not None else -1
            acked.write(f"{message.partition()} {message.value().decode()} {offset}\n")
    sequence = [0] * partitions
    began, sent = time.monotonic(), 0
    while running:
        for _ in range(20):
            partition = sent % partitions
            try:
                producer.produce(topic, value=b"%d" % sequence[partition], partition=partition, on_delivery=done)
                sequence[partition] += 1
                sent += 1
            except BufferError:
                break
            except Exception as fatal:  # a fatal idempotence error: note it, begin again with a new producer id
                print("fatal", fatal, flush=True)
                producer.flush(5)
                producer = make()
        producer.poll(0)
        ahead = sent / rate - (time.monotonic() - began)
        if ahead > 0:
            if steady:  # a poll ends with the first report
                time.sleep(min(ahead, 0.05))
            producer.poll(0 if steady else min(ahead, 0.05))
        elif ahead < -2:
            began = time.monotonic() - sent / rate
    left = producer.flush(60)
    acked.close()
    print("sent", sent, "errors", errors[0], "left", left, flush=True)


main()
