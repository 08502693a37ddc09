import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import java.util.zip.CRC32;

import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.record.CompressionType;
import org.apache.kafka.common.record.ControlRecordType;
import org.apache.kafka.common.record.EndTransactionMarker;
import org.apache.kafka.common.record.MemoryRecords;
import org.apache.kafka.common.record.MemoryRecordsBuilder;
import org.apache.kafka.common.record.MutableRecordBatch;
import org.apache.kafka.common.record.Record;
import org.apache.kafka.common.record.TimestampType;

/**
 * Record batches as Apache Kafka's own clients library writes and reads them.
 *
 *   javac -cp 'libs/*' -d out GoldenRecords.java
 *   java -cp 'libs/*:out' GoldenRecords write ../golden/records     the golden files: NAME.bin and NAME.txt
 *   java -cp 'libs/*:out' GoldenRecords check DIR                   reads every NAME.bin, compares with NAME.txt
 */
public class GoldenRecords {
    static final Header[] NONE = new Header[0];

    public static void main(String[] args) throws Exception {
        Path dir = Path.of(args[1]);
        if (args[0].equals("write"))
            write(dir);
        else
            check(dir);
    }

    static void write(Path dir) throws Exception {
        for (CompressionType codec : CompressionType.values()) {
            for (byte magic = 0; magic <= 2; magic++) {
                if (magic < 2 && codec == CompressionType.ZSTD)
                    continue;
                for (TimestampType type : new TimestampType[] {TimestampType.CREATE_TIME, TimestampType.LOG_APPEND_TIME}) {
                    if (magic == 0 && type == TimestampType.LOG_APPEND_TIME)
                        continue;
                    String name = "v" + magic + "-" + codec.name + (type == TimestampType.CREATE_TIME ? "" : "-append-time");
                    MemoryRecordsBuilder builder = MemoryRecords.builder(ByteBuffer.allocate(1024), magic,
                        Compression.of(codec).build(), magic == 0 ? TimestampType.CREATE_TIME : type, 100L, 5_000L);
                    fill(builder, magic);
                    save(dir, name, builder.build());
                }
            }
            if (codec == CompressionType.NONE)
                continue;
            MemoryRecordsBuilder builder = MemoryRecords.builder(ByteBuffer.allocate(1024), (byte) 2,
                Compression.of(codec).build(), TimestampType.CREATE_TIME, 7L, -1L, 4_000L, (short) 3, 2_147_483_646, true, 9);
            // More than one block of every codec, and values that cross blocks.
            for (int i = 0; i < 40; i++)
                builder.append(1_000L + i, ("key-" + i).getBytes(StandardCharsets.UTF_8), pattern(5_000, i));
            save(dir, "v2-" + codec.name + "-large", builder.build());
        }
        save(dir, "v2-commit", MemoryRecords.withEndTransactionMarker(11L, 1_234L, 5, 4_000L, (short) 3,
            new EndTransactionMarker(ControlRecordType.COMMIT, 17)));
        save(dir, "v2-abort", MemoryRecords.withEndTransactionMarker(12L, 1_235L, 5, 4_000L, (short) 3,
            new EndTransactionMarker(ControlRecordType.ABORT, 18)));
    }

    static void fill(MemoryRecordsBuilder builder, byte magic) {
        builder.append(1_000L, bytes("a"), bytes("first"), NONE);
        builder.append(1_000L + (1L << 40), null, bytes("no key, far ahead"), NONE);
        builder.append(999L, bytes("tombstone"), null, NONE);
        builder.append(2_000L, new byte[0], new byte[0], NONE);
        if (magic == 2) {
            builder.append(2_001L, bytes("h"), bytes("headers"), new Header[] {
                new RecordHeader("same", bytes("1")), new RecordHeader("same", bytes("2")),
                new RecordHeader("null", null), new RecordHeader("", new byte[0]),
                new RecordHeader("\u00fcmlaut", bytes("\u00e4"))});
        }
        for (int i = 0; i < 20; i++)
            builder.append(3_000L + i, bytes("k" + i), pattern(100, i), NONE);
    }

    static byte[] bytes(String s) {
        return s.getBytes(StandardCharsets.UTF_8);
    }

    static byte[] pattern(int size, int seed) {
        byte[] value = new byte[size];
        String text = String.format("{\"n\":%2d,\"name\":\"v\"}", seed);
        for (int i = 0; i < size; i++)
            value[i] = (byte) text.charAt(i % text.length());
        return value;
    }

    static void save(Path dir, String name, MemoryRecords records) throws Exception {
        ByteBuffer buffer = records.buffer();
        byte[] bytes = new byte[buffer.remaining()];
        buffer.get(bytes);
        Files.write(dir.resolve(name + ".bin"), bytes);
        Files.writeString(dir.resolve(name + ".txt"), dump(bytes));
    }

    static void check(Path dir) throws Exception {
        int wrong = 0, files = 0;
        List<Path> paths;
        try (Stream<Path> list = Files.list(dir)) {
            paths = list.filter(p -> p.toString().endsWith(".bin")).sorted().collect(Collectors.toList());
        }
        for (Path path : paths) {
            files++;
            String expected = Files.readString(Path.of(path.toString().replace(".bin", ".txt")));
            String found;
            try {
                found = dump(Files.readAllBytes(path));
            } catch (Exception e) {
                found = e.toString();
            }
            if (!found.equals(expected)) {
                wrong++;
                System.out.println("DIFFERS " + path + "\n--- expected\n" + expected + "--- found\n" + found);
            }
        }
        System.out.println(files + " files, " + wrong + " wrong");
        System.exit(wrong == 0 && files > 0 ? 0 : 1);
    }

    static String dump(byte[] bytes) {
        StringBuilder out = new StringBuilder();
        for (MutableRecordBatch batch : MemoryRecords.readableRecords(ByteBuffer.wrap(bytes)).batches()) {
            batch.ensureValid();
            out.append(String.format("batch magic=%d codec=%d last=%d type=%s max=%d", batch.magic(),
                batch.compressionType().id, batch.lastOffset(),
                batch.magic() > 0 && batch.timestampType() == TimestampType.LOG_APPEND_TIME ? "append" : "create",
                batch.maxTimestamp()));
            if (batch.magic() == 2)
                out.append(String.format(" base=%d count=%d pid=%d epoch=%d seq=%d..%d txn=%b control=%b leader=%d",
                    batch.baseOffset(), batch.countOrNull(), batch.producerId(), batch.producerEpoch(),
                    batch.baseSequence(), batch.lastSequence(), batch.isTransactional(), batch.isControlBatch(),
                    batch.partitionLeaderEpoch()));
            out.append('\n');
            for (Record record : batch) {
                record.ensureValid();
                out.append(String.format("  %d @%d %s = %s", record.offset(), record.timestamp(),
                    show(record.key()), show(record.value())));
                for (Header header : record.headers())
                    out.append(String.format(" [%s: %s]", show(ByteBuffer.wrap(bytes(header.key()))),
                        show(header.value() == null ? null : ByteBuffer.wrap(header.value()))));
                out.append('\n');
            }
        }
        return out.toString();
    }

    static String show(ByteBuffer buffer) {
        if (buffer == null)
            return "null";
        byte[] bytes = new byte[buffer.remaining()];
        buffer.duplicate().get(bytes);
        if (bytes.length > 40) {
            CRC32 crc = new CRC32();
            crc.update(bytes);
            return bytes.length + "#" + String.format("%08x", crc.getValue());
        }
        StringBuilder hex = new StringBuilder("x");
        for (byte b : bytes)
            hex.append(String.format("%02x", b));
        return hex.toString();
    }
}
