"""Partitions of a real cluster moved, elected, grown and deleted with the official tools, and a log dir that fails: the same script on
three brokers of Apache Kafka and on three others, and the tools' answers compared."""
import json
import os
import random
import re
import subprocess
import threading
import time
import traceback

import cluster as clusters
import harness
import probes
import proc
import wire
from harness import Side, eventually

OVERRIDES = {
    "auto.leader.rebalance.enable": "false", "auto.create.topics.enable": "false", "min.insync.replicas": "1", "unclean.leader.election.enable": "false",
    "replica.high.watermark.checkpoint.interval.ms": "1000", "log.flush.scheduler.interval.ms": "1000", "offsets.topic.replication.factor": "3",
    "offsets.commit.timeout.ms": "2000",  # less than it takes until a follower leaves the ISR
}
REASSIGN = "org.apache.kafka.tools.reassign.ReassignPartitionsCommand"
ELECT = "org.apache.kafka.tools.LeaderElectionCommand"


class ClusterSide(Side):
    """A cluster in a broker's place: what its tools say, with the addresses and folders of all its brokers masked."""

    def __init__(self, name, cluster, tools):
        super().__init__(next(iter(cluster.brokers.values())), tools, cluster.folder)
        self.name, self.cluster, self.started = name, cluster, time.monotonic()

    @property
    def bootstrap(self):
        return self.cluster.bootstrap

    def normal(self, text):
        for number, broker in self.cluster.brokers.items():
            for place, folder in enumerate(broker.log_dir.split(",")):
                text = text.replace(folder, f"LOGDIR-{number}-{place}")
            text = re.sub(harness.port_mask(broker.port), f"PORT-{number}", text)
        for pattern, replacement in self.masks + harness.COMMON_MASKS:
            text = re.sub(pattern, replacement, text)
        return "\n".join(line.rstrip() for line in text.strip().splitlines())

    def tool(self, label, *args, **more):
        began = time.monotonic()
        result = super().tool(label, *args, **more)
        if time.monotonic() - began > 10:
            print(f"     slow: {label or args}: {time.monotonic() - began:.1f} s", flush=True)
        return result

    def create(self, topic, assignment, **configs):
        more = [word for key, value in configs.items() for word in ("--config", f"{key.replace('_', '.')}={value}")]
        self.tool(f"create {topic}", "topics", "--create", "--topic", topic, "--replica-assignment", assignment, *more)
        self.until(lambda: len(self.states(topic)) == len(assignment.split(",")) and all(self.leads(topic, partition) for partition in self.states(topic)), f"{topic} has leaders")

    def leads(self, topic, partition):
        """Whether the leader in the tree knows of it. An idempotent producer whose first batches are refused and whose fifth is taken never
        gets on (KAFKA-14359), at either kind of broker; it is not what is tried here."""
        leader = self.states(topic)[partition]["leader"]
        if leader < 0:
            return False
        with self.cluster.brokers[leader].connect(5) as connection:
            answer = connection.call(2, 5, {"ReplicaId": -1, "IsolationLevel": 0, "Topics": [{"Name": topic, "Partitions": [
                {"PartitionIndex": partition, "CurrentLeaderEpoch": -1, "Timestamp": -1}]}]})
        return answer["Topics"][0]["Partitions"][0]["ErrorCode"] == 0

    def describe(self, label, topic):
        self.tool(f"{label}: describe {topic}", "topics", "--describe", "--topic", topic)

    def states(self, topic):
        return self.cluster.view.states(topic)

    def until(self, condition, what, timeout=60):
        self.cluster.until(condition, what, timeout)

    def until_isr(self, topic, partition, isr, timeout=60):
        self.until(lambda: sorted(self.states(topic)[partition]["isr"]) == sorted(isr), f"{topic}-{partition} has ISR {isr}, not {self.states(topic)[partition]}", timeout)

    def until_leader(self, topic, partition, leader, timeout=60):
        self.until(lambda: self.states(topic)[partition]["leader"] == leader, f"{topic}-{partition} is led by {leader}, not {self.states(topic)[partition]}", timeout)

    def describes(self, topic, text, timeout=30):
        """Until the brokers' own images say so, not only the tree."""
        def once():
            return re.search(text, self.tool("", "topics", "--describe", "--topic", topic, keep=False).out)
        if not eventually(once, timeout, 0.5):
            raise RuntimeError(f"not described as {text}: {self.tool('', 'topics', '--describe', '--topic', topic, keep=False).text()}")

    def down(self, number):
        self.cluster.brokers[number].stop(60)
        self.until(lambda: number not in self.cluster.view.brokers(), f"broker {number} is gone")

    def kill(self, number):
        self.cluster.brokers[number].kill()
        self.until(lambda: number not in self.cluster.view.brokers(), f"broker {number} is gone")

    def up(self, number):
        self.cluster.restart(number)
        self.until(lambda: number in self.cluster.view.brokers(), f"broker {number} is back")

    def held(self, number, pattern):
        """The folders of a broker's log dirs whose whole name is like this."""
        dirs = [entry for entry in self.cluster.brokers[number].log_dir.split(",") if os.path.isdir(entry)]
        return [os.path.join(entry, name) for entry in dirs for name in os.listdir(entry) if re.fullmatch(pattern, name)]

    def fill(self, topic, partitions, batches):
        """So many batches of 400 kB into each of these partitions."""
        for partition in partitions:
            leader = self.cluster.brokers[self.states(topic)[partition]["leader"]]
            with leader.connect(30) as connection:
                for _ in range(batches):
                    answer = probes.produce(connection, topic, partition, wire.batch([(b"key", b"v" * 400_000)], timestamp=int(time.time() * 1000)))
                    if answer["ErrorCode"] != 0:
                        raise RuntimeError(f"cannot write to {topic}-{partition}: {answer}")

    def written(self, topic, partition):
        """How many bytes the leader holds."""
        folder = self.held(self.states(topic)[partition]["leader"], f"{topic}-{partition}")[0]
        return sum(os.path.getsize(os.path.join(folder, name)) for name in os.listdir(folder) if name.endswith(".log"))

    def write(self, topic, records=2000, size=1000):
        self.tool("", "producer-perf", "--topic", topic, "--num-records", records, "--record-size", size, "--throughput", -1, "--producer-props",
                  f"bootstrap.servers={self.bootstrap}", "acks=all", boot=False, keep=False, timeout=60)

    def plan(self, name, moves):
        """A file for the tool: (topic, partition) to replicas."""
        path = os.path.join(self.folder, f"{name}.json")
        with open(path, "w") as out:
            json.dump({"version": 1, "partitions": [{"topic": t, "partition": p, "replicas": r} for (t, p), r in moves.items()]}, out)
        return path

    def reassign(self, label, *args, keep=True):
        return self.tool(label, REASSIGN, *args, keep=keep)

    def moved(self, plan, keep_throttle=False, timeout=60):
        """Until --verify finds nothing left to do; the throttle is kept while asked."""
        def once():
            answer = self.reassign("", "--verify", "--reassignment-json-file", plan, "--preserve-throttles", keep=False)
            return answer.exit == 0 and "still in progress" not in answer.out and "is completed" in answer.out
        if not eventually(once, timeout, 0.5):
            raise RuntimeError("the reassignment does not end: " + self.reassign("", "--verify", "--reassignment-json-file", plan, "--preserve-throttles", keep=False).text())

    def until_unthrottled(self):
        """Gone from the tree, and from what the brokers say: they take a change a moment after it was answered."""
        client = self.cluster.view.client
        entities = lambda kind: [client.get(f"/config/{kind}/{name}")[0] for name in client.get_children(f"/config/{kind}")]
        self.until(lambda: not any(b"throttled" in data for kind in ("brokers", "topics") for data in entities(kind)), "no throttle is left in the tree", 20)
        eventually(lambda: "throttled" not in self.tool("", "configs", "--describe", "--entity-type", "brokers", keep=False).out, 20, 0.5)

    def throttles(self, label, topic):
        self.tool(f"{label}: throttles of the brokers", "configs", "--describe", "--entity-type", "brokers", sort=True, only="throttled|Dynamic")
        self.tool(f"{label}: throttles of {topic}", "configs", "--describe", "--entity-type", "topics", "--entity-name", topic, only="throttled|Dynamic")


