import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.TopicPartition;

/** Transactions with Apache Kafka's own clients: prints a transcript of steps ("## label") free of ids and times. */
public final class TxnScript {
    private static String boot;
    private static Admin admin;

    interface Body { void run() throws Exception; }

    public static void main(String[] args) throws Exception {
        boot = args[0];
        admin = Admin.create(props());
        admin.createTopics(List.of(new NewTopic("tx-a", 2, (short) 1), new NewTopic("tx-b", 1, (short) 1), new NewTopic("tx-in", 1, (short) 1),
            new NewTopic("tx-out", 1, (short) 1), new NewTopic("tx-mix", 1, (short) 1), new NewTopic("tx-late", 1, (short) 1),
            new NewTopic("tx-steps", 1, (short) 1), new NewTopic("tx-once-in", 1, (short) 1), new NewTopic("tx-once-out", 1, (short) 1))).all().get();
        step("commit", TxnScript::commit);
        step("abort", TxnScript::abort);
        step("an open transaction holds readers back", TxnScript::open);
        step("a second instance fences the first", TxnScript::fencing);
        step("read, transform, write", TxnScript::transform);
        step("offsets of an old generation", TxnScript::zombieGroup);
        step("many producers in one partition", TxnScript::interleaved);
        step("a transaction times out", TxnScript::timeout);
        step("timeouts that are refused", TxnScript::badTimeouts);
        step("an empty transaction", TxnScript::empty);
        step("one producer, many transactions", TxnScript::many);
        step("after an error the epoch is bumped", TxnScript::bump);
        step("aborts after every step", TxnScript::abortsEverywhere);
        step("every record once, whatever is aborted", TxnScript::onceDespiteAborts);
        step("closed in the middle", TxnScript::closedOpen);
        step("admin lists and describes", TxnScript::describe);
        step("admin fences", TxnScript::adminFences);
        step("admin aborts a hanging transaction", TxnScript::adminAborts);
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
        while (e instanceof ExecutionException && e.getCause() != null) e = e.getCause();
        StringBuilder text = new StringBuilder(e.getClass().getSimpleName());
        if (e.getMessage() != null) text.append(": ").append(e.getMessage().replaceAll("producerId[=: ]*\\d+", "producerId=N")
            // The client tells the sender of a failed batch before it notes the failure for itself; a call in between words it differently.
            .replaceAll("Producer with transactionalId '[^']*' and \\([^)]*\\) attempted to produce with an old epoch$", "Producer attempted to produce with an old epoch."));
        if (e.getCause() != null && e.getCause() != e) text.append(" <- ").append(e.getCause().getClass().getSimpleName());
        return text.toString();
    }

    private static void attempt(String label, Body body) {
        try {
            body.run();
            System.out.println(label + ": ok");
        } catch (Throwable e) {
            System.out.println(label + ": " + why(e));
        }
    }

    private static Properties props() {
        Properties p = new Properties();
        p.put("bootstrap.servers", boot);
        return p;
    }

    private static KafkaProducer<String, String> producer(String id, int timeoutMs) {
        Properties p = props();
        p.put("transactional.id", id);
        p.put("transaction.timeout.ms", timeoutMs);
        p.put("max.block.ms", 20000);
        p.put("key.serializer", "org.apache.kafka.common.serialization.StringSerializer");
        p.put("value.serializer", "org.apache.kafka.common.serialization.StringSerializer");
        return new KafkaProducer<>(p);
    }

    private static KafkaProducer<String, String> ready(String id) {
        KafkaProducer<String, String> producer = producer(id, 60000);
        producer.initTransactions();
        return producer;
    }

    private static KafkaConsumer<String, String> consumer(String group, String isolation) {
        Properties p = props();
        if (group != null) p.put("group.id", group);
        p.put("isolation.level", isolation);
        p.put("auto.offset.reset", "earliest");
        p.put("enable.auto.commit", "false");
        p.put("key.deserializer", "org.apache.kafka.common.serialization.StringDeserializer");
        p.put("value.deserializer", "org.apache.kafka.common.serialization.StringDeserializer");
        return new KafkaConsumer<>(p);
    }

