"""The history of a run: one JSON object a line, one line an operation, written when the operation ends.

An operation (all times are seconds of one monotonic clock):
  process, f     who, and what: send, poll, txn, commit, committed, offsets, final
  begin, end     when it was called and when it came back
  outcome        ok; fail: it certainly had no effect; info: nobody knows
  error          the error's name, for the reader
  mops           micro-operations in order: ["send", key, value, offset or null] and ["poll", {key: [[offset, value], …]}]
  reset          keys whose position was moved on purpose before this operation or while it ran (assign, subscribe, rebalance,
                 seek after a failure): polls of them need not follow on what the process polled before
  commits        [{group, offsets: {key: offset}, outcome, begin, end}]: committed offsets, of a transaction or not
  committed      [group, {key: offset or -1}]: what OffsetFetch answered
  latest         {key: offset}: what ListOffsets answered (the last stable offset, as the readers are read_committed)
A key is one partition of one topic. Values are integers, unique within their key.
`{"f": "end", "complete": true}` closes a history whose final phase read every key to its end.
"""
import json
import threading

# What an error says about the effect (Jepsen's classes). Everything else is unknown.
DEFINITE = {
    "TOPIC_AUTHORIZATION_FAILED", "GROUP_AUTHORIZATION_FAILED", "CLUSTER_AUTHORIZATION_FAILED", "TRANSACTIONAL_ID_AUTHORIZATION_FAILED", "INVALID_PRODUCER_EPOCH",
    "TOPIC_EXCEPTION", "INVALID_REPLICATION_FACTOR", "NOT_CONTROLLER", "OUT_OF_ORDER_SEQUENCE_NUMBER", "PRODUCER_FENCED", "_FENCED",
    "UNKNOWN_TOPIC_OR_PART", "BROKER_NOT_AVAILABLE", "INVALID_TXN_STATE", "MSG_SIZE_TOO_LARGE", "INVALID_MSG",
}
# Answers to an OffsetCommit that say it was refused before anything was written.
COMMIT_REFUSED = {"ILLEGAL_GENERATION", "UNKNOWN_MEMBER_ID", "REBALANCE_IN_PROGRESS", "FENCED_INSTANCE_ID", "INVALID_GROUP_ID", "_NO_OFFSET", "_STATE"}


def classify(error, more=()):
    return "fail" if error in DEFINITE or error in more else "info"


class Writer:
    """Appends operations from any thread; a line is whole or not there."""

    def __init__(self, path):
        self.out, self.lock, self.count = open(path, "w"), threading.Lock(), 0

    def add(self, op):
        line = json.dumps(op, separators=(",", ":")) + "\n"
        with self.lock:
            self.out.write(line)
            self.count += 1

    def close(self):
        self.out.close()


def read(path):
    with open(path) as lines:
        return [json.loads(line) for line in lines if line.endswith("\n")]
