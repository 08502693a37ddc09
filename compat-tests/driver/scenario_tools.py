"""The official command-line tools, one after the other, as an operator would use them."""
import json
import os
import re
import time

from harness import TOOLS, eventually


def topics(s):
    t = lambda label, *args, **more: s.tool(label, "topics", *args, **more)
    t("list on an empty cluster", "--list")
    t("create with defaults", "--create", "--topic", "plain")
    t("create with partitions and configs", "--create", "--topic", "orders", "--partitions", "3", "--replication-factor", "1",
      "--config", "retention.ms=3600000", "--config", "cleanup.policy=compact,delete", "--config", "min.insync.replicas=1")
    t("create with a replica assignment", "--create", "--topic", "placed", "--replica-assignment", "0,0,0")
    t("create with dots and underscores", "--create", "--topic", "a.b")
    t("create a colliding name", "--create", "--topic", "a_b")
    t("create again", "--create", "--topic", "plain")
    t("create again if not exists", "--create", "--topic", "plain", "--if-not-exists")
    t("create with a bad name", "--create", "--topic", "bad name!")
    t("create with a dot name", "--create", "--topic", "..")
    t("create with a name of 250 characters", "--create", "--topic", "x" * 250)
    t("create with a name of 249 characters", "--create", "--topic", "y" * 249)
    t("create with three replicas on one broker", "--create", "--topic", "rf3", "--replication-factor", "3", "--partitions", "1")
    t("create with zero partitions", "--create", "--topic", "zero", "--partitions", "0")
    t("create with zero replicas", "--create", "--topic", "zero", "--replication-factor", "0", "--partitions", "1")
    t("create with an unknown config", "--create", "--topic", "badconf", "--config", "no.such.key=1")
    t("create with a bad config value", "--create", "--topic", "badconf", "--config", "retention.ms=soon")
    t("create with a config out of range", "--create", "--topic", "badconf", "--config", "segment.bytes=1")
    t("create with a bad cleanup policy", "--create", "--topic", "badconf", "--config", "cleanup.policy=burn")
    t("create on an unknown broker", "--create", "--topic", "misplaced", "--replica-assignment", "7")
    t("create with a duplicate replica", "--create", "--topic", "misplaced", "--replica-assignment", "0:0")
    t("list", "--list", sort=True)
    t("list by pattern", "--list", "--topic", "o.*")
    t("list without internal", "--list", "--exclude-internal", sort=True)
    t("describe one", "--describe", "--topic", "orders")
    t("describe all", "--describe")
    t("describe the placed", "--describe", "--topic", "placed")
    t("describe a missing", "--describe", "--topic", "missing")
    t("describe a missing if exists", "--describe", "--topic", "missing", "--if-exists")
    t("describe with overrides", "--describe", "--topics-with-overrides")
    t("describe under-replicated", "--describe", "--under-replicated-partitions")
    t("describe unavailable", "--describe", "--unavailable-partitions")
    t("describe under min isr", "--describe", "--under-min-isr-partitions")
    t("describe at min isr", "--describe", "--at-min-isr-partitions", "--topic", "orders")
    t("grow", "--alter", "--topic", "orders", "--partitions", "5")
    t("describe after growing", "--describe", "--topic", "orders")
    t("grow to the same", "--alter", "--topic", "orders", "--partitions", "5")
    t("shrink", "--alter", "--topic", "orders", "--partitions", "2")
    t("grow a missing topic", "--alter", "--topic", "missing", "--partitions", "5")
    t("grow a missing topic if exists", "--alter", "--topic", "missing", "--partitions", "5", "--if-exists")
    t("grow with an assignment", "--alter", "--topic", "placed", "--partitions", "4", "--replica-assignment", "0,0,0,0")
    t("grow with an unknown broker", "--alter", "--topic", "placed", "--partitions", "5", "--replica-assignment", "0,0,0,0,9")
    t("delete", "--delete", "--topic", "orders")
    eventually(lambda: "orders" not in s.tool("", "topics", "--list", keep=False).out)
    t("list after deleting", "--list", sort=True)
    t("delete a missing", "--delete", "--topic", "missing")
    t("delete a missing if exists", "--delete", "--topic", "missing", "--if-exists")
    t("delete by pattern", "--delete", "--topic", "pla.*")
    eventually(lambda: "pla" not in s.tool("", "topics", "--list", keep=False).out)
    # A topic is out of the metadata a moment before the controller has forgotten it.
    tries = []
    again = lambda: tries.append(s.tool("", "topics", "--create", "--topic", "orders", "--partitions", "2", keep=False).text())
    eventually(lambda: again() or "marked for deletion" not in tries[-1])
    s.record("create after deleting", tries[-1])
    t("describe after creating again", "--describe", "--topic", "orders")
    for name in ("orders", "a.b", "y" * 249):
        s.tool("", "topics", "--delete", "--topic", name.replace(".", r"\."), keep=False)
    eventually(lambda: s.tool("", "topics", "--list", keep=False).out.strip() == "")
    t("list at the end", "--list")