    private static RecordMetadata send(KafkaProducer<String, String> producer, String topic, int partition, String value) throws Exception {
        return producer.send(new ProducerRecord<>(topic, partition, "k", value)).get(20, TimeUnit.SECONDS);
    }

    /** Markers are written after EndTxn is answered: wait until nothing is open before looking. */
    private static void settle() throws Exception {
        for (int i = 0; i < 200; i++) {
            boolean busy = admin.listTransactions().all().get().stream()
                .anyMatch(t -> t.state() == TransactionState.PREPARE_COMMIT || t.state() == TransactionState.PREPARE_ABORT);
            if (!busy) return;
            Thread.sleep(20);
        }
        System.out.println("transactions do not settle");
    }

    private static void show(String topic, int partitions) throws Exception {
        settle();
        for (String isolation : new String[] {"read_uncommitted", "read_committed"}) {
            try (KafkaConsumer<String, String> consumer = consumer(null, isolation)) {
                List<TopicPartition> all = new ArrayList<>();
                for (int i = 0; i < partitions; i++) all.add(new TopicPartition(topic, i));
                consumer.assign(all);
                Map<TopicPartition, Long> end = consumer.endOffsets(all);
                consumer.seekToBeginning(all);
                TreeMap<String, List<String>> seen = new TreeMap<>();
                long until = System.currentTimeMillis() + 10000;
                while (System.currentTimeMillis() < until && !all.stream().allMatch(tp -> consumer.position(tp) >= end.get(tp))) {
                    for (ConsumerRecord<String, String> r : consumer.poll(Duration.ofMillis(100)))
                        seen.computeIfAbsent(r.topic() + "-" + r.partition(), x -> new ArrayList<>()).add(r.offset() + ":" + r.value());
                }
                for (TopicPartition tp : all)
                    System.out.println(isolation + " " + tp + " end " + end.get(tp) + " position " + consumer.position(tp) + " " + seen.getOrDefault(tp.toString(), List.of()));
            }
        }
    }

    private static void commit() throws Exception {
        try (KafkaProducer<String, String> p = ready("commit")) {
            p.beginTransaction();
            System.out.println("offset " + send(p, "tx-a", 0, "c0").offset());
            System.out.println("offset " + send(p, "tx-a", 1, "c1").offset());
            System.out.println("offset " + send(p, "tx-b", 0, "c2").offset());
            p.commitTransaction();
            show("tx-a", 2);
            show("tx-b", 1);
        }
    }

    private static void abort() throws Exception {
        try (KafkaProducer<String, String> p = ready("abort")) {
            p.beginTransaction();
            send(p, "tx-a", 0, "gone");
            send(p, "tx-b", 0, "gone too");
            p.abortTransaction();
            p.beginTransaction();
            send(p, "tx-a", 0, "kept");
            p.commitTransaction();
            show("tx-a", 2);
            show("tx-b", 1);
        }
    }

    private static void open() throws Exception {
        try (KafkaProducer<String, String> p = ready("open"); KafkaProducer<String, String> q = ready("open2")) {
            p.beginTransaction();
            send(p, "tx-b", 0, "open");
            q.beginTransaction();
            send(q, "tx-b", 0, "committed behind an open one");
            q.commitTransaction();
            show("tx-b", 1);
            TopicPartition tp = new TopicPartition("tx-b", 0);
            for (IsolationLevel level : IsolationLevel.values())
                System.out.println(level + " latest " + admin.listOffsets(Map.of(tp, OffsetSpec.latest()), new ListOffsetsOptions(level)).partitionResult(tp).get().offset());
            p.commitTransaction();
            show("tx-b", 1);
        }
    }

    private static void fencing() throws Exception {
        KafkaProducer<String, String> first = ready("fence");
        first.beginTransaction();
        send(first, "tx-a", 1, "of the first");
        KafkaProducer<String, String> second = producer("fence", 60000);
        attempt("second begins while the first is in a transaction", second::initTransactions);
        attempt("first sends", () -> send(first, "tx-a", 1, "late"));
        attempt("first commits", first::commitTransaction);
        attempt("first aborts", first::abortTransaction);
        second.beginTransaction();
        send(second, "tx-a", 1, "of the second");
        second.commitTransaction();
        KafkaProducer<String, String> third = ready("fence");
        attempt("second begins", second::beginTransaction);
        attempt("second sends", () -> send(second, "tx-a", 1, "late again"));
        attempt("second commits", second::commitTransaction);
        first.close(Duration.ZERO);
        second.close(Duration.ZERO);
        third.close();
        show("tx-a", 2);
    }

