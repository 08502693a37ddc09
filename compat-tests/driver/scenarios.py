"""The list of scenarios, and the pair of brokers most of them share."""
import os
import sys
import time
import traceback

import containers
import harness
import proc
import probes
import scenario_admin
import scenario_checker
import scenario_cleaner
import scenario_cluster
import scenario_clients as clients
import scenario_config
import scenario_connect
import scenario_crash
import scenario_disk
import scenario_docker
import scenario_hostile
import scenario_netfaults
import scenario_old_protocol
import scenario_rolling
import scenario_streams
import scenario_swaps
import scenario_tools
import scenario_transactions
import scenario_zk_away
import scenario_zk_secure


class Run:
    def __init__(self, report, folder, options):
        self.report, self.folder, self.options = report, folder, options
        self.sides = None
        self._tools = None
        self._engine = None

    @property
    def engine(self):
        """Docker, with our images; or raises containers.Unavailable."""
        if isinstance(self._engine, containers.Unavailable):
            raise self._engine
        if self._engine is None:
            try:
                self._engine = containers.Engine()
            except containers.Unavailable as unavailable:
                self._engine = unavailable
                raise
        return self._engine

    @property
    def tools(self):
        if self._tools is None:
            self._tools = harness.Tools(self.folder)
        return self._tools

    def pair(self):
        """Both brokers with the same server.properties, started once and shared by the scenarios that only talk to them."""
        if self.sides is None:
            reference = proc.make("kafka", os.path.join(self.folder, "reference"))
            subject = proc.make(self.options.subject, os.path.join(self.folder, "subject"))
            self.report.line(f"starting kafka and {self.options.subject}")
            self.sides = [harness.Side(broker.start(), self.tools, broker.folder) for broker in (reference, subject)]
        return self.sides

    def close_pair(self):
        if self.sides:
            for side in self.sides:
                side.broker.close()
            self.sides = None

    def close(self):
        self.close_pair()
        if self._tools is not None:
            self._tools.stop()
        if isinstance(self._engine, containers.Engine):
            self._engine.close()

    def all(self):
        for name, quick, scenario in ALL:
            if not harness.wanted(name, self.options.only) or (self.options.quick and quick is not True):
                continue
            if quick == LONG and not (self.options.long or self.options.only):
                continue
            if self.options.lane and (name in BESIDE) != (self.options.lane == "beside"):
                continue
            self.report.line(f"== {name}")
            began = time.monotonic()
            try:
                scenario(self, name)
            except Exception:
                self.report.check(f"{name}: runs", False, traceback.format_exc())
            self.report.seconds[name] = time.monotonic() - began


def shared(script):
    """A scenario that is a script for one side, run on the shared pair."""
    return lambda run, name: harness.both(run.report, name, run.pair(), script)


# Minutes of one broker's crashes under little load, in which nothing is compared or timed: others may run meanwhile.
BESIDE = {"checker-kill", "transactions-crash", "crash-loop"}

# Run only when asked for, with --long or by name.
LONG = "long"

