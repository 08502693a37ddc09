"""Starting and stopping what is tested: ZooKeeper, Apache Kafka and Monedula. Everything is stopped by pid."""
import os
import random
import shutil
import signal
import socket
import subprocess
import time

import wire

HERE = os.path.dirname(os.path.abspath(__file__))
COMPAT = os.path.dirname(HERE)
ROOT = os.path.dirname(COMPAT)
WORK = os.environ.get("COMPAT_WORK", os.path.join(COMPAT, ".work"))
LIBS = os.environ.get("KAFKA_LIBS", os.path.join(WORK, "libs"))
CLASSES = os.path.join(WORK, "classes")
MONEDULA = os.environ.get("MONEDULA_BIN", os.path.join(ROOT, "target", "release", "monedula"))
LIVE = []
# Two runs side by side must not give one port to two brokers, one of which is down just then.
PORTS = {"": (12000, 30999), "main": (12000, 26999), "beside": (27000, 30999)}
lane = ""
_taken = set()


def free_port():
    """A port below the ephemeral range, so that no client's own socket can take it before the broker binds."""
    while True:
        port = random.randint(*PORTS[lane])
        if port in _taken:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _taken.add(port)
        return port


def java_env(log):
    return ["-Dlog4j.configuration=file:" + os.path.join(COMPAT, "java", "log4j.properties"), "-Dcompat.log=" + log]


SMALL_JVM = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"]


class Process:
    """A child with its output in a file; `stop` is SIGTERM, then SIGKILL when it does not go."""

    def __init__(self, name, argv, log, env=None, cwd=None, preexec=None):
        self.name, self.log = name, log
        os.makedirs(os.path.dirname(log), exist_ok=True)
        with open(log, "ab") as out:
            self.child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env, cwd=cwd,
                                          preexec_fn=preexec)
        self.pid = self.child.pid
        LIVE.append(self)

    def alive(self):
        return self.child.poll() is None

    def stop(self, timeout=60):
        if self.alive():
            self.child.send_signal(signal.SIGTERM)
        try:
            code = self.child.wait(timeout)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
            code = "killed"
        if self in LIVE:
            LIVE.remove(self)
        return code

    def kill(self):
        if self.alive():
            self.child.kill()
        self.child.wait()
        if self in LIVE:
            LIVE.remove(self)

    def pause(self, seconds):
        os.kill(self.pid, signal.SIGSTOP)
        try:
            time.sleep(seconds)
        finally:
            os.kill(self.pid, signal.SIGCONT)

    def tail(self, lines=30):
        with open(self.log, errors="replace") as text:
            return "".join(text.readlines()[-lines:])


def stop_all():
    for process in list(LIVE):
        process.kill()


