import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.Properties;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringSerializer;

/** `bootstrap transactional-id topic value`: opens a transaction, says so, and does what it reads from stdin when it comes. */
public final class TxnZombie {
    interface Body { void run() throws Exception; }

    public static void main(String[] args) throws Exception {
        Properties p = new Properties();
        p.put("bootstrap.servers", args[0]);
        p.put("transactional.id", args[1]);
        p.put("max.block.ms", "30000");
        KafkaProducer<String, String> producer = new KafkaProducer<>(p, new StringSerializer(), new StringSerializer());
        producer.initTransactions();
        producer.beginTransaction();
        producer.send(new ProducerRecord<>(args[2], 0, "k", args[3])).get(30, TimeUnit.SECONDS);
        System.out.println("open");
        System.out.flush();
        String what = new BufferedReader(new InputStreamReader(System.in)).readLine();
        if (what.equals("sends") || what.equals("flushes"))
            attempt("send", () -> producer.send(new ProducerRecord<>(args[2], 0, "k", args[3] + ", late")).get(30, TimeUnit.SECONDS));
        if (what.equals("flushes")) attempt("flush", producer::flush);
        if (what.equals("aborts")) attempt("abort", producer::abortTransaction);
        else attempt("commit", producer::commitTransaction);
        System.out.flush();
        System.exit(0);
    }

    private static void attempt(String label, Body body) {
        try {
            body.run();
            System.out.println(label + ": ok");
        } catch (Throwable e) {
            Throwable cause = e instanceof java.util.concurrent.ExecutionException ? e.getCause() : e;
            System.out.println(label + ": " + cause.getClass().getSimpleName());
        }
    }
}