def configs(s):
    c = lambda label, *args, **more: s.tool(label, "configs", *args, **more)
    s.tool("create", "topics", "--create", "--topic", "conf", "--config", "retention.ms=86400000")
    topic = ("--entity-type", "topics", "--entity-name", "conf")
    broker = ("--entity-type", "brokers", "--entity-name", "0")
    default = ("--entity-type", "brokers", "--entity-default")
    c("describe topic", "--describe", *topic)
    c("describe topic all", "--describe", "--all", *topic, sort=True)
    c("describe every topic", "--describe", "--entity-type", "topics")
    c("describe a missing topic", "--describe", "--entity-type", "topics", "--entity-name", "missing")
    c("describe broker", "--describe", *broker)
    # Our broker has no ZooKeeper to name here; everything else is the same to the letter.
    hide = [(r"zookeeper\.connect=[^\n]*", "zookeeper.connect=*")]
    s.masks += hide
    c("describe broker all", "--describe", "--all", *broker, sort=True)
    c("describe broker defaults", "--describe", *default)
    c("add to topic", "--alter", *topic, "--add-config", "segment.bytes=1048576,max.message.bytes=2000000")
    c("describe after adding", "--describe", *topic)
    c("add a list", "--alter", *topic, "--add-config", "cleanup.policy=[compact,delete]")
    c("describe the list", "--describe", *topic)
    c("delete from topic", "--alter", *topic, "--delete-config", "segment.bytes")
    c("describe after deleting", "--describe", *topic)
    c("delete what is not there", "--alter", *topic, "--delete-config", "flush.ms")
    c("delete an unknown key", "--alter", *topic, "--delete-config", "no.such.key")
    c("add an unknown key", "--alter", *topic, "--add-config", "no.such.key=1")
    for key, value in [("retention.ms", "soon"), ("segment.bytes", "5"), ("min.insync.replicas", "0"), ("compression.type", "rar"),
                       ("cleanup.policy", "burn"), ("min.cleanable.dirty.ratio", "2"), ("preallocate", "perhaps"),
                       ("message.timestamp.type", "Never"), ("max.message.bytes", "-1"), ("compression.zstd.level", "99"),
                       ("compression.gzip.level", "12"), ("message.format.version", "0.1"), ("unclean.leader.election.enable", "1"),
                       ("leader.replication.throttled.replicas", "x"), ("remote.storage.enable", "true")]:
        c(f"add {key}={value}", "--alter", *topic, "--add-config", f"{key}={value}")
    c("alter a missing topic", "--alter", "--entity-type", "topics", "--entity-name", "missing", "--add-config", "retention.ms=1")
    c("describe at the end", "--describe", *topic)
    for key, value in [("log.cleaner.threads", "2"), ("message.max.bytes", "1500000"), ("log.retention.ms", "777777"), ("num.io.threads", "5"),
                       ("background.threads", "8"), ("max.connections.per.ip", "1000"), ("compression.type", "lz4")]:
        c(f"add to broker {key}", "--alter", *broker, "--add-config", f"{key}={value}")
        # A broker takes a dynamic value a moment after the answer, and the tool reads the old ones before it writes.
        eventually(lambda: f"{key}={value}" in s.tool("", "configs", "--describe", *broker, keep=False).out)
    for key, value in [("broker.id", "5"), ("log.dirs", "/x"), ("num.io.threads", "999"), ("num.partitions", "7"), ("zookeeper.connect", "x:1"),
                       ("message.max.bytes", "-5"), ("compression.type", "rar")]:
        c(f"refuse on broker {key}={value}", "--alter", *broker, "--add-config", f"{key}={value}")
    c("add to all brokers", "--alter", *default, "--add-config", "log.retention.ms=666666,log.segment.bytes=104857600")
    c("refuse a listener key for all brokers", "--alter", *default, "--add-config", "advertised.listeners=PLAINTEXT://x:1")
    eventually(lambda: "666666" in s.tool("", "configs", "--describe", *default, keep=False).out)
    time.sleep(1)
    c("describe broker dynamic", "--describe", *broker)
    c("describe broker dynamic defaults", "--describe", *default)
    c("topic takes the broker's dynamic values", "--describe", "--all", *topic, sort=True, only=r"retention\.ms|segment\.bytes|max\.message|compression\.type")
    c("remove from broker", "--alter", *broker, "--delete-config",
      "log.cleaner.threads,message.max.bytes,log.retention.ms,num.io.threads,background.threads,max.connections.per.ip,compression.type")
    time.sleep(1)
    c("topic falls back to the cluster's values", "--describe", "--all", *topic, sort=True, only=r"retention\.ms|segment\.bytes")
    c("remove from all brokers", "--alter", *default, "--delete-config", "log.retention.ms,log.segment.bytes")
    c("describe an unknown broker", "--describe", "--entity-type", "brokers", "--entity-name", "9", timeout=8, only="^exit")
    time.sleep(1)
    c("describe broker at the end", "--describe", *broker)
    c("broker loggers are listed", "--describe", "--entity-type", "broker-loggers", "--entity-name", "0", only="^exit")
    s.tool("", "topics", "--delete", "--topic", "conf", keep=False)


