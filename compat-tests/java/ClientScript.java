import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicCollection;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Apache Kafka's own clients: prints a transcript of steps ("## label") free of ids and times. */
public final class ClientScript {
    private static final long T0 = 1_700_000_000_000L;
    private static String boot;
    private static Admin admin;

    interface Body { void run() throws Exception; }

    public static void main(String[] args) throws Exception {
        boot = args[0];
        admin = Admin.create(props());
        step("topics", ClientScript::topics);
        for (String codec : new String[] {"none", "gzip", "snappy", "lz4", "zstd"}) {
            step("produce " + codec, () -> produce(codec, "all", true));
            step("produce " + codec + " acks 1", () -> produce(codec, "1", false));
            step("produce " + codec + " acks 0", () -> produce(codec, "0", false));
        }
        step("producer errors", ClientScript::producerErrors);
        step("consume by assignment", ClientScript::consumeAll);
        step("seek, pause, positions", ClientScript::seeking);
        step("offsets for times", ClientScript::times);
        step("commits", ClientScript::commits);
        step("reset policies", ClientScript::resets);
        for (Class<?> assignor : new Class<?>[] {RangeAssignor.class, RoundRobinAssignor.class, StickyAssignor.class, CooperativeStickyAssignor.class}) {
            step("three consumers, " + assignor.getSimpleName(), () -> rebalance(assignor));
        }
        step("static membership", ClientScript::staticMembers);
        step("subscribe by pattern", ClientScript::pattern);
        step("two subscriptions", ClientScript::mixedSubscriptions);
        step("list offsets", ClientScript::listOffsets);
        step("describe producers", ClientScript::producers);
        step("log dirs", ClientScript::logDirs);
        step("configs", ClientScript::configs);
        step("broker configs", ClientScript::brokerConfigs);
        step("delete records", ClientScript::deleteRecords);
        step("groups", ClientScript::groups);
        step("describe topics", ClientScript::describeTopics);
        step("cluster", ClientScript::cluster);
        step("delete topics", ClientScript::deleteTopics);
        admin.close(Duration.ofSeconds(5));
        System.exit(0);
    }

    private static void step(String label, Body body) {
        System.out.println("## java: " + label);
        try {
            body.run();
        } catch (Throwable e) {
            System.out.println("failed: " + why(e));
        }
    }

    private static String why(Throwable e) {
        Throwable cause = e instanceof ExecutionException && e.getCause() != null ? e.getCause() : e;
        return cause.getClass().getSimpleName() + ": " + cause.getMessage();
    }

    private static <T> void say(String label, Future<T> future) {
        try {
            T value = future.get(20, TimeUnit.SECONDS);
            System.out.println(label + " ok" + (value == null ? "" : " " + value));
        } catch (TimeoutException late) {
            System.out.println(label + " no answer");
        } catch (Exception e) {
            System.out.println(label + " " + why(e));
        }
    }

    private static <T> void sayAll(Map<String, ? extends Future<T>> futures) {
        new TreeMap<>(futures).forEach((name, future) -> say(name, future));
    }

    private static Properties props(Object... more) {
        Properties p = new Properties();
        p.put("bootstrap.servers", boot);
        p.put("request.timeout.ms", "15000");
        p.put("default.api.timeout.ms", "20000");
        for (int i = 0; i < more.length; i += 2) p.put(more[i], more[i + 1]);
        return p;
    }

    private static Producer<byte[], byte[]> producer(Object... more) {
        return new KafkaProducer<>(props(more), new ByteArraySerializer(), new ByteArraySerializer());
    }

