"""A ZooKeeper and several brokers of any mix of kinds on this host, what goes wrong with them, and what must hold."""
import contextlib
import json
import logging
import os
import shutil
import signal
import subprocess
import time

import batches
import proc

OVERRIDES = {
    "default.replication.factor": "3", "min.insync.replicas": "2", "num.partitions": "3",
    "offsets.topic.replication.factor": "3", "transaction.state.log.replication.factor": "3", "transaction.state.log.min.isr": "2",
    "replica.lag.time.max.ms": "5000", "replica.fetch.wait.max.ms": "200", "controlled.shutdown.retry.backoff.ms": "1000",
    "leader.imbalance.check.interval.seconds": "10", "log.flush.offset.checkpoint.interval.ms": "1000",
}


class ZkView:
    """What the tree says, read with a client that knows neither broker."""

    def __init__(self, connect):
        from kazoo.client import KazooClient
        logging.getLogger("kazoo").setLevel(logging.CRITICAL)
        # As long as the server allows: a ZooKeeper that is away for ten seconds is a fault to try, not one of ours.
        # And it is to be seen as soon as it is back.
        self.client = KazooClient(connect, timeout=20, connection_retry={"max_tries": -1, "delay": 0.1, "max_delay": 1})
        self.client.start(30)

    def json(self, path):
        from kazoo.exceptions import NoNodeError
        try:
            return json.loads(self.client.get(path)[0])
        except NoNodeError:
            return None

    def brokers(self):
        return sorted(int(name) for name in self.client.get_children("/brokers/ids"))

    def controller(self):
        found = self.json("/controller")
        return found["brokerid"] if found else None

    def states(self, topic):
        """Partition to its state."""
        base = f"/brokers/topics/{topic}/partitions"
        return {int(p): self.json(f"{base}/{p}/state") for p in self.client.get_children(base)}

    def close(self):
        self.client.stop()
        self.client.close()


