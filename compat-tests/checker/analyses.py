"""What a history must not show. Every analysis is a pure function from a history (history.py) to a list of anomalies, each a
dict with the evidence. Rules and names follow Jepsen's Kafka workload; those it lacks are marked "ours"."""
import bisect
import collections
import math


class Index:
    """What several analyses look up: who wrote each value, where each value was seen, and by whom."""

    def __init__(self, history):
        self.ops = [op for op in history if op["f"] != "end"]
        self.complete = any(op["f"] == "end" and op.get("complete") for op in history)
        self.writer = {}                                    # (key, value) -> (op number, offset or None)
        self.readers = collections.defaultdict(list)        # (key, value) -> op numbers that polled it
        self.at = collections.defaultdict(set)              # (key, offset) -> values, from acks and from every poll
        self.offsets = collections.defaultdict(set)         # (key, value) -> offsets it was polled at
        self.highest = {}                                   # key -> highest offset polled
        for number, op in enumerate(self.ops):
            for key, value, offset in sends(op):
                self.writer[key, value] = (number, offset)
                if op["outcome"] == "ok" and offset is not None:
                    self.at[key, offset].add(value)
            for key, offset, value in polls(op):
                self.readers[key, value].append(number)
                self.at[key, offset].add(value)
                self.offsets[key, value].add(offset)
                self.highest[key] = max(self.highest.get(key, -1), offset)
        # The offsets of each key that hold a record every reader must see.
        self.visible = collections.defaultdict(list)
        for key, offset in self.at:
            self.visible[key].append(offset)
        for offsets in self.visible.values():
            offsets.sort()

    def between(self, key, low, high):
        """Visible offsets strictly between two."""
        offsets = self.visible[key]
        return offsets[bisect.bisect_right(offsets, low):bisect.bisect_left(offsets, high)]


def sends(op):
    return [mop[1:] for mop in op.get("mops", ()) if mop[0] == "send"]


def polls(op):
    return [(key, offset, value) for mop in op.get("mops", ()) if mop[0] == "poll" for key, records in mop[1].items() for offset, value in records]


def inconsistent_offsets(ix):
    """J-1: one offset holds two values."""
    return [{"key": key, "offset": offset, "values": sorted(values)} for (key, offset), values in ix.at.items() if len(values) > 1]


def duplicate(ix):
    """J-2: one value lies at two offsets; the producers are idempotent."""
    return [{"key": key, "value": value, "offsets": sorted(offsets)} for (key, value), offsets in ix.offsets.items() if len(offsets) > 1]


def ack_offset(ix):
    """J-19, ours: a record is read at another offset than the one acknowledged."""
    found = []
    for (key, value), offsets in ix.offsets.items():
        number, acked = ix.writer.get((key, value), (None, None))
        if number is not None and acked is not None and ix.ops[number]["outcome"] == "ok" and acked not in offsets:
            found.append({"key": key, "value": value, "acked": acked, "polled": sorted(offsets)})
    return found


def phantom(ix):
    """Ours: a record is read that nobody wrote."""
    return [{"key": key, "value": value, "offsets": sorted(offsets)} for (key, value), offsets in ix.offsets.items() if (key, value) not in ix.writer]


def _committed(ix, op):
    """Whether the writes of an operation are known to have taken effect: it said so, or one of them was read."""
    return op["outcome"] == "ok" or (op["outcome"] == "info" and any(ix.readers.get((key, value)) for key, value, _ in sends(op)))


def lost_write(ix):
    """J-3: read by nobody, although something behind it was read."""
    found = []
    for (key, value), (number, offset) in ix.writer.items():
        if offset is not None and offset < ix.highest.get(key, -1) and not ix.readers.get((key, value)) and _committed(ix, ix.ops[number]):
            found.append({"key": key, "value": value, "offset": offset, "highest": ix.highest[key], "outcome": ix.ops[number]["outcome"]})
    return found


def unseen(ix):
    """J-4: acknowledged, and not there when everything was read at the end."""
    if not ix.complete:
        return []
    return [{"key": key, "value": value, "offset": offset} for (key, value), (number, offset) in ix.writer.items()
            if ix.ops[number]["outcome"] == "ok" and not ix.readers.get((key, value))]


def aborted_read(ix):
    """J-5, G1a: a value of an operation that failed for certain is read."""
    return [{"key": key, "value": value, "error": ix.ops[number].get("error")} for (key, value), (number, _) in ix.writer.items()
            if ix.ops[number]["outcome"] == "fail" and ix.readers.get((key, value))]


def precommitted_read(ix):
    """J-6: a transaction polls what it wrote itself, under read_committed."""
    found = []
    for op in ix.ops:
        if op["f"] == "txn":
            own = {(key, value) for key, value, _ in sends(op)}
            found += [{"key": key, "value": value} for key, _, value in polls(op) if (key, value) in own]
    return found