    private static Consumer<byte[], byte[]> consumer(Object... more) {
        return new KafkaConsumer<>(props(more), new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    private static byte[] b(String text) { return text.getBytes(StandardCharsets.UTF_8); }

    private static String s(byte[] bytes) { return bytes == null ? "null" : new String(bytes, StandardCharsets.UTF_8); }

    private static TopicPartition p(int partition) { return new TopicPartition("jv", partition); }

    private static List<TopicPartition> all() { return Arrays.asList(p(0), p(1), p(2)); }

    private static void topics() throws Exception {
        sayAll(admin.createTopics(Arrays.asList(new NewTopic("jv", 3, (short) 1).configs(Map.of("retention.ms", "-1")), new NewTopic("jv-six", 6, (short) 1),
            new NewTopic("jv-placed", Map.of(0, List.of(0), 1, List.of(0))))).values());
        sayAll(admin.createTopics(Arrays.asList(new NewTopic("jv", 3, (short) 1), new NewTopic("jv bad", 1, (short) 1), new NewTopic("jv-rf", 1, (short) 2),
            new NewTopic("jv-zero", 0, (short) 1), new NewTopic("jv-conf", 1, (short) 1).configs(Map.of("max.message.bytes", "many")))).values());
        CreateTopicsResult checked = admin.createTopics(List.of(new NewTopic("jv-only", 2, (short) 1)), new CreateTopicsOptions().validateOnly(true));
        say("validate only", checked.values().get("jv-only"));
        sayAll(admin.createPartitions(Map.of("jv-placed", NewPartitions.increaseTo(3), "jv", NewPartitions.increaseTo(1), "jv-none", NewPartitions.increaseTo(2))).values());
        Thread.sleep(500);
        Set<String> names = new TreeSet<>(admin.listTopics().names().get());
        names.removeIf(name -> !name.startsWith("jv"));
        System.out.println(names);
    }

    private static void produce(String codec, String acks, boolean idempotent) throws Exception {
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        try (Producer<byte[], byte[]> producer = producer("compression.type", codec, "acks", acks, "enable.idempotence", String.valueOf(idempotent), "linger.ms", "10")) {
            for (int i = 0; i < 12; i++) {
                ProducerRecord<byte[], byte[]> record = new ProducerRecord<>("jv", i % 3, T0 + i, i % 4 == 0 ? null : b("k" + i), i % 5 == 4 ? null : b(codec + " " + acks + " " + i));
                record.headers().add("h", b("1")).add("h", b("2")).add("none", null).add("empty", new byte[0]);
                sent.add(producer.send(record));
            }
            producer.flush();
        }
        for (Future<RecordMetadata> one : sent) {
            RecordMetadata m = one.get();
            System.out.println(m.partition() + " " + m.offset() + " " + m.hasOffset() + " " + m.timestamp() + " " + m.serializedKeySize() + " " + m.serializedValueSize());
        }
    }

    private static void producerErrors() {
        try (Producer<byte[], byte[]> producer = producer("max.request.size", "5000000", "max.block.ms", "3000")) {
            say("too large", producer.send(new ProducerRecord<>("jv", 0, null, new byte[2_000_000])));
            try {
                say("unknown partition", producer.send(new ProducerRecord<>("jv", 9, null, b("x"))));
            } catch (Exception e) {
                System.out.println("unknown partition " + e.getClass().getSimpleName());
            }
            say("bad topic", producer.send(new ProducerRecord<>("bad topic", b("x"))));
            System.out.println(producer.partitionsFor("jv").size());
        }
        try (Producer<byte[], byte[]> producer = producer("acks", "1", "enable.idempotence", "false")) {
            say("negative time is refused here", producer.send(new ProducerRecord<>("jv-placed", 0, 0L, null, b("time zero"))));
        }
    }

    private static List<ConsumerRecord<byte[], byte[]>> read(Consumer<byte[], byte[]> consumer, int wanted) {
        List<ConsumerRecord<byte[], byte[]>> out = new ArrayList<>();
        long end = System.currentTimeMillis() + 15_000;
        while (out.size() < wanted && System.currentTimeMillis() < end) consumer.poll(Duration.ofMillis(200)).forEach(out::add);
        return out;
    }

    private static void consumeAll() {
        for (String level : new String[] {"read_uncommitted", "read_committed"}) {
            try (Consumer<byte[], byte[]> consumer = consumer("isolation.level", level, "max.partition.fetch.bytes", "2000")) {
                consumer.assign(all());
                consumer.seekToBeginning(all());
                List<String> lines = new ArrayList<>();
                for (ConsumerRecord<byte[], byte[]> r : read(consumer, 180)) {
                    StringBuilder headers = new StringBuilder();
                    for (Header h : r.headers()) headers.append(h.key()).append('=').append(s(h.value())).append(' ');
                    lines.add(String.format("%d %03d %s %s %s %d %s %s", r.partition(), r.offset(), s(r.key()), s(r.value()), headers, r.timestamp(), r.timestampType(), r.leaderEpoch()));
                }
                Collections.sort(lines);
                lines.forEach(System.out::println);
            }
        }
    }

    private static void seeking() {
        try (Consumer<byte[], byte[]> consumer = consumer()) {
            consumer.assign(all());
            consumer.seek(p(0), 7);
            consumer.seek(p(1), new OffsetAndMetadata(9, "m"));
            consumer.seekToEnd(List.of(p(2)));
            System.out.println(consumer.position(p(0)) + " " + consumer.position(p(1)) + " " + consumer.position(p(2)));
            consumer.pause(List.of(p(0)));
            List<ConsumerRecord<byte[], byte[]>> some = read(consumer, 10);
            System.out.println(some.stream().mapToInt(ConsumerRecord::partition).distinct().boxed().toList() + " first " + some.get(0).offset());
            consumer.resume(List.of(p(0)));
            boolean resumed = false;
            for (int i = 0; i < 50 && !resumed; i++) resumed = !consumer.poll(Duration.ofMillis(200)).records(p(0)).isEmpty();
            System.out.println("resumed " + resumed);
            System.out.println(new TreeMap<>(named(consumer.beginningOffsets(all()))) + " " + new TreeMap<>(named(consumer.endOffsets(all()))));
            System.out.println(consumer.partitionsFor("jv").size());
        }
    }

    private static <T> Map<String, T> named(Map<TopicPartition, T> map) {
        Map<String, T> out = new TreeMap<>();
        map.forEach((partition, value) -> out.put(partition.toString(), value));
        return out;
    }

    private static void times() {
        try (Consumer<byte[], byte[]> consumer = consumer()) {
            for (long t : new long[] {0, T0, T0 + 5, T0 + 11, T0 + 12, Long.MAX_VALUE}) {
                System.out.println(t + " " + named(consumer.offsetsForTimes(Map.of(p(0), t, p(1), t))));
            }
        }
    }

    private static void commits() throws Exception {
        try (Consumer<byte[], byte[]> consumer = consumer("group.id", "jg-commit", "enable.auto.commit", "false", "auto.offset.reset", "earliest")) {
            consumer.assign(all());
            consumer.commitSync(Map.of(p(0), new OffsetAndMetadata(5, "five"), p(1), new OffsetAndMetadata(6, java.util.Optional.of(0), "")));
            AtomicReference<String> async = new AtomicReference<>();
            consumer.commitAsync(Map.of(p(2), new OffsetAndMetadata(7)), (offsets, error) -> async.set(named(offsets) + " " + error));
            for (int i = 0; i < 50 && async.get() == null; i++) consumer.poll(Duration.ofMillis(100));
            System.out.println(async.get());
            System.out.println(named(consumer.committed(new HashSet<>(all()))));
        }
        try (Consumer<byte[], byte[]> again = consumer("group.id", "jg-commit", "enable.auto.commit", "true", "auto.commit.interval.ms", "100", "auto.offset.reset", "earliest")) {
            again.assign(List.of(p(0)));
            System.out.println("first " + read(again, 1).get(0).offset());
        }
        System.out.println(named(admin.listConsumerGroupOffsets("jg-commit").partitionsToOffsetAndMetadata().get()).size());
    }

    private static void resets() {
        for (String policy : new String[] {"earliest", "latest", "none"}) {
            try (Consumer<byte[], byte[]> consumer = consumer("group.id", "jg-reset-" + policy, "auto.offset.reset", policy, "enable.auto.commit", "false")) {
                consumer.assign(List.of(p(0)));
                consumer.poll(Duration.ofMillis(500));
                System.out.println(policy + " " + (consumer.position(p(0)) > 0));
                consumer.seek(p(0), 100_000);
                for (int i = 0; i < 5; i++) consumer.poll(Duration.ofMillis(200));
                System.out.println(policy + " out of range " + (consumer.position(p(0)) > 0));
            } catch (Exception e) {
                System.out.println(policy + " " + why(e));
            }
        }
    }

    private static final class Member implements AutoCloseable {
        final Consumer<byte[], byte[]> consumer;
        final Map<TopicPartition, Long> seen = new HashMap<>();
        int revoked;
        int lost;

        Member(Collection<String> topics, Object... more) {
            consumer = consumer(more);
            consumer.subscribe(topics, new ConsumerRebalanceListener() {
                @Override public void onPartitionsRevoked(Collection<TopicPartition> partitions) { revoked += partitions.size(); }
                @Override public void onPartitionsAssigned(Collection<TopicPartition> partitions) { }
                @Override public void onPartitionsLost(Collection<TopicPartition> partitions) { lost += partitions.size(); }
            });
        }

        @Override public void close() { consumer.close(Duration.ofSeconds(5)); }
    }

    private static List<Integer> settle(List<Member> members, int partitions) {
        long end = System.currentTimeMillis() + 40_000;
        List<Integer> shares = new ArrayList<>();
        int calm = 0;
        while (System.currentTimeMillis() < end && calm < 5) {
            shares.clear();
            Set<TopicPartition> owned = new HashSet<>();
            for (Member m : members) {
                m.consumer.poll(Duration.ofMillis(60));
                shares.add(m.consumer.assignment().size());
                owned.addAll(m.consumer.assignment());
            }
            int total = shares.stream().mapToInt(Integer::intValue).sum();
            boolean fair = owned.size() == partitions && total == partitions && Collections.max(shares) - Collections.min(shares) <= 1;
            calm = fair ? calm + 1 : 0;
        }
        Collections.sort(shares);
        return shares;
    }

    private static void rebalance(Class<?> assignor) {
        Object[] config = {"group.id", "jg-" + assignor.getSimpleName(), "partition.assignment.strategy", assignor.getName(), "auto.offset.reset", "earliest",
            "session.timeout.ms", "10000", "heartbeat.interval.ms", "300", "enable.auto.commit", "false"};
        List<Member> members = new ArrayList<>();
        try {
            for (int i = 1; i <= 3; i++) {
                members.add(new Member(List.of("jv-six"), config));
                System.out.println(i + " members " + settle(members, 6));
            }
            members.remove(0).close();
            System.out.println("one left " + settle(members, 6));
            ConsumerGroupDescription described = admin.describeConsumerGroups(List.of("jg-" + assignor.getSimpleName())).all().get().values().iterator().next();
            System.out.println(described.state() + " " + described.partitionAssignor() + " " + described.members().size() + " " + described.coordinator().id());
        } catch (Exception e) {
            System.out.println(why(e));
        } finally {
            members.forEach(Member::close);
        }
    }

    private static void staticMembers() throws Exception {
        Object[] one = {"group.id", "jg-static", "group.instance.id", "one", "session.timeout.ms", "20000", "heartbeat.interval.ms", "300", "auto.offset.reset", "earliest", "enable.auto.commit", "false"};
        Object[] two = one.clone();
        two[3] = "two";
        Member first = new Member(List.of("jv-six"), one);
        Member second = new Member(List.of("jv-six"), two);
        System.out.println("both " + settle(List.of(first, second), 6));
        Set<TopicPartition> before = new HashSet<>(first.consumer.assignment());
        int revoked = second.revoked;
        first.close();
        Member back = new Member(List.of("jv-six"), one);
        System.out.println("back " + settle(List.of(back, second), 6));
        System.out.println("same share " + before.equals(back.consumer.assignment()) + ", other undisturbed " + (second.revoked == revoked));
        Member twin = new Member(List.of("jv-six"), two);
        String fenced = "nobody";
        for (int i = 0; i < 100 && fenced.equals("nobody"); i++) {
            twin.consumer.poll(Duration.ofMillis(50));
            back.consumer.poll(Duration.ofMillis(50));
            try {
                second.consumer.poll(Duration.ofMillis(50));
            } catch (Exception e) {
                fenced = e.getClass().getSimpleName();
            }
        }
        System.out.println("the older of two twins gets " + fenced);
        ConsumerGroupDescription described = admin.describeConsumerGroups(List.of("jg-static")).all().get().get("jg-static");
        System.out.println(new TreeSet<>(described.members().stream().map(m -> m.groupInstanceId().orElse("none")).toList()));
        say("remove a static member", admin.removeMembersFromConsumerGroup("jg-static", new RemoveMembersFromConsumerGroupOptions(List.of(new MemberToRemove("one")))).all());
        say("remove one that is not there", admin.removeMembersFromConsumerGroup("jg-static", new RemoveMembersFromConsumerGroupOptions(List.of(new MemberToRemove("ghost")))).all());
        say("remove all", admin.removeMembersFromConsumerGroup("jg-static", new RemoveMembersFromConsumerGroupOptions()).all());
        for (Member m : List.of(back, second, twin)) {
            try {
                m.close();
            } catch (Exception e) {
                // the fenced one may complain again
            }
        }
    }

    private static void pattern() {
        try (Consumer<byte[], byte[]> consumer = consumer("group.id", "jg-pattern", "auto.offset.reset", "earliest", "metadata.max.age.ms", "500", "enable.auto.commit", "false")) {
            consumer.subscribe(java.util.regex.Pattern.compile("jv-(six|placed|late)"));
            for (int i = 0; i < 100 && consumer.assignment().size() < 9; i++) consumer.poll(Duration.ofMillis(100));
            System.out.println(consumer.assignment().size());
            say("late", admin.createTopics(List.of(new NewTopic("jv-late", 2, (short) 1))).values().get("jv-late"));
            for (int i = 0; i < 200 && consumer.assignment().size() < 11; i++) consumer.poll(Duration.ofMillis(100));
            System.out.println(consumer.assignment().size());
        }
    }

    private static void mixedSubscriptions() {
        Object[] config = {"group.id", "jg-mixed", "auto.offset.reset", "earliest", "heartbeat.interval.ms", "300", "session.timeout.ms", "10000", "enable.auto.commit", "false"};
        try (Member left = new Member(List.of("jv"), config); Member right = new Member(List.of("jv-six"), config)) {
            for (int i = 0; i < 150 && (left.consumer.assignment().size() != 3 || right.consumer.assignment().size() != 6); i++) {
                left.consumer.poll(Duration.ofMillis(60));
                right.consumer.poll(Duration.ofMillis(60));
            }
            System.out.println(left.consumer.assignment().size() + " " + right.consumer.assignment().size());
        }
        Object[] other = {"group.id", "jg-clash", "partition.assignment.strategy", RoundRobinAssignor.class.getName()};
        Object[] ranged = {"group.id", "jg-clash", "partition.assignment.strategy", RangeAssignor.class.getName()};
        try (Member first = new Member(List.of("jv"), other)) {
            for (int i = 0; i < 50 && first.consumer.assignment().size() < 3; i++) first.consumer.poll(Duration.ofMillis(100));
            try (Member second = new Member(List.of("jv"), ranged)) {
                for (int i = 0; i < 30; i++) second.consumer.poll(Duration.ofMillis(100));
                System.out.println("no clash");
            } catch (Exception e) {
                System.out.println(e.getClass().getSimpleName());
            }
        }
    }

    private static void listOffsets() {
        Map<String, OffsetSpec> specs = new TreeMap<>(Map.of("earliest", OffsetSpec.earliest(), "latest", OffsetSpec.latest(), "max-timestamp", OffsetSpec.maxTimestamp(),
            "timestamp", OffsetSpec.forTimestamp(T0 + 6), "future", OffsetSpec.forTimestamp(T0 * 2), "earliest-local", OffsetSpec.earliestLocal()));
        specs.forEach((name, spec) -> {
            for (int i = 0; i < 3; i++) {
                try {
                    ListOffsetsResult.ListOffsetsResultInfo info = admin.listOffsets(Map.of(p(i), spec)).partitionResult(p(i)).get(20, TimeUnit.SECONDS);
                    System.out.println(name + " " + i + " " + info.offset() + " " + info.timestamp() + " " + info.leaderEpoch());
                } catch (Exception e) {
                    System.out.println(name + " " + i + " " + why(e));
                }
            }
        });
    }

    private static void producers() throws Exception {
        DescribeProducersResult result = admin.describeProducers(List.of(p(0)));
        for (ProducerState state : result.partitionResult(p(0)).get().activeProducers()) {
            System.out.println("epoch " + state.producerEpoch() + " sequence " + state.lastSequence() + " time " + state.lastTimestamp() + " " + state.currentTransactionStartOffset() + " " + state.coordinatorEpoch());
        }
    }

    private static void logDirs() throws Exception {
        Map<String, LogDirDescription> dirs = admin.describeLogDirs(List.of(0)).allDescriptions().get().get(0);
        for (LogDirDescription dir : dirs.values()) {
            System.out.println(dir.error() + " " + dir.totalBytes().isPresent() + " " + dir.usableBytes().isPresent());
            Map<String, String> found = new TreeMap<>();
            dir.replicaInfos().forEach((partition, info) -> {
                if (partition.topic().startsWith("jv")) found.put(partition.toString(), info.size() + " " + info.offsetLag() + " " + info.isFuture());
            });
            // Sizes of what this script wrote compressed depend on the batching: only the others are compared.
            found.forEach((name, text) -> System.out.println(name + " " + (name.startsWith("jv-six-") || name.startsWith("jv-late-") ? text : "some")));
        }
    }

    private static void configs() throws Exception {
        ConfigResource topic = new ConfigResource(ConfigResource.Type.TOPIC, "jv");
        Map<String, List<AlterConfigOp>> cases = new TreeMap<>();
        cases.put("1 set", List.of(op("segment.bytes", "1048576", AlterConfigOp.OpType.SET), op("retention.ms", "-1", AlterConfigOp.OpType.SET)));
        cases.put("2 append", List.of(op("cleanup.policy", "compact", AlterConfigOp.OpType.APPEND)));
        cases.put("3 subtract", List.of(op("cleanup.policy", "compact", AlterConfigOp.OpType.SUBTRACT)));
        cases.put("4 delete", List.of(op("segment.bytes", null, AlterConfigOp.OpType.DELETE)));
        cases.put("5 bad value", List.of(op("segment.bytes", "tiny", AlterConfigOp.OpType.SET)));
        cases.put("6 unknown", List.of(op("no.such", "x", AlterConfigOp.OpType.SET)));
        cases.put("7 append to a number", List.of(op("segment.bytes", "1", AlterConfigOp.OpType.APPEND)));
        for (Map.Entry<String, List<AlterConfigOp>> one : cases.entrySet()) say(one.getKey(), admin.incrementalAlterConfigs(Map.of(topic, new ArrayList<>(one.getValue()))).all());
        say("a missing topic", admin.incrementalAlterConfigs(Map.of(new ConfigResource(ConfigResource.Type.TOPIC, "jv-none"), List.of(op("segment.bytes", "1048576", AlterConfigOp.OpType.SET)))).all());
        say("validate only", admin.incrementalAlterConfigs(Map.of(topic, List.of(op("flush.ms", "5", AlterConfigOp.OpType.SET))), new AlterConfigsOptions().validateOnly(true)).all());
        print(admin.describeConfigs(List.of(topic), new DescribeConfigsOptions().includeSynonyms(true).includeDocumentation(true)).all().get().get(topic), name -> true);
        say("describe a missing topic", admin.describeConfigs(List.of(new ConfigResource(ConfigResource.Type.TOPIC, "jv-none"))).all());
    }

    private static AlterConfigOp op(String name, String value, AlterConfigOp.OpType type) { return new AlterConfigOp(new ConfigEntry(name, value), type); }

    private static void print(Config config, java.util.function.Predicate<String> which) {
        config.entries().stream().filter(e -> which.test(e.name())).sorted(java.util.Comparator.comparing(ConfigEntry::name)).forEach(e -> System.out.println(e.name() + "=" + e.value() + " " + e.source() + " "
            + e.isSensitive() + " " + e.isReadOnly() + " " + e.type() + " " + e.synonyms() + " " + (e.documentation() != null)));
    }

    private static void brokerConfigs() throws Exception {
        ConfigResource broker = new ConfigResource(ConfigResource.Type.BROKER, "0");
        Config config = admin.describeConfigs(List.of(broker), new DescribeConfigsOptions().includeSynonyms(true).includeDocumentation(true)).all().get().get(broker);
        print(config, name -> !name.startsWith("zookeeper.") && !name.matches("listeners|log\\.dirs?|advertised\\.listeners"));
    }

    private static void deleteRecords() {
        Map<TopicPartition, RecordsToDelete> wanted = new HashMap<>();
        wanted.put(p(0), RecordsToDelete.beforeOffset(10));
        wanted.put(p(1), RecordsToDelete.beforeOffset(-1));
        wanted.put(p(2), RecordsToDelete.beforeOffset(100_000));
        Map<TopicPartition, KafkaFuture<DeletedRecords>> results = admin.deleteRecords(wanted).lowWatermarks();
        for (TopicPartition partition : all()) {
            try {
                System.out.println(partition + " " + results.get(partition).get(20, TimeUnit.SECONDS).lowWatermark());
            } catch (Exception e) {
                System.out.println(partition + " " + why(e));
            }
        }
        try (Consumer<byte[], byte[]> consumer = consumer()) {
            System.out.println(named(consumer.beginningOffsets(all())));
            consumer.assign(List.of(p(0)));
            consumer.seekToBeginning(List.of(p(0)));
            System.out.println(read(consumer, 1).get(0).offset());
        }
    }

    private static void groups() throws Exception {
        Map<String, String> listed = new TreeMap<>();
        for (ConsumerGroupListing g : admin.listConsumerGroups().all().get()) {
            if (g.groupId().startsWith("jg-")) listed.put(g.groupId(), g.isSimpleConsumerGroup() + " " + g.state().orElse(null) + " " + g.type().orElse(null));
        }
        listed.forEach((name, text) -> System.out.println(name + " " + text));
        say("alter offsets", admin.alterConsumerGroupOffsets("jg-commit", Map.of(p(0), new OffsetAndMetadata(11, "eleven"))).all());
        say("alter offsets of an unknown partition", admin.alterConsumerGroupOffsets("jg-commit", Map.of(p(9), new OffsetAndMetadata(11))).all());
        System.out.println(named(admin.listConsumerGroupOffsets("jg-commit").partitionsToOffsetAndMetadata().get()));
        System.out.println(named(admin.listConsumerGroupOffsets("jg-never").partitionsToOffsetAndMetadata().get()));
        say("delete offsets", admin.deleteConsumerGroupOffsets("jg-commit", Set.of(p(0))).all());
        say("delete offsets of an unknown group", admin.deleteConsumerGroupOffsets("jg-never", Set.of(p(0))).all());
        say("describe an unknown group", admin.describeConsumerGroups(List.of("jg-never")).describedGroups().get("jg-never").thenApply(d -> d.state() + " " + d.members().size()));
        sayAll(admin.deleteConsumerGroups(List.of("jg-commit", "jg-never")).deletedGroups());
    }

    private static void describeTopics() throws Exception {
        Map<String, KafkaFuture<TopicDescription>> results = admin.describeTopics(List.of("jv", "jv-placed", "jv-none")).topicNameValues();
        for (Map.Entry<String, KafkaFuture<TopicDescription>> one : new TreeMap<>(results).entrySet()) {
            try {
                TopicDescription d = one.getValue().get();
                System.out.println(d.name() + " " + d.isInternal() + " " + d.partitions().stream().map(i -> i.partition() + ":" + i.leader().id() + ":" + i.replicas().size() + ":" + i.isr().size()).toList()
                    + " " + d.authorizedOperations());
                say("by id", admin.describeTopics(TopicCollection.ofTopicIds(List.of(d.topicId()))).allTopicIds().thenApply(m -> m.values().iterator().next().name()));
            } catch (Exception e) {
                System.out.println(one.getKey() + " " + why(e));
            }
        }
        say("with operations", admin.describeTopics(List.of("jv"), new DescribeTopicsOptions().includeAuthorizedOperations(true)).allTopicNames().thenApply(m -> m.get("jv").authorizedOperations() == null ? null
            : new TreeSet<>(m.get("jv").authorizedOperations())));
    }

    private static void cluster() throws Exception {
        DescribeClusterResult d = admin.describeCluster(new DescribeClusterOptions().includeAuthorizedOperations(true));
        System.out.println(d.nodes().get().size() + " " + d.controller().get().id() + " " + d.clusterId().get().length() + " " + (d.authorizedOperations().get() == null ? null : new TreeSet<>(d.authorizedOperations().get())));
        FeatureMetadata features = admin.describeFeatures().featureMetadata().get();
        System.out.println(features.finalizedFeatures() + " " + features.supportedFeatures());
    }

    private static void deleteTopics() throws Exception {
        sayAll(admin.deleteTopics(List.of("jv-six", "jv-none", "jv-late")).topicNameValues());
        Map<String, TopicDescription> d = admin.describeTopics(List.of("jv")).allTopicNames().get();
        say("by id", admin.deleteTopics(TopicCollection.ofTopicIds(List.of(d.get("jv").topicId()))).all());
        sayAll(admin.deleteTopics(List.of("jv-placed")).topicNameValues());
        for (int i = 0; i < 50 && admin.listTopics().names().get().stream().anyMatch(n -> n.startsWith("jv")); i++) Thread.sleep(100);
        System.out.println(admin.listTopics().names().get().stream().filter(n -> n.startsWith("jv")).toList());
    }
}
