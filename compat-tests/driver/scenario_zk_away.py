"""ZooKeeper goes away for minutes and takes all sessions with it: what needs no ZooKeeper goes on, and what comes after is as it was before."""
import json
import os
import socket
import time

import cluster as clusters
import proc
import scenario_checker
import scenario_cluster

# While ZooKeeper is away: the longest silence of an acks=all writer, and what a broker of ours may take and say.
SILENCE_S = 10
GROWTH_KB = 64 * 1024
LINES_PER_MINUTE = 60


def scenario(kinds, seconds):
    """`--rounds N` makes it N times ten seconds."""
    def run_it(run, name):
        away = 10 * run.options.rounds or seconds

        def tell(cluster, checker):
            _through(run.report, name, cluster, checker, run.folder, away)
        scenario_checker.on_cluster(run, name, kinds, tell, rate=30, processes=3)
    return run_it


def _through(report, name, cluster, checker, folder, seconds):
    scenario_cluster.create(report, name, cluster, "load")
    load = scenario_cluster.ClusterLoad(cluster, folder, "load", rate=300)
    load.pace = ("steady",)
    load.start()
    checker.start(seconds + 400).wait_started()
    _take_producer_ids(cluster)
    report.check(f"{name}: takes writes before", load.wait_progress(60), cluster.logs())
    time.sleep(15)
    controller = cluster.view.controller()
    away = Away(report, name, cluster, load)
    cluster.zookeeper.process.stop(10)
    began = time.monotonic()
    try:
        away.watch(seconds, {seconds * 0.3: _pause_follower, seconds * 0.6: _try_to_create})
    finally:
        ended = time.monotonic()
        _expire_sessions(cluster)
    away.judge(ended - began)
    _judge_history(report, name, checker, began, ended)
    back = time.monotonic()
    cluster.until(lambda: cluster.view.brokers() == sorted(cluster.brokers), "all brokers are registered anew")
    report.line(f".... registered anew after {time.monotonic() - back:.1f} s")
    cluster.until(lambda: cluster.view.controller() is not None, "there is a controller")
    report.line(f".... controller {controller} before, {cluster.view.controller()} after {time.monotonic() - back:.1f} s")
    scenario_cluster.create(report, name, cluster, "after")
    report.check(f"{name}: no broker ended", all(broker.process.alive() for broker in cluster.brokers.values()), cluster.logs())
    for topic in cluster.topics():
        cluster.until_whole(topic)
    report.line(f".... whole {time.monotonic() - back:.1f} s after ZooKeeper is back")
    # Leadership goes where it should with the new sessions.
    victim = cluster.leader("load")
    cluster.bounce(victim)
    cluster.until(lambda: cluster.view.brokers() == sorted(cluster.brokers), "all brokers are back")
    report.check(f"{name}: takes writes after a broker is restarted", load.wait_progress(60), cluster.logs())
    load.stop()
    ok, text = load.verify()
    report.check(f"{name}: every acked record is there once and in order ({text.splitlines()[-1] if text else ''})", ok, text + cluster.logs())
    with open(load.process.log) as log:
        said = log.read()
    report.check(f"{name}: the writer saw no error", "errors 0 left 0" in said and "fatal" not in said, said[-500:])
    checker.finish(report, name)
    for topic in cluster.topics():
        cluster.until_whole(topic)
    scenario_cluster.finish(report, name, cluster, "load")


class Away:
    """The time without ZooKeeper, seen from the writer and from the brokers' processes."""

    def __init__(self, report, name, cluster, load):
        self.report, self.name, self.cluster, self.load = report, name, cluster, load
        self.silence, self.excused = 0, 0
        self.before = {number: self._sizes(broker) for number, broker in cluster.brokers.items()}

    def _sizes(self, broker):
        with open(broker.process.log, errors="replace") as log:
            lines = sum(1 for _ in log)
        with open(f"/proc/{broker.process.pid}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return {"rss": broker.rss_kb(), "lines": lines, "cpu": (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")}

    def watch(self, seconds, acts):
        """`acts` at their seconds; the writer's silence in between."""
        began = changed = time.monotonic()
        last, due = self.load.acked(), sorted(acts.items())
        while time.monotonic() < began + seconds:
            if due and time.monotonic() > began + due[0][0]:
                due.pop(0)[1](self.report, self.name, self.cluster, self.load)
                changed = time.monotonic()
            time.sleep(0.2)
            now = self.load.acked()
            if now != last:
                last, changed = now, time.monotonic()
            self.silence = max(self.silence, time.monotonic() - changed)

    def judge(self, seconds):
        alive = [number for number, broker in self.cluster.brokers.items() if broker.process.alive()]
        self.report.check(f"{self.name}: every broker lives after {seconds:.0f} s without ZooKeeper", alive == sorted(self.cluster.brokers), self.cluster.logs())
        self.report.check(f"{self.name}: writes go on, the longest silence is below {SILENCE_S} s", self.silence < SILENCE_S, f"{self.silence:.1f} s\n" + self.cluster.logs())
        for number in alive:
            broker, before = self.cluster.brokers[number], self.before[number]
            after = self._sizes(broker)
            grown = {what: after[what] - before[what] for what in after}
            self.report.line(f".... broker {number} ({broker.kind}): memory {before['rss'] >> 10} MiB and {grown['rss'] >> 10} more, {grown['lines']} lines, {grown['cpu']:.1f} s of processor")
            if broker.kind == "monedula":
                self.report.check(f"{self.name}: broker {number} does not grow", grown["rss"] < GROWTH_KB, grown)
                self.report.check(f"{self.name}: broker {number} does not flood its log", grown["lines"] <= 60 + LINES_PER_MINUTE * seconds / 60, f"{grown}\n{broker.process.tail(30)}")