def console(s):
    consume = lambda label, *args, **more: s.tool(label, "console-consumer", *args, "--timeout-ms", more.pop("idle", "4000"), **more)
    s.tool("", "topics", "--create", "--topic", "con", "--partitions", "1", keep=False)
    for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
        lines = "".join(f"k{i}:{codec} value {i}\n" for i in range(20))
        s.tool(f"produce {codec}", "console-producer", "--topic", "con", "--compression-codec", codec, "--property", "parse.key=true",
               "--property", "key.separator=:", stdin=lines)
    s.tool("produce headers", "console-producer", "--topic", "con", "--property", "parse.headers=true", "--property", "parse.key=true",
           "--property", "null.marker=NIL", stdin="a:1,b:2\tkey\tvalue with headers\na:1,a:1\tkey\tdouble\nh:x\tNIL\tno key\nh:x\tk\tNIL\n")
    s.tool("produce with acks 0", "console-producer", "--topic", "con", "--request-required-acks", "0", "--sync", stdin="acks zero\n")
    s.tool("produce with acks 1", "console-producer", "--topic", "con", "--request-required-acks", "1", "--sync", stdin="acks one\n")
    s.tool("produce too large", "console-producer", "--topic", "con", "--producer-property", "max.request.size=3000000", "--sync",
           stdin="x" * 1_500_000 + "\n", only="^exit|ERROR|Exception|large")
    s.tool("produce to a bad name", "console-producer", "--topic", "bad name", "--producer-property", "max.block.ms=2000", stdin="x\n", only="^exit")
    show = [x for p in ("print.key", "print.headers", "print.offset", "print.partition") for x in ("--property", f"{p}=true")]
    consume("from the beginning with everything", "--topic", "con", "--from-beginning", "--max-messages", "106", *show, timeout=40)
    consume("partition and offset", "--topic", "con", "--partition", "0", "--offset", "95", "--max-messages", "5", *show)
    consume("partition earliest", "--topic", "con", "--partition", "0", "--offset", "earliest", "--max-messages", "2")
    consume("partition latest", "--topic", "con", "--partition", "0", "--offset", "latest", idle="1500")
    consume("offset out of range resets", "--topic", "con", "--partition", "0", "--offset", "9999", "--consumer-property",
            "auto.offset.reset=earliest", "--max-messages", "1")
    consume("by group", "--topic", "con", "--group", "cg", "--from-beginning", "--max-messages", "30", timeout=40)
    consume("by group, the rest", "--topic", "con", "--group", "cg", "--max-messages", "76", timeout=40)
    consume("by group, nothing left", "--topic", "con", "--group", "cg", idle="2500", timeout=40)
    consume("by include pattern", "--include", "co.", "--from-beginning", "--max-messages", "3", timeout=40)
    consume("read committed", "--topic", "con", "--from-beginning", "--isolation-level", "read_committed", "--max-messages", "3", timeout=40)
    consume("unknown topic is created", "--topic", "brandnew", idle="2500", only="^exit|Processed")
    eventually(lambda: "brandnew" in s.tool("", "topics", "--list", keep=False).out)
    s.tool("the created topic", "topics", "--describe", "--topic", "brandnew")
    s.tool("", "console-producer", "--topic", "autoproduced", stdin="hello\n", keep=False)
    consume("what the producer created", "--topic", "autoproduced", "--from-beginning", "--max-messages", "1")
    s.tool("timestamps", "console-consumer", "--topic", "con", "--from-beginning", "--max-messages", "2", "--property", "print.timestamp=true",
           "--timeout-ms", "4000", only=r"CreateTime:\d+|exit")
    s.transcript["timestamps"] = re.sub(r"CreateTime:\d+", "CreateTime:T", s.transcript["timestamps"])
    s.tool("", "topics", "--create", "--topic", "appendtime", "--config", "message.timestamp.type=LogAppendTime", keep=False)
    s.tool("", "console-producer", "--topic", "appendtime", "--compression-codec", "lz4", stdin="one\ntwo\n", keep=False)
    got = s.tool("", "console-consumer", "--topic", "appendtime", "--from-beginning", "--max-messages", "2", "--property",
                 "print.timestamp=true", "--timeout-ms", "4000", keep=False).out
    s.record("append time", re.sub(r"Time:\d+", "Time:T", got))
    for codec in ("gzip", "snappy", "lz4", "zstd", "uncompressed"):
        s.tool("", "topics", "--create", "--topic", f"recoded-{codec}", "--config", f"compression.type={codec}", keep=False)
        s.tool("", "console-producer", "--topic", f"recoded-{codec}", "--compression-codec", "none", stdin="plain one\nplain two\n", keep=False)
        s.tool("", "console-producer", "--topic", f"recoded-{codec}", "--compression-codec", "gzip", stdin="packed one\npacked two\n", keep=False)
        consume(f"topic codec {codec}", "--topic", f"recoded-{codec}", "--from-beginning", "--max-messages", "4", *show)


