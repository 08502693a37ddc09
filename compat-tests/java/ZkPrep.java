import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.CountDownLatch;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.ZooDefs;
import org.apache.zookeeper.ZooKeeper;

/** Writes znodes: each line of stdin is a path, a tab and its data; parents are made on the way. */
public final class ZkPrep {
    public static void main(String[] args) throws Exception {
        CountDownLatch connected = new CountDownLatch(1);
        try (ZooKeeper zk = new ZooKeeper(args[0], 10_000, event -> connected.countDown())) {
            connected.await();
            BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
            String line;
            while ((line = lines.readLine()) != null) {
                String[] parts = line.split("\t", 2);
                for (int slash = parts[0].indexOf('/', 1); slash > 0; slash = parts[0].indexOf('/', slash + 1)) put(zk, parts[0].substring(0, slash), null);
                put(zk, parts[0], parts[1].getBytes(StandardCharsets.UTF_8));
            }
        }
        System.exit(0);
    }

    private static void put(ZooKeeper zk, String path, byte[] data) throws Exception {
        try {
            zk.create(path, data, ZooDefs.Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        } catch (KeeperException.NodeExistsException exists) {
            if (data != null) zk.setData(path, data, -1);
        }
    }
}
