package fintail;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import org.opensearch.common.settings.Settings;
import org.opensearch.env.Environment;
import org.opensearch.index.mapper.MapperExtrasPlugin;
import org.opensearch.index.reindex.ReindexPlugin;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.node.Node;
import org.opensearch.plugins.Plugin;
import org.opensearch.transport.Netty4Plugin;

/**
 * One OpenSearch node from class path jars.
 *
 * Usage: OpenSearchNode HOME PORT [setting=value ...]; HOME/config/{server.crt,server.key} turn TLS on, client-ca.crt beside
 * them asks for client certificates; the environment variable NODE_BASIC=user:password turns basic authentication on.
 */
public final class OpenSearchNode extends Node {
    private OpenSearchNode(Environment environment, Collection<Class<? extends Plugin>> plugins) {
        super(environment, plugins, false);
    }

    public static void main(String[] arguments) throws Exception {
        Path home = Path.of(arguments[0]).toAbsolutePath();
        Path config = Files.createDirectories(home.resolve("config"));
        boolean tls = Files.exists(config.resolve("server.crt"));

        Settings.Builder settings = Settings.builder()
            .put("path.home", home.toString())
            .put("node.name", "test")
            .put("cluster.name", "fintail-tests")
            .put("discovery.type", "single-node")
            .put("network.host", "127.0.0.1")
            .put("http.port", arguments[1])
            .put("transport.type", "netty4")
            .put("transport.port", "0")
            .put("http.type", tls ? Netty4Plugin.NETTY_SECURE_HTTP_TRANSPORT_NAME : "netty4")
            // a developer's nearly full disk must not turn indices read-only
            .put("cluster.routing.allocation.disk.threshold_enabled", false);
        for (String setting : List.of(arguments).subList(2, arguments.length)) {
            int equals = setting.indexOf('=');
            settings.put(setting.substring(0, equals), setting.substring(equals + 1));
        }

        List<Class<? extends Plugin>> plugins =
            new ArrayList<>(List.of(Netty4Plugin.class, MapperExtrasPlugin.class, ReindexPlugin.class, BasicAuth.class));
        if (tls) {
            plugins.add(PemTls.class);
        }

        Environment environment =
            InternalSettingsPreparer.prepareEnvironment(settings.build(), Map.of(), config, () -> "test");
        Node node = new OpenSearchNode(environment, plugins);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> closeQuietly(node)));
        Orphan.watch(home, node);
        node.start();
        Thread.currentThread().join();
    }

    private static void closeQuietly(Node node) {
        try {
            node.close();
        } catch (Exception ignored) {
            // the process ends; the translog makes the data whole at the next start
        }
    }
}