def torn_transaction(ix):
    """Some writes of a transaction were read and others are known not to be there."""
    found = []
    for op in ix.ops:
        if op["f"] != "txn" or op["outcome"] == "fail":
            continue
        seen = [(k, v) for k, v, _ in sends(op) if ix.readers.get((k, v))]
        missing = [(k, v) for k, v, o in sends(op) if not ix.readers.get((k, v)) and (ix.complete or (o is not None and o < ix.highest.get(k, -1)))]
        if seen and missing:
            found.append({"seen": seen, "missing": missing, "outcome": op["outcome"]})
    return found


def _steps(op):
    """The consecutive offsets polled per key within one operation."""
    runs = collections.defaultdict(list)
    for key, offset, _ in polls(op):
        runs[key].append(offset)
    return runs


def int_poll(ix):
    """J-7: within one operation the reads of a key jump, repeat or go back; keys that were rebalanced meanwhile are exempt."""
    found = []
    for op in ix.ops:
        for key, offsets in _steps(op).items():
            if key not in op.get("reset", ()):
                found += _order(ix, "int-", op, key, offsets)
    return found


def ext_poll(ix):
    """J-8: the same across two operations of one process, unless its position was moved on purpose in between."""
    found, last = [], {}
    for op in ix.ops:
        for key in op.get("reset", ()):
            last.pop((op["process"], key), None)
        for key, offsets in _steps(op).items():
            if (op["process"], key) in last and key not in op.get("reset", ()):
                found += _order(ix, "", op, key, [last[op["process"], key], offsets[0]])
            last[op["process"], key] = offsets[-1]
    return found


def _order(ix, prefix, op, key, offsets):
    found = []
    for before, after in zip(offsets, offsets[1:]):
        about = {"process": op["process"], "key": key, "from": before, "to": after, "at": op["end"]}
        if after <= before:
            found.append({"kind": prefix + "nonmonotonic-poll", **about})
        else:
            skipped = ix.between(key, before, after)
            if skipped:
                found.append({"kind": prefix + "poll-skip", **about, "skipped": skipped[:5]})
    return found


def nonmonotonic_send(ix):
    """J-9: a send that began after another was acknowledged got a lower offset: of the same transaction, process, or any."""
    found = []
    by_key = collections.defaultdict(list)
    for op in ix.ops:
        if op["outcome"] != "ok":
            continue
        for key, _, offset in sends(op):
            if offset is not None:
                by_key[key].append((op, offset))
        runs = collections.defaultdict(list)
        for key, _, offset in sends(op):
            if offset is not None:
                if runs[key] and offset <= runs[key][-1]:
                    found.append({"kind": "int-nonmonotonic-send", "key": key, "from": runs[key][-1], "to": offset})
                runs[key].append(offset)
    for key, acked in by_key.items():
        ended = sorted(((op["end"], offset, op) for op, offset in acked), key=lambda one: one[0])
        best, at, by = -1, 0, None
        for op, offset in sorted(acked, key=lambda one: one[0]["begin"]):
            while at < len(ended) and ended[at][0] < op["begin"]:
                if ended[at][1] > best:
                    best, by = ended[at][1], ended[at][2]
                at += 1
            if offset <= best:
                kind = "nonmonotonic-send" if by["process"] == op["process"] else "realtime-nonmonotonic-send"
                found.append({"kind": kind, "key": key, "from": best, "to": offset, "at": op["end"]})
    return found


def offset_zero(ix):
    """J-14, ours: a record is acknowledged at offset 0 although another of its partition was acknowledged before it was sent."""
    first, found = {}, []
    for op in sorted((op for op in ix.ops if op["outcome"] == "ok"), key=lambda op: op["end"]):
        for key, _, _ in sends(op):
            first.setdefault(key, op["end"])
    for op in ix.ops:
        if op["outcome"] == "ok":
            found += [{"key": key, "value": value} for key, value, offset in sends(op) if offset == 0 and first[key] < op["begin"]]
    return found


