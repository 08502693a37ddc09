import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.apache.kafka.common.utils.Exit;

/**
 * Runs the official command-line tools by their main classes inside one JVM. Reads one JSON command per line
 * ({id, main, args, stdin, timeout}) and answers one JSON line ({id, exit, out, err}). Commands run side by side: the
 * standard streams are told apart by the thread group a tool's threads inherit.
 */
public final class ToolRunner {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final InheritableThreadLocal<Run> CURRENT = new InheritableThreadLocal<>();

    private static final class Run {
        final ByteArrayOutputStream out = new ByteArrayOutputStream();
        final ByteArrayOutputStream err = new ByteArrayOutputStream();
        final List<Runnable> hooks = new CopyOnWriteArrayList<>();
        InputStream in = InputStream.nullInputStream();
        volatile Integer exit;
        volatile Thread main;

        /** After its exit a tool's own thread is only unwinding; its shutdown hooks may still speak. */
        boolean silent() { return exit != null && Thread.currentThread() == main; }
    }

    private static final class Stopped extends RuntimeException {
        Stopped() { super("exit", null, false, false); }
    }

    private static PrintStream routed(boolean err) {
        return new PrintStream(new OutputStream() {
            @Override public void write(int b) {
                Run run = CURRENT.get();
                if (run != null && !run.silent()) (err ? run.err : run.out).write(b);
            }
            @Override public void write(byte[] bytes, int at, int count) {
                Run run = CURRENT.get();
                if (run != null && !run.silent()) (err ? run.err : run.out).write(bytes, at, count);
            }
        }, true, StandardCharsets.UTF_8);
    }

    public static void main(String[] args) throws Exception {
        PrintStream answers = System.out;
        BufferedReader commands = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        System.setOut(routed(false));
        System.setErr(routed(true));
        System.setIn(new InputStream() {
            @Override public int read() throws java.io.IOException {
                Run run = CURRENT.get();
                return run == null ? -1 : run.in.read();
            }
            @Override public int read(byte[] into, int at, int count) throws java.io.IOException {
                Run run = CURRENT.get();
                return run == null ? -1 : run.in.read(into, at, count);
            }
        });
        Exit.Procedure stop = (status, message) -> {
            Run run = CURRENT.get();
            if (run != null && !run.silent()) run.exit = status;
            throw new Stopped();
        };
        Exit.setExitProcedure(stop);
        Exit.setHaltProcedure(stop);
        Exit.setShutdownHookAdder((name, runnable) -> {
            Run run = CURRENT.get();
            if (run != null) run.hooks.add(runnable);
        });
        ExecutorService pool = Executors.newCachedThreadPool();
        String line;
        while ((line = commands.readLine()) != null) {
            JsonNode command = JSON.readTree(line);
            pool.execute(() -> {
                ObjectNode answer = execute(command);
                synchronized (answers) {
                    answers.println(answer);
                    answers.flush();
                }
            });
        }
        Runtime.getRuntime().halt(0);
    }

    /** The console consumer counts in static fields: each run gets its own copy of the tool's classes. */
    private static Class<?> find(String name) throws Exception {
        if (!name.startsWith("org.apache.kafka.tools.consumer.ConsoleConsumer")) return Class.forName(name);
        ClassLoader parent = ToolRunner.class.getClassLoader();
        URL jar = Class.forName(name).getProtectionDomain().getCodeSource().getLocation();
        ClassLoader own = new URLClassLoader(new URL[] {jar}, parent) {
            @Override protected Class<?> loadClass(String wanted, boolean resolve) throws ClassNotFoundException {
                if (!wanted.startsWith("org.apache.kafka.tools.")) return super.loadClass(wanted, resolve);
                synchronized (getClassLoadingLock(wanted)) {
                    Class<?> found = findLoadedClass(wanted);
                    return found != null ? found : findClass(wanted);
                }
            }
        };
        Thread.currentThread().setContextClassLoader(own);
        return own.loadClass(name);
    }

    private static ObjectNode execute(JsonNode command) {
        Run run = new Run();
        if (command.hasNonNull("stdin")) run.in = new ByteArrayInputStream(command.get("stdin").asText().getBytes(StandardCharsets.UTF_8));
        JsonNode list = command.get("args");
        String[] args = new String[list.size()];
        for (int i = 0; i < args.length; i++) args[i] = list.get(i).asText();
        Thread thread = new Thread(() -> {
            CURRENT.set(run);
            try {
                find(command.get("main").asText()).getMethod("main", String[].class).invoke(null, (Object) args);
                if (run.exit == null) run.exit = 0;
            } catch (InvocationTargetException e) {
                if (run.exit == null) {
                    e.getCause().printStackTrace();
                    run.exit = 1;
                }
            } catch (Throwable e) {
                e.printStackTrace();
                if (run.exit == null) run.exit = 1;
            }
        }, "tool-" + command.get("id").asText());
        run.main = thread;
        thread.start();
        boolean late = false;
        try {
            thread.join(command.path("timeout").asLong(30_000));
            late = thread.isAlive();
            List<Thread> stopping = new ArrayList<>();
            for (Runnable hook : run.hooks) {
                Thread one = new Thread(() -> { CURRENT.set(run); hook.run(); });
                one.setDaemon(true);
                one.start();
                stopping.add(one);
            }
            for (Thread one : stopping) one.join(10_000);
            thread.join(3_000);
            if (thread.isAlive()) thread.interrupt();
            thread.join(3_000);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        ObjectNode answer = JSON.createObjectNode();
        answer.put("id", command.get("id").asText());
        if (run.exit == null) answer.putNull("exit"); else answer.put("exit", run.exit);
        answer.put("late", late);
        answer.put("out", run.out.toString(StandardCharsets.UTF_8));
        answer.put("err", run.err.toString(StandardCharsets.UTF_8));
        return answer;
    }
}
