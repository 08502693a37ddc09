"""Three brokers on one ZooKeeper: ours, and mixed with Apache Kafka's, under load while brokers die, pause, move and change kind."""
import os
import random
import time
import traceback

import cluster as clusters
import harness
import proc
from scenario_crash import Load, have_librdkafka

PARTITIONS = 6
TOPICS = harness.TOOLS["topics"]


class ClusterLoad(Load):
    """Numbered, idempotent, acks=all, at the whole cluster."""

    def __init__(self, cluster, folder, topic, rate=1500):
        self.broker, self.folder, self.topic, self.partitions, self.rate = cluster, folder, topic, PARTITIONS, rate
        self.acks = os.path.join(folder, f"{topic}.acks")
        open(self.acks, "w").close()

    def log_dirs(self):
        return [broker.log_dir for broker in self.broker.brokers.values()]


def scenario(kinds):
    """A cluster of these kinds goes through everything that may happen to its brokers."""
    def run_it(run, name):
        if not have_librdkafka():
            run.report.skip(name, "librdkafka is not here")
            return
        run.close_pair()
        seed = random.randrange(1 << 30)
        random.seed(seed)
        run.report.line(f"{name}: seed {seed}")
        mix = {number: run.options.subject if kind == "monedula" else kind for number, kind in kinds.items()}
        cluster = clusters.Cluster(os.path.join(run.folder, name), mix)
        try:
            cluster.start()
            through_faults(run.report, name, cluster, run.folder, FAULTS)
        except Exception:
            run.report.check(f"{name}: runs", False, traceback.format_exc() + cluster.logs())
        finally:
            cluster.close()
            proc.stop_all()
    return run_it


def through_faults(report, name, cluster, folder, faults):
    create(report, name, cluster, "load")
    load = ClusterLoad(cluster, folder, "load")
    load.start()
    for label, fault in faults:
        if not report.check(f"{name}: takes writes before: {label}", load.wait_progress(60), cluster.logs()):
            break
        began = time.monotonic()
        try:
            fault(cluster)
        finally:
            cluster.heal()
        if not report.check(f"{name}: takes writes after: {label}", load.wait_progress(60), cluster.logs()):
            break
        cluster.until(lambda: cluster.view.brokers() == sorted(cluster.brokers), f"all brokers are back after: {label}")
        cluster.until_whole("load")
        report.check(f"{name}: whole again after: {label}", True)
        report.line(f".... {label}: {time.monotonic() - began:.1f} s, controller {cluster.view.controller()}, {load.acked() >> 10} KiB of acks")
    load.stop()
    ok, text = load.verify()
    report.check(f"{name}: every acked record is there once and in order ({text.splitlines()[-1] if text else ''})", ok, text + cluster.logs())
    finish(report, name, cluster, "load")


def create(report, name, cluster, topic):
    code, text = clusters.tool(TOPICS, "--bootstrap-server", cluster.bootstrap, "--create", "--topic", topic, "--partitions", PARTITIONS,
                               "--replication-factor", 3, "--config", "segment.bytes=1048576")
    report.check(f"{name}: the tool creates a topic of three replicas", code == 0, text)
    cluster.until_whole(topic)


def finish(report, name, cluster, topic):
    """At rest: the tree is legal, no replica is behind, all replicas' files are the same."""
    cluster.until_whole(topic)
    wrong = []
    # Followers learn of the last high watermark with their next fetch; the files are equal as soon as the ends are.
    for _ in range(50):
        wrong = cluster.different(topic, PARTITIONS)
        if not wrong:
            break
        time.sleep(0.2)
    report.check(f"{name}: the replicas' segment files and leader epochs are equal", not wrong, "\n".join(wrong))
    report.check(f"{name}: the states in the tree are legal", not cluster.illegal(topic), "\n".join(cluster.illegal(topic)))
    code, text = clusters.tool(TOPICS, "--bootstrap-server", cluster.bootstrap, "--describe", "--under-replicated-partitions")
    report.check(f"{name}: the tool finds no under-replicated partition", code == 0 and not text.strip(), text)


def _kill(pick):
    def fault(cluster):
        victim = pick(cluster)
        cluster.brokers[victim].kill()
        cluster.until(lambda: victim not in cluster.view.brokers(), f"the session of broker {victim} ends", 30)
        time.sleep(1)
        cluster.restart(victim)
    return fault


def _controller(cluster):
    return cluster.view.controller()


def _leader(cluster):
    return cluster.leader("load")


def _bystander(cluster):
    return next(number for number in cluster.brokers if number != cluster.view.controller())


def _terminate(cluster):
    cluster.bounce(_leader(cluster))


def _pause_short(cluster):
    cluster.pause(_leader(cluster), 3)


def _pause_long(cluster):
    """Longer than the session: a zombie comes back."""
    victim = cluster.view.controller()
    cluster.pause(victim, 12)
    cluster.until(lambda: cluster.view.controller() not in (None, victim), "another broker is controller", 30)


def _zookeeper_away(cluster):
    """Shorter than nothing: sessions end with the server if it is away for long, and the data path goes on."""
    cluster.zookeeper.process.stop(10)
    time.sleep(10)
    cluster.zookeeper.start()


def _roll(cluster):
    for number in sorted(cluster.brokers):
        cluster.brokers[number].stop(60)
        cluster.restart(number)
        cluster.until_whole("load")


FAULTS = [
    ("kill -9 of a leader", _kill(_leader)),
    ("kill -9 of the controller", _kill(_controller)),
    ("kill -9 of a broker that is not controller", _kill(_bystander)),
    ("a leader is stopped in order", _terminate),
    ("a leader pauses for 3 s", _pause_short),
    ("the controller pauses for longer than its session", _pause_long),
    ("ZooKeeper is away for 10 s", _zookeeper_away),
    ("every broker is restarted in turn", _roll),
]