def moving(s):
    """KIP-455 and KIP-73: moved under a throttle, looked at, refused, cancelled, moved with another, and the throttle removed."""
    s.create("move", "1:2,2:3,3:1")
    # A throttle lets one fetch, a megabyte, pass in each of its windows of eleven seconds: this takes minutes.
    s.fill("move", range(3), 30)
    there = s.plan("there", {("move", 0): [2, 3], ("move", 1): [3, 1]})
    s.reassign("move: verify before", "--verify", "--reassignment-json-file", there)
    s.reassign("move: execute", "--execute", "--reassignment-json-file", there, "--throttle", 1000)
    s.reassign("move: list", "--list")
    s.describe("move: on the way", "move")
    s.reassign("move: verify on the way", "--verify", "--reassignment-json-file", there, "--preserve-throttles")
    s.throttles("move: on the way", "move")
    s.reassign("move: execute again", "--execute", "--reassignment-json-file", there)
    s.tool("move: grow while it moves", "topics", "--alter", "--topic", "move", "--partitions", 5)
    s.reassign("move: cancel", "--cancel", "--reassignment-json-file", there, "--preserve-throttles")
    s.until(lambda: not any(s.cluster.view.json("/brokers/topics/move").get(key) for key in ("adding_replicas", "removing_replicas")), "the reassignment is cancelled")
    s.reassign("move: list after cancelling", "--list")
    s.describe("move: after cancelling", "move")
    s.reassign("move: cancel what is not on the way", "--cancel", "--reassignment-json-file", there)
    s.until_unthrottled()
    s.throttles("move: after cancelling", "move")
    s.reassign("move: execute with a high throttle", "--execute", "--reassignment-json-file", there, "--throttle", 50000000)
    s.moved(there)
    s.reassign("move: verify at the end", "--verify", "--reassignment-json-file", there)
    s.until_unthrottled()
    s.throttles("move: at the end", "move")
    s.describe("move: at the end", "move")
    for what, moves in {"an unknown broker": {("move", 0): [2, 9]}, "a broker twice": {("move", 0): [2, 2]}, "no broker": {("move", 0): []},
                        "a partition that is not there": {("move", 77): [1, 2]}, "a topic that is not there": {("missing", 0): [1, 2]}}.items():
        s.reassign(f"move: execute with {what}", "--execute", "--reassignment-json-file", s.plan("bad", moves))
    more = s.plan("more", {("move", 2): [3, 1, 2]})
    s.reassign("move: more replicas", "--execute", "--reassignment-json-file", more)
    s.moved(more)
    s.until_isr("move", 2, [1, 2, 3])
    fewer = s.plan("fewer", {("move", 2): [2]})
    s.reassign("move: fewer replicas", "--execute", "--reassignment-json-file", fewer)
    s.moved(fewer)
    s.describe("move: more, then fewer", "move")
    gone = lambda: not any(s.held(number, rf"move-{partition}(\..*)?") for number, partition in ((1, 0), (2, 1), (1, 2), (3, 2)))
    s.record("move: what left is deleted", str(eventually(gone, 20)))