def _take_producer_ids(cluster):
    """Ids come in blocks of a thousand, through the controller; each broker has one before it is alone."""
    for broker in cluster.brokers.values():
        with broker.connect(10) as connection:
            cluster.until(lambda: connection.call(22, 1, {"TransactionalId": None, "TransactionTimeoutMs": 1000})["ErrorCode"] == 0, "a producer id")


def _pause_follower(report, name, cluster, load):
    """Longer than the replica's lag time: the ISR cannot shrink, so acks=all waits; and goes on when the follower does."""
    with next(iter(cluster.brokers.values())).connect(10) as connection:
        answer = connection.call(3, 1, {"Topics": [{"Name": "load"}]})
    victim = next(number for number in cluster.brokers if number != answer["ControllerId"])
    cluster.pause(victim, 9)
    report.check(f"{name}: goes on without ZooKeeper after broker {victim} paused for 9 s", load.wait_progress(10), cluster.logs())


def _try_to_create(report, name, cluster, load):
    """Needs ZooKeeper, so it fails; but within the time that the client gave."""
    began = time.monotonic()
    code, text = clusters.tool(scenario_cluster.TOPICS, "--bootstrap-server", cluster.bootstrap, "--list", timeout=60)
    report.check(f"{name}: topics are listed without ZooKeeper", code == 0 and "load" in text, text)
    for number, broker in cluster.brokers.items():
        began = time.monotonic()
        try:
            with broker.connect(20) as connection:
                answer = connection.call(19, 4, {"timeoutMs": 3000, "Topics": [{"Name": f"without-{number}", "NumPartitions": 1, "ReplicationFactor": 3, "Configs": []}]})
            said = answer["Topics"][0]["ErrorCode"]
        except (OSError, ValueError) as error:
            said = repr(error)
        report.line(f".... broker {number} ({broker.kind}) is asked for a topic: {said} after {time.monotonic() - began:.1f} s")


def _expire_sessions(cluster):
    """ZooKeeper starts where nobody looks for it until all sessions are over, then in its place; a server that only was away would go on with them."""
    zookeeper = cluster.zookeeper
    port, zookeeper.port = zookeeper.port, proc.free_port()
    zookeeper.start()
    view = clusters.ZkView(zookeeper.connect)
    try:
        cluster.until(lambda: view.brokers() == [] and view.controller() is None, "all sessions are over")
    finally:
        view.close()
        zookeeper.stop()
        zookeeper.port = port
        zookeeper.start()


def _judge_history(report, name, checker, began, ended):
    """Groups poll and commit, transactions commit, all the time."""
    for kind in checker.kinds:
        done, failed, commits, gap, last = 0, 0, 0, 0, began
        with open(checker.path(kind)) as history:
            for line in history:
                try:
                    op = json.loads(line)
                except ValueError:
                    continue  # the last line is being written
                if not began <= op.get("end", 0) <= ended or op["outcome"] not in ("ok", "fail", "info"):
                    continue
                wrote = any(mop[0] in ("send", "poll") for mop in op["mops"])
                done, failed = done + (op["outcome"] == "ok"), failed + (op["outcome"] == "info")
                commits += sum(commit["outcome"] == "ok" for commit in op.get("commits", ()))
                if op["outcome"] == "ok" and wrote:
                    gap, last = max(gap, op["end"] - last), op["end"]
        gap = max(gap, ended - last)
        least = (ended - began) / 4
        ok = done > least and failed <= done / 20 and gap < 20 and (kind == "append" or commits > least / 8)
        report.check(f"{name}: {kind}: goes on without ZooKeeper ({done} operations, {failed} of unknown outcome, {commits} commits, {gap:.1f} s of silence)", ok, checker.said())


def silent(run, name):
    """ZooKeeper takes the connection and says nothing: a broker that waits for it can still be told to stop."""
    endings = {}
    for kind in ("kafka", run.options.subject):
        with socket.create_server(("127.0.0.1", proc.free_port())) as nobody:
            nobody.settimeout(30)
            broker = proc.make(kind, os.path.join(run.folder, name, kind), overrides={"zookeeper.connection.timeout.ms": "120000"})
            broker.zookeeper, broker.own_zookeeper = type("Nobody", (), {"connect": "127.0.0.1:%d" % nobody.getsockname()[1]}), False
            broker.launch(broker.write_properties(), os.path.join(broker.folder, "start.log"))
            connection, _ = nobody.accept()
            time.sleep(1)
            waits, began = broker.process.alive(), time.monotonic()
            endings[kind] = waits, broker.process.stop(30), time.monotonic() - began
            connection.close()
    for kind, (waits, code, took) in endings.items():
        run.report.check(f"{name}: {kind} waits, and ends when told to ({code}, {took:.1f} s)", waits and code == 1 and took < 10, endings)
