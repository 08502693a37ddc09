import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicLongArray;
import java.util.function.LongSupplier;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RetriableException;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * What a cluster carries while its brokers are replaced, with Apache Kafka's own clients: `bootstrap folder`, until a line comes on
 * stdin. A feeder numbers records into roll-in; an application copies them into roll-out in transactions, some of them aborted; a
 * reader of committed records holds roll-out against the numbers; a group of three reads roll-in and commits; a writer of few keys
 * keeps the cleaner busy in roll-keys. What went wrong comes as `ERROR …`, what one may want to know as `EVENT ms …`, `SUMMARY name value` at the end.
 */
public final class RollingLoad {
    private static final int PARTITIONS = 3, KEYS = 40, MEMBERS = 3;
    private static String boot;
    private static volatile boolean feeding = true, running = true;
    /** How many numbers of each partition of roll-in are acknowledged; without an error these are all of 0 … n - 1. */
    private static final AtomicLongArray fed = new AtomicLongArray(PARTITIONS);
    private static final AtomicLongArray verified = new AtomicLongArray(PARTITIONS);
    private static final List<Map<Long, AtomicInteger>> taken = IntStream.range(0, PARTITIONS)
        .<Map<Long, AtomicInteger>>mapToObj(p -> new ConcurrentHashMap<>()).collect(Collectors.toList());
    private static final AtomicLong committed = new AtomicLong(), aborted = new AtomicLong(), retried = new AtomicLong(), updates = new AtomicLong(), generations = new AtomicLong();
    /** The longest that the verifier saw nothing new while there was something to see. */
    private static final AtomicLong longestGap = new AtomicLong();

    interface Body { void run() throws Exception; }

    public static void main(String[] args) throws Exception {
        boot = args[0];
        Path folder = Path.of(args[1]);
        Map<String, String> latest = new TreeMap<>();
        Thread feeder = thread("feeder", RollingLoad::feed);
        Thread keyer = thread("keyer", () -> update(latest));
        List<Thread> readers = new ArrayList<>(List.of(thread("transform", RollingLoad::transform), thread("verifier", RollingLoad::verify)));
        for (int i = 0; i < MEMBERS; i++) {
            int number = i;
            readers.add(thread("member", () -> member(number)));
        }
        new BufferedReader(new InputStreamReader(System.in)).readLine();
        feeding = false;
        feeder.join(130_000);
        keyer.join(130_000);
        long until = System.currentTimeMillis() + 60_000;
        while (System.currentTimeMillis() < until && !complete()) Thread.sleep(50);
        running = false;
        for (Thread reader : readers) reader.join(30_000);
        for (int p = 0; p < PARTITIONS; p++) {
            if (verified.get(p) != fed.get(p)) error("verifier", "partition " + p + ": " + verified.get(p) + " of " + fed.get(p) + " came through");
            if (taken.get(p).size() != fed.get(p)) error("member", "partition " + p + ": " + taken.get(p).size() + " of " + fed.get(p) + " were read by the group");
        }
        offsets();
        Files.write(folder.resolve("latest"), latest.entrySet().stream().map(e -> e.getKey() + "\t" + e.getValue()).collect(Collectors.toList()), StandardCharsets.UTF_8);
        say("SUMMARY records " + sum(fed::get));
        say("SUMMARY transactions " + committed);
        say("SUMMARY aborted " + aborted);
        say("SUMMARY retried " + retried);
        say("SUMMARY updates " + updates);
        say("SUMMARY duplicates " + taken.stream().flatMap(m -> m.values().stream()).filter(n -> n.get() > 1).count());
        say("SUMMARY generation " + generations);
        say("SUMMARY gap " + longestGap);
        System.exit(0);
    }

    private static boolean complete() {
        return IntStream.range(0, PARTITIONS).allMatch(p -> verified.get(p) >= fed.get(p) && taken.get(p).size() >= fed.get(p));
    }

    private static long sum(java.util.function.IntToLongFunction of) {
        return IntStream.range(0, PARTITIONS).mapToLong(of).sum();
    }