class Cluster:
    """`kinds[id]` is "kafka" or "monedula". On loopback ports, or each process in a namespace of `network` (netns.Network)."""

    def __init__(self, folder, kinds, overrides=None, network=None):
        shutil.rmtree(folder, ignore_errors=True)
        self.folder, self.extra, self.network = folder, dict(overrides or {}), network
        self.zookeeper = self.make_zookeeper(os.path.join(folder, "zk")).start()
        self.view = ZkView(self.zookeeper.connect)
        self.brokers = {}
        for number, kind in kinds.items():
            self.place(number, kind)

    def make_zookeeper(self, folder):
        at = {} if self.network is None else {"host": self.network.address("zk"), "prefix": self.network.prefix("zk")}
        return proc.ZooKeeper(folder, **at)

    def make_broker(self, number, kind, folder, overrides):
        before = self.brokers.get(number)
        make = proc.Kafka if kind == "kafka" else proc.Monedula
        broker = make(folder, overrides, port=before.port if before else None, zookeeper=self.zookeeper)
        if self.network is not None:
            broker.host, broker.prefix = self.network.address(number), self.network.prefix(number)
        return broker

    def place(self, number, kind):
        """A broker of `kind` for this id: on the same port, properties and folder as the one before, if there was one."""
        before = self.brokers.get(number)
        overrides = {**OVERRIDES, "broker.id": str(number), **self.extra}
        self.brokers[number] = self.make_broker(number, kind, os.path.join(self.folder, f"broker-{number}"), overrides)
        if before:
            self.brokers[number].starts = before.starts
        return self.brokers[number]

    def start(self):
        for broker in self.brokers.values():
            broker.launch(broker.write_properties(), os.path.join(broker.folder, f"{broker.kind}-{broker.starts}.log"))
        for broker in self.brokers.values():
            broker.wait_ready(120)
        self.until(lambda: self.view.brokers() == sorted(self.brokers), "all brokers are registered")
        return self

    @property
    def bootstrap(self):
        return ",".join(broker.bootstrap for broker in self.brokers.values())

    def restart(self, number, timeout=90):
        """Starts a dead broker again; its former session may have to end first."""
        end = time.monotonic() + timeout
        while True:
            try:
                return self.brokers[number].start(timeout)
            except RuntimeError:
                if time.monotonic() > end:
                    raise
                time.sleep(1)

    def bounce(self, number):
        """An orderly stop, which must be one, and another start."""
        code = self.brokers[number].stop(60)
        if code not in (0, 143):
            raise RuntimeError(f"broker {number} ended with {code}")
        self.restart(number)

    def pause(self, number, seconds):
        self.brokers[number].process.pause(seconds)

    @contextlib.contextmanager
    def paused(self, numbers):
        """These brokers stand still meanwhile."""
        pids = [self.brokers[number].process.pid for number in numbers]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    def seat(self, number):
        """Makes this broker controller: the seat is vacated while the others pause, as ours would always be the first to take it."""
        from kazoo.exceptions import NoNodeError
        if self.view.controller() == number:
            return
        with self.paused([other for other in self.brokers if other != number]):
            try:
                self.view.client.delete("/controller")
            except NoNodeError:
                pass
            self.until(lambda: self.view.controller() == number, f"broker {number} is controller", 10)

    def heal(self):
        """Takes back what `network` was told to cut."""
        if self.network is not None:
            self.network.heal()

    def until(self, condition, what, timeout=90):
        from kazoo.exceptions import KazooException
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            try:
                if condition():
                    return
            except (OSError, ValueError, KeyError, TypeError, KazooException):
                pass
            time.sleep(0.2)
        raise RuntimeError(f"not within {timeout} s: {what}")

    def whole(self, topic):
        """Every replica in sync, by the tree."""
        states = self.view.states(topic)
        return bool(states) and all(s and s["leader"] > 0 and len(s["isr"]) == len(self.brokers) for s in states.values())

    def until_whole(self, topic, timeout=120):
        self.until(lambda: self.whole(topic), f"all replicas of {topic} are in sync: {self.view.states(topic)}", timeout)

    def leader(self, topic, partition=0):
        return self.view.states(topic)[partition]["leader"]

    def topics(self):
        return sorted(self.view.client.get_children("/brokers/topics"))

    def illegal(self, topic):
        """What is wrong with the states in the tree, as lines."""
        wrong = []
        replicas = self.view.json(f"/brokers/topics/{topic}")["partitions"]
        for partition, state in self.view.states(topic).items():
            if not set(state["isr"]) <= set(replicas[str(partition)]):
                wrong.append(f"{topic}-{partition}: ISR {state['isr']} is not within {replicas[str(partition)]}")
            if state["leader"] >= 0 and state["leader"] not in state["isr"]:
                wrong.append(f"{topic}-{partition}: leader {state['leader']} is not in the ISR {state['isr']}")
        return wrong

    def different(self, topic, partitions):
        """Where the replicas' files differ up to the shortest high watermark, as lines. The brokers must be idle."""
        wrong = []
        for partition in range(partitions):
            contents, epochs = {}, {}
            for number, broker in self.brokers.items():
                folder = os.path.join(broker.log_dir, f"{topic}-{partition}")
                contents[number] = batches.content(folder)
                with open(os.path.join(folder, "leader-epoch-checkpoint")) as text:
                    epochs[number] = text.read().split()[2:]
                # A leader notes its epoch when it takes over, a follower with the first record of it.
                while epochs[number] and int(epochs[number][-1]) >= _end_offset(contents[number]):
                    del epochs[number][-2:]
            size = min(map(len, contents.values()))
            first = next(iter(contents))
            for number, content in contents.items():
                if content[:size] != contents[first][:size]:
                    at = next(i for i in range(size) if content[i] != contents[first][i])
                    wrong.append(f"{topic}-{partition}: brokers {first} and {number} differ at byte {at}, batch {_batch_at(content, at)}")
                if len(content) != len(contents[first]):
                    wrong.append(f"{topic}-{partition}: broker {first} has {len(contents[first])} bytes, broker {number} {len(content)}")
                if epochs[number] != epochs[first]:
                    wrong.append(f"{topic}-{partition}: leader epochs of {first} are {epochs[first]}, of {number} {epochs[number]}")
        return wrong

    def logs(self):
        """The ends of the brokers' logs, for a failure's report."""
        return "\n".join(f"--- broker {n} ({b.kind})\n{b.process.tail(12)}" for n, b in self.brokers.items() if b.process is not None)

    def close(self):
        self.view.close()
        for broker in self.brokers.values():
            if broker.process is not None and broker.process.alive():
                broker.process.kill()
        self.zookeeper.stop()


def _batch_at(content, at):
    return max((base for position, base, *_ in batches.headers(content) if position <= at), default=None)


def _end_offset(content):
    return max((end for _, _, end, *_ in batches.headers(content)), default=0)


def tool(main, *args, timeout=60):
    """An official tool in a JVM of its own."""
    log = os.path.join(proc.WORK, "cluster-tools.log")
    argv = ["java", "-Xmx256m", *proc.SMALL_JVM, *proc.java_env(log), "-cp", proc.CLASSES + ":" + proc.LIBS + "/*", main, *map(str, args)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout)
    return done.returncode, done.stdout + done.stderr
