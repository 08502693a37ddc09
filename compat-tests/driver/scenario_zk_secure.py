"""A ZooKeeper behind TLS and DIGEST-MD5: both brokers with the same properties, every znode's access list compared."""
import logging
import os
import shutil
import subprocess
import traceback

import harness
import proc

USER, PASSWORD, STORE_PASSWORD = "kafka", "digest-secret-4711", "store-secret-4712"
JAAS = """Server {
  org.apache.zookeeper.server.auth.DigestLoginModule required user_%(user)s="%(password)s";
};
Client {
  org.apache.zookeeper.server.auth.DigestLoginModule required username="%(user)s" password="%(given)s";
};
"""
NETTY = "org.apache.zookeeper.ClientCnxnSocketNetty"


def secure(run, name):
    try:
        from kazoo.client import KazooClient  # noqa: F401
    except ImportError:
        run.report.skip(name, "kazoo is not here")
        return
    run.close_pair()
    folder = os.path.join(run.folder, name)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    ground = Ground(folder, run.options.subject)
    try:
        ground.zookeeper.start()
        _same_lists(run, name, ground)
        _stores(run.report, name, ground)
        _refusals(run.report, name, ground)
        _no_secrets(run.report, name, ground)
    except Exception:
        run.report.check(f"{name}: runs", False, traceback.format_exc())
    finally:
        for broker in ground.brokers:
            broker.stop()
        ground.zookeeper.stop()


class SecureZooKeeper(proc.ZooKeeper):
    """In clear on one port and under TLS on another, which asks for a certificate; both know the login."""

    def __init__(self, folder, certificates, jaas):
        super().__init__(folder)
        self.certificates, self.jaas, self.secure_port = certificates, jaas, proc.free_port()

    def start(self):
        os.makedirs(self.folder, exist_ok=True)
        conf, log = os.path.join(self.folder, "zoo.cfg"), os.path.join(self.folder, "zookeeper.log")
        at = self.certificates
        with open(conf, "w") as out:
            out.write(f"tickTime=1000\ndataDir={self.folder}/data\nclientPort={self.port}\nclientPortAddress={self.host}\n"
                      f"secureClientPort={self.secure_port}\nsecureClientPortAddress={self.host}\n"
                      "serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory\n"
                      "authProvider.sasl=org.apache.zookeeper.server.auth.SASLAuthenticationProvider\n"
                      f"ssl.keyStore.location={at}/server.p12\nssl.keyStore.password={STORE_PASSWORD}\n"
                      f"ssl.trustStore.location={at}/trust.p12\nssl.trustStore.password={STORE_PASSWORD}\nssl.clientAuth=need\n"
                      "admin.enableServer=false\nmaxClientCnxns=0\nforceSync=no\n")
        self.process = proc.Process("zookeeper", ["java", "-Xmx128m", *proc.SMALL_JVM, *proc.java_env(log),
                                                  f"-Djava.security.auth.login.config={self.jaas}", "-cp", proc.LIBS + "/*",
                                                  "org.apache.zookeeper.server.quorum.QuorumPeerMain", conf], log)
        proc.wait_port(self.port, self.process)
        proc.wait_port(self.secure_port, self.process)
        return self


class Chroot:
    def __init__(self, connect):
        self.connect = connect


class SecureMonedula(proc.Monedula):
    jaas = None

    def launch(self, properties, log):
        env = dict(os.environ)
        if self.jaas:
            env["KAFKA_OPTS"] = f"-Xmx1g -Djava.security.auth.login.config={self.jaas}"
        self.process = proc.Process(self.kind, [proc.MONEDULA, properties], log, env=env)


class SecureKafka(proc.Kafka):
    jaas = None

    def launch(self, properties, log):
        self.jvm = proc.SMALL_JVM + ([f"-Djava.security.auth.login.config={self.jaas}"] if self.jaas else [])
        super().launch(properties, log)


