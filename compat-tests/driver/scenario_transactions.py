"""Transactions: Java's and librdkafka's producers, the kafka-transactions tool, raw requests in every version, and kill -9
in the middle of them."""
import json
import os
import signal
import subprocess
import sys
import time

import proc
import wire
from harness import eventually
from probes import produce
from scenario_crash import CLIENTS, VENV

TRANSACTIONAL = 0x10
IDS = r"(ProducerId|producerId|ProducerIdFilters)[^\n]*"


def java_transactions(s):
    answer = s.jvm("TxnScript", s.bootstrap, timeout=240)
    s.steps(answer.out)
    s.record("the script ends", f"exit {answer.exit}\n{answer.err[-2000:]}")


def rdkafka_transactions(s):
    text = s.command("", [VENV, os.path.join(CLIENTS, "rdkafka_transactions.py"), s.bootstrap], timeout=120, keep=False)
    s.steps(text)
    s.record("the script ends", "exit 0" if text.startswith("exit 0") else text[-1500:])


def zombie(s):
    """A producer's process is stopped in the middle of a transaction, another takes its id, and the first wakes up."""
    s.tool("", "topics", "--create", "--topic", "zombie", "--partitions", "1", keep=False)
    argv = ["java", "-Xmx128m", *proc.SMALL_JVM, *proc.java_env(os.path.join(s.folder, "zombie.log")), "-cp", proc.CLASSES + ":" + proc.LIBS + "/*", "TxnZombie",
            s.bootstrap, "zombie", "zombie"]
    for how in ("sends", "commits", "flushes", "aborts"):
        first = subprocess.Popen([*argv, f"of the first that {how}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            opened = first.stdout.readline().strip()
            os.kill(first.pid, signal.SIGSTOP)
            second = subprocess.run([*argv, f"of the second while it {how}"], input="commits\n", capture_output=True, text=True, timeout=60)
            os.kill(first.pid, signal.SIGCONT)
            told, _ = first.communicate(how + "\n", timeout=60)
            s.record(f"a producer that was stopped {how}", f"first: {opened}\nsecond: {second.stdout}first again: {told}")
        finally:
            first.kill()
            first.wait()
    s.tool("what is committed", "console-consumer", "--topic", "zombie", "--partition", "0", "--from-beginning", "--isolation-level", "read_committed",
           "--max-messages", "4", "--timeout-ms", "15000")


class Txn:
    """One transactional id spoken for in raw requests."""

    def __init__(self, connection, name):
        self.connection, self.name = connection, name
        self.id, self.epoch, self.sequence = -1, -1, 0

    def init(self, version=4, timeout=60000, current=False):
        ask = {"TransactionalId": self.name, "TransactionTimeoutMs": timeout, "ProducerId": self.id if current else -1,
               "ProducerEpoch": self.epoch if current else -1}
        retriable = (14, 15, 16, 51)
        answer = eventually(lambda: (lambda a: a if a["ErrorCode"] not in retriable else None)(self.connection.call(22, version, ask)))
        if answer and answer["ErrorCode"] == 0:
            self.id, self.epoch, self.sequence = answer["ProducerId"], answer["ProducerEpoch"], 0
        return answer

    def init_twice(self):
        """So that there is an epoch before this one."""
        self.init()
        self.init()

    def add(self, partitions, version=3, **more):
        topics = {}
        for topic, partition in partitions:
            topics.setdefault(topic, []).append(partition)
        topics = [{"Name": name, "Partitions": found} for name, found in topics.items()]
        pid, epoch = more.get("id", self.id), more.get("epoch", self.epoch)
        if version < 4:
            body = {"V3AndBelowTransactionalId": self.name, "V3AndBelowProducerId": pid, "V3AndBelowProducerEpoch": epoch, "V3AndBelowTopics": topics}
        else:
            body = {"Transactions": [{"TransactionalId": self.name, "ProducerId": pid, "ProducerEpoch": epoch, "VerifyOnly": more.get("verify", False),
                                      "Topics": topics}]}
        call = lambda: self.connection.call(24, version, body)
        return settled(call) if more.get("wait", True) else call()

    def write(self, topic, partition, version=9, transactional_id="", **more):
        data = wire.batch([(b"k", b"v")], producer_id=more.get("id", self.id), epoch=more.get("epoch", self.epoch),
                          sequence=more.get("sequence", self.sequence), attributes=TRANSACTIONAL)
        answer = produce(self.connection, topic, partition, data, version, transactional_id=self.name if transactional_id == "" else transactional_id)
        if answer["ErrorCode"] == 0:
            self.sequence += 1
        return answer

    def end(self, commit=True, version=3, **more):
        body = {"TransactionalId": self.name, "ProducerId": more.get("id", self.id), "ProducerEpoch": more.get("epoch", self.epoch), "Committed": commit}
        call = lambda: self.connection.call(26, version, body)
        return settled(call) if more.get("wait", True) else call()


def settled(call):
    """Markers are written after EndTxn is answered; CONCURRENT_TRANSACTIONS until then."""
    return eventually(lambda: (lambda a: a if "51" not in codes(a) else None)(call()))


def codes(answer):
    if isinstance(answer, dict):
        return {str(v) for k, v in answer.items() if k.endswith("ErrorCode")} | {c for v in answer.values() for c in codes(v)}
    return {c for v in answer for c in codes(v)} if isinstance(answer, list) else set()


def probe_transactions(s):
    """Every API of the family in every version, and what it refuses."""
    for topic in ("ptx", "ptx2"):
        s.tool("", "topics", "--create", "--topic", topic, "--partitions", "2", keep=False)
    s.masks += [(r'"ProducerId": -?\d{2,}', '"ProducerId": "P"'), (r'"ProducerId": [0-9]\b', '"ProducerId": "P"'),
                (r'"TransactionStartTimeMs": \d+', '"TransactionStartTimeMs": "T"'), (r'"LogStartOffset": -?\d+', '"LogStartOffset": "L"')]
    c = s.broker.connect(10)
    eventually(lambda: c.call(10, 4, {"KeyType": 1, "CoordinatorKeys": ["any"]})["Coordinators"][0]["ErrorCode"] == 0)
    for version in range(1, 4):
        s.record(f"FindCoordinator v{version}", c.call(10, version, {"Key": "any", "KeyType": 1}))
    for version in range(4, 7):
        s.record(f"FindCoordinator v{version}", c.call(10, version, {"KeyType": 1, "CoordinatorKeys": ["any", "", "ü"]}))
    for version in range(6):
        t = Txn(c, f"init-{version}")
        s.record(f"InitProducerId v{version}", t.init(version))
        s.record(f"InitProducerId v{version} again", t.init(version))
        if version >= 3:
            s.record(f"InitProducerId v{version} with its own epoch", t.init(version, current=True))
            t.epoch -= 1
            s.record(f"InitProducerId v{version} with the epoch before", t.init(version, current=True))
            t.epoch -= 2
            s.record(f"InitProducerId v{version} with an old epoch", t.init(version, current=True))
            t.id += 77777
            s.record(f"InitProducerId v{version} with another id", t.init(version, current=True))
    for label, body in [("empty id", {"TransactionalId": ""}), ("timeout 0", {"TransactionTimeoutMs": 0}), ("timeout -1", {"TransactionTimeoutMs": -1}),
                        ("timeout too long", {"TransactionTimeoutMs": 900001}), ("id without epoch", {"ProducerId": 5}), ("epoch without id", {"ProducerEpoch": 5})]:
        s.record(f"InitProducerId: {label}", c.call(22, 4, {"TransactionalId": "bad", "TransactionTimeoutMs": 60000, "ProducerId": -1, "ProducerEpoch": -1, **body}))
    for version in range(6):
        t = Txn(c, f"add-{version}")
        t.init()
        s.record(f"AddPartitionsToTxn v{version}", t.add([("ptx", 0), ("ptx", 1), ("ptx2", 0)], version))
        s.record(f"AddPartitionsToTxn v{version} again", t.add([("ptx", 0)], version))
        s.record(f"AddPartitionsToTxn v{version} unknown partition", by_name(t.add([("ptx", 0), ("ptx", 9), ("nowhere", 0)], version)))
        s.record(f"AddPartitionsToTxn v{version} old epoch", t.add([("ptx", 0)], version, epoch=t.epoch - 1))
        s.record(f"AddPartitionsToTxn v{version} future epoch", t.add([("ptx", 0)], version, epoch=t.epoch + 1))
        s.record(f"AddPartitionsToTxn v{version} wrong id", t.add([("ptx", 0)], version, id=t.id + 77777))
        s.record(f"AddPartitionsToTxn v{version} no such transaction", Txn(c, "nobody").add([("ptx", 0)], version))
        s.record(f"AddPartitionsToTxn v{version} without partitions", t.add([], version))
        s.record(f"AddPartitionsToTxn v{version} empty id", Txn(c, "").add([("ptx", 0)], version))
        if version >= 4:
            s.record(f"AddPartitionsToTxn v{version} verifies", t.add([("ptx", 0), ("ptx2", 1)], version, verify=True))
            s.record(f"AddPartitionsToTxn v{version} verifies an old epoch", t.add([("ptx", 0)], version, verify=True, epoch=t.epoch - 1))
            s.record(f"AddPartitionsToTxn v{version} verifies nobody", Txn(c, "nobody").add([("ptx", 0)], version, verify=True))
        t.end(False)
    for version in range(5):
        t = Txn(c, f"end-{version}")
        t.init()
        s.record(f"EndTxn v{version} of none", t.end(True, version))
        t.add([("ptx", 0)])
        s.record(f"EndTxn v{version} old epoch", t.end(True, version, epoch=t.epoch - 1))
        s.record(f"EndTxn v{version} wrong id", t.end(True, version, id=t.id + 77777))
        s.record(f"EndTxn v{version} commits", t.end(True, version))
        s.record(f"EndTxn v{version} commits again", t.end(True, version))
        s.record(f"EndTxn v{version} aborts what is committed", t.end(False, version))
        t.add([("ptx", 0)])
        s.record(f"EndTxn v{version} aborts", t.end(False, version))
        s.record(f"EndTxn v{version} aborts again", t.end(False, version))
        s.record(f"EndTxn v{version} commits what is aborted", t.end(True, version))
        s.record(f"EndTxn v{version} no such transaction", Txn(c, "nobody").end(True, version))
        s.record(f"EndTxn v{version} empty id", Txn(c, "").end(True, version))
    probe_writes(s, c)
    probe_offsets(s, c)
    probe_markers(s, c)
    t = Txn(c, "shown")
    t.init()
    t.add([("ptx", 0), ("ptx", 1)])
    s.record("DescribeTransactions", c.call(65, 0, {"TransactionalIds": ["shown", "nobody", ""]}))
    for version in range(2):
        s.record(f"ListTransactions v{version}", listed(c.call(66, version, {"StateFilters": [], "ProducerIdFilters": [t.id]})))
        s.record(f"ListTransactions v{version} by state", listed(c.call(66, version, {"StateFilters": ["Ongoing", "NoSuchState"], "ProducerIdFilters": []})))
        s.record(f"ListTransactions v{version} unknown state", listed(c.call(66, version, {"StateFilters": ["NoSuchState"], "ProducerIdFilters": []})))
    s.record("ListTransactions by duration", listed(c.call(66, 1, {"StateFilters": ["Ongoing"], "ProducerIdFilters": [], "DurationFilter": 10_000_000})))
    t.end(False)


def listed(answer):
    answer["TransactionStates"] = sorted((t for t in answer["TransactionStates"] if t["TransactionalId"].startswith(("shown", "add-"))),
                                         key=lambda t: t["TransactionalId"])
    return answer


def probe_writes(s, c):
    for version in (3, 8, 9, 10, 11):
        t = Txn(c, f"write-{version}")
        t.init()
        s.record(f"Produce v{version} before the partition is added", t.write("ptx", 0, version))
        t.add([("ptx", 0)])
        s.record(f"Produce v{version} in a transaction", no_offsets(t.write("ptx", 0, version)))
        s.record(f"Produce v{version} to another partition", t.write("ptx", 1, version, sequence=0))
        s.record(f"Produce v{version} without the transactional id", t.write("ptx", 0, version, transactional_id=None))
        s.record(f"Produce v{version} under another transactional id", no_offsets(t.write("ptx", 0, version, transactional_id="nobody")))
        s.record(f"Produce v{version} of an old epoch", t.write("ptx", 0, version, epoch=t.epoch - 1))
        s.record(f"Produce v{version} out of sequence", t.write("ptx", 0, version, sequence=7))
        s.record(f"Produce v{version} outside of the open transaction", no_offsets(produce(c, "ptx", 0, wire.batch([(b"k", b"v")], producer_id=t.id, epoch=t.epoch,
                                                                                                     sequence=t.sequence), version)))
        t.end(True)
        eventually(lambda: "CompleteCommit" in json.dumps(c.call(65, 0, {"TransactionalIds": [t.name]})))
        s.record(f"Produce v{version} behind the marker", t.write("ptx", 0, version))
        s.record(f"Produce v{version} unknown transaction", Txn(c, "nobody").write("ptx", 0, version, id=987654, epoch=0))


def by_name(answer):
    """Topics and partitions in order: Kafka's come out of hash maps."""
    if isinstance(answer, dict):
        return {k: by_name(v) for k, v in answer.items()}
    if isinstance(answer, list):
        return sorted((by_name(v) for v in answer), key=lambda v: (v.get("Name", ""), v.get("PartitionIndex", 0)) if isinstance(v, dict) else v)
    return answer


def no_offsets(answer):
    return {k: v for k, v in answer.items() if k != "BaseOffset"} | {"BaseOffset": answer["BaseOffset"] >= 0}


def probe_offsets(s, c):
    group = "ptx-group"
    eventually(lambda: c.call(10, 4, {"KeyType": 0, "CoordinatorKeys": [group]})["Coordinators"][0]["ErrorCode"] == 0)
    fetch = lambda stable: c.call(9, 8, {"Groups": [{"GroupId": group, "Topics": [{"Name": "ptx", "PartitionIndexes": [0, 1]}]}], "RequireStable": stable})
    for version in range(5):
        t = Txn(c, f"offsets-{version}")
        t.init_twice()
        body = {"TransactionalId": t.name, "GroupId": group, "ProducerId": t.id, "ProducerEpoch": t.epoch, "GenerationId": -1, "MemberId": "", "GroupInstanceId": None,
                "Topics": [{"Name": "ptx", "Partitions": [{"PartitionIndex": 0, "CommittedOffset": 10 + version, "CommittedLeaderEpoch": -1, "CommittedMetadata": "m"}]},
                           {"Name": "nowhere", "Partitions": [{"PartitionIndex": 0, "CommittedOffset": 1, "CommittedLeaderEpoch": -1, "CommittedMetadata": None}]}]}
        s.record(f"TxnOffsetCommit v{version} before the group is added", c.call(28, version, body))
        s.record(f"AddOffsetsToTxn v{version} old epoch", c.call(25, version, {"TransactionalId": t.name, "ProducerId": t.id, "ProducerEpoch": t.epoch - 1, "GroupId": group}))
        s.record(f"AddOffsetsToTxn v{version} wrong id", c.call(25, version, {"TransactionalId": t.name, "ProducerId": t.id + 77777, "ProducerEpoch": t.epoch, "GroupId": group}))
        s.record(f"AddOffsetsToTxn v{version}", settled(lambda: c.call(25, version, {"TransactionalId": t.name, "ProducerId": t.id, "ProducerEpoch": t.epoch, "GroupId": group})))
        s.record(f"TxnOffsetCommit v{version}", c.call(28, version, body))
        # Of another partition: Kafka forgets what was committed before when a later commit of the same partition fails.
        other = [{"Name": "ptx", "Partitions": [{"PartitionIndex": 1, "CommittedOffset": 5, "CommittedLeaderEpoch": -1, "CommittedMetadata": ""}]}]
        s.record(f"TxnOffsetCommit v{version} old epoch", c.call(28, version, {**body, "Topics": other, "ProducerEpoch": t.epoch - 1}))
        s.record(f"TxnOffsetCommit v{version} no epoch", by_name(c.call(28, version, {**body, "ProducerEpoch": -1})))
        s.record(f"TxnOffsetCommit v{version} empty group", c.call(28, version, {**body, "GroupId": ""}))
        if version >= 3:
            s.record(f"TxnOffsetCommit v{version} unknown member", c.call(28, version, {**body, "MemberId": "nobody", "GenerationId": 4}))
            s.record(f"TxnOffsetCommit v{version} unknown instance", c.call(28, version, {**body, "GroupInstanceId": "nobody"}))
        s.record(f"stable offsets, open v{version}", fetch(True))
        s.record(f"unstable offsets, open v{version}", fetch(False))
        t.end(version % 2 == 0)
        eventually(lambda: "Complete" in json.dumps(c.call(65, 0, {"TransactionalIds": [t.name]})))
        s.record(f"stable offsets, ended v{version}", fetch(True))


def probe_markers(s, c):
    entry = lambda t, partitions, **more: {"ProducerId": t.id, "ProducerEpoch": more.get("epoch", t.epoch), "TransactionResult": more.get("commit", False),
                                           "Topics": [{"Name": "ptx2", "PartitionIndexes": partitions}], "CoordinatorEpoch": more.get("coordinator", 0)}
    for version in range(2):
        t = Txn(c, f"markers-{version}")
        t.init_twice()
        t.add([("ptx2", 0)])
        t.write("ptx2", 0)
        marker = lambda label, *entries: s.record(f"WriteTxnMarkers v{version} {label}", by_name(c.call(27, version, {"Markers": list(entries)})))
        marker("none")
        marker("without partitions", entry(t, []))
        marker("old epoch", entry(t, [0], epoch=t.epoch - 1))
        marker("no epoch", entry(t, [0], epoch=-1))
        marker("a missing partition", entry(t, [0, 7], coordinator=3))
        marker("an older coordinator", entry(t, [0], coordinator=1))
        marker("twice in one", entry(t, [0], coordinator=3), entry(t, [1], coordinator=3))
        s.record(f"behind the marker v{version}", no_offsets(t.write("ptx2", 0)))
        s.record(f"producers v{version}", [p | {"LastTimestamp": 0} for p in c.call(61, 0, {"Topics": [{"Name": "ptx2", "PartitionIndexes": [0]}]})
                                           ["Topics"][0]["Partitions"][0]["ActiveProducers"] if p["ProducerId"] == t.id])


def tool_transactions(s):
    """kafka-transactions.sh as an operator uses it."""
    s.masks += [(r"(?m)^(\S*\s+)\d+(\s)", r"\1N\2"), (r"\b\d{13}\b", "TIME"), (r"(?m)\s+\d+\s*$", " N"), (r"TIME\s+\d+", "TIME AGE")]
    s.tool("", "topics", "--create", "--topic", "ttx", "--partitions", "1", keep=False)
    tool = lambda label, *args, **more: s.tool(label, "org.apache.kafka.tools.TransactionsCommand", *args, **more)
    c = s.broker.connect(10)
    eventually(lambda: c.call(10, 4, {"KeyType": 1, "CoordinatorKeys": ["tool"]})["Coordinators"][0]["ErrorCode"] == 0)
    t = Txn(c, "tool")
    t.init()
    t.add([("ttx", 0)])
    t.write("ttx", 0)
    tool("list", "list", only=r"tool\b|Transactional")
    tool("list by duration", "list", "--duration-filter", "100000000", sort=True)
    tool("describe", "describe", "--transactional-id", "tool", only=r"^exit|tool")
    tool("describe nobody", "describe", "--transactional-id", "nobody", only="^exit|Exception")
    tool("describe producers", "describe-producers", "--topic", "ttx", "--partition", "0", only=r"^exit|Epoch")
    tool("find hanging", "find-hanging", "--broker-id", "0", only="^exit|Topic")
    tool("abort", "abort", "--topic", "ttx", "--partition", "0", "--start-offset", "0", only="^exit")
    tool("abort again", "abort", "--topic", "ttx", "--partition", "0", "--start-offset", "0", only="^exit|Could|Exception")
    t.end(False)
    # A transaction that hangs: its coordinator knows nothing of the partition. Only without verification can there be one.
    verify = lambda value: ["--alter", "--entity-type", "brokers", "--entity-default", "--add-config", f"transaction.partition.verification.enable={value}"]
    s.tool("verification is switched off", "configs", *verify("false"), only="^exit|Completed")
    h = Txn(c, "hangs")
    h.init_twice()
    hours_ago = int(time.time() * 1000) - 2 * 3600 * 1000
    data = wire.batch([(b"k", b"v")], timestamp=hours_ago, producer_id=h.id, epoch=h.epoch, sequence=0, attributes=TRANSACTIONAL)
    answer = eventually(lambda: (lambda a: a if a["ErrorCode"] == 0 else None)(produce(c, "ttx", 0, data, transactional_id="hangs")))
    s.record("a record of it is taken", json.dumps(bool(answer)))
    found = lambda label: tool(label, "find-hanging", "--broker-id", "0", "--max-transaction-timeout", "1", only=r"^exit|^ttx")
    found("find hanging finds it")
    tool("the hanging one is aborted", "abort", "--topic", "ttx", "--partition", "0", "--start-offset", str(answer["BaseOffset"]), only="^exit|Could|Exception")
    found("find hanging finds it no more")
    s.tool("verification is switched on", "configs", *verify("true"), only="^exit|Completed")


def crash(run, name):
    """Ours only: kill -9 in mid-transaction, again and again; what is seen must be whole transactions."""
    if run.options.subject != "monedula":
        return run.report.skip(name, "only for Monedula")
    broker = proc.make("monedula", os.path.join(run.folder, name), overrides={"transaction.state.log.num.partitions": "5"}).start()
    rounds = run.options.rounds or 6
    try:
        args = [VENV, os.path.join(CLIENTS, "txn_load.py"), broker.bootstrap]
        subprocess.run([*args, "create"], timeout=60, check=True)
        loads = [subprocess.Popen([*args, "write", str(i)], stdout=subprocess.PIPE, text=True) for i in range(3)]
        for _ in range(rounds):
            time.sleep(3)
            broker.kill()
            broker.start()
        time.sleep(4)
        for load in loads:
            load.terminate()
        told = [load.communicate(timeout=60)[0] for load in loads]
        committed = sum(int(text.split()[-1]) for text in told if text.split())
        checked = subprocess.run([*args, "verify"], capture_output=True, text=True, timeout=120, input="\n".join(told))
        run.report.check(f"{name}: transactions are whole after {rounds} kills", checked.returncode == 0, checked.stdout[-1500:] + checked.stderr[-1500:])
        run.report.check(f"{name}: transactions were committed", committed > 0, str(told)[-500:])
        run.report.line("     " + checked.stdout.strip()[-300:])
    finally:
        broker.close()
