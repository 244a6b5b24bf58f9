import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import java.util.zip.CRC32;
import java.util.zip.Deflater;
import java.util.zip.GZIPInputStream;
import java.util.zip.GZIPOutputStream;
import java.util.zip.Inflater;

/** The JVM maps its heap: malloc gets compilers, class loading, zlib, buffers and threads. */
public class Churn {
    static long churn(long seed, int steps) {
        Random random = new Random(seed);
        Map<Integer, byte[]> live = new HashMap<>();
        for (int i = 0; i < steps; i++) {
            int key = random.nextInt(500);
            if (live.remove(key) == null) live.put(key, new byte[random.nextInt(5000)]);
        }
        return live.entrySet().stream().mapToLong(e -> (e.getKey() + 1L) * e.getValue().length).sum();
    }

    static long zip(long seed) throws Exception {
        byte[] text = new byte[200_000];
        Random random = new Random(seed);
        for (int i = 0; i < text.length; i++) text[i] = (byte) ('a' + random.nextInt(4));
        CRC32 crc = new CRC32();
        for (int level = 1; level <= 9; level += 4) {
            Deflater deflater = new Deflater(level);
            deflater.setInput(text);
            deflater.finish();
            byte[] packed = new byte[300_000];
            int length = deflater.deflate(packed);
            deflater.end();
            Inflater inflater = new Inflater();
            inflater.setInput(packed, 0, length);
            byte[] back = new byte[text.length];
            inflater.inflate(back);
            inflater.end();
            crc.update(back);
            crc.update(length);
        }
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (GZIPOutputStream out = new GZIPOutputStream(bytes)) {
            out.write(text);
        }
        crc.update(new GZIPInputStream(new ByteArrayInputStream(bytes.toByteArray())).readAllBytes());
        return crc.getValue();
    }

    static long direct(int n) {
        List<ByteBuffer> buffers = new ArrayList<>();
        long sum = 0;
        for (int i = 0; i < 200; i++) {
            ByteBuffer buffer = ByteBuffer.allocateDirect(1 + (i * 7919 * n) % 60_000);
            buffer.put(0, (byte) i);
            buffers.add(buffer);
            if (i % 3 == 0) buffers.remove(0);
        }
        for (ByteBuffer buffer : buffers) sum += buffer.capacity() + buffer.get(0);
        return sum;
    }

    static <T> void parallel(String what, int tasks, java.util.function.IntFunction<Callable<T>> make)
            throws Exception {
        ExecutorService pool = Executors.newFixedThreadPool(4);
        List<Future<T>> results = new ArrayList<>();
        for (int n = 0; n < tasks; n++) results.add(pool.submit(make.apply(n)));
        StringBuilder line = new StringBuilder(what);
        for (Future<T> result : results) line.append(' ').append(result.get());
        System.out.println(line);
        pool.shutdown();
    }

    public static void main(String[] arguments) throws Exception {
        parallel("churn", 8, n -> () -> churn(n, 50_000));
        parallel("zip", 8, n -> () -> zip(n));
        parallel("direct", 8, n -> () -> direct(n + 1));

        long finished = 0;
        for (int i = 0; i < 500; i++) {
            long[] result = new long[1];
            Thread thread = new Thread(() -> result[0] = churn(7, 50));
            thread.start();
            thread.join();
            finished += result[0];
        }
        System.out.println("threads " + finished);

        String text = String.join(" ", IntStream.range(0, 20_000).mapToObj(Integer::toHexString).toList());
        long words = Pattern.compile("\\b([0-9a-f])\\1[0-9a-f]*\\b").matcher(text).results().count();
        System.out.println("regex " + words + " " + text.hashCode());

        Path file = Files.createTempFile("churn", null);
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
            for (int i = 0; i < 100; i++) channel.write(ByteBuffer.wrap(text.getBytes(), i, 1000));
        }
        System.out.println("file " + java.util.Arrays.hashCode(Files.readAllBytes(file)));
        Files.delete(file);
    }
}
