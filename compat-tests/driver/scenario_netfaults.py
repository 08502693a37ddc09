"""The checker's three workloads on three brokers in network namespaces, while links are cut, processes pause and die, one fault after the other."""
import os
import random
import time
import traceback

import cluster as clusters
import netns
import proc
import scenario_checker
from scenario_crash import have_librdkafka


def scenario(kinds):
    def run_it(run, name):
        why = netns.available() or (None if have_librdkafka() else "librdkafka is not here")
        if why:
            return run.report.skip(name, why)
        run.close_pair()
        seed = random.randrange(1 << 30)
        random.seed(seed)
        run.report.line(f"{name}: seed {seed}")
        mix = {number: run.options.subject if kind == "monedula" else kind for number, kind in kinds.items()}
        network = netns.Network([*mix, "zk"])
        cluster = checker = None
        try:
            cluster = clusters.Cluster(os.path.join(run.folder, name), mix, network=network)
            cluster.start()
            checker = scenario_checker.Checker(cluster.bootstrap, os.path.join(run.folder, f"{name}-histories"), replication=3, min_isr=2, rate=50, processes=3)
            through_faults(run.report, name, cluster, checker, run.options.rounds or 1)
        except Exception:
            run.report.check(f"{name}: runs", False, traceback.format_exc() + (cluster.logs() if cluster else ""))
        finally:
            if checker:
                checker.close()
            if cluster:
                network.heal()
                cluster.close()
            proc.stop_all()
            network.close()
    return run_it


def through_faults(report, name, cluster, checker, rounds):
    faults = FAULTS * rounds
    random.shuffle(faults)
    checker.start(60 * len(faults)).wait_started()
    time.sleep(5)
    for label, fault in faults:
        began = time.monotonic()
        try:
            about = fault(cluster)
        finally:
            cluster.network.heal()
        cluster.until(lambda: cluster.view.brokers() == sorted(cluster.brokers) and cluster.view.controller() is not None, f"all brokers are back after: {label}", 60)
        report.line(f".... {label} ({about}): {time.monotonic() - began:.1f} s; {checker.said()}")
        time.sleep(random.uniform(3, 6))
    topics = cluster.topics()
    cluster.until(lambda: all(cluster.whole(topic) for topic in topics), "all replicas are in sync", 120)
    report.check(f"{name}: whole again after all faults", True)
    checker.finish(report, name)
    illegal = [line for topic in topics for line in cluster.illegal(topic)]
    report.check(f"{name}: the states in the tree are legal", not illegal, "\n".join(illegal))
    wrong = []
    for _ in range(20):
        wrong = [line for topic in topics if not topic.startswith("__") for line in cluster.different(topic, 2)]
        if not wrong:
            break
        time.sleep(0.5)
    report.check(f"{name}: the replicas' segment files and leader epochs are equal", not wrong, "\n".join(wrong))


# Faults return whom they hit. What they cut is healed by the caller.

def others(cluster, number):
    return [other for other in cluster.brokers if other != number]


def leader(cluster):
    """A broker that leads something the workloads write now."""
    for topic in random.sample(cluster.topics(), len(cluster.topics())):
        if not topic.startswith("__"):
            leader = cluster.leader(topic, random.randrange(2))
            if leader in cluster.brokers:
                return leader
    return random.choice(list(cluster.brokers))


def _any(cluster):
    return random.choice(list(cluster.brokers))


def controller(cluster):
    return cluster.view.controller() or _any(cluster)


def cut(pick, others, seconds, **direction):
    def fault(cluster):
        victim = pick(cluster)
        cluster.network.cut(victim, others(cluster, victim), **direction)
        time.sleep(seconds)
        return f"broker {victim}"
    return fault


def _pause(pick, seconds):
    def fault(cluster):
        victim = pick(cluster)
        cluster.pause(victim, seconds)
        return f"broker {victim}"
    return fault


def _kill(pick, seconds):
    def fault(cluster):
        victim = pick(cluster)
        cluster.brokers[victim].kill()
        time.sleep(seconds)
        cluster.restart(victim)
        return f"broker {victim}"
    return fault


def _stop(cluster):
    victim = _any(cluster)
    cluster.bounce(victim)
    return f"broker {victim}"


def _zookeeper_pauses(cluster):
    cluster.zookeeper.process.pause(3)
    return "3 s"


def _zookeeper_away(cluster):
    cluster.zookeeper.process.stop(10)
    time.sleep(8)
    cluster.zookeeper.start()
    return "8 s"


def _rolls(cluster):
    for number in sorted(cluster.brokers):
        cluster.brokers[number].stop(60)
        cluster.restart(number)
        time.sleep(3)
    return "all"


def zk(*_):
    return ["zk"]


# The session is 6 s, replicas fall out of the ISR after 5 s.
FAULTS = [
    ("a leader is cut off from the other brokers", cut(leader, others, 12)),
    ("a leader does not hear the other brokers", cut(leader, others, 10, speaks=False)),
    ("the others do not hear a leader", cut(leader, others, 10, hears=False)),
    ("a leader is cut off from ZooKeeper for longer than its session", cut(leader, zk, 12)),
    ("the controller is cut off from ZooKeeper for longer than its session", cut(controller, zk, 12)),
    ("a broker does not hear ZooKeeper", cut(_any, zk, 12, speaks=False)),
    ("a broker is cut off from everything", cut(_any, lambda c, v: [*others(c, v), "zk", "clients"], 14)),
    ("a broker is cut off from the clients", cut(leader, lambda *_: ["clients"], 8)),
    ("a leader pauses for less than its session", _pause(leader, 3)),
    ("a leader pauses for longer than its session", _pause(leader, 10)),
    ("the controller pauses for longer than its session", _pause(controller, 10)),
    ("kill -9 of a leader", _kill(leader, 7)),
    ("kill -9 of the controller", _kill(controller, 7)),
    ("kill -9 and an immediate start", _kill(_any, 0)),
    ("a broker is stopped in order", _stop),
    ("ZooKeeper pauses", _zookeeper_pauses),
    ("ZooKeeper is away", _zookeeper_away),
    ("every broker is restarted in turn", _rolls),
]