    /** The group has committed the ends of what it read, and so has the application. */
    private static void offsets() throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", boot))) {
            for (String group : List.of("watch", "transform")) {
                Map<TopicPartition, OffsetAndMetadata> found = admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get();
                for (int p = 0; p < PARTITIONS; p++) {
                    OffsetAndMetadata at = found.get(new TopicPartition("roll-in", p));
                    if (at == null || at.offset() != fed.get(p)) error(group, "partition " + p + ": committed " + at + ", the end is " + fed.get(p));
                }
            }
        }
    }

    private static Properties client() {
        Properties p = new Properties();
        p.put("bootstrap.servers", boot);
        p.put("reconnect.backoff.max.ms", "500");
        p.put("key.serializer", StringSerializer.class.getName());
        p.put("value.serializer", StringSerializer.class.getName());
        p.put("key.deserializer", StringDeserializer.class.getName());
        p.put("value.deserializer", StringDeserializer.class.getName());
        p.put("acks", "all");
        return p;
    }

    private static KafkaConsumer<String, String> consumer(String group) {
        Properties p = client();
        if (group != null) p.put("group.id", group);
        p.put("enable.auto.commit", "false");
        p.put("auto.offset.reset", "earliest");
        p.put("isolation.level", "read_committed");
        p.put("session.timeout.ms", "10000");
        p.put("heartbeat.interval.ms", "1000");
        return new KafkaConsumer<>(p);
    }

    private static void pace(long began, long sent, int perSecond) throws InterruptedException {
        long due = began + sent * 1000 / perSecond;
        Thread.sleep(Math.max(0, Math.min(1000, due - System.currentTimeMillis())));
    }

    private static void feed() throws Exception {
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(client())) {
            long began = System.currentTimeMillis();
            for (long n = 0; feeding; n++) {
                int partition = (int) (n % PARTITIONS);
                producer.send(new ProducerRecord<>("roll-in", partition, null, Long.toString(n / PARTITIONS)), (at, e) -> {
                    if (e != null) error("feeder", why(e));
                    else fed.incrementAndGet(partition);
                });
                pace(began, n, 200);
            }
            producer.flush();
        }
    }

    private static void update(Map<String, String> latest) throws Exception {
        Random random = new Random(7);
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(client())) {
            long began = System.currentTimeMillis();
            for (long n = 0; feeding; n++) {
                String key = "k" + random.nextInt(KEYS);
                // One in twelve takes the key away for a while.
                String value = random.nextInt(12) == 0 ? null : n + " " + "x".repeat(150 + random.nextInt(150));
                producer.send(new ProducerRecord<>("roll-keys", Math.floorMod(key.hashCode(), 2), key, value), (at, e) -> {
                    if (e != null) error("keyer", why(e));
                    else updates.incrementAndGet();
                });
                latest.put(key, value == null ? "-" : value);
                pace(began, n, 150);
            }
            producer.flush();
        }
    }

    private static void transform() throws Exception {
        Properties p = client();
        p.put("transactional.id", "transform");
        p.put("transaction.timeout.ms", "30000");
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(p); KafkaConsumer<String, String> in = consumer("transform")) {
            producer.initTransactions();
            in.subscribe(List.of("roll-in"));
            for (long round = 1; running; round++) {
                ConsumerRecords<String, String> records = in.poll(Duration.ofMillis(100));
                if (records.isEmpty()) continue;
                Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
                for (TopicPartition part : records.partitions()) {
                    List<ConsumerRecord<String, String>> those = records.records(part);
                    offsets.put(part, new OffsetAndMetadata(those.get(those.size() - 1).offset() + 1));
                }
                producer.beginTransaction();
                try {
                    for (ConsumerRecord<String, String> record : records) producer.send(new ProducerRecord<>("roll-out", record.partition(), null, record.value()));
                    producer.sendOffsetsToTransaction(offsets, in.groupMetadata());
                    if (round % 17 == 0) {
                        producer.flush();
                        rewind(producer, in, records);
                        aborted.incrementAndGet();
                    } else {
                        patiently("commit", producer::commitTransaction);
                        committed.incrementAndGet();
                    }
                } catch (org.apache.kafka.common.KafkaException e) {
                    // As an application is told to: whatever is not fatal is aborted and done again. Only a retriable cause is no error.
                    complain("transform", e);
                    rewind(producer, in, records);
                }
            }
        }
    }

    private static void rewind(KafkaProducer<String, String> producer, KafkaConsumer<String, String> in, ConsumerRecords<String, String> records) throws Exception {
        patiently("abort", producer::abortTransaction);
        for (TopicPartition part : records.partitions()) {
            if (in.assignment().contains(part)) in.seek(part, records.records(part).get(0).offset());
        }
    }

    /** Commit and abort may be tried again after a timeout, and after nothing else. */
    private static void patiently(String what, Body body) throws Exception {
        while (true) {
            try {
                body.run();
                return;
            } catch (org.apache.kafka.common.errors.TimeoutException e) {
                complain(what, e);
            }
        }
    }

    private static void verify() throws Exception {
        try (KafkaConsumer<String, String> in = consumer(null)) {
            List<TopicPartition> all = IntStream.range(0, PARTITIONS).mapToObj(p -> new TopicPartition("roll-out", p)).collect(Collectors.toList());
            in.assign(all);
            in.seekToBeginning(all);
            long last = System.currentTimeMillis();
            while (running) {
                ConsumerRecords<String, String> records = in.poll(Duration.ofMillis(100));
                long now = System.currentTimeMillis();
                LongSupplier behind = () -> sum(fed::get) - sum(verified::get);
                if (!records.isEmpty() || behind.getAsLong() == 0) {
                    longestGap.accumulateAndGet(now - last, Math::max);
                    last = now;
                }
                for (ConsumerRecord<String, String> record : records) {
                    long value = Long.parseLong(record.value()), due = verified.get(record.partition());
                    if (value != due) error("verifier", record.partition() + "@" + record.offset() + ": " + value + " where " + due + " was due");
                    verified.set(record.partition(), value + 1);
                }
            }
        }
    }

    private static void member(int number) throws Exception {
        int generation = -1;
        try (KafkaConsumer<String, String> in = consumer("watch")) {
            in.subscribe(List.of("roll-in"));
            while (running) {
                ConsumerRecords<String, String> records = in.poll(Duration.ofMillis(100));
                int now = in.groupMetadata().generationId();
                if (now != generation) {
                    say("EVENT " + System.currentTimeMillis() + " generation " + now + " member " + number + " " + in.assignment());
                    generation = now;
                    generations.accumulateAndGet(now, Math::max);
                }
                for (ConsumerRecord<String, String> record : records) {
                    taken.get(record.partition()).computeIfAbsent(Long.parseLong(record.value()), v -> new AtomicInteger()).incrementAndGet();
                }
                try {
                    if (!records.isEmpty()) in.commitSync();
                } catch (org.apache.kafka.common.KafkaException e) {
                    complain("member", e);
                }
            }
            in.unsubscribe();
        }
    }

    private static Thread thread(String name, Body body) {
        Thread thread = new Thread(() -> {
            try {
                body.run();
            } catch (Throwable e) {
                error(name, "ended by " + why(e));
            }
        }, name);
        thread.setDaemon(true);
        thread.start();
        return thread;
    }

    private static void complain(String who, Exception e) {
        for (Throwable cause = e; cause != null; cause = cause.getCause()) {
            if (cause instanceof RetriableException) {
                retried.incrementAndGet();
                say("EVENT " + System.currentTimeMillis() + " " + who + " retries after " + why(e));
                return;
            }
        }
        error(who, why(e));
    }

    private static String why(Throwable e) {
        StringBuilder text = new StringBuilder();
        for (Throwable cause = e; cause != null; cause = cause.getCause()) text.append(cause == e ? "" : " <- ").append(cause);
        return text.toString().replace('\n', ' ');
    }

    private static void error(String who, String what) {
        say("ERROR " + System.currentTimeMillis() + " " + who + ": " + what);
    }

    private static synchronized void say(String line) {
        System.out.println(line);
        System.out.flush();
    }
}
