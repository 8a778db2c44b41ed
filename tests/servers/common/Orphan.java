package fintail;

import java.io.IOException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;

/**
 * Ends this server when the test process that started it is gone.
 *
 * The harness holds the writing end of our standard input and never writes to it. The kernel closes that end however the
 * harness dies (return, panic, abort, SIGKILL), so end of file here is the one sign that cannot be missed.
 */
public final class Orphan {
    private static final long CLOSE_DEADLINE_MS = 5_000;

    private Orphan() {}

    /** Watches standard input; at its end runs `close`, deletes `home` (nobody else is left to do it) and ends the JVM. */
    public static void watch(Path home, AutoCloseable close) {
        daemon("orphan-watch", () -> {
            try {
                while (System.in.read() >= 0) {
                    // bytes mean nothing, only the end does
                }
            } catch (IOException broken) {
                // as good as the end
            }
            daemon("orphan-deadline", () -> haltLater());
            try {
                close.close();
                deleteTree(home);
            } catch (Exception ignored) {
                // the process ends anyway; a left-over temporary folder is the worst of it
            }
            Runtime.getRuntime().halt(0);
        });
    }

    private static void haltLater() {
        try {
            Thread.sleep(CLOSE_DEADLINE_MS);
        } catch (InterruptedException now) {
            // halt now
        }
        Runtime.getRuntime().halt(1);
    }

    private static void daemon(String name, Runnable body) {
        Thread thread = new Thread(body, name);
        thread.setDaemon(true);
        thread.start();
    }

    private static void deleteTree(Path root) throws IOException {
        Files.walkFileTree(root, new SimpleFileVisitor<>() {
            @Override
            public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) throws IOException {
                Files.deleteIfExists(file);
                return FileVisitResult.CONTINUE;
            }

            @Override
            public FileVisitResult postVisitDirectory(Path folder, IOException error) throws IOException {
                Files.deleteIfExists(folder);
                return FileVisitResult.CONTINUE;
            }
        });
    }
}
