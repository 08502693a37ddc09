"""Monedula in containers: three and a ZooKeeper through faults, and the compose file as a user starts it."""
import os
import random
import subprocess
import time
import traceback

import containers
import netns
import proc
import scenario_checker
import scenario_cluster
import scenario_netfaults
from scenario_crash import have_librdkafka

NUMBERS = [1, 2, 3]
# A cut must outlast the session and the lag to matter: short ones keep the scenario short.
SHORT = {"zookeeper.session.timeout.ms": "4000", "replica.lag.time.max.ms": "4000"}


def _in_containers(body, needs=lambda: None):
    """A scenario that is given a Docker engine; skipped in one line where there can be none."""
    def run_it(run, name):
        try:
            why = None if run.options.subject == "monedula" else "needs Monedula"
            why = why or needs()
            engine = None if why else run.engine
        except containers.Unavailable as unavailable:
            why = str(unavailable)
        if why:
            return run.report.skip(name, why)
        run.close_pair()
        body(run, name, engine)
    return run_it


def _needs_faults():
    return netns.available() or (None if have_librdkafka() else "librdkafka is not here")


def _on_cluster(body):
    def run_it(run, name, engine):
        seed = random.randrange(1 << 30)
        random.seed(seed)
        run.report.line(f"{name}: seed {seed}")
        cluster = None
        try:
            cluster = containers.Cluster(engine, os.path.join(run.folder, name), NUMBERS, SHORT)
            cluster.start()
            body(run, name, cluster)
        except Exception:
            run.report.check(f"{name}: runs", False, traceback.format_exc() + (cluster.logs() if cluster else ""))
        finally:
            if cluster:
                cluster.close()
            proc.stop_all()
            if cluster:
                cluster.network.close()
    return _in_containers(run_it, _needs_faults)


def _cluster(run, name, cluster):
    """The numbered writer and consumer groups go through the faults; after each one the official tool finds every replica in sync."""
    _cuts_are_real(run.report, name, cluster)
    groups = scenario_checker.Checker(cluster.bootstrap, os.path.join(run.folder, f"{name}-histories"), replication=3, min_isr=2, rate=20, processes=2, kinds=("group",))
    try:
        groups.start(60 * len(FAULTS)).wait_started()
        scenario_cluster.through_faults(run.report, name, cluster, run.folder, [(label, _seen_healed(run, name, label, fault)) for label, fault in FAULTS])
        groups.finish(run.report, name)
    finally:
        groups.close()


def _cuts_are_real(report, name, cluster):
    """Faults that do not happen would make everything after them pass."""
    def reaches(member, other):
        port = cluster.zookeeper.port if other == "zk" else cluster.brokers[other].port
        argv = [*cluster.network.prefix(member), "timeout", "2", "bash", "-c", f"exec 3<> /dev/tcp/{cluster.network.address(other)}/{port}"]
        return subprocess.run(argv, capture_output=True).returncode == 0
    pairs = [(1, 2), (1, 3), (2, 1), (3, 1), (1, "zk")]
    before = [reaches(*pair) for pair in pairs]
    cluster.network.cut(1, [2])
    cut = [reaches(*pair) for pair in pairs]
    cluster.heal()
    after = [reaches(*pair) for pair in pairs]
    report.check(f"{name}: a cut is between the two it names, and heals", before == after == [True] * 5 and cut == [False, True, False, True, True], f"{before}\n{cut}\n{after}")


def _seen_healed(run, name, label, fault):
    def and_then(cluster):
        try:
            fault(cluster)
        finally:
            cluster.heal()
        said = ""
        for _ in range(120):
            said = run.tools.run("topics", ["--bootstrap-server", cluster.bootstrap, "--describe", "--under-replicated-partitions"], timeout=30)
            if said.exit == 0 and not said.out.strip():
                break
            time.sleep(0.5)
        else:
            run.report.check(f"{name}: no partition is under-replicated after: {label}", False, said.text())
    return and_then


