import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Lines into a topic and out of it: `write bootstrap topic lines-per-second` sends stdin's lines with an idempotent producer, which
 * rides over a broker that dies; `read bootstrap topic text|long seconds at-least` prints what read_committed sees, as
 * `partition TAB key TAB value`, to the end of the topic once it holds so many.
 */
public final class LineTopic {
    public static void main(String[] args) throws Exception {
        if (args[0].equals("write")) write(args[1], args[2], Integer.parseInt(args[3]));
        else read(args[1], args[2], args[3].equals("long"), Long.parseLong(args[4]), Long.parseLong(args[5]));
        System.exit(0);
    }

    private static void write(String boot, String topic, int perSecond) throws Exception {
        Properties p = new Properties();
        p.put("bootstrap.servers", boot);
        p.put("enable.idempotence", "true");
        p.put("linger.ms", "5");
        AtomicLong acked = new AtomicLong();
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        long began = System.nanoTime(), sent = 0;
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(p, new StringSerializer(), new StringSerializer())) {
            for (String line = in.readLine(); line != null; line = in.readLine()) {
                producer.send(new ProducerRecord<>(topic, "k" + sent, line), (metadata, error) -> {
                    if (error == null) acked.incrementAndGet(); else System.out.println("failed " + error);
                });
                sent++;
                long early = began + sent * 1_000_000_000L / perSecond - System.nanoTime();
                if (early > 2_000_000) Thread.sleep(early / 1_000_000);
            }
            producer.flush();
        }
        System.out.println("acked " + acked.get() + " of " + sent);
    }

    private static void read(String boot, String topic, boolean longs, long seconds, long atLeast) {
        Properties p = new Properties();
        p.put("bootstrap.servers", boot);
        p.put("isolation.level", "read_committed");
        p.put("auto.offset.reset", "earliest");
        long until = System.currentTimeMillis() + seconds * 1000, count = 0;
        StringBuilder out = new StringBuilder();
        try (KafkaConsumer<String, byte[]> c = new KafkaConsumer<>(p, new StringDeserializer(), new ByteArrayDeserializer())) {
            List<TopicPartition> all = c.partitionsFor(topic).stream().map((PartitionInfo i) -> new TopicPartition(topic, i.partition())).toList();
            c.assign(all);
            while (System.currentTimeMillis() < until) {
                for (ConsumerRecord<String, byte[]> r : c.poll(Duration.ofMillis(200))) {
                    count++;
                    Object value = longs ? (Object) java.nio.ByteBuffer.wrap(r.value()).getLong() : new String(r.value(), StandardCharsets.UTF_8);
                    out.append(r.partition()).append('\t').append(r.key()).append('\t').append(value).append('\n');
                }
                if (count >= atLeast && c.endOffsets(all).entrySet().stream().allMatch(e -> c.position(e.getKey()) >= e.getValue())) break;
            }
        }
        System.out.print(out);
        System.out.flush();
    }
}