GROUP_MASKS = [(r"(consumer-[\w.-]+|console-consumer)-UUID", r"\1-ID"), (r"member-[\w-]+", "member"), (r" {2,}", " "), (r"-{2,}", "--")]


def groups(s):
    g = lambda label, *args, **more: s.tool(label, "groups", *args, **{"sort": True, **more})
    s.masks += GROUP_MASKS
    g("", "--delete", "--all-groups", keep=False)
    from probes import fill
    s.tool("", "topics", "--create", "--topic", "gt", "--partitions", "3", keep=False)
    s.tool("", "topics", "--create", "--topic", "gu", "--partitions", "1", keep=False)
    # Explicit partitions by a keyless sticky producer would be random: raw frames place the records.
    fill(s, "gt", {0: 40, 1: 30, 2: 20})
    fill(s, "gu", {0: 10})
    g("list none", "--list")
    g("describe a missing", "--describe", "--group", "nobody")
    s.tool("", "console-consumer", "--topic", "gt", "--group", "g1", "--from-beginning", "--max-messages", "90", "--timeout-ms", "8000", keep=False)
    s.tool("", "console-consumer", "--topic", "gu", "--group", "g2", "--from-beginning", "--max-messages", "10", "--timeout-ms", "8000", keep=False)
    fill(s, "gt", {0: 1, 1: 2, 2: 3})
    g("list", "--list", sort=True)
    g("list with state", "--list", "--state", sort=True)
    g("list with type", "--list", "--type", sort=True)
    g("list stable only", "--list", "--state", "Stable")
    g("list empty only", "--list", "--state", "Empty", sort=True)
    g("list a bad state", "--list", "--state", "Sleepy", only="^exit|Illegal|state")
    g("describe", "--describe", "--group", "g1")
    g("describe verbose", "--describe", "--group", "g1", "--verbose")
    g("describe members of an empty group", "--describe", "--group", "g1", "--members")
    g("describe state of an empty group", "--describe", "--group", "g1", "--state")
    g("describe offsets", "--describe", "--group", "g1", "--offsets")
    g("describe two groups", "--describe", "--group", "g1", "--group", "g2", sort=True)
    g("describe all groups", "--describe", "--all-groups", sort=True)
    # A live member.
    live = s.tools.start("console-consumer", ["--bootstrap-server", s.bootstrap, "--topic", "gt", "--group", "g1", "--timeout-ms", "60000",
                                              "--consumer-property", "client.id=watcher"], timeout=25)
    eventually(lambda: "Stable" in s.tool("", "groups", "--describe", "--group", "g1", "--state", keep=False).out, 20)
    g("describe live", "--describe", "--group", "g1")
    g("describe live members", "--describe", "--group", "g1", "--members")
    g("describe live members verbose", "--describe", "--group", "g1", "--members", "--verbose")
    g("describe live state", "--describe", "--group", "g1", "--state")
    g("describe live state verbose", "--describe", "--group", "g1", "--state", "--verbose")
    g("reset while live", "--reset-offsets", "--group", "g1", "--topic", "gt", "--to-earliest", "--execute")
    g("delete while live", "--delete", "--group", "g1")
    g("delete offsets while live", "--delete-offsets", "--group", "g1", "--topic", "gt")
    s.tools.finish(live)
    eventually(lambda: "Empty" in s.tool("", "groups", "--describe", "--group", "g1", "--state", keep=False).out, 60)
    reset = lambda label, *args, **more: g(label, "--reset-offsets", "--group", "g1", *args, **more)
    reset("dry run to earliest", "--topic", "gt", "--to-earliest", "--dry-run")
    g("nothing has moved", "--describe", "--group", "g1", sort=True)
    reset("to earliest", "--topic", "gt", "--to-earliest", "--execute")
    reset("to latest", "--topic", "gt", "--to-latest", "--execute")
    reset("to offset", "--topic", "gt", "--to-offset", "15", "--execute")
    reset("to offset beyond the end", "--topic", "gt", "--to-offset", "1000", "--execute")
    reset("shift by", "--topic", "gt:0", "--shift-by", "-7", "--execute")
    reset("shift below zero", "--topic", "gt:0", "--shift-by", "-700", "--execute")
    reset("to current", "--topic", "gt", "--to-current", "--execute")
    reset("by duration", "--topic", "gt", "--by-duration", "P7D", "--execute")
    reset("to datetime", "--topic", "gt", "--to-datetime", "2023-11-14T22:13:20.010Z", "--execute")
    reset("to datetime in the future", "--topic", "gt", "--to-datetime", "2035-01-01T00:00:00.000", "--execute")
    reset("all topics", "--all-topics", "--to-earliest", "--execute")
    reset("export", "--topic", "gt", "--to-current", "--export")
    path = os.path.join(s.folder, "reset.csv")
    with open(path, "w") as out:
        out.write("gt,0,3\ngt,1,4\ngt,2,5\n")
    reset("from file", "--from-file", path, "--execute")
    g("after from file", "--describe", "--group", "g1", sort=True)
    reset("a missing topic", "--topic", "missing", "--to-earliest", "--execute")
    # The tool asks for metadata again and again until its time is over; in which of its states that finds it is chance.
    gone = s.tool("", "groups", "--reset-offsets", "--group", "g1", "--topic", "gt:9", "--to-earliest", "--execute", timeout=12, keep=False)
    s.record("a missing partition", "TimeoutException" in gone.text())
    g("reset a group that is not there", "--reset-offsets", "--group", "fresh", "--topic", "gt", "--to-earliest", "--execute", sort=True)
    g("the fresh group", "--describe", "--group", "fresh", sort=True)
    g("delete offsets", "--delete-offsets", "--group", "g1", "--topic", "gt:0", "--topic", "gt:1")
    g("after deleting offsets", "--describe", "--group", "g1")
    g("delete offsets of a missing topic", "--delete-offsets", "--group", "g1", "--topic", "missing")
    g("delete offsets of a missing group", "--delete-offsets", "--group", "nobody", "--topic", "gt")
    g("delete a group", "--delete", "--group", "g1")
    g("delete a missing group", "--delete", "--group", "g1")
    g("delete two groups", "--delete", "--group", "g2", "--group", "fresh", sort=True)
    g("delete with --all-groups", "--delete", "--all-groups", only="^exit")
    g("list at the end", "--list")