# name, part of --quick, scenario
ALL = [
    ("probe-no-coordinator", True, shared(probes.no_coordinator_probe)),
    ("topics", True, shared(scenario_tools.topics)),
    ("configs", True, shared(scenario_tools.configs)),
    ("console", True, shared(scenario_tools.console)),
    ("groups", True, shared(scenario_tools.groups)),
    ("offsets", True, shared(scenario_tools.offsets)),
    ("perf-tools", True, shared(scenario_tools.perf_tools)),
    ("api-versions", True, scenario_tools.api_versions),
    ("probe-versions", True, shared(probes.versions_probe)),
    ("probe-produce", True, shared(probes.produce_probe)),
    ("probe-fetch", True, shared(probes.fetch_probe)),
    ("probe-groups", True, shared(probes.group_probe)),
    ("probe-admin", True, shared(probes.admin_probe)),
    ("probe-frames", True, shared(probes.frames_probe)),
    ("transactions-java", True, shared(scenario_transactions.java_transactions)),
    ("transactions-probe", True, shared(scenario_transactions.probe_transactions)),
    ("transactions-zombie", True, shared(scenario_transactions.zombie)),
    ("transactions-tool", True, shared(scenario_transactions.tool_transactions)),
    ("transactions-librdkafka", True,
     clients.guarded(scenario_transactions.rdkafka_transactions, clients.needs_librdkafka)),
    ("transactions-franz-go", True, clients.guarded(clients.franz_transactions, clients.needs_franz)),
    ("client-java", True, shared(clients.java_client)),
    ("client-librdkafka", True, clients.guarded(clients.librdkafka, clients.needs_librdkafka)),
    ("client-kcat", True, clients.guarded(clients.kcat, clients.needs_kcat)),
    ("client-kafka-python", True, clients.guarded(clients.kafka_python, clients.needs_kafka_python)),
    ("client-franz-go", True, clients.guarded(clients.franz, clients.needs_franz)),
    ("streams", True, shared(scenario_streams.clean)),
    ("streams-kills", True, scenario_streams.kills),
    ("connect", True, shared(scenario_connect.clean)),
    ("connect-kills", True, scenario_connect.kills),
    ("disk-kafka-first", True, scenario_disk.kafka_first),
    ("disk-ours-first", True, scenario_disk.subject_first),
    ("config-providers", True, scenario_config.providers),
    ("connection-limits", True, scenario_config.connection_limits),
    ("cleaner", True, scenario_cleaner.clean_by_both),
    ("cleaner-crash", True, scenario_swaps.crashes),
    ("zookeeper-in-place", True, scenario_disk.in_place),
    ("zookeeper-store", True, scenario_disk.store_tests),
    ("zookeeper-secure", True, scenario_zk_secure.secure),
    ("zookeeper-silent", True, scenario_zk_away.silent),
    ("checker-selftest", True, scenario_checker.selftest),
    ("hostile", True, scenario_hostile.hostile),
    ("cluster-ours", False, scenario_cluster.scenario({1: "monedula", 2: "monedula", 3: "monedula"})),
    ("cluster-two-kafka", LONG, scenario_cluster.scenario({1: "kafka", 2: "monedula", 3: "kafka"})),
    ("cluster-one-kafka", LONG, scenario_cluster.scenario({1: "monedula", 2: "kafka", 3: "monedula"})),
    ("cluster-rolling", False, scenario_rolling.scenario(rounds=1)),
    ("rolling-long", LONG, scenario_rolling.scenario(rounds=3)),
    ("cluster-admin", False, scenario_admin.scenario({1: "monedula", 2: "monedula", 3: "monedula"}, scenario_admin.SHORT)),
    ("cluster-admin-long", LONG, scenario_admin.scenario({1: "monedula", 2: "monedula", 3: "monedula"}, scenario_admin.LONG)),
    ("cluster-throttles", LONG, scenario_admin.scenario({1: "monedula", 2: "monedula", 3: "monedula"}, [scenario_admin.throttling])),
    ("cluster-throttles-mixed", LONG, scenario_admin.scenario({1: "monedula", 2: "kafka", 3: "monedula"}, [scenario_admin.throttling])),
    ("cluster-admin-mixed", LONG, scenario_admin.scenario({1: "monedula", 2: "kafka", 3: "monedula"}, scenario_admin.LONG)),
    ("netfaults-ours", LONG, scenario_netfaults.scenario({1: "monedula", 2: "monedula", 3: "monedula"})),
    ("netfaults-two-kafka", LONG, scenario_netfaults.scenario({1: "kafka", 2: "monedula", 3: "kafka"})),
    ("netfaults-one-kafka", LONG, scenario_netfaults.scenario({1: "monedula", 2: "kafka", 3: "monedula"})),
    ("old-protocol-two-kafka", LONG, scenario_old_protocol.scenario({1: "kafka", 2: "kafka", 3: "monedula"})),
    ("old-protocol-one-kafka", LONG, scenario_old_protocol.scenario({1: "kafka", 2: "monedula", 3: "monedula"})),
    ("zookeeper-away-ours", LONG, scenario_zk_away.scenario({1: "monedula", 2: "monedula", 3: "monedula"}, 600)),
    ("zookeeper-away-kafka", LONG, scenario_zk_away.scenario({1: "kafka", 2: "kafka", 3: "kafka"}, 90)),
    ("zookeeper-away-mixed", LONG, scenario_zk_away.scenario({1: "kafka", 2: "monedula", 3: "kafka"}, 90)),
    ("docker-image", False, scenario_docker.image),
    ("docker-compose", False, scenario_docker.compose),
    ("docker-cluster", False, scenario_docker.cluster),
    ("docker-faults", LONG, scenario_docker.faults),
    ("partitions-10000", False, scenario_hostile.many_partitions),
    ("checker-kill", False, scenario_checker.kill),
    ("transactions-crash", False, scenario_transactions.crash),
    ("crash-loop", False, scenario_crash.crash_loop),
    ("power-cut", False, scenario_crash.power_cut),
]