def wait_port(port, process, timeout=60, host="127.0.0.1"):
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if not process.alive():
            raise RuntimeError(f"{process.name} ended early:\n{process.tail()}")
        try:
            socket.create_connection((host, port), 1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise RuntimeError(f"{process.name} does not listen on {port}:\n{process.tail()}")


class ZooKeeper:
    def __init__(self, folder, host="127.0.0.1", prefix=()):
        """`prefix` is put before the command: the network namespace that `host` lies in, say."""
        self.folder, self.port, self.host, self.prefix = folder, free_port(), host, list(prefix)

    @property
    def connect(self):
        return f"{self.host}:{self.port}"

    def start(self):
        os.makedirs(self.folder, exist_ok=True)
        conf = os.path.join(self.folder, "zoo.cfg")
        with open(conf, "w") as out:
            out.write(f"tickTime=1000\ndataDir={self.folder}/data\nclientPort={self.port}\nclientPortAddress={self.host}\n"
                      "admin.enableServer=false\nmaxClientCnxns=0\nforceSync=no\n4lw.commands.whitelist=*\n")
        log = os.path.join(self.folder, "zookeeper.log")
        self.process = Process("zookeeper", [*self.prefix, "java", "-Xmx128m", *SMALL_JVM, *java_env(log), "-cp", LIBS + "/*",
                                             "org.apache.zookeeper.server.quorum.QuorumPeerMain", conf], log)
        wait_port(self.port, self.process, host=self.host)
        return self

    def stop(self):
        self.process.stop(10)


# What both brokers are given. Small timeouts only where a default would make the tests wait.
PROPERTIES = {
    "broker.id": "0",
    "num.partitions": "1",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "5",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "5",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
    "group.initial.rebalance.delay.ms": "300",
    "log.segment.delete.delay.ms": "1000",
    # Scripts write records of 2023, and retention looks for old ones 30 s after the start and every 5 minutes. In hours,
    # so that what is compared is derived as from the default.
    "log.retention.hours": "1000000",
    "auto.create.topics.enable": "true",
    "num.network.threads": "2",
    "num.io.threads": "4",
    "zookeeper.session.timeout.ms": "6000",
}


class Broker:
    """One broker of either kind on one folder. `kind` is the only thing that tells them apart."""
    kind = "?"
    # Where it listens, and what is put before its command (the network namespace of that address).
    host, prefix = "127.0.0.1", ()

    def __init__(self, folder, overrides=None, log_dirs=None, port=None):
        self.folder = folder
        self.port = port or free_port()
        self.log_dir = log_dirs or os.path.join(folder, "data")
        self.overrides = dict(overrides or {})
        self.process = None
        self.starts = 0

    @property
    def bootstrap(self):
        return f"{self.host}:{self.port}"

    def properties(self):
        return {**PROPERTIES, "listeners": f"PLAINTEXT://{self.host}:{self.port}", "log.dirs": self.log_dir, **self.overrides}

    def write_properties(self):
        os.makedirs(self.folder, exist_ok=True)
        path = os.path.join(self.folder, "server.properties")
        with open(path, "w") as out:
            for key, value in self.properties().items():
                out.write(f"{key}={value}\n")
        return path

    def start(self, timeout=90):
        self.starts += 1
        self.launch(self.write_properties(), os.path.join(self.folder, f"{self.kind}-{self.starts}.log"))
        self.wait_ready(timeout)
        return self

    def wait_ready(self, timeout=90):
        schemas = wire.load_schemas(LIBS)
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if not self.process.alive():
                raise RuntimeError(f"{self.kind} ended early:\n{self.process.tail()}")
            try:
                with wire.Connection(self.host, self.port, schemas, 5) as connection:
                    answer = connection.call(3, 1, {"Topics": []})
                    if answer["Brokers"] and answer["ControllerId"] >= 0:
                        return self
            except (OSError, ValueError):
                pass
            time.sleep(0.02)
        raise RuntimeError(f"{self.kind} is not ready:\n{self.process.tail()}")

    def connect(self, timeout=15):
        return wire.Connection(self.host, self.port, wire.load_schemas(LIBS), timeout)

    def stop(self, timeout=60):
        if self.process is not None:
            return self.process.stop(timeout)
        return None

    def kill(self):
        self.process.kill()

    def close(self):
        self.stop()

    def rss_kb(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            for line in status:
                if line.startswith("VmRSS"):
                    return int(line.split()[1])
        return 0


class Kafka(Broker):
    kind = "kafka"
    heap = "512m"
    jvm = SMALL_JVM

    def __init__(self, folder, overrides=None, log_dirs=None, port=None, zookeeper=None):
        super().__init__(folder, overrides, log_dirs, port)
        self.zookeeper, self.own_zookeeper = zookeeper, zookeeper is None

    def properties(self):
        return {**super().properties(), "zookeeper.connect": self.zookeeper.connect}

    def start(self, timeout=90):
        if self.zookeeper is None:
            self.zookeeper = ZooKeeper(os.path.join(self.folder, "zk")).start()
        return super().start(timeout)

    def launch(self, properties, log):
        # A broker killed without a goodbye leaves its ephemeral node until the session ends; wait for that first.
        self.process = Process(self.kind, [*self.prefix, "java", "-Xmx" + self.heap, *self.jvm, *java_env(log), "-cp", LIBS + "/*",
                                           "kafka.Kafka", properties], log)

    def close(self):
        self.stop()
        if self.own_zookeeper and self.zookeeper is not None:
            self.zookeeper.stop()


class Monedula(Broker):
    kind = "monedula"

    def __init__(self, folder, overrides=None, log_dirs=None, port=None, zookeeper=None):
        """Without `zookeeper` the broker coordinates itself."""
        super().__init__(folder, overrides, log_dirs, port)
        self.zookeeper = zookeeper

    def properties(self):
        ours = super().properties()
        return ours if self.zookeeper is None else {**ours, "zookeeper.connect": self.zookeeper.connect}

    def launch(self, properties, log):
        self.process = Process(self.kind, [*self.prefix, MONEDULA, properties], log)


def make(kind, folder, **options):
    shutil.rmtree(folder, ignore_errors=True)
    if kind == "kafka":
        return Kafka(folder, **options)
    return Monedula(folder, **options)