def _unplugged(cluster):
    """The interface itself goes and comes back: connections end only as their timeouts say."""
    victim = random.choice(list(cluster.brokers))
    cluster.network.unplug(victim)
    try:
        time.sleep(8)
    finally:
        cluster.network.plug(victim)


def _rolls(cluster):
    """`docker stop` of each in turn, which must be a clean end."""
    for number in sorted(cluster.brokers):
        cluster.bounce(number)
        cluster.until_whole("load")


_NAMED = dict(scenario_cluster.FAULTS)
FAULTS = [(label, _NAMED[label]) for label in (
    "kill -9 of a leader",
    "kill -9 of the controller",
    "kill -9 of a broker that is not controller",
    "a leader pauses for 3 s",
    "ZooKeeper is away for 10 s",
)] + [
    ("a leader is cut off from the other brokers", scenario_netfaults.cut(scenario_netfaults.leader, scenario_netfaults.others, 8)),
    ("the others do not hear a leader", scenario_netfaults.cut(scenario_netfaults.leader, scenario_netfaults.others, 8, hears=False)),
    ("the controller is cut off from ZooKeeper for longer than its session", scenario_netfaults.cut(scenario_netfaults.controller, scenario_netfaults.zk, 8)),
    ("a broker is unplugged from the network", _unplugged),
    ("every container is stopped and started in turn", _rolls),
]

cluster = _on_cluster(_cluster)


@_on_cluster
def faults(run, name, cluster):
    """All faults of the namespaces, on containers, under the checker."""
    checker = scenario_checker.Checker(cluster.bootstrap, os.path.join(run.folder, f"{name}-histories"), replication=3, min_isr=2, rate=50, processes=3)
    try:
        scenario_netfaults.through_faults(run.report, name, cluster, checker, run.options.rounds or 1)
    finally:
        checker.close()


def _compose(run, name, engine):
    """`up`, the console tools from this host, `down`, as docker/README.md says."""
    command = engine.compose()
    if command is None:
        return run.report.skip(name, "needs docker compose or docker-compose")
    ports = [proc.free_port() for _ in NUMBERS]
    env = {**engine.env, "MONEDULA_IMAGE": engine.image("monedula"), "ZOOKEEPER_IMAGE": engine.image("monedula-zookeeper")}
    env.update({f"PORT_{number}": str(port) for number, port in zip(NUMBERS, ports)})

    def compose(*argv, timeout=180):
        done = subprocess.run([*command, "-p", engine.tag, "-f", containers.COMPOSE_FILE, *argv], env=env, capture_output=True, text=True, timeout=timeout)
        return done.returncode, done.stdout + done.stderr
    try:
        code, said = compose("up", "-d", "--no-build")
        if not run.report.check(f"{name}: up", code == 0, said):
            return
        bootstrap = ",".join(f"localhost:{port}" for port in ports)
        _through_compose(run, name, bootstrap, compose)
        code, said = compose("stop")
        ended = engine.run("ps", "-a", "--filter", f"label=com.docker.compose.project={engine.tag}", "--format", "{{.Names}} {{.Status}}").splitlines()
        brokers = [line for line in ended if "monedula-" in line.split()[0].removeprefix(engine.tag)]
        run.report.check(f"{name}: every broker stops in order", len(brokers) == 3 and all("Exited (0)" in line for line in brokers), "\n".join(ended))
    finally:
        code, said = compose("down", "-v")
        run.report.check(f"{name}: down", code == 0, said)


