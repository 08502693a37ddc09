"""Brokers and their ZooKeeper in Docker containers on a network of their own. The daemon is the one that answers, or one of ours
that keeps everything below the work folder; either way nothing is left when `close` has run."""
import glob
import os
import random
import shutil
import subprocess
import tempfile
import time

import cluster as clusters
import netns
import proc

BUILD = os.path.join(proc.ROOT, "docker", "build")
COMPOSE_FILE = os.path.join(proc.ROOT, "docker", "compose.yaml")
# Where the image keeps its data, and the user that it runs as.
DATA, USER = "/var/lib/kafka/data", 1000


class Unavailable(Exception):
    """Why there can be no containers here; one line."""


class Engine:
    """A Docker daemon, and the images under a tag of this run."""

    def __init__(self):
        self.tag = f"test-{os.getpid()}"
        self.env, self.daemon, self.folders = dict(os.environ), None, []
        if not shutil.which("docker"):
            raise Unavailable("needs docker")
        if not self._answers():
            self._start_daemon()
        try:
            self._build()
        except Exception:
            self.close()
            raise

    def _answers(self):
        if not self.env.get("DOCKER_HOST", "unix://").startswith("unix://"):
            return False  # another machine's: it does not see our files
        try:
            return subprocess.run(["docker", "version", "-f", "{{.Server.Version}}"], env=self.env, capture_output=True, timeout=20).returncode == 0
        except subprocess.TimeoutExpired:
            return False

    def _start_daemon(self):
        if os.geteuid() != 0 or not shutil.which("dockerd"):
            raise Unavailable("no Docker daemon answers, and starting one needs root and dockerd")
        for old in glob.glob(os.path.join(proc.WORK, "docker-data-*")):
            if not os.path.exists(f"/proc/{old.rpartition('-')[2]}"):
                shutil.rmtree(old, ignore_errors=True)
        data = os.path.join(proc.WORK, f"docker-data-{os.getpid()}")
        # Sockets have short names: a path of a hundred characters is too long for one.
        run = tempfile.mkdtemp(prefix="monedula-docker-")
        self.folders = [data, run]
        self.env["DOCKER_HOST"] = f"unix://{run}/docker.sock"
        # No bridge of its own and no rules in this host's iptables: user networks do without both.
        argv = ["dockerd", "--data-root", data, "--exec-root", f"{run}/exec", "--pidfile", f"{run}/pid", "-H", self.env["DOCKER_HOST"],
                "--bridge", "none", "--iptables=false", "--ip6tables=false"]
        if shutil.which("setpriv"):
            argv = ["setpriv", "--pdeathsig", "TERM", *argv]
        self.daemon = proc.Process("dockerd", argv, os.path.join(proc.WORK, "dockerd.log"))
        # It goes last, after what it holds: not with all other processes.
        proc.LIVE.remove(self.daemon)
        end = time.monotonic() + 60
        while self.daemon.alive() and time.monotonic() < end:
            if self._answers():
                return
            time.sleep(0.3)
        last = self.daemon.tail(1).strip()
        self.close()
        raise Unavailable(f"dockerd does not start here: {last[-200:]}")

    def run(self, *argv, timeout=60, check=True):
        done = subprocess.run(["docker", *map(str, argv)], env=self.env, capture_output=True, text=True, timeout=timeout)
        if check and done.returncode != 0:
            raise RuntimeError(f"docker {' '.join(map(str, argv))}: {done.stderr.strip()}")
        return done.stdout.strip()

    def logs(self, container):
        done = subprocess.run(["docker", "logs", container], env=self.env, capture_output=True, text=True, timeout=60)
        return done.stdout + done.stderr

    def _build(self):
        done = subprocess.run([BUILD, "--binary", proc.MONEDULA, "--tag", self.tag, "--zookeeper", proc.LIBS], env=self.env, capture_output=True, text=True, timeout=600)
        if done.returncode == 3:
            raise Unavailable(f"a Docker daemon is here, but no container starts: {done.stderr.strip()[-200:]}")
        if done.returncode != 0:
            raise RuntimeError(f"docker/build ended with {done.returncode}: {(done.stdout + done.stderr)[-2000:]}")

    def image(self, name):
        """Monedula's and ZooKeeper's image, as this run made them."""
        return f"{name}:{self.tag}"

    def compose(self):
        """The command that reads compose files, or None."""
        for argv in (["docker", "compose"], ["docker-compose"]):
            if shutil.which(argv[0]) and subprocess.run([*argv, "version"], env=self.env, capture_output=True, timeout=30).returncode == 0:
                return argv
        return None

    def close(self):
        if self.daemon is None:
            for name in ("monedula", "monedula-zookeeper", "monedula-base"):
                self.run("rmi", f"{name}:{self.tag}", check=False)
        if self.daemon is not None:
            self.daemon.stop(60)
        for folder in self.folders:
            shutil.rmtree(folder, ignore_errors=True)