    private static void transform() throws Exception {
        try (KafkaProducer<String, String> p = ready("transform")) {
            p.beginTransaction();
            for (int i = 0; i < 6; i++) send(p, "tx-in", 0, "in" + i);
            p.commitTransaction();
            TopicPartition in = new TopicPartition("tx-in", 0);
            try (KafkaConsumer<String, String> c = consumer("tx-group", "read_committed")) {
                c.subscribe(List.of("tx-in"));
                List<ConsumerRecord<String, String>> got = new ArrayList<>();
                long until = System.currentTimeMillis() + 20000;
                while (got.size() < 6 && System.currentTimeMillis() < until) c.poll(Duration.ofMillis(200)).forEach(got::add);
                System.out.println("read " + got.size());
                p.beginTransaction();
                for (int i = 0; i < 3; i++) send(p, "tx-out", 0, got.get(i).value() + "!");
                p.sendOffsetsToTransaction(Map.of(in, new OffsetAndMetadata(3, "half")), c.groupMetadata());
                try (KafkaConsumer<String, String> other = consumer("tx-group", "read_committed")) {
                    attempt("committed while open", () -> System.out.println(other.committed(Collections.singleton(in), Duration.ofSeconds(1))));
                }
                p.commitTransaction();
                settle();
                System.out.println("committed " + c.committed(Collections.singleton(in)));
                p.beginTransaction();
                for (int i = 3; i < 6; i++) send(p, "tx-out", 0, got.get(i).value() + "?");
                p.sendOffsetsToTransaction(Map.of(in, new OffsetAndMetadata(6, "all")), c.groupMetadata());
                p.abortTransaction();
                settle();
                System.out.println("after abort " + c.committed(Collections.singleton(in)));
                p.beginTransaction();
                p.sendOffsetsToTransaction(Map.of(in, new OffsetAndMetadata(5)), new ConsumerGroupMetadata("tx-simple"));
                p.commitTransaction();
                settle();
                System.out.println("a simple group " + admin.listConsumerGroupOffsets("tx-simple").partitionsToOffsetAndMetadata().get());
            }
            show("tx-out", 1);
        }
    }

    private static void zombieGroup() throws Exception {
        TopicPartition in = new TopicPartition("tx-in", 0);
        Map<TopicPartition, OffsetAndMetadata> offsets = Map.of(in, new OffsetAndMetadata(1));
        try (KafkaConsumer<String, String> c = consumer("tx-zombie", "read_committed")) {
            c.subscribe(List.of("tx-in"));
            long until = System.currentTimeMillis() + 20000;
            while (c.assignment().isEmpty() && System.currentTimeMillis() < until) c.poll(Duration.ofMillis(200));
            ConsumerGroupMetadata real = c.groupMetadata();
            ConsumerGroupMetadata[] wrong = {
                new ConsumerGroupMetadata("tx-zombie", real.generationId() + 5, real.memberId(), real.groupInstanceId()),
                new ConsumerGroupMetadata("tx-zombie", real.generationId(), "nobody", real.groupInstanceId()),
                new ConsumerGroupMetadata("tx-zombie", real.generationId(), real.memberId(), java.util.Optional.of("no-instance")),
            };
            for (ConsumerGroupMetadata metadata : wrong) {
                try (KafkaProducer<String, String> p = ready("zombie")) {
                    p.beginTransaction();
                    attempt("offsets", () -> p.sendOffsetsToTransaction(offsets, metadata));
                    attempt("commit", p::commitTransaction);
                    attempt("abort", p::abortTransaction);
                }
            }
        }
    }