def _through_compose(run, name, bootstrap, compose):
    def tool(which, *args, stdin=None):
        return run.tools.run(which, ["--bootstrap-server", bootstrap, *args], stdin=stdin, timeout=60)
    report, end = run.report, time.monotonic() + 60
    while (said := tool("api-versions")).out.count(" (id: ") < len(NUMBERS) and time.monotonic() < end:
        time.sleep(1)
    report.check(f"{name}: all brokers are there", said.out.count(" (id: ") == len(NUMBERS), said.text() + compose("logs", "--tail", "20")[1])
    said = tool("topics", "--create", "--topic", "hello", "--partitions", "3")
    report.check(f"{name}: a topic is created from this host", said.exit == 0, said.text() + compose("logs", "--tail", "20")[1])
    said = tool("topics", "--describe", "--topic", "hello")
    report.check(f"{name}: each partition has its three replicas", said.out.count("ReplicationFactor: 3") == 1 and said.out.count("Partition: ") == 3, said.text())
    words = [f"word {number}" for number in range(100)]
    said = tool("console-producer", "--topic", "hello", "--producer-property", "acks=all", stdin="".join(word + "\n" for word in words))
    report.check(f"{name}: the console producer writes", said.exit == 0, said.text())
    said = tool("console-consumer", "--topic", "hello", "--from-beginning", "--max-messages", str(len(words)), "--timeout-ms", "30000")
    report.check(f"{name}: the console consumer reads all of it", sorted(said.out.split("\n")[:len(words)]) == sorted(words), said.text())


compose = _in_containers(_compose)


def _image(run, name, engine):
    """What a container is configured by: nothing, a mounted file, variables over it, arguments over all."""
    report, image, folder = run.report, engine.image("monedula"), os.path.join(run.folder, name)
    os.makedirs(folder, exist_ok=True)
    mounted = os.path.join(folder, "server.properties")
    with open(mounted, "w") as out:
        out.write("broker.id=7\nnum.partitions=2\nlog.dirs=/tmp/seven\nlog.retention.hours=5")  # its last line has no end
    mount = ["-v", f"{mounted}:/mnt/shared/config/server.properties:ro"]
    variables = ["KAFKA_NUM_PARTITIONS=4", "KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://seven:9095,", "KAFKA_HEAP_OPTS=-Xmx1g", "KAFKA_MY__OWN___KEY=a=b c",
                 "KAFKA_LISTENER_NAME_IN_SCRAM-SHA-256_SASL_JAAS_CONFIG=x;"]
    given = [option for variable in variables for option in ("-e", variable)]
    with open(os.path.join(proc.ROOT, "docker", "server.properties")) as text:
        default = _properties(text.read())
    mine = {"broker.id": "7", "num.partitions": "2", "log.dirs": "/tmp/seven", "log.retention.hours": "5"}
    ours = {"num.partitions": "4", "advertised.listeners": "PLAINTEXT://seven:9095,", "listeners": "PLAINTEXT://0.0.0.0:9095,", "my_own-key": "a=b c",
            "listener.name.in.scram-sha-256.sasl.jaas.config": "x;"}
    cases = [("nothing", [], [], default), ("a mounted file", mount, [], mine), ("variables", given, [], {**ours, "log.dirs": containers.DATA}),
             ("a mounted file and variables over it", [*mount, *given], [], {**mine, **ours}),
             ("an argument over a variable", given, ["/etc/kafka/docker/run", "KAFKA_NUM_PARTITIONS=9"], {**ours, "num.partitions": "9", "log.dirs": containers.DATA})]
    for number, (label, options, command, expected) in enumerate(cases):
        container = f"{engine.tag}-image-{number}"
        try:
            engine.run("run", "-d", "--name", container, "--network", "none", *options, image, *command)
            end = time.monotonic() + 30
            while "started (kafka.server.KafkaServer)" not in (said := engine.logs(container)) and time.monotonic() < end:
                time.sleep(0.2)
            found = _properties(engine.run("exec", container, "cat", "/opt/kafka/config/server.properties", check=False))
            report.check(f"{name}: configured by {label}", found == expected and "started (kafka.server.KafkaServer)" in said, f"{found}\n{expected}\n{said}")
            engine.run("stop", "-t", "30", container)
            ended = engine.run("inspect", "-f", "{{.State.ExitCode}}", container)
            report.check(f"{name}: and stopped in order", ended == "0", f"exit {ended}\n{engine.logs(container)}")
        finally:
            engine.run("rm", "-f", "-v", container, check=False)


def _properties(text):
    return dict(line.split("=", 1) for line in text.splitlines() if line.strip() and not line.startswith("#"))


image = _in_containers(_image)