def offsets(s):
    from probes import fill
    s.tool("", "topics", "--create", "--topic", "off", "--partitions", "3", keep=False)
    fill(s, "off", {0: 10, 1: 20})
    get = lambda label, *args: s.tool(label, "get-offsets", *args, sort=True)
    get("latest", "--topic", "off")
    for when in ("-1", "-2", "-3", "latest", "earliest", "max-timestamp", "1700000000005", "1800000000000", "0", "bogus", "-4", "earliest-local", "-5", "latest-tiered"):
        get(f"time {when}", "--topic", "off", "--time", when)
    get("some partitions", "--topic", "off", "--partitions", "0,2")
    get("topic-partitions", "--topic-partitions", "off:1-3")
    get("pattern", "--topic", "of.*", "--exclude-internal-topics")
    get("missing", "--topic", "missing")
    path = os.path.join(s.folder, "delete.json")

    def delete(label, entries):
        with open(path, "w") as out:
            json.dump({"partitions": [{"topic": t, "partition": p, "offset": o} for t, p, o in entries], "version": 1}, out)
        s.tool(label, "delete-records", "--offset-json-file", path, timeout=15)
    delete("delete records", [("off", 0, 4), ("off", 1, -1)])
    get("earliest after deleting", "--topic", "off", "--time", "-2")
    delete("delete records below the start", [("off", 0, 1)])
    delete("delete records beyond the end", [("off", 0, 1000)])
    delete("delete records of an empty partition", [("off", 2, 0)])
    delete("delete records twice", [("off", 0, 5), ("off", 0, 6)])
    delete("delete records of a missing partition", [("off", 9, 0)])
    s.tool("read what is left", "console-consumer", "--topic", "off", "--partition", "0", "--offset", "earliest", "--timeout-ms", "1500",
           "--property", "print.offset=true")

    def dirs(label, *args):
        answer = s.tool("", "log-dirs", *args, keep=False)
        lines = answer.out.splitlines()
        try:
            found = json.loads(lines[-1])
            for broker in found["brokers"]:
                for folder in broker["logDirs"]:
                    folder["partitions"].sort(key=lambda p: p["partition"])
            lines[-1] = json.dumps(found, indent=1)
        except (ValueError, IndexError):
            pass
        s.record(label, f"exit {answer.exit}\n" + "\n".join(lines) + answer.err)
    dirs("log dirs", "--describe", "--topic-list", "off")
    dirs("log dirs of a broker", "--describe", "--broker-list", "0", "--topic-list", "off")
    dirs("log dirs of an unknown broker", "--describe", "--broker-list", "5")
    dirs("log dirs of a missing topic", "--describe", "--topic-list", "missing")
    # The logs alone: while a segment is written to, Kafka's index files are ten megabytes of zeros and ours are empty,
    # both until the segment is closed. The disk scenarios look at the indexes of brokers that were stopped.
    for part in ("0", "1"):
        dump(s, f"dump-log of off-{part}", os.path.join(s.broker.log_dir, f"off-{part}"), kinds=(".log",))
    s.tool("cluster id is given", "cluster", "cluster-id", *["--bootstrap-server", s.bootstrap], boot=False, keep=False)