    private static void interleaved() throws Exception {
        List<KafkaProducer<String, String>> all = new ArrayList<>();
        for (int i = 0; i < 5; i++) all.add(ready("mix" + i));
        for (int round = 0; round < 4; round++) {
            for (KafkaProducer<String, String> p : all) p.beginTransaction();
            for (int i = 0; i < 10; i++) send(all.get(i % 5), "tx-mix", 0, round + "-" + i);
            for (int i = 0; i < 5; i++) {
                if ((i + round) % 3 == 0) all.get(i).abortTransaction(); else all.get(i).commitTransaction();
                settle();
            }
        }
        for (KafkaProducer<String, String> p : all) p.close();
        show("tx-mix", 1);
    }

    private static void timeout() throws Exception {
        KafkaProducer<String, String> p = producer("slow", 1000);
        p.initTransactions();
        p.beginTransaction();
        send(p, "tx-late", 0, "too slow");
        long until = System.currentTimeMillis() + 30000;
        String state = "";
        while (!state.equals("CompleteAbort") && System.currentTimeMillis() < until) {
            Thread.sleep(100);
            state = admin.describeTransactions(List.of("slow")).description("slow").get().state().toString();
        }
        System.out.println("state " + state);
        attempt("send", () -> send(p, "tx-late", 0, "later"));
        Thread.sleep(300); // The send fails a moment before the producer knows it.
        attempt("commit", p::commitTransaction);
        attempt("abort", p::abortTransaction);
        attempt("begin", p::beginTransaction);
        p.close(Duration.ZERO);
        show("tx-late", 1);
    }

    private static void badTimeouts() {
        for (int timeout : new int[] {900001, Integer.MAX_VALUE, 900000, 1}) {
            try (KafkaProducer<String, String> p = producer("bad-timeout", timeout)) {
                attempt("timeout " + timeout, p::initTransactions);
            }
        }
    }

    private static void empty() throws Exception {
        try (KafkaProducer<String, String> p = ready("empty")) {
            attempt("begin", p::beginTransaction);
            attempt("commit", p::commitTransaction);
            attempt("begin", p::beginTransaction);
            attempt("abort", p::abortTransaction);
            System.out.println(admin.describeTransactions(List.of("empty")).description("empty").get().state());
        }
    }

    private static void many() throws Exception {
        try (KafkaProducer<String, String> p = ready("many")) {
            for (int i = 0; i < 50; i++) {
                p.beginTransaction();
                p.send(new ProducerRecord<>("tx-late", 0, "k", "m" + i));
                p.send(new ProducerRecord<>("tx-out", 0, "k", "m" + i));
                p.flush();
                if (i % 5 == 4) p.abortTransaction(); else p.commitTransaction();
            }
        }
        show("tx-late", 1);
        show("tx-out", 1);
    }

    private static void bump() throws Exception {
        try (KafkaProducer<String, String> p = ready("bump")) {
            p.beginTransaction();
            attempt("too large", () -> p.send(new ProducerRecord<>("tx-late", 0, "k", "x".repeat(1_048_570))).get());
            attempt("commit", p::commitTransaction);
            attempt("abort", p::abortTransaction);
            p.beginTransaction();
            send(p, "tx-late", 0, "after the error");
            p.commitTransaction();
            settle();
            System.out.println("epoch " + admin.describeTransactions(List.of("bump")).description("bump").get().producerEpoch());
        }
    }

    /** Begins a transaction, takes so many of its steps, and aborts: neither records nor offsets may be seen. */
    private static void abortsEverywhere() throws Exception {
        TopicPartition in = new TopicPartition("tx-once-in", 0);
        ConsumerGroupMetadata group = new ConsumerGroupMetadata("tx-steps-group");
        try (KafkaProducer<String, String> p = ready("steps")) {
            List<Body> steps = List.of(() -> { },
                () -> p.send(new ProducerRecord<>("tx-steps", 0, "k", "unflushed")),
                p::flush,
                () -> p.sendOffsetsToTransaction(Map.of(in, new OffsetAndMetadata(7)), group),
                () -> send(p, "tx-steps", 0, "behind the offsets"),
                () -> p.sendOffsetsToTransaction(Map.of(in, new OffsetAndMetadata(8)), new ConsumerGroupMetadata("tx-steps-other")));
            for (int last = 0; last < steps.size(); last++) {
                p.beginTransaction();
                for (int i = 0; i <= last; i++) steps.get(i).run();
                p.abortTransaction();
                p.beginTransaction();
                send(p, "tx-steps", 0, "kept after " + last);
                p.commitTransaction();
            }
            p.beginTransaction();
            p.sendOffsetsToTransaction(Map.of(in, new OffsetAndMetadata(9)), group);
            p.abortTransaction();
            settle();
            System.out.println("offsets " + admin.listConsumerGroupOffsets("tx-steps-group").partitionsToOffsetAndMetadata().get()
                + " " + admin.listConsumerGroupOffsets("tx-steps-other").partitionsToOffsetAndMetadata().get());
        }
        committed("tx-steps");
    }

