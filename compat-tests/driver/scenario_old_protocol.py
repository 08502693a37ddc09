"""A cluster of both kinds at inter.broker.protocol.version 2.6, as one is that has come a long way: leaders write the ISR into ZooKeeper
themselves, the controller's requests are of older versions, topics have no ids. It goes through faults with each kind as controller, and
is then changed, broker by broker, to the protocol of today."""
import glob
import json
import os
import time

import cluster as clusters
import scenario_checker
import scenario_cluster
from scenario_admin import ELECT, REASSIGN

OLD, NEW = "2.6", "3.9"
# A follower that pauses leaves the ISR before its session ends.
OVERRIDES = {"inter.broker.protocol.version": OLD, "replica.lag.time.max.ms": "5000", "zookeeper.session.timeout.ms": "12000"}
PAUSE_S = 10


def scenario(kinds):
    def run_it(run, name):
        def tell(cluster, checker):
            _Story(run.report, name, cluster, checker, run.folder).run()
        scenario_checker.on_cluster(run, name, kinds, tell, OVERRIDES)
    return run_it


class _Story:
    def __init__(self, report, name, cluster, checker, folder):
        self.report, self.name, self.cluster, self.checker, self.folder = report, name, cluster, checker, folder
        self.pairs = self._pairs()

    def _pairs(self):
        """One broker of each kind; any two where there is only one."""
        by_kind = {}
        for number, broker in self.cluster.brokers.items():
            by_kind.setdefault(broker.kind, number)
        return list(by_kind.values()) if len(by_kind) > 1 else [1, 3]

    def check(self, label, ok, why=""):
        return self.report.check(f"{self.name}: {label}", bool(ok), why)

    def kind(self, number):
        return f"{self.cluster.brokers[number].kind} {number}"

    def run(self):
        cluster = self.cluster
        scenario_cluster.create(self.report, self.name, cluster, "load")
        self.load = scenario_cluster.ClusterLoad(cluster, self.folder, "load", rate=300)
        self.load.pace = ("steady",)
        self.load.start()
        self.checker.start(3600).wait_started()
        self.check("topics have no ids", "topic_id" not in cluster.view.json("/brokers/topics/load"))
        for number in self.pairs:
            self.under_controller(number)
        self.change_protocol()
        for number in self.pairs:
            self.cluster.seat(number)
            self.topics_come_and_go()
        self.load.stop()
        ok, text = self.load.verify()
        self.check(f"every acked record is there once and in order ({text.splitlines()[-1] if text else ''})", ok, text + cluster.logs())
        with open(self.load.process.log) as log:
            said = log.read()
        self.check("the writer saw no error", "errors 0 left 0" in said and "fatal" not in said, said[-500:])
        self.checker.finish(self.report, self.name)
        self.until_whole()
        scenario_cluster.finish(self.report, self.name, cluster, "load")

    def until_whole(self):
        for topic in self.cluster.topics():
            self.cluster.until_whole(topic)

    def under_controller(self, controller):
        one, two = self.pairs
        self.topics_come_and_go(controller)
        replicas_move = [(one, two), (two, one)]
        for source, target in replicas_move:
            self.replica_moves(controller, source, target)
        for leader, follower in replicas_move:
            self.isr_changes(controller, leader, follower)
        for number in self.pairs:
            self.fault(controller, f"{self.kind(number)} is stopped in order", lambda: self.cluster.bounce(number))
            self.fault(controller, f"kill -9 of {self.kind(number)}", lambda: self.kill(number))
        self.fault(controller, "the controller pauses for longer than its session", lambda: self.cluster.pause(controller, 16))

    def fault(self, controller, label, act):
        label = f"under {self.kind(controller)}: {label}"
        self.cluster.seat(controller)
        if not self.check(f"{label}: takes writes before", self.load.wait_progress(60), self.cluster.logs()):
            raise RuntimeError("no use going on")
        began = time.monotonic()
        act()
        self.cluster.until(lambda: self.cluster.view.brokers() == sorted(self.cluster.brokers), f"all brokers are back after: {label}")
        self.until_whole()
        if not self.check(f"{label}: whole again, and takes writes", self.load.wait_progress(60), self.cluster.logs()):
            raise RuntimeError("no use going on")
        self.report.line(f".... {label}: {time.monotonic() - began:.1f} s, controller {self.cluster.view.controller()}; {self.checker.said()}")

    def kill(self, number):
        self.cluster.brokers[number].kill()
        self.cluster.until(lambda: number not in self.cluster.view.brokers(), f"the session of broker {number} ends", 30)
        time.sleep(1)
        self.cluster.restart(number)

    def topics_come_and_go(self, controller=None):
        """StopReplica before its version 3, which says delete or not for all its partitions, and after."""
        if controller is not None:
            self.cluster.seat(controller)
        label = f"under {self.kind(self.cluster.view.controller())}"
        topic = f"short-{time.monotonic_ns()}"
        code, text = self.tool(scenario_cluster.TOPICS, "--create", "--topic", topic, "--partitions", 3, "--replication-factor", 3)
        self.check(f"{label}: a topic is made", code == 0, text)
        self.cluster.until_whole(topic)
        code, text = self.tool(scenario_cluster.TOPICS, "--delete", "--topic", topic)
        self.check(f"{label}: a topic is deleted", code == 0, text)
        self.cluster.until(lambda: self.cluster.view.client.exists(f"/brokers/topics/{topic}") is None, "the topic is gone")
        self.cluster.until(lambda: not self.folders(f"{topic}-*"), "its files are gone", 30)

    def replica_moves(self, controller, source, target):
        """The only replica of a partition goes from one kind to the other."""
        self.cluster.seat(controller)
        label = f"under {self.kind(controller)}: a replica moves from {self.kind(source)} to {self.kind(target)}"
        topic = f"move-{time.monotonic_ns()}"
        code, text = self.tool(scenario_cluster.TOPICS, "--create", "--topic", topic, "--replica-assignment", source)
        self.check(f"{label}: made", code == 0, text)
        plan = os.path.join(self.folder, f"{topic}.json")
        with open(plan, "w") as out:
            json.dump({"version": 1, "partitions": [{"topic": topic, "partition": 0, "replicas": [target]}]}, out)
        code, text = self.tool(REASSIGN, "--execute", "--reassignment-json-file", plan)
        self.check(f"{label}: begun", code == 0, text)
        self.cluster.until(lambda: self.cluster.view.states(topic)[0] | {"leader": target, "isr": [target]} == self.cluster.view.states(topic)[0], f"{label}: the new one leads")
        self.cluster.until(lambda: [path for path in self.folders(f"{topic}-0*") if f"broker-{source}/" in path] == [], f"{label}: the old one is deleted", 30)
        self.check(f"{label}: done", True)
        self.tool(scenario_cluster.TOPICS, "--delete", "--topic", topic)
        self.cluster.until(lambda: self.cluster.view.client.exists(f"/brokers/topics/{topic}") is None, "the topic is gone")

    def isr_changes(self, controller, leader, follower):
        """A follower pauses, so that its leader takes it out of the ISR, and back in later; the controller hears of both and tells everybody."""
        self.cluster.seat(controller)
        label = f"under {self.kind(controller)}: ISR of leader {self.kind(leader)} without {self.kind(follower)}"
        if follower == controller:
            # It must hear of it meanwhile: its place as controller is another story.
            self.cluster.seat(next(number for number in self.cluster.brokers if number != follower))
            label += f", controller {self.kind(self.cluster.view.controller())} meanwhile"
        self.tool(ELECT, "--election-type", "preferred", "--all-topic-partitions")
        self.cluster.until(lambda: leader in [state["leader"] for state in self.cluster.view.states("load").values()], f"{label}: leads something")
        partition = next(p for p, state in self.cluster.view.states("load").items() if state["leader"] == leader)
        before = self.cluster.view.states("load")[partition]
        with self.cluster.paused([follower]):
            try:
                self.cluster.until(lambda: follower not in self.cluster.view.states("load")[partition]["isr"], f"{label}: leaves the tree's ISR", PAUSE_S)
                self.check(f"{label}: is taken out", True)
            except RuntimeError as late:
                self.check(f"{label}: is taken out", False, f"{late}\n{self.cluster.view.states('load')}\n" + self.cluster.logs())
        self.cluster.until_whole("load")
        after = self.cluster.view.states("load")[partition]
        self.check(f"{label}: and back in, without a new leader epoch", after["leader"] == before["leader"] and after["leader_epoch"] == before["leader_epoch"], f"{before}\n{after}")
        try:
            self.cluster.until(lambda: all(len(self.shown(number, partition)) == 3 for number in self.cluster.brokers), "shown by all", 20)
            shown = True
        except RuntimeError:
            shown = False
        self.check(f"{label}: and every broker shows it", shown, {number: self.shown(number, partition) for number in self.cluster.brokers})
        self.check(f"{label}: no notification is left", not self.cluster.view.client.get_children("/isr_change_notification"))

    def shown(self, number, partition):
        """The ISR as a broker's metadata has it."""
        with self.cluster.brokers[number].connect(5) as connection:
            answer = connection.call(3, 1, {"Topics": [{"Name": "load"}]})
        return next(one["IsrNodes"] for one in answer["Topics"][0]["Partitions"] if one["PartitionIndex"] == partition)

    def change_protocol(self):
        """One restart each, as the upgrade notes ask for once all code is new. The controller may be of either protocol meanwhile."""
        self.cluster.extra["inter.broker.protocol.version"] = NEW
        for number in sorted(self.cluster.brokers):
            broker = self.cluster.brokers[number]
            began = time.monotonic()
            code = broker.stop(60)
            self.check(f"{self.kind(number)} stops in order", code in (0, 143), f"exit {code}\n" + self.cluster.logs())
            self.cluster.place(number, broker.kind)
            self.cluster.restart(number)
            self.until_whole()
            if not self.check(f"{self.kind(number)} speaks protocol {NEW}, and takes writes", self.load.wait_progress(60), self.cluster.logs()):
                raise RuntimeError("no use going on")
            self.report.line(f".... {self.kind(number)} speaks {NEW} after {time.monotonic() - began:.1f} s, controller {self.cluster.view.controller()}; {self.checker.said()}")
        without = lambda: [topic for topic in self.cluster.topics() if "topic_id" not in self.cluster.view.json(f"/brokers/topics/{topic}")]
        if without():
            # Who became controller last may have been of the old protocol; the next one gives ids.
            self.cluster.seat(next(number for number in self.cluster.brokers if number != self.cluster.view.controller()))
        try:
            self.cluster.until(lambda: not without(), "every topic has an id", 20)
        except RuntimeError:
            pass
        self.check("every topic has an id now", not without(), without())

    def folders(self, pattern):
        return [path for broker in self.cluster.brokers.values() for path in glob.glob(os.path.join(broker.log_dir, pattern))]

    def tool(self, main, *args):
        return clusters.tool(main, "--bootstrap-server", self.cluster.bootstrap, *args, timeout=180)