class Ground:
    def __init__(self, folder, subject):
        self.folder, self.subject, self.brokers = folder, subject, []
        self.certificates = os.path.join(folder, "certificates")
        _make_certificates(self.certificates)
        self.jaas = self.jaas_file("jaas.conf", PASSWORD)
        self.zookeeper = SecureZooKeeper(os.path.join(folder, "zk"), self.certificates, self.jaas)

    def jaas_file(self, name, given):
        path = os.path.join(self.folder, name)
        with open(path, "w") as out:
            out.write(JAAS % {"user": USER, "password": PASSWORD, "given": given})
        return path

    def broker(self, kind, name, overrides, secure=True, jaas="", chroot=None):
        """One broker; its own place in the tree, named like it."""
        port = self.zookeeper.secure_port if secure else self.zookeeper.port
        make = SecureKafka if kind == "kafka" else SecureMonedula
        broker = make(os.path.join(self.folder, name), overrides=overrides,
                      zookeeper=Chroot(f"127.0.0.1:{port}/{chroot or name}/cluster"))
        broker.jaas = self.jaas if jaas == "" else jaas
        self.brokers.append(broker)
        return broker

    def tls(self, keystore="client.p12", truststore="trust.p12", **more):
        def store(kind, file):
            keys = {f"zookeeper.ssl.{kind}.location": f"{self.certificates}/{file}"}
            return {**keys, f"zookeeper.ssl.{kind}.password": STORE_PASSWORD} if not file.endswith(".pem") else keys
        return {"zookeeper.ssl.client.enable": "true", "zookeeper.clientCnxnSocket": NETTY, "zookeeper.set.acl": "true",
                "zookeeper.connection.timeout.ms": "60000", **store("keystore", keystore), **store("truststore", truststore), **more}

    def view(self, secure=True):
        """The tree as the holder of the brokers' certificate sees it, or as anybody does."""
        from kazoo.client import KazooClient
        logging.getLogger("kazoo").setLevel(logging.CRITICAL)
        if not secure:
            client = KazooClient(f"127.0.0.1:{self.zookeeper.port}")
        else:
            client = KazooClient(f"127.0.0.1:{self.zookeeper.secure_port}", use_ssl=True, ca=f"{self.certificates}/ca.pem",
                                 certfile=f"{self.certificates}/client.crt", keyfile=f"{self.certificates}/client.key")
        client.start(30)
        return client