    /** Read, transform, write, with every other transaction aborted at another step and read again. */
    private static void onceDespiteAborts() throws Exception {
        TopicPartition in = new TopicPartition("tx-once-in", 0);
        try (KafkaProducer<String, String> p = ready("once"); KafkaConsumer<String, String> c = consumer("tx-once", "read_committed")) {
            p.beginTransaction();
            for (int i = 0; i < 40; i++) p.send(new ProducerRecord<>("tx-once-in", 0, "k", "r" + i));
            p.commitTransaction();
            c.assign(List.of(in));
            long next = 0;
            for (int round = 0; next < 40 && round < 200; round++) {
                c.seek(in, next);
                List<ConsumerRecord<String, String>> got = new ArrayList<>();
                c.poll(Duration.ofMillis(500)).forEach(r -> { if (got.size() < 4) got.add(r); });
                if (got.isEmpty()) continue;
                int abortAt = round % 2 == 0 ? round / 2 % 4 : -1;
                long after = got.get(got.size() - 1).offset() + 1;
                p.beginTransaction();
                if (abortAt != 0) for (ConsumerRecord<String, String> r : got) p.send(new ProducerRecord<>("tx-once-out", 0, "k", r.value()));
                if (abortAt < 0 || abortAt >= 2) p.sendOffsetsToTransaction(Map.of(in, new OffsetAndMetadata(after)), c.groupMetadata());
                if (abortAt == 3) p.flush();
                if (abortAt >= 0) p.abortTransaction(); else p.commitTransaction();
                settle();
                OffsetAndMetadata committed = c.committed(Collections.singleton(in)).get(in);
                next = committed == null ? 0 : committed.offset();
            }
            System.out.println("next " + next);
        }
        committed("tx-once-out");
    }

    private static void closedOpen() throws Exception {
        KafkaProducer<String, String> p = ready("closed");
        p.beginTransaction();
        send(p, "tx-steps", 0, "left open");
        p.close(Duration.ZERO);
        try (KafkaProducer<String, String> q = ready("closed")) {
            q.beginTransaction();
            send(q, "tx-steps", 0, "of the one behind it");
            q.commitTransaction();
            System.out.println("epoch " + admin.describeTransactions(List.of("closed")).description("closed").get().producerEpoch());
        }
        committed("tx-steps");
    }

    /** What read_committed sees, without offsets: aborted records that were never flushed take none. */
    private static void committed(String topic) throws Exception {
        settle();
        TopicPartition tp = new TopicPartition(topic, 0);
        List<String> seen = new ArrayList<>();
        try (KafkaConsumer<String, String> c = consumer(null, "read_committed")) {
            c.assign(List.of(tp));
            c.seekToBeginning(List.of(tp));
            long end = c.endOffsets(List.of(tp)).get(tp), until = System.currentTimeMillis() + 20000;
            while (c.position(tp) < end && System.currentTimeMillis() < until) c.poll(Duration.ofMillis(200)).forEach(r -> seen.add(r.value()));
        }
        System.out.println(topic + " " + seen);
    }

