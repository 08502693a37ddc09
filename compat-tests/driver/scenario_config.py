"""What `server.properties` says beyond plain values: variables that config providers resolve, and limits of one listener."""
import os
import re
import socket
import subprocess

import proc
import wire
from harness import eventually, port_mask

PACKAGE = "org.apache.kafka.common.config.provider"
PROVIDERS = {
    "config.providers": "file,dir,env,unused",
    "config.providers.file.class": f"{PACKAGE}.FileConfigProvider",
    "config.providers.dir.class": f"{PACKAGE}.DirectoryConfigProvider",
    "config.providers.env.class": f"{PACKAGE}.EnvVarConfigProvider",
    "config.providers.env.param.allowlist.pattern": "COMPAT_.*",
}
# Shown by DescribeConfigs; none of them is what Kafka defaults to.
SEEN = ("num.partitions", "log.retention.hours", "log.segment.bytes", "log.index.interval.bytes", "replica.selector.class", "group.max.size", "log.dirs", "listeners",
        "compression.type", "log.cleanup.policy")


def providers(run, name):
    """The same variables to both brokers, and the same mistakes."""
    run.close_pair()
    folder = os.path.join(run.folder, "providers")
    secrets = os.path.join(folder, "secrets")
    os.makedirs(os.path.join(secrets, "dir"))
    with open(os.path.join(secrets, "broker.properties"), "w", encoding="utf-8") as out:
        out.write("hours = 77\nbytes: 1234567\npolicy compact\nempty=\ncolon:key=5\nescaped=\\u0067zip\n")
    with open(os.path.join(secrets, "dir", "interval"), "w") as out:
        out.write("4321")
    os.environ.update({"COMPAT_PARTITIONS": "3", "COMPAT_HOST": "127.0.0.1", "OTHER_PARTITIONS": "9"})
    file = "${file:" + os.path.join(secrets, "broker.properties") + ":"
    values = {
        **PROVIDERS,
        "config.providers.file.param.allowed.paths": secrets,
        "num.partitions": "${env:COMPAT_PARTITIONS}",
        "log.retention.hours": file + "hours}",
        "log.segment.bytes": file + "bytes}",
        "log.cleanup.policy": file + "policy},delete",
        "compression.type": file + "escaped}",
        "log.index.interval.bytes": "${dir:" + os.path.join(secrets, "dir") + ":interval}",
        "group.max.size": "1" + file + "empty}${env:COMPAT_PARTITIONS}",
    }
    said = []
    for kind in ("kafka", run.options.subject):
        broker = proc.make(kind, os.path.join(folder, kind), overrides=values)
        broker.overrides["listeners"] = "PLAINTEXT://${env:COMPAT_HOST}:" + str(broker.port)
        try:
            broker.start()
            text = run.tools.run("configs", ["--bootstrap-server", broker.bootstrap, "--describe", "--all", "--entity-type", "brokers", "--entity-name", "0"]).out
        finally:
            broker.close()
        lines = [line.strip() for line in text.splitlines() if line.strip().startswith(SEEN)]
        said.append([re.sub(port_mask(broker.port), "PORT", line.replace(broker.log_dir, "LOGDIR")) for line in sorted(lines)])
    run.report.check(f"{name}: both describe the resolved values", said[0] == said[1] and len(said[0]) >= len(SEEN), "\n".join(f"kafka    {a}\nmonedula {b}" for a, b in zip(*said) if a != b) or str(said))
    text = "\n".join(said[1])
    for value in ("num.partitions=3 ", "log.retention.hours=77 ", "log.segment.bytes=1234567 ", "log.cleanup.policy=compact,delete ", "log.index.interval.bytes=4321 ", "group.max.size=13 ", "compression.type=gzip "):
        run.report.check(f"{name}: {value.strip()}", value in text, text)
    mistakes(run, name, folder, secrets, values)


def mistakes(run, name, folder, secrets, values):
    """Both refuse to start, for the same reason; ours in one line."""
    inside = os.path.join(secrets, "broker.properties")
    for label, change, words in [
        ("an unknown class", {"config.providers.file.class": "com.example.VaultConfigProvider"}, "Invalid value com.example.VaultConfigProvider for configuration config.providers.file.class"),
        ("a file that is not there", {"num.partitions": "${file:" + inside + ".gone:key}"}, "Could not read properties from file " + inside + ".gone"),
        ("a path for the environment", {"num.partitions": "${env:/x:COMPAT_PARTITIONS}"}, "Path is not supported for EnvVarConfigProvider, invalid value '/x'"),
        ("a relative allowed path", {"config.providers.file.param.allowed.paths": "secrets"}, "Path secrets is not absolute"),
        ("an allowed path that is not there", {"config.providers.dir.param.allowed.paths": secrets + "/gone"}, f"Path {secrets}/gone does not exist"),
        ("a path that is not allowed", {"config.providers.file.param.allowed.paths": secrets + "/dir"}, "Invalid value ${file:" + inside + ":escaped} for configuration compression.type"),
        ("a variable that is not allowed", {"num.partitions": "${env:OTHER_PARTITIONS}"}, "Invalid value ${env:OTHER_PARTITIONS} for configuration num.partitions"),
        ("a key that is not there", {"num.partitions": "${file:" + inside + ":nothing}"}, "Invalid value ${file:" + inside + ":nothing} for configuration num.partitions"),
        ("a provider that is not there", {"num.partitions": "${vault:key}"}, "Invalid value ${vault:key} for configuration num.partitions"),
    ]:
        endings = []
        for kind in ("kafka", run.options.subject):
            broker = proc.make(kind, os.path.join(folder, f"{kind}-mistake"), overrides={**values, **change})
            if kind == "kafka":
                broker.zookeeper, broker.own_zookeeper = type("Nowhere", (), {"connect": "127.0.0.1:1"}), False
            log = os.path.join(broker.folder, "start.log")
            broker.launch(broker.write_properties(), log)
            code = wait(broker.process, 40)
            endings.append((code, broker.process.tail(200)))
        run.report.check(f"{name}: {label}: both refuse, and say why", all(code not in (0, None) and words in text for code, text in endings), "\n---\n".join(f"{code}\n{text[-1500:]}" for code, text in endings))
        if run.options.subject == "monedula":
            last = [line for line in endings[1][1].splitlines() if line.startswith("monedula: ")]
            run.report.check(f"{name}: {label}: in one line", len(last) == 1 and words in last[0], endings[1][1])


