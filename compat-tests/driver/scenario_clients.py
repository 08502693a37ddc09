"""Client libraries as applications use them: Java, librdkafka, kcat, kafka-python and franz-go, the same script on both sides."""
import os
import shutil
import subprocess

import proc
from scenario_crash import CLIENTS, VENV, have_librdkafka


def java_client(s):
    """Apache Kafka's own producer, consumer and admin client."""
    answer = s.jvm("ClientScript", s.bootstrap, timeout=240)
    s.steps(answer.out)
    s.record("the script ends", f"exit {answer.exit}\n{answer.err[-2000:]}")


def librdkafka(s):
    text = s.command("", [VENV, os.path.join(CLIENTS, "rdkafka_script.py"), s.bootstrap], timeout=200, keep=False)
    s.steps(text)
    s.record("the script ends", "\n".join(text.splitlines()[:1] + text.splitlines()[-3:]) if "exit 0" not in text[:8] else "exit 0")


def kafka_python(s):
    text = s.command("", [VENV, os.path.join(CLIENTS, "kafka_python_script.py"), s.bootstrap], timeout=120, keep=False)
    s.steps(text)
    s.record("the script ends", "\n".join(text.splitlines()[:1] + text.splitlines()[-3:]) if "exit 0" not in text[:8] else "exit 0")


def kcat(s):
    run = lambda label, *args, **more: s.command(label, ["kcat", "-b", s.bootstrap, "-X", "log_level=0", *args], **{"timeout": 30, **more})
    s.tool("", "topics", "--create", "--topic", "cat", "--partitions", "2", keep=False)
    for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
        run(f"produce {codec}", "-P", "-t", "cat", "-p", "0", "-z", codec, "-K", ":", stdin="".join(f"k{i}:{codec} {i} {'y' * 30}\n" for i in range(10)))
    run("produce with headers", "-P", "-t", "cat", "-p", "1", "-H", "a=1", "-H", "b=2", "-H", "a=3", stdin="with headers\n")
    run("produce idempotent", "-P", "-t", "cat", "-p", "1", "-X", "enable.idempotence=true", stdin="idempotent one\nidempotent two\n")
    show = ("-f", "%t %p %o key=%k headers=%h: %s\n", "-e", "-q")
    run("consume partition 0", "-C", "-t", "cat", "-p", "0", "-o", "beginning", *show)
    run("consume partition 1", "-C", "-t", "cat", "-p", "1", "-o", "beginning", *show)
    run("consume the last three", "-C", "-t", "cat", "-p", "0", "-o", "-3", *show)
    run("consume from an offset", "-C", "-t", "cat", "-p", "0", "-o", "45", "-c", "2", *show)
    run("consume by group", "-G", "catgroup", "cat", "-X", "auto.offset.reset=earliest", *show, sort=True)
    run("query offsets", "-Q", "-t", "cat:0:-1", "-t", "cat:0:-2", "-t", "cat:1:-1")
    text = run("", "-L", "-t", "cat", keep=False)
    s.record("metadata", "\n".join(line for line in text.splitlines() if "partition" in line or "topic" in line))
    run("unknown topic", "-C", "-t", "cat-nowhere", "-X", "allow.auto.create.topics=false", "-p", "0", "-e", "-q", "-o", "beginning", keep=False)


def franz(s):
    text = s.command("", [os.path.join(proc.WORK, "franz"), s.bootstrap], timeout=120, keep=False)
    s.steps(text)
    s.record("the script ends", text.splitlines()[0] + ("" if text.startswith("exit 0") else "\n" + text[-1500:]))


def franz_transactions(s):
    text = s.command("", [os.path.join(proc.WORK, "franz"), s.bootstrap, "transactions"], timeout=120, keep=False)
    s.steps(text)
    s.record("the script ends", text.splitlines()[0] + ("" if text.startswith("exit 0") else "\n" + text[-1500:]))


def guarded(script, needs):
    """Skips with a line where the client is not installed."""
    import harness

    def scenario(run, name):
        why = needs()
        if why:
            run.report.skip(name, why)
        else:
            harness.both(run.report, name, run.pair(), script)
    return scenario


def needs_librdkafka():
    return None if have_librdkafka() else "confluent-kafka is not installed"


def needs_kafka_python():
    ok = os.path.exists(VENV) and subprocess.run([VENV, "-c", "import kafka"], capture_output=True).returncode == 0
    return None if ok else "kafka-python is not installed"


def needs_kcat():
    return None if shutil.which("kcat") else "kcat is not installed"


def needs_franz():
    return None if os.path.exists(os.path.join(proc.WORK, "franz")) else "the franz-go client could not be built"