    private static void describe() throws Exception {
        try (KafkaProducer<String, String> p = ready("described")) {
            p.beginTransaction();
            send(p, "tx-a", 0, "d");
            send(p, "tx-a", 1, "d");
            send(p, "tx-b", 0, "d");
            TransactionDescription d = admin.describeTransactions(List.of("described")).description("described").get();
            System.out.println(d.state() + " epoch " + d.producerEpoch() + " timeout " + d.transactionTimeoutMs() + " started " + d.transactionStartTimeMs().isPresent()
                + " on " + new TreeSet<>(d.topicPartitions().stream().map(TopicPartition::toString).toList()));
            System.out.println("ongoing " + ids(new ListTransactionsOptions().filterStates(List.of(TransactionState.ONGOING))));
            System.out.println("longer than an hour " + ids(new ListTransactionsOptions().filterStates(List.of(TransactionState.ONGOING)).filterOnDuration(3600000)));
            System.out.println("by producer id " + ids(new ListTransactionsOptions().filterProducerIds(List.of(p(d)))));
            TopicPartition tp = new TopicPartition("tx-b", 0);
            for (ProducerState s : admin.describeProducers(List.of(tp)).partitionResult(tp).get().activeProducers())
                if (s.producerId() == d.producerId())
                    System.out.println("producer epoch " + s.producerEpoch() + " sequence " + s.lastSequence() + " coordinator " + s.coordinatorEpoch() + " start " + s.currentTransactionStartOffset());
            p.commitTransaction();
            settle();
            for (ProducerState s : admin.describeProducers(List.of(tp)).partitionResult(tp).get().activeProducers())
                if (s.producerId() == d.producerId())
                    System.out.println("producer epoch " + s.producerEpoch() + " sequence " + s.lastSequence() + " coordinator " + s.coordinatorEpoch() + " start " + s.currentTransactionStartOffset());
        }
        attempt("describe nobody", () -> admin.describeTransactions(List.of("nobody")).description("nobody").get());
        System.out.println("all " + ids(new ListTransactionsOptions()));
        System.out.println("empty " + ids(new ListTransactionsOptions().filterStates(List.of(TransactionState.EMPTY))));
    }

    private static long p(TransactionDescription d) { return d.producerId(); }

    private static TreeSet<String> ids(ListTransactionsOptions options) throws Exception {
        TreeSet<String> found = new TreeSet<>();
        for (TransactionListing t : admin.listTransactions(options).all().get()) found.add(t.transactionalId() + "=" + t.state());
        return found;
    }

    private static void adminFences() throws Exception {
        KafkaProducer<String, String> p = ready("fenced-by-admin");
        p.beginTransaction();
        send(p, "tx-a", 0, "never seen");
        FenceProducersResult fenced = admin.fenceProducers(List.of("fenced-by-admin", "never-used"));
        System.out.println("epochs " + fenced.epochId("fenced-by-admin").get() + " " + fenced.epochId("never-used").get());
        attempt("send", () -> send(p, "tx-a", 0, "never seen either"));
        attempt("commit", p::commitTransaction);
        p.close(Duration.ZERO);
        show("tx-a", 2);
    }

    private static void adminAborts() throws Exception {
        // Longer than all the calls below together: the coordinator must not time it out in their middle.
        KafkaProducer<String, String> p = producer("hanging", 600000);
        p.initTransactions();
        p.beginTransaction();
        send(p, "tx-b", 0, "hangs");
        TopicPartition tp = new TopicPartition("tx-b", 0);
        TransactionDescription d = admin.describeTransactions(List.of("hanging")).description("hanging").get();
        attempt("an old epoch", () -> admin.abortTransaction(new AbortTransactionSpec(tp, d.producerId(), (short) -1, 0)).all().get());
        attempt("the epoch", () -> admin.abortTransaction(new AbortTransactionSpec(tp, d.producerId(), (short) d.producerEpoch(), 0)).all().get());
        attempt("an older coordinator", () -> admin.abortTransaction(new AbortTransactionSpec(tp, d.producerId(), (short) d.producerEpoch(), -1)).all().get());
        attempt("a missing partition", () -> admin.abortTransaction(new AbortTransactionSpec(new TopicPartition("tx-b", 9), d.producerId(), (short) 0, 0),
            new AbortTransactionOptions().timeoutMs(5000)).all().get());
        attempt("send behind the marker", () -> send(p, "tx-b", 0, "behind"));
        attempt("commit", p::commitTransaction);
        p.close(Duration.ZERO);
        show("tx-b", 1);
    }
}