def _make_certificates(at):
    """A certificate authority, what it vouches for, and a stranger's authority."""
    os.makedirs(at)
    subject = ["-nodes", "-newkey", "rsa:2048", "-days", "30"]

    def call(*argv, stdin=None):
        done = subprocess.run(argv, cwd=at, input=stdin, capture_output=True, text=True, timeout=60)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(argv)}:\n{done.stdout}{done.stderr}")
    for ca in ("ca", "other"):
        call("openssl", "req", "-x509", *subject, "-keyout", f"{ca}.key", "-out", f"{ca}.pem", "-subj", f"/CN={ca}")
    with open(os.path.join(at, "server.ext"), "w") as out:
        out.write("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    with open(os.path.join(at, "client.ext"), "w") as out:
        out.write("basicConstraints=CA:FALSE\n")
    for who in ("server", "client"):
        call("openssl", "req", "-nodes", "-newkey", "rsa:2048", "-keyout", f"{who}.key", "-out", f"{who}.csr", "-subj", f"/CN={who}")
        call("openssl", "x509", "-req", "-in", f"{who}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "30",
             "-out", f"{who}.crt", "-extfile", f"{who}.ext")
        call("openssl", "pkcs12", "-export", "-in", f"{who}.crt", "-inkey", f"{who}.key", "-certfile", "ca.pem", "-name", who,
             "-out", f"{who}.p12", "-passout", f"pass:{STORE_PASSWORD}")
    call("keytool", "-importkeystore", "-srckeystore", "client.p12", "-srcstorepass", STORE_PASSWORD, "-destkeystore", "client.jks",
         "-deststoretype", "JKS", "-deststorepass", STORE_PASSWORD)
    for kind, file in (("PKCS12", "trust.p12"), ("JKS", "trust.jks")):
        call("keytool", "-importcert", "-noprompt", "-alias", "ca", "-file", "ca.pem", "-storetype", kind, "-keystore", file,
             "-storepass", STORE_PASSWORD)
    with open(os.path.join(at, "client.pem"), "w") as out:
        for part in ("client.key", "client.crt"):
            with open(os.path.join(at, part)) as text:
                out.write(text.read())


def _life(side):
    """What makes nodes of every family there is."""
    side.tool("a topic is created", "topics", "--create", "--topic", "t", "--partitions", 2, "--config", "retention.ms=86400000")
    side.tool("a topic is extended", "topics", "--alter", "--topic", "t", "--partitions", 3)
    side.tool("a topic's configuration is changed", "configs", "--alter", "--entity-type", "topics", "--entity-name", "t",
              "--add-config", "segment.ms=86400000")
    side.tool("a broker's configuration is changed", "configs", "--alter", "--entity-type", "brokers", "--entity-name", "0",
              "--add-config", "log.cleaner.threads=1")
    side.tool("the default of brokers is changed", "configs", "--alter", "--entity-type", "brokers", "--entity-default",
              "--add-config", "message.max.bytes=1048588")
    side.tool("records are produced", "console-producer", "--topic", "t", stdin="a\nb\n")
    side.tool("a group reads them", "console-consumer", "--topic", "t", "--group", "g", "--from-beginning", "--max-messages", 2,
              sort=True, only="^[ab]$", timeout=40)


def _lists(client, root):
    found = {}

    def walk(path):
        acls, _ = client.get_acls(path)
        found[path[len(root):] or "/"] = sorted(f"{acl.id.scheme}:{acl.id.id}:{acl.perms}" for acl in acls)
        for child in client.get_children(path):
            walk(f"{path}/{child}")
    walk(root)
    return found


def _same_lists(run, name, ground):
    """TLS with a certificate, and a login: nodes belong to both identities."""
    sides = [harness.Side(ground.broker(kind, place, ground.tls()).start(), run.tools, os.path.join(ground.folder, place))
             for kind, place in (("kafka", "reference"), (ground.subject, "subject"))]
    harness.both(run.report, name, sides, _life)
    client = ground.view()
    try:
        reference, subject = _lists(client, "/reference/cluster"), _lists(client, "/subject/cluster")
        run.report.check(f"{name}: both have nodes of every family ({len(reference)} nodes)",
                         len(reference) > 45 and reference["/config/brokers"] != reference["/brokers"], sorted(reference))
        for path in sorted(set(reference) | set(subject)):
            left, right = reference.get(path), subject.get(path)
            run.report.check(f"{name}: who may do what with {path}", left == right, f"kafka: {left}\nours:  {right}")
        for place in ("reference", "subject"):
            run.report.check(f"{name}: the chroot of {place} is protected",
                             [acl.perms for acl in client.get_acls(f"/{place}")[0] if acl.id.scheme == "world"] == [1],
                             client.get_acls(f"/{place}"))
    finally:
        client.stop()
        client.close()
    _outsider(run.report, name, ground)
    for side in sides:
        side.broker.stop()


def _outsider(report, name, ground):
    from kazoo.exceptions import NoAuthError
    client = ground.view(secure=False)

    def refused(call):
        try:
            call()
        except NoAuthError:
            return True
        return False
    try:
        for place in ("reference", "subject"):
            base = f"/{place}/cluster"
            report.check(f"{name}: anybody may read of {place}'s topics", "t" in client.get_children(base + "/brokers/topics"))
            report.check(f"{name}: nobody else may read of {place}'s credentials",
                         refused(lambda: client.get_children(base + "/config/users")) and refused(lambda: client.get(base + "/config/brokers/0")))
            report.check(f"{name}: nobody else may change {place}'s topics",
                         refused(lambda: client.create(base + "/admin/delete_topics/t")) and refused(lambda: client.set(base + "/brokers/topics/t", b"{}")))
    finally:
        client.stop()
        client.close()


def _stores(report, name, ground):
    """Every format of stores, and each way of being somebody alone."""
    cases = {
        "JKS": (ground.tls("client.jks", "trust.jks"), True, "", {"sasl", "x509"}),
        "PEM": (ground.tls("client.pem", "ca.pem", **{"zookeeper.ssl.enabled.protocols": "TLSv1.2,TLSv1.3"}), True, "", {"sasl", "x509"}),
        "a suite": (ground.tls(**{"zookeeper.ssl.cipher.suites": "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"}), True, "", {"sasl", "x509"}),
        "a certificate alone": (ground.tls(), True, None, {"x509"}),
        "a login alone": ({"zookeeper.set.acl": "true"}, False, "", {"sasl"}),
    }
    client = ground.view()
    try:
        for number, (label, (overrides, under_tls, jaas, schemes)) in enumerate(cases.items()):
            broker = ground.broker(ground.subject, f"store{number}", overrides, under_tls, jaas).start()
            if schemes == {"sasl"}:
                # Only for that identity, which this client has not: what it may do is what anybody may.
                acls = client.get_acls(f"/store{number}/cluster/brokers")[0]
            else:
                acls = client.get_acls(f"/store{number}/cluster/config/users")[0]
            found = {acl.id.scheme for acl in acls} - {"world"}
            report.check(f"{name}: {label}: nodes belong to the broker", found == schemes, acls)
            broker.stop()
    finally:
        client.stop()
        client.close()


def _refusals(report, name, ground):
    """A broker that must not start ends by itself, and says why."""
    soon = {"zookeeper.connection.timeout.ms": "4000"}
    wrong = ground.jaas_file("wrong.conf", "wrong-" + PASSWORD)
    cases = {
        "a wrong password": ({"zookeeper.set.acl": "true", "zookeeper.connection.timeout.ms": "20000"}, False, wrong, "refuses the login of 'kafka'"),
        "a stranger's authority": ({**ground.tls(truststore="other.pem"), **soon}, True, "", "UnknownIssuer"),
        "no certificate": ({**{key: value for key, value in ground.tls().items() if ".keystore." not in key}, **soon}, True, "", "TLS with"),
        "a version the server has not": ({**ground.tls(**{"zookeeper.ssl.protocol": "TLSv1.3"}), **soon}, True, "", "ProtocolVersion"),
        "a wrong store password": (ground.tls(**{"zookeeper.ssl.keystore.password": "wrong"}), True, "",
                                   "client.p12: its password is wrong"),
        "nobody to give nodes to": ({"zookeeper.set.acl": "true"}, False, None, "zookeeper.set.acl=true needs an identity"),
    }
    for number, (label, (overrides, under_tls, jaas, reason)) in enumerate(cases.items()):
        broker = ground.broker(ground.subject, f"refused{number}", overrides, under_tls, jaas)
        broker.launch(broker.write_properties(), os.path.join(broker.folder, "refused.log"))
        try:
            code = broker.process.child.wait(40)
        except subprocess.TimeoutExpired:
            code = "runs on"
        text = broker.process.tail(20)
        ok = code not in (0, "runs on") and (reason in text or ground.subject == "kafka")
        report.check(f"{name}: {label}: ends with a reason", ok, f"exit {code}\n{text}")
        if label == "a wrong password":
            kafka = ground.broker("kafka", "refused-kafka", overrides, under_tls, jaas)
            kafka.launch(kafka.write_properties(), os.path.join(kafka.folder, "refused.log"))
            try:
                code = kafka.process.child.wait(60)
            except subprocess.TimeoutExpired:
                code = "runs on"
            report.check(f"{name}: {label}: Apache Kafka ends too", code not in (0, "runs on"), f"exit {code}\n{kafka.process.tail(10)}")


def _no_secrets(report, name, ground):
    with_secrets = []
    for broker in ground.brokers:
        if broker.kind != "monedula":
            continue
        for file in os.listdir(broker.folder):
            path = os.path.join(broker.folder, file)
            if file.endswith(".log") and os.path.isfile(path):
                with open(path, errors="replace") as text:
                    content = text.read()
                with_secrets += [f"{path}: {secret}" for secret in (PASSWORD, STORE_PASSWORD) if secret in content]
    report.check(f"{name}: no password is in a broker's log", not with_secrets, "\n".join(with_secrets))