# What is moved under a throttle, and how fast: ten seconds each, give or take what a window and a fetch are.
THROTTLED_BATCHES, THROTTLE, THROTTLE_BOUNDS = 50, 2_000_000, (0.7, 1.6)


def throttling(s):
    """KIP-73: at the rate asked for, each broker sending and receiving; held by leaders or followers alone, then by both. On brokers that
    have no follower yet: Apache Kafka's leaders count every fetch that is not throttled, as zero bytes, and then let the eleven seconds' worth of
    their window pass at once."""
    for number, only in ((1, "leader"), (2, "follower"), (3, None)):
        s.cluster.seat(number)
        together, topic = only is None, f"slow-{number}"
        if only != "follower":
            time.sleep(12)  # the rate is a mean of eleven seconds: what was sent in them before counts, or lacks
        s.create(topic, "1,2,3")
        s.fill(topic, range(3), THROTTLED_BATCHES if together else THROTTLED_BATCHES // 2)
        # In a ring: broker 1 sends to 2, 2 to 3, 3 to 1.
        plan = s.plan(topic, {(topic, 0): [1, 2], (topic, 1): [2, 3], (topic, 2): [3, 1]})
        label = f"throttle: held by {only or 'both'}"
        if only:
            names = ",".join(f"{p}:{p + 1 if only == 'leader' else (p + 1) % 3 + 1}" for p in range(3))
            s.tool(f"{label}: replicas", "configs", "--alter", "--entity-type", "topics", "--entity-name", topic, "--add-config", f"{only}.replication.throttled.replicas=[{names}]")
            for broker in (1, 2, 3):
                s.tool(f"{label}: rate of {broker}", "configs", "--alter", "--entity-type", "brokers", "--entity-name", broker, "--add-config", f"{only}.replication.throttled.rate={THROTTLE}")
            time.sleep(2)  # brokers take a change a moment after it was answered
        throttle = () if only else ("--throttle", THROTTLE)
        mover = threading.Thread(target=lambda: s.reassign(f"{label}: execute", "--execute", "--reassignment-json-file", plan, *throttle))
        mover.start()
        took = _move_times(s, topic)
        mover.join()
        size = s.written(topic, 0)
        s.record(f"{label}: at the rate", "\n".join(_verdict(partition, seconds, size) for partition, seconds in sorted(took.items())))
        print(f"     {topic}: {size} bytes to each in {', '.join(f'{seconds:.1f}' for _, seconds in sorted(took.items()))} s", flush=True)
        s.reassign("", "--verify", "--reassignment-json-file", plan, keep=False)
        s.until_unthrottled()


def _move_times(s, topic, timeout=60):
    """Seconds from the first file of each new replica, partition p on broker p + 2, to its place in the ISR."""
    begun, took, end = {}, {}, time.monotonic() + timeout
    while len(took) < 3 and time.monotonic() < end:
        states, now = s.states(topic), time.monotonic()
        for partition in range(3):
            new = (partition + 1) % 3 + 1
            if partition not in begun and s.held(new, f"{topic}-{partition}"):
                begun[partition] = now
            if partition not in took and new in states[partition]["isr"]:
                took[partition] = now - begun.get(partition, now)
        time.sleep(0.02)
    return took


def _verdict(partition, seconds, size):
    low, high = (bound * size / THROTTLE for bound in THROTTLE_BOUNDS)
    return f"partition {partition}: " + ("yes" if low <= seconds <= high else f"{size} bytes in {seconds:.1f} s, not within {low:.1f} and {high:.1f}")


def leaving(s):
    """A topic deleted while it moves is gone at once, whatever has moved."""
    s.create("leaving", "1:2")
    s.fill("leaving", [0], 30)
    s.cluster.seat(1)
    away = s.plan("leaving", {("leaving", 0): [2, 3]})
    # Not by the tool's own throttle: it moves at once, and the brokers take a change a moment after it was answered.
    s.tool("leaving: throttle a topic that will be deleted", "configs", "--alter", "--entity-type", "topics", "--entity-name", "leaving", "--add-config",
           "leader.replication.throttled.replicas=[0:1,0:2],follower.replication.throttled.replicas=[0:3]")
    for number in (1, 2, 3):
        s.tool(f"leaving: throttle {number}", "configs", "--alter", "--entity-type", "brokers", "--entity-name", number, "--add-config",
               "leader.replication.throttled.rate=1000,follower.replication.throttled.rate=1000")
    time.sleep(2)
    s.reassign("leaving: execute for a topic that will be deleted", "--execute", "--reassignment-json-file", away)
    s.tool("leaving: delete a topic on the way", "topics", "--delete", "--topic", "leaving")
    time.sleep(2)
    s.record("leaving: the deletion waits", str(s.cluster.view.client.exists("/brokers/topics/leaving") is not None))
    s.reassign("leaving: list while the deletion waits", "--list")
    s.tool("leaving: lift the throttle", "configs", "--alter", "--entity-type", "brokers", "--entity-default", "--add-config",
           "leader.replication.throttled.rate=50000000,follower.replication.throttled.rate=50000000")
    for number in (1, 2, 3):
        s.tool(f"leaving: lift the throttle of {number}", "configs", "--alter", "--entity-type", "brokers", "--entity-name", number, "--delete-config",
               "leader.replication.throttled.rate,follower.replication.throttled.rate")
    s.until(lambda: s.cluster.view.client.exists("/brokers/topics/leaving") is None, "the topic is gone", 60)
    s.record("leaving: nothing is left of it", str(eventually(lambda: not any(s.held(number, "leaving-0") for number in (1, 2, 3)), 20)))
    s.tool("leaving: no throttle at all", "configs", "--alter", "--entity-type", "brokers", "--entity-default", "--delete-config",
           "leader.replication.throttled.rate,follower.replication.throttled.rate")


def interrupted(s):
    """The broker that is to have a replica dies on the way: taken back without it, begun again with it."""
    s.create("stuck", "1:2")
    s.fill("stuck", [0], 30)
    s.cluster.seat(1)
    there = s.plan("stuck", {("stuck", 0): [2, 3]})
    s.reassign("interrupted: execute", "--execute", "--reassignment-json-file", there, "--throttle", 1000)
    s.until(lambda: s.held(3, "stuck-0"), "the replica is begun")
    s.kill(3)
    s.describes("stuck", "Adding Replicas: 3")
    s.reassign("interrupted: list without the broker", "--list")
    s.describe("interrupted: without the broker", "stuck")
    s.reassign("interrupted: cancel without the broker", "--cancel", "--reassignment-json-file", there, "--preserve-throttles")
    s.describes("stuck", "Replicas: (1,2|2,1)\tIsr: (1,2|2,1)\tElr")
    s.describe("interrupted: cancelled", "stuck")
    s.reassign("interrupted: execute onto a broker that is away", "--execute", "--reassignment-json-file", there)
    s.up(3)
    # Nobody tells it: the controller forgot that replica when it could not be reached.
    time.sleep(3)
    s.record("interrupted: what was begun there stays", str(bool(s.held(3, "stuck-0"))))
    s.reassign("interrupted: execute again", "--execute", "--reassignment-json-file", there, "--throttle", 50000000)
    s.moved(there)
    s.until_isr("stuck", 0, [2, 3])
    s.describe("interrupted: done", "stuck")
    s.reassign("interrupted: verify", "--verify", "--reassignment-json-file", there)
    s.until_unthrottled()


def committing_late(s):
    """A commit that one of the ISR does not take in time is refused, and its coordinator does not know it; it stays in the log, and the next
    coordinator does."""
    s.create("late", "1:2:3")
    group = "late"
    one = {"PartitionIndex": 0, "CommittedLeaderEpoch": -1, "CommittedMetadata": ""}

    def asked(api, version, body, timeout=20):
        with s.cluster.brokers[coordinator()].connect(timeout) as connection:
            return connection.call(api, version, body)

    def coordinator():
        return s.states("__consumer_offsets")[partition]["leader"]

    def commit(offset):
        answer = asked(8, 7, {"GroupId": group, "GenerationIdOrMemberEpoch": -1, "MemberId": "", "Topics": [
            {"Name": "late", "Partitions": [one | {"CommittedOffset": offset}]}]})
        return answer["Topics"][0]["Partitions"][0]["ErrorCode"]

    def committed():
        answer = asked(9, 5, {"GroupId": group, "Topics": [{"Name": "late", "PartitionIndexes": [0]}]})
        return answer["ErrorCode"], answer["Topics"][0]["Partitions"][0]["CommittedOffset"] if answer["Topics"] else None

    with s.cluster.brokers[1].connect(30) as connection:
        eventually(lambda: connection.call(10, 1, {"Key": group, "KeyType": 0})["ErrorCode"] == 0, 30)
    partition = wire.java_hash(group) % len(s.states("__consumer_offsets"))
    s.until(lambda: sorted(s.states("__consumer_offsets")[partition]["isr"]) == [1, 2, 3], "the group's partition is whole")
    eventually(lambda: commit(10) == 0, 30)
    s.record("late: committed", str(committed()))
    leader = coordinator()
    follower = next(number for number in (3, 2, 1) if number not in (leader, s.cluster.view.controller()))
    with s.cluster.paused([follower]):
        s.record("late: a commit that a follower does not take", str(commit(34)))
        s.record("late: known while it waits", str(committed()))
    time.sleep(2)  # the follower takes it now
    s.record("late: known once the follower has it", str(committed()))
    s.down(leader)
    s.until(lambda: coordinator() not in (-1, leader), "another broker coordinates")
    eventually(lambda: committed()[0] == 0, 30)
    s.record("late: known to the next coordinator", str(committed()))
    s.up(leader)
    s.until_isr("__consumer_offsets", partition, [1, 2, 3])


def moving_dirs(s):
    """KIP-113 by the same tool: replicas into a log dir of choice, on a broker that has them and on one that gets them."""
    one, two = s.cluster.brokers[2].log_dir.split(",")
    s.create("dirs", "1:2,1:3")
    s.fill("dirs", range(2), 4)
    here = os.path.dirname(s.held(2, "dirs-0")[0])
    other = two if here == one else one
    path = os.path.join(s.folder, "dirs.json")
    with open(path, "w") as out:
        json.dump({"version": 1, "partitions": [{"topic": "dirs", "partition": 0, "replicas": [1, 2], "log_dirs": ["any", other]},
                                                {"topic": "dirs", "partition": 1, "replicas": [1, 2], "log_dirs": ["any", other]}]}, out)
    answer = s.reassign("", "--execute", "--reassignment-json-file", path, keep=False)
    # Which of its dirs a broker took first is its own choice.
    s.record("dirs: execute", answer.text().replace(other, "OTHER").replace(here, "HERE"))
    s.until_isr("dirs", 1, [1, 2])
    said = lambda: s.reassign("", "--verify", "--reassignment-json-file", path, keep=False).text().replace(other, "OTHER").replace(here, "HERE")
    eventually(lambda: "progress" not in said() and "not" not in said(), 40, 0.5)
    s.record("dirs: verify", said())
    s.record("dirs: where they are", str(eventually(lambda: sorted(os.path.dirname(path) == other for path in s.held(2, r"dirs-\d(\..*-future)?")) == [True, True], 20)))
    s.tool("dirs: offsets", "get-offsets", "--topic", "dirs")


def failing_over(s):
    """A reassignment outlives the controller that began it."""
    s.create("over", "1:2,2:3")
    s.fill("over", range(2), 30)
    s.cluster.seat(1)
    there = s.plan("over", {("over", 0): [2, 3], ("over", 1): [3, 1]})
    s.reassign("failover: execute", "--execute", "--reassignment-json-file", there, "--throttle", 1000)
    s.kill(1)
    s.until(lambda: s.cluster.view.controller() not in (None, 1), "another broker is controller")
    s.describes("over", r"Partition: 0\tLeader: 2")
    s.reassign("failover: list at the new controller", "--list")
    s.describe("failover: at the new controller", "over")
    s.up(1)
    s.reassign("failover: a higher throttle", "--execute", "--additional", "--reassignment-json-file", there, "--throttle", 50000000)
    s.moved(there, timeout=90)
    s.reassign("failover: verify", "--verify", "--reassignment-json-file", there)
    s.until_unthrottled()
    s.throttles("failover: at the end", "over")
    s.until_isr("over", 1, [1, 3])
    s.describes("over", r"Isr: (3,1|1,3)")
    s.record("failover: assignment", json.dumps(s.cluster.view.json("/brokers/topics/over")["partitions"], sort_keys=True))


def electing(s):
    """Preferred leaders by the tool, of one partition, of a file, of all."""
    s.create("lead", "1:2:3,2:3:1,3:1:2")
    one = ("--election-type", "preferred", "--topic", "lead", "--partition", "0")
    s.tool("elect: not needed", ELECT, *one)
    s.down(1)
    s.until_leader("lead", 0, 2)
    s.describes("lead", r"Partition: 0\tLeader: 2")
    s.tool("elect: the preferred is down", ELECT, *one)
    s.describe("elect: without the preferred", "lead")
    s.up(1)
    for partition in range(3):
        s.until_isr("lead", partition, [1, 2, 3])
    s.tool("elect: preferred", ELECT, *one)
    s.until_leader("lead", 0, 1)
    s.describes("lead", r"Partition: 0\tLeader: 1\tReplicas: 1,2,3\tIsr: 2,3,1")
    s.describe("elect: preferred", "lead")
    path = os.path.join(s.folder, "elect.json")
    with open(path, "w") as out:
        json.dump({"partitions": [{"topic": "lead", "partition": 0}, {"topic": "lead", "partition": 1}, {"topic": "nowhere", "partition": 0}]}, out)
    s.tool("elect: by a file", ELECT, "--election-type", "preferred", "--path-to-json-file", path, sort=True)
    s.tool("elect: a partition that is not there", ELECT, "--election-type", "preferred", "--topic", "lead", "--partition", "9")
    s.tool("elect: unclean where there is a leader", ELECT, "--election-type", "unclean", "--topic", "lead", "--partition", "0")


def unclean(s):
    """Nobody leads until somebody is asked to: by an election, by the topic's config."""
    s.create("torn-a", "1:2")
    s.create("torn-b", "1:2")
    s.kill(2)
    for topic in ("torn-a", "torn-b"):
        s.until_isr(topic, 0, [1])
        s.write(topic, 100, 100)
    s.kill(1)
    s.until(lambda: all(s.states(topic)[0]["leader"] == -1 for topic in ("torn-a", "torn-b")), "nobody leads")
    s.up(2)
    s.describes("torn-a", "Leader: none")
    s.tool("unclean: nobody leads", "topics", "--describe", "--unavailable-partitions", sort=True, only="torn")
    s.tool("unclean: preferred", ELECT, "--election-type", "preferred", "--topic", "torn-a", "--partition", "0")
    s.tool("unclean: elect", ELECT, "--election-type", "unclean", "--topic", "torn-a", "--partition", "0")
    s.tool("unclean: by the topic's config", "configs", "--alter", "--entity-type", "topics", "--entity-name", "torn-b", "--add-config", "unclean.leader.election.enable=true")
    for topic in ("torn-a", "torn-b"):
        s.until_leader(topic, 0, 2)
        s.describes(topic, "Leader: 2")
        s.describe("unclean: elected", topic)
        s.tool(f"unclean: the records of {topic} are lost", "get-offsets", "--topic", topic)
        s.record(f"unclean: state of {topic}", json.dumps({k: v for k, v in s.states(topic)[0].items() if k in ("leader", "isr", "version")}, sort_keys=True))
    s.write("torn-a", 10, 100)
    s.up(1)
    for topic in ("torn-a", "torn-b"):
        s.until_isr(topic, 0, [1, 2])
        s.tool(f"unclean: offsets of {topic} at the end", "get-offsets", "--topic", topic)
    # The logs are one again: what broker 1 alone had is gone from its files too.
    s.record("unclean: the replicas agree", "\n".join(line for topic in ("torn-a", "torn-b") for line in _different(s, topic, 0, (1, 2))) or "yes")


def _different(s, topic, partition, numbers):
    def content(number):
        folder = s.held(number, f"{topic}-{partition}")[0]
        return b"".join(open(os.path.join(folder, name), "rb").read() for name in sorted(os.listdir(folder)) if name.endswith(".log"))
    eventually(lambda: content(numbers[0]) == content(numbers[1]), 10)
    return [] if content(numbers[0]) == content(numbers[1]) else [f"{topic}-{partition}: {len(content(numbers[0]))} and {len(content(numbers[1]))} bytes"]


def deleting(s):
    """A topic is gone when the last of its replicas is, however long that broker is away."""
    s.create("gone", "1:2:3,2:3:1")
    s.write("gone", 100)
    s.kill(3)
    s.until_isr("gone", 1, [1, 2])
    began = time.monotonic()
    s.tool("delete: with a broker down", "topics", "--delete", "--topic", "gone")
    s.record("delete: it is answered without the broker", str(time.monotonic() - began < 15))
    s.until(lambda: not any(s.held(number, r"gone-\d") for number in (1, 2)), "the live replicas are deleted", 30)
    s.tool("delete: list meanwhile", "topics", "--list", only="gone")
    s.record("delete: the wish remains", str(s.cluster.view.client.exists("/admin/delete_topics/gone") is not None))
    s.tool("delete: create meanwhile", "topics", "--create", "--topic", "gone", "--replica-assignment", "1:2")
    s.tool("delete: delete meanwhile", "topics", "--delete", "--topic", "gone")
    s.up(3)
    s.until(lambda: s.cluster.view.client.exists("/brokers/topics/gone") is None and s.cluster.view.client.exists("/admin/delete_topics/gone") is None, "the topic is gone")
    s.record("delete: no file is left", str(eventually(lambda: not any(s.held(number, r"gone-\d") for number in (1, 2, 3)), 20)))
    s.tool("delete: list at the end", "topics", "--list", only="gone")
    s.create("gone", "3:1")
    s.describes("gone", "Leader: 3")
    s.describe("delete: made again", "gone")


def growing(s):
    s.create("grow", "1:2")
    s.tool("grow", "topics", "--alter", "--topic", "grow", "--partitions", "3", "--replica-assignment", "1:2,2:3,3:1")
    s.describes("grow", "Partition: 2\tLeader: 3")
    s.describe("grow", "grow")
    for what, assignment in {"a smaller factor": "1:2,2:3,3:1,1", "an unknown broker": "1:2,2:3,3:1,1:7", "no start at zero": "2:3"}.items():
        s.tool(f"grow: with {what}", "topics", "--alter", "--topic", "grow", "--partitions", "4", "--replica-assignment", assignment)
    s.write("grow", 300)
    s.down(3)
    s.tool("grow: onto a broker that is down", "topics", "--alter", "--topic", "grow", "--partitions", "5", "--replica-assignment", "1:2,2:3,3:1,3:1,2:1")
    s.tool("grow: with a broker down", "topics", "--alter", "--topic", "grow", "--partitions", "5", "--replica-assignment", "1:2,2:3,3:1,1:2,2:1")
    s.until(lambda: len(s.states("grow")) == 5, "there are five")
    s.up(3)
    for partition, isr in enumerate(([1, 2], [2, 3], [1, 3], [1, 2], [1, 2])):
        s.until_isr("grow", partition, isr)
    s.describes("grow", r"Partition: 2\tLeader: 1\tReplicas: 3,1\tIsr: 1,3")
    s.describe("grow: with a broker back", "grow")


def wishing(s):
    """What tools before 2.4 wrote into ZooKeeper."""
    client = s.cluster.view.client
    s.create("old", "1:2,2:3")
    s.write("old", 300)
    wish = {"version": 1, "partitions": [{"topic": "old", "partition": 0, "replicas": [2, 3]}, {"topic": "missing", "partition": 0, "replicas": [1, 2]}]}
    client.create("/admin/reassign_partitions", json.dumps(wish).encode())
    s.until(lambda: client.exists("/admin/reassign_partitions") is None, "the wish to move is granted")
    s.until_isr("old", 0, [2, 3])
    s.describes("old", r"Partition: 0\tLeader: (2|3)\tReplicas: 2,3")
    s.record("znodes: moved", json.dumps(s.cluster.view.json("/brokers/topics/old")["partitions"], sort_keys=True))
    s.down(2)
    s.until_leader("old", 1, 3)
    s.up(2)
    for partition in range(2):
        s.until_isr("old", partition, [2, 3])
    wish = {"version": 1, "partitions": [{"topic": "old", "partition": 0}, {"topic": "old", "partition": 1}, {"topic": "missing", "partition": 3}]}
    client.create("/admin/preferred_replica_election", json.dumps(wish).encode())
    s.until(lambda: client.exists("/admin/preferred_replica_election") is None, "the wish to elect is granted")
    for partition in range(2):
        s.until_leader("old", partition, 2)
    s.describes("old", r"Partition: 1\tLeader: 2\tReplicas: 2,3\tIsr: 3,2")
    s.describe("znodes: elected", "old")
    client.create("/admin/reassign_partitions", b"this is no JSON")
    gone = eventually(lambda: client.exists("/admin/reassign_partitions") is None, 5)
    s.record("znodes: a wish that is no JSON is", "taken away" if gone else "left")
    if not gone:
        client.delete("/admin/reassign_partitions")


def failing_disk(s):
    """One of two log dirs of a broker can no longer be written: its replicas go offline, the others stay, leadership moves."""
    broker = s.cluster.brokers[2]
    bad = broker.log_dir.split(",")[1]
    s.create("disks", "2:1:3,2:3:1,2:1:3,2:3:1")
    s.write("disks", 1000)
    held = sorted(int(name.rsplit("-", 1)[1]) for name in os.listdir(bad) if re.fullmatch(r"disks-\d", name))
    s.record("disk: partitions are spread over the dirs", str(len(held)))
    events = s.cluster.view.client.get("/log_dir_event_notification")[1].children_version
    # As a disk that was pulled: what is open stays, nothing new can be made.
    os.rename(bad, bad + ".pulled")
    open(bad, "w").close()
    try:
        s.until(lambda: all(s.states("disks")[p]["leader"] in (1, 3) and 2 not in s.states("disks")[p]["isr"] for p in held), "leadership moves away from the dead dir")
        s.record("disk: the others stay", str(all(s.states("disks")[p]["leader"] == 2 for p in range(4) if p not in held)))
        s.record("disk: the controller was notified", str(s.cluster.view.client.get("/log_dir_event_notification")[1].children_version > events))
        s.record("disk: the broker lives", str(broker.process.alive() and 2 in s.cluster.view.brokers()))
        # Which of the partitions are in which dir is the broker's own choice; how many is not.
        answer = s.tool("", "log-dirs", "--describe", "--broker-list", "2", "--topic-list", "disks", keep=False)
        told = [json.loads(line) for line in answer.out.splitlines() if line.startswith("{")]
        s.record("disk: the tool tells", json.dumps([sorted([d["logDir"], str(d["error"]), str(len(d["partitions"]))] for d in b["logDirs"]) for t in told for b in t["brokers"]], indent=1))
        s.write("disks", 1000)
        under = s.tool("", "topics", "--describe", "--under-replicated-partitions", keep=False)
        s.record("disk: under-replicated", str(len([line for line in under.out.splitlines() if "Topic: disks" in line])))
    finally:
        os.remove(bad)
        os.rename(bad + ".pulled", bad)
    s.down(2)
    s.up(2)
    for partition in range(4):
        s.until_isr("disks", partition, [1, 2, 3])
    s.record("disk: whole again", "yes")
    s.tool("disk: preferred leaders again", ELECT, "--election-type", "preferred", "--all-topic-partitions", only="exit|Error|exception")
    for partition in range(4):
        s.until_leader("disks", partition, 2)


def verifying(s):
    """At the end nothing is behind, by the tools that look for it."""
    s.tool("end: under-replicated", "topics", "--describe", "--under-replicated-partitions")
    s.tool("end: unavailable", "topics", "--describe", "--unavailable-partitions")
    s.reassign("end: nothing is on the way", "--list")
    log = os.path.join(s.folder, "verification.out")
    argv = ["java", "-Xmx256m", *proc.SMALL_JVM, *proc.java_env(log), "-cp", proc.CLASSES + ":" + proc.LIBS + "/*", "org.apache.kafka.tools.ReplicaVerificationTool",
            "--broker-list", s.bootstrap, "--report-interval-ms", "1000", "--time", "-2"]
    tool = proc.Process("verification", argv, log)
    try:
        said = lambda: [line for line in tool.tail(100).splitlines() if "max lag" in line]
        # The tool's lag is what it has still to read itself, so at first there is some. The partition it names is any.
        eventually(lambda: " 0 for" in (said() or [""])[-1], 40, 0.3)
        s.record("end: replica verification", re.sub(r"(?m)^.*: max lag is (\d+) for partition \S+ at offset \S+ among (\d+) partitions", r"max lag is \1 among \2", (said() or ["nothing"])[-1]))
        s.record("end: replica verification finds no difference", "\n".join(line for line in tool.tail(200).splitlines() if "doesn't match" in line or "ERROR" in line) or "none")
    finally:
        tool.kill()
    illegal = [line for topic in s.cluster.topics() for line in s.cluster.illegal(topic)]
    s.record("end: the states in the tree are legal", "\n".join(illegal) or "yes")


SHORT = [electing, deleting, failing_disk, verifying]
LONG = [leaving, moving, interrupted, moving_dirs, failing_over, electing, unclean, deleting, growing, wishing, committing_late, failing_disk, verifying]


def scenario(kinds, steps):
    """The script on Apache Kafka alone, then on a cluster of these kinds."""
    def run_it(run, name):
        run.close_pair()
        mix = {number: run.options.subject if kind == "monedula" else kind for number, kind in kinds.items()}
        sides = []
        for side, brokers in (("kafka", dict.fromkeys(mix, "kafka")), ("subject", mix)):
            began = time.monotonic()
            sides.append(_one(run, name, os.path.join(run.folder, f"{name}-{side}"), brokers, steps))
            run.report.line(f".... {side} {sorted(set(brokers.values()))}: {time.monotonic() - began:.0f} s")
        run.report.compare(name, *sides)
    return run_it


def _one(run, name, folder, kinds, steps):
    random.seed(1)
    cluster = clusters.Cluster(folder, kinds, OVERRIDES)
    side = None
    try:
        broker = cluster.brokers[2]
        broker.log_dir = ",".join(os.path.join(broker.folder, f"data-{place}") for place in range(2))
        cluster.start()
        side = ClusterSide(name, cluster, run.tools)
        for step in steps:
            began = time.monotonic()
            try:
                step(side)
            except Exception:
                run.report.check(f"{name}: {step.__name__} runs on {'/'.join(kinds.values())}", False, traceback.format_exc() + cluster.logs())
                for number, broker in cluster.brokers.items():
                    if not broker.process.alive():
                        cluster.restart(number)
            run.report.line(f".... {step.__name__}: {time.monotonic() - began:.0f} s")
        with open(os.path.join(run.folder, f"{os.path.basename(folder)}.transcript"), "w") as out:
            out.writelines(f"## {label}\n{side.transcript[label]}\n\n" for label in side.order)
        return side
    finally:
        cluster.close()
