"""A network namespace for each broker and one for ZooKeeper, joined by a bridge; this process and the clients sit at the bridge.
Cuts are iptables rules inside a namespace, so that nothing outside is touched. Everything is gone when `close` has run."""
import os
import random
import shutil
import subprocess


def available():
    """None, or why there can be no namespaces here."""
    if os.geteuid() != 0:
        return "needs root"
    for tool in ("ip", "iptables"):
        if not shutil.which(tool):
            return f"needs {tool}"
    name = f"monedula-probe-{os.getpid()}"
    if subprocess.run(["ip", "netns", "add", name], capture_output=True).returncode != 0:
        return "no network namespaces here"
    try:
        if subprocess.run(["ip", "netns", "exec", name, "iptables", "-A", "INPUT", "-s", "10.0.0.9", "-j", "DROP"], capture_output=True).returncode != 0:
            return "iptables does not work in a network namespace here"
    finally:
        subprocess.run(["ip", "netns", "delete", name], capture_output=True)
    return None


def run(*argv):
    done = subprocess.run(list(map(str, argv)), capture_output=True, text=True, timeout=20)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, argv))}: {done.stderr.strip()}")


class Network:
    """`members` are broker ids and "zk". Each has an address; "clients" is the bridge's own."""

    def __init__(self, members):
        self.tag = f"m{os.getpid() % 100000}"
        self.bridge = f"{self.tag}br"
        self.members = list(members)
        self.net = f"10.{random.randint(180, 250)}.{random.randint(0, 250)}"
        self.made = False
        try:
            self._make()
        except Exception:
            self.close()
            raise

    def _make(self):
        self.made = True
        run("ip", "link", "add", self.bridge, "type", "bridge")
        run("ip", "address", "add", f"{self.net}.1/24", "dev", self.bridge)
        run("ip", "link", "set", self.bridge, "up")
        for member in self.members:
            space, outside = self._space(member), f"{self.tag}v{member}"
            run("ip", "netns", "add", space)
            run("ip", "link", "add", outside, "type", "veth", "peer", "name", "eth0", "netns", space)
            run("ip", "link", "set", outside, "master", self.bridge, "up")
            run("ip", "-n", space, "address", "add", f"{self.address(member)}/24", "dev", "eth0")
            run("ip", "-n", space, "link", "set", "eth0", "up")
            run("ip", "-n", space, "link", "set", "lo", "up")

    def _space(self, member):
        return f"{self.tag}-{member}"

    def address(self, member):
        return f"{self.net}.1" if member == "clients" else f"{self.net}.{10 + self.members.index(member)}"

    def prefix(self, member):
        """Put before a command, it runs there; the process keeps its pid."""
        return ["ip", "netns", "exec", self._space(member)]

    def cut(self, member, others, hears=True, speaks=True):
        """`member` no longer hears from `others`, or its words no longer reach them, or both."""
        for other in others:
            if hears:
                run(*self.prefix(member), "iptables", "-A", "INPUT", "-s", self.address(other), "-j", "DROP")
            if speaks:
                run(*self.prefix(member), "iptables", "-A", "OUTPUT", "-d", self.address(other), "-j", "DROP")

    def heal(self):
        for member in self.members:
            run(*self.prefix(member), "iptables", "-F")

    def close(self):
        for member in self.members:
            subprocess.run(["ip", "netns", "delete", self._space(member)], capture_output=True)
            subprocess.run(["ip", "link", "delete", f"{self.tag}v{member}"], capture_output=True)
        subprocess.run(["ip", "link", "delete", self.bridge], capture_output=True)