class Container(proc.Process):
    """A container in the foreground of a `docker start`, which ends with it and with its exit code."""

    def __init__(self, engine, name, log):
        self.engine, self.container = engine, name
        super().__init__(name, ["docker", "start", "-a", name], log, env=engine.env)

    def stop(self, timeout=60):
        self.engine.run("stop", "-t", timeout, self.container, timeout=timeout + 30, check=False)
        return super().stop(30)

    def kill(self):
        self.engine.run("kill", self.container, check=False)
        super().kill()

    def pause(self, seconds):
        self.engine.run("pause", self.container)
        try:
            time.sleep(seconds)
        finally:
            self.engine.run("unpause", self.container)


class Network(netns.Network):
    """The members' addresses on a Docker network of their own; rules go into the containers' namespaces."""

    def __init__(self, engine, members):
        self.engine, self.containers = engine, {}
        super().__init__(members)

    def _make(self):
        self.engine.run("network", "create", "--subnet", f"{self.net}.0/24", "--gateway", self.address("clients"), self.tag)

    def create(self, member, image, *options):
        """The member's container, not started yet."""
        name = f"{self.tag}-{member}"
        self.engine.run("create", "--name", name, "--network", self.tag, "--ip", self.address(member), *options, image)
        self.containers[member] = name
        return name

    def _pid(self, member):
        """Of the container's first process; 0 when it does not run."""
        return int(self.engine.run("inspect", "-f", "{{.State.Pid}}", self.containers[member]))

    def prefix(self, member):
        return ["nsenter", "--target", str(self._pid(member)), "--net"]

    def unplug(self, member):
        self.engine.run("network", "disconnect", self.tag, self.containers[member])

    def plug(self, member):
        self.engine.run("network", "connect", "--ip", self.address(member), self.tag, self.containers[member])

    def heal(self):
        for member in self.containers:
            if self._pid(member):
                netns.run(*self.prefix(member), "iptables", "-F")

    def close(self):
        for name in self.containers.values():
            self.engine.run("rm", "-f", "-v", name, check=False)
        self.engine.run("network", "rm", self.tag, check=False)


class ZooKeeper(proc.ZooKeeper):
    def __init__(self, folder, network):
        super().__init__(folder, host=network.address("zk"))
        self.network, self.port, self.container = network, 2181, None

    def start(self):
        if self.container is None:
            os.makedirs(self.folder, exist_ok=True)
            conf = os.path.join(self.folder, "zoo.cfg")
            with open(conf, "w") as out:
                out.write("tickTime=1000\ndataDir=/data\nclientPort=2181\nadmin.enableServer=false\nmaxClientCnxns=0\nforceSync=no\n4lw.commands.whitelist=*\n")
            self.container = self.network.create("zk", self.network.engine.image("monedula-zookeeper"), "-v", f"{conf}:/conf/zoo.cfg:ro")
        self.process = Container(self.network.engine, self.container, os.path.join(self.folder, "zookeeper.log"))
        proc.wait_port(self.port, self.process, host=self.host)
        return self


class Broker(proc.Monedula):
    """Monedula's image with a mounted server.properties; the data is in a folder of this host, so that it can be looked at."""

    def __init__(self, folder, overrides, zookeeper, network, number):
        super().__init__(folder, overrides, port=9092, zookeeper=zookeeper)
        self.network, self.number, self.host, self.container = network, number, network.address(number), None

    def properties(self):
        return {**super().properties(), "log.dirs": DATA}

    def launch(self, properties, log):
        if self.container is None:
            os.makedirs(self.log_dir)
            os.chown(self.log_dir, USER, USER)
            self.container = self.network.create(self.number, self.network.engine.image("monedula"),
                                                 "-v", f"{properties}:/mnt/shared/config/server.properties:ro", "-v", f"{self.log_dir}:{DATA}")
        self.process = Container(self.network.engine, self.container, log)


class Cluster(clusters.Cluster):
    """Monedulas and their ZooKeeper, in a container each."""

    def __init__(self, engine, folder, numbers, overrides=None):
        network = Network(engine, [*numbers, "zk"])
        try:
            super().__init__(folder, {number: "monedula" for number in numbers}, overrides, network)
        except Exception:
            network.close()
            raise

    def make_zookeeper(self, folder):
        return ZooKeeper(folder, self.network)

    def make_broker(self, number, kind, folder, overrides):
        return Broker(folder, overrides, self.zookeeper, self.network, number)