def committed_offset(ix):
    """J-17, ours: OffsetFetch answers what the last commits do not allow. A committed offset is a register: an answer is legal
    when some commit wrote it (or none was ever written) and no other commit came for certain between that and the question."""
    writes = collections.defaultdict(list)  # (group, key) -> (begin, end, offset, certain)
    for op in ix.ops:
        for commit in op.get("commits", ()):
            if commit["outcome"] == "fail":
                continue
            ok = commit["outcome"] == "ok"
            for key, offset in commit["offsets"].items():
                writes[commit["group"], key].append((commit["begin"], commit["end"] if ok else math.inf, offset, ok))
    for those in writes.values():
        those.sort()
    found = []
    for op in ix.ops:
        if op["f"] != "committed" or op["outcome"] != "ok":
            continue
        group, answer = op["committed"]
        for key, offset in answer.items():
            those = writes.get((group, key), [])
            # The latest moment at which a certain commit that was over before the question must have begun.
            over = max((begin for begin, end, _, ok in those if ok and end < op["begin"]), default=-math.inf)
            sources = [end for begin, end, value, _ in those if value == offset and begin < op["end"]]
            if offset < 0:
                sources.append(-math.inf)
            if not any(end >= over for end in sources):
                recent = [value for begin, end, value, ok in those if ok and end < op["begin"]][-3:]
                found.append({"group": group, "key": key, "answered": offset, "committed before": recent, "at": op["end"]})
    return found


def latest_offset(ix):
    """J-13, ours: for one reader ListOffsets(latest) goes back, or lies below what it has read."""
    low, found = {}, []
    for op in ix.ops:
        for key, latest in op.get("latest", {}).items():
            if latest < low.get((op["process"], key), 0):
                found.append({"process": op["process"], "key": key, "before": low[op["process"], key], "now": latest, "at": op["end"]})
            low[op["process"], key] = max(latest, low.get((op["process"], key), 0))
        for key, offset, _ in polls(op):
            low[op["process"], key] = max(offset + 1, low.get((op["process"], key), 0))
    return found


def cycles(ix):
    """J-11, G1c: operations that each read, directly or not, what the other wrote; the order within a process counts too."""
    edges = collections.defaultdict(set)
    for (key, value), (number, _) in ix.writer.items():
        for reader in ix.readers.get((key, value), ()):
            if reader != number:
                edges[number].add(reader)
    last = {}
    for number, op in enumerate(ix.ops):
        before = last.get(op["process"])
        if before is not None and ix.ops[before]["end"] <= op["begin"]:
            edges[before].add(number)
        last[op["process"]] = number
    found = []
    for component in _components(edges, len(ix.ops)):
        if len(component) > 1:
            found.append({"ops": [{"process": ix.ops[n]["process"], "mops": ix.ops[n].get("mops")} for n in sorted(component)[:4]]})
    return found


def _components(edges, count):
    """Tarjan's strongly connected components, without recursion."""
    number, low, stack, on, found, clock = {}, {}, [], set(), [], 0
    for root in range(count):
        if root in number:
            continue
        work = [(root, iter(edges.get(root, ())))]
        number[root] = low[root] = clock
        clock += 1
        stack.append(root)
        on.add(root)
        while work:
            node, rest = work[-1]
            for other in rest:
                if other not in number:
                    number[other] = low[other] = clock
                    clock += 1
                    stack.append(other)
                    on.add(other)
                    work.append((other, iter(edges.get(other, ()))))
                    break
                if other in on:
                    low[node] = min(low[node], number[other])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == number[node]:
                    component = []
                    while True:
                        one = stack.pop()
                        on.discard(one)
                        component.append(one)
                        if one == node:
                            break
                    found.append(component)
    return found


ALL = {
    "inconsistent-offsets": inconsistent_offsets, "duplicate": duplicate, "ack-offset": ack_offset, "phantom": phantom, "lost-write": lost_write, "unseen": unseen,
    "aborted-read": aborted_read, "precommitted-read": precommitted_read, "torn-transaction": torn_transaction, "int-poll": int_poll, "poll": ext_poll,
    "nonmonotonic-send": nonmonotonic_send, "offset-zero": offset_zero, "committed-offset": committed_offset, "latest-offset": latest_offset, "G1c": cycles,
}


def check(history):
    """Every anomaly of a history, by name; an empty dict is a clean bill."""
    ix = Index(history)
    found = {name: analysis(ix) for name, analysis in ALL.items()}
    return {name: anomalies for name, anomalies in found.items() if anomalies}


def summary(history):
    """What the run consisted of: a checker that saw nothing proves nothing."""
    ops = [op for op in history if op["f"] != "end"]
    outcomes = collections.Counter((op["f"], op["outcome"]) for op in ops)
    return {"ops": len(ops), "sent": sum(len(sends(op)) for op in ops if op["outcome"] == "ok"), "polled": sum(len(polls(op)) for op in ops),
            "keys": len({key for op in ops for key, _, _ in sends(op)}), "outcomes": {f"{f} {outcome}": n for (f, outcome), n in sorted(outcomes.items())},
            "errors": dict(collections.Counter(op["error"] for op in ops if op.get("error")).most_common(8)),
            "complete": any(op["f"] == "end" and op.get("complete") for op in history)}
