"""What the headers of the batches on disk say."""
import bisect
import glob
import os
import struct

# Base offset, length | leader epoch, magic, checksum, attributes, last delta, times | producer id, epoch, base sequence, count
_HEADER = struct.Struct(">qi" "ibIhiqq" "qhii")


def content(folder):
    """A partition's segments, one behind the other."""
    return b"".join(open(path, "rb").read() for path in sorted(glob.glob(os.path.join(folder, "*.log"))))


def headers(data):
    """(position, base offset, end offset, producer id, producer epoch) of each batch whose header is whole."""
    position = 0
    while position + _HEADER.size <= len(data):
        base, length, _, _, _, _, delta, _, _, producer, epoch, _, _ = _HEADER.unpack_from(data, position)
        if length <= 0:
            break
        yield position, base, base + delta + 1, producer, epoch
        position += 12 + length


class Epochs:
    """Producer id and epoch of the batch that holds an offset, from the replica with most bytes. Read when asked for."""

    def __init__(self, topic, log_dirs):
        self.topic, self.log_dirs, self.known = topic, log_dirs, {}

    def at(self, partition, offset):
        if partition not in self.known:
            replicas = [content(os.path.join(log_dir, f"{self.topic}-{partition}")) for log_dir in self.log_dirs]
            self.known[partition] = [(base, producer, epoch) for _, base, _, producer, epoch in headers(max(replicas, key=len, default=b""))]
        batches = self.known[partition]
        place = bisect.bisect_right(batches, offset, key=lambda batch: batch[0]) - 1
        return batches[place][1:] if place >= 0 else (-1, -1)