def wait(process, seconds):
    """Its exit code; None if it does not end by itself."""
    try:
        return process.child.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        return None
    finally:
        if process in proc.LIVE:
            proc.LIVE.remove(process)


class Guest:
    """A connection that has asked for ApiVersions and looks whether it is answered."""

    def __init__(self, port, address="127.0.0.1"):
        self.socket = socket.create_connection(("127.0.0.1", port), 5, source_address=(address, 0))
        frame = wire.header(18, 0, 1, "guest", {})
        self.socket.sendall(len(frame).to_bytes(4, "big") + frame)

    def fate(self, seconds=1.5):
        """answered, waits, or closed"""
        self.socket.settimeout(seconds)
        try:
            return "answered" if self.socket.recv(4) else "closed"
        except TimeoutError:
            return "waits"
        except OSError:
            return "closed"

    def close(self):
        self.socket.close()


def connection_limits(run, name):
    """`max.connections` of one listener, and limits that change while connections are open (KIP-402, KIP-612)."""
    run.close_pair()
    said = [_limits(run, name, kind) for kind in ("kafka", run.options.subject)]
    for label in said[0]:
        run.report.check(f"{name}: {label}: {said[0][label]}", said[0][label] == said[1].get(label), f"kafka    {said[0][label]}\nmonedula {said[1].get(label)}")


def _limits(run, name, kind):
    other, seen, guests = proc.free_port(), {}, []
    broker = proc.make(kind, os.path.join(run.folder, name, kind), overrides={
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,OTHER:PLAINTEXT", "inter.broker.listener.name": "PLAINTEXT",
        "listener.name.other.max.connections": "2", "max.connections.per.ip.overrides": "127.0.0.3:1"})
    broker.overrides["listeners"] = f"PLAINTEXT://127.0.0.1:{broker.port},OTHER://127.0.0.1:{other}"

    def guest(address="127.0.0.1"):
        guests.append(Guest(other, address))
        return guests[-1]

    def alter(entity, *change):
        done = run.tools.run("configs", ["--bootstrap-server", broker.bootstrap, "--alter", "--entity-type", "brokers", *entity, *change])
        return f"exit {done.exit}"
    try:
        broker.start()
        first, second, third = guest(), guest(), guest()
        seen["two are let in"] = [first.fate(10), second.fate(10)]
        seen["the third waits"] = third.fate()
        first.close()
        seen["until one leaves"] = third.fate(10)
        fourth = guest()
        seen["the fourth waits"] = fourth.fate()
        seen["raised for the cluster"] = alter(["--entity-default"], "--add-config", "listener.name.other.max.connections=3")
        seen["lets it in"] = fourth.fate(10)
        seen["raised for this broker"] = alter(["--entity-name", "0"], "--add-config", "listener.name.other.max.connections=50")
        fifth = guest()
        seen["lets the fifth in"] = fifth.fate(10)
        one, two = guest("127.0.0.3"), guest("127.0.0.3")
        seen["an address of one connection"] = [one.fate(10), two.fate(10)]
        seen["another address"] = alter(["--entity-default"], "--add-config", "max.connections.per.ip.overrides=[127.0.0.2:1,127.0.0.3:3]")
        seen["is held to one"] = eventually(lambda: _second(guest), 10)
        again = guest("127.0.0.3")
        seen["and the first has more"] = [again.fate(10), guest("127.0.0.3").fate(10)]
        seen["back"] = alter(["--entity-default"], "--delete-config", "max.connections.per.ip.overrides,listener.name.other.max.connections")
        describe = ["--bootstrap-server", broker.bootstrap, "--describe", "--entity-type", "brokers", "--entity-name", "0"]
        # A broker hears of the change a moment after the answer.
        text = eventually(lambda: (lambda out: out if "DYNAMIC_DEFAULT" not in out else None)(run.tools.run("configs", describe).out), 10) or "still there"
        seen["described"] = sorted(line.strip() for line in text.splitlines() if "max.connections" in line)
    finally:
        for one in guests:
            one.close()
        broker.close()
    return seen


def _second(guest):
    """The fate of a second connection from one address, once the limit is there."""
    one, two = guest("127.0.0.2"), guest("127.0.0.2")
    fates = [one.fate(5), two.fate(5)]
    one.close(), two.close()
    return fates if fates == ["answered", "closed"] else None
