package org.elasticsearch.node;

import fintail.Orphan;
import fintail.DataStreamRoutes;
import fintail.LifecycleRoutes;
import fintail.MainRoute;
import fintail.ProfileAnalysis;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.elasticsearch.common.logging.LogConfigurator;
import org.elasticsearch.common.settings.KeyStoreWrapper;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.env.Environment;
import org.elasticsearch.plugins.ClassPathPlugins;
import org.elasticsearch.plugins.Plugin;
import org.elasticsearch.plugins.PluginsLoader;
import org.elasticsearch.plugins.PluginsService;
import org.elasticsearch.transport.netty4.Netty4Plugin;
import org.elasticsearch.xpack.core.XPackPlugin;
import org.elasticsearch.xpack.security.SecurityWithoutSaml;

/**
 * One Elasticsearch node from class path jars. It lies in Elasticsearch's package because NodeConstruction, where the
 * plugin loader can be replaced, is visible only there.
 *
 * Usage: EsNode HOME PORT [setting=value ...]; the environment variable NODE_PASSWORD (of user `elastic`) turns security on.
 */
public final class EsNode extends Node {
    private EsNode(Environment environment, List<Class<? extends Plugin>> plugins) {
        super(NodeConstruction.prepareConstruction(environment, null, new NodeServiceProvider() {
            @Override
            PluginsService newPluginService(Environment forPlugins, PluginsLoader moduleFolders) {
                return new ClassPathPlugins(forPlugins, plugins);
            }
        }, true));
    }

    public static void main(String[] arguments) throws Exception {
        Path home = Path.of(arguments[0]).toAbsolutePath();
        Path config = Files.createDirectories(home.resolve("config"));
        String password = System.getenv("NODE_PASSWORD");
        LogConfigurator.configureESLogging();

        Settings.Builder settings = Settings.builder()
            .put("path.home", home.toString())
            .put("node.name", "test")
            .put("cluster.name", "fintail-tests")
            .put("discovery.type", "single-node")
            .put("network.host", "127.0.0.1")
            .put("http.port", arguments[1])
            .put("transport.port", "0")
            .put("xpack.security.enabled", password != null)
            .put("xpack.security.transport.ssl.enabled", false)
            // a developer's nearly full disk must not turn indices read-only
            .put("cluster.routing.allocation.disk.threshold_enabled", false);
        for (String setting : List.of(arguments).subList(2, arguments.length)) {
            int equals = setting.indexOf('=');
            settings.put(setting.substring(0, equals), setting.substring(equals + 1));
        }

        List<Class<? extends Plugin>> plugins = new ArrayList<>(List.of(
            Netty4Plugin.class,
            XPackPlugin.class,
            MainRoute.class,
            DataStreamRoutes.class,
            LifecycleRoutes.class,
            ProfileAnalysis.class
        ));
        KeyStoreWrapper secrets = KeyStoreWrapper.create();
        if (password != null) {
            plugins.add(SecurityWithoutSaml.class);
            secrets.setString("bootstrap.password", password.toCharArray());
        }
        settings.setSecureSettings(secrets);

        Environment environment =
            InternalSettingsPreparer.prepareEnvironment(settings.build(), Map.of(), config, () -> "test");
        Node node = new EsNode(environment, plugins);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> closeQuietly(node)));
        Orphan.watch(home, node);
        node.start();
        Thread.currentThread().join();
    }

    private static void closeQuietly(Node node) {
        try {
            node.prepareForClose();
            node.close();
        } catch (Exception ignored) {
            // the process ends; the translog makes the data whole at the next start
        }
    }
}
