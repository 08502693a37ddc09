"""What the headers of the batches on disk say."""
import glob
import os
import struct

# Base offset, length | leader epoch, magic, checksum, attributes, last delta, times | producer id, epoch, base sequence, count
_HEADER = struct.Struct(">qi" "ibIhiqq" "qhii")


def headers(folder):
    """(base offset, last offset, producer id, producer epoch, base sequence) of each whole batch in a partition's folder."""
    for path in sorted(glob.glob(os.path.join(folder, "*.log"))):
        with open(path, "rb") as segment:
            data = segment.read()
        at = 0
        while at + _HEADER.size <= len(data):
            base, size, _, magic, _, _, delta, _, _, producer, epoch, sequence, _ = _HEADER.unpack_from(data, at)
            if magic != 2 or size <= 0 or at + 12 + size > len(data):
                break
            yield base, base + delta, producer, epoch, sequence
            at += 12 + size


def longest(folders):
    """The batches of the replica that has most of them."""
    return max((list(headers(folder)) for folder in folders if os.path.isdir(folder)), key=lambda found: found[-1][1] if found else -1, default=[])


def write_producer_epochs(path, topic, partitions, log_dirs):
    """A line for each place where another producer id or epoch begins: partition, offset, id, epoch."""
    with open(path, "w") as out:
        for partition in range(partitions):
            before = None
            for base, _, producer, epoch, _ in longest([os.path.join(log_dir, f"{topic}-{partition}") for log_dir in log_dirs]):
                if (producer, epoch) != before:
                    before = producer, epoch
                    out.write(f"{partition} {base} {producer} {epoch}\n")