def dump(s, label, folder, records=False, kinds=(".log", ".index", ".timeindex", ".snapshot")):
    """What `kafka-dump-log` says of a partition's files."""
    files = sorted(f for f in os.listdir(folder) if f.endswith(kinds))
    for name in files:
        args = ["--files", os.path.join(folder, name), "--deep-iteration"]
        if records:
            args.append("--print-data-log")
        answer = s.tools.run("dump-log", args)
        text = re.sub(r"CreateTime: \d+", "CreateTime: T", answer.text().replace(folder, "PARTITION"))
        s.record(f"{label} {name}", text)


def perf_tools(s):
    finished = lambda result: f"exit {result.exit} late {result.late}"
    s.tool("", "topics", "--create", "--topic", "perf", "--partitions", "4", keep=False)
    for extra in (("acks=1",), ("acks=all", "compression.type=lz4"), ("acks=0", "compression.type=zstd", "linger.ms=5")):
        got = s.tools.run("producer-perf", ["--topic", "perf", "--num-records", "20000", "--record-size", "500", "--throughput", "-1",
                                            "--producer-props", f"bootstrap.servers={s.bootstrap}", *extra], timeout=60)
        s.record("producer perf " + " ".join(extra), finished(got) + "\n" + "\n".join(re.findall(r"^\d+ records sent", got.out, re.M)[-1:]))
    got = s.tools.run("consumer-perf", ["--bootstrap-server", s.bootstrap, "--topic", "perf", "--messages", "50000", "--timeout", "20000"], timeout=60)
    s.record("consumer perf", finished(got) + f"\nall read: {len(got.out.splitlines()) >= 2}")
    s.tool("", "topics", "--create", "--topic", "veri", "--partitions", "2", keep=False)
    got = s.jvm(TOOLS["verifiable-producer"], "--topic", "veri", "--bootstrap-server", s.bootstrap, "--max-messages", "500", "--acks", "-1")
    sent = [json.loads(line) for line in got.out.splitlines() if line.startswith("{")]
    s.record("verifiable producer", f"{finished(got)}\nacked {sum(e['name'] == 'producer_send_success' for e in sent)}")
    got = s.jvm(TOOLS["verifiable-consumer"], "--topic", "veri", "--bootstrap-server", s.bootstrap, "--group-id", "veri", "--max-messages", "500",
                "--reset-policy", "earliest")
    seen = [json.loads(line) for line in got.out.splitlines() if line.startswith("{")]
    s.record("verifiable consumer", f"{finished(got)}\nconsumed {sum(e.get('count', 0) for e in seen if e['name'] == 'records_consumed')}")


def api_versions(run, name):
    """Every API we advertise must be advertised by Kafka with the same range."""
    reference, subject = run.pair()
    found = []
    for side in (reference, subject):
        answer = side.tools.run("api-versions", ["--bootstrap-server", side.bootstrap])
        found.append((answer, dict(re.findall(r"^\t(\w+)\(\d+\): ([^\[\n]*?)(?: \[usable.*)?,?$", answer.out, re.M))))
    (_, theirs), (answer, ours) = found
    run.report.check(f"{name}: the tool succeeds", answer.exit == 0 and ours and theirs, answer.text())
    for api, versions in ours.items():
        if versions == "UNSUPPORTED":
            continue
        run.report.check(f"{name}: {api} {versions}", theirs.get(api) == versions, f"kafka says {theirs.get(api)}")
