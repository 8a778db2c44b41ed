package org.elasticsearch.plugins;

import java.lang.reflect.Constructor;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.ServiceConfigurationError;
import java.util.ServiceLoader;
import java.util.Set;
import org.elasticsearch.Build;
import org.elasticsearch.action.admin.cluster.node.info.PluginsAndModules;
import org.elasticsearch.env.Environment;

/** Plugins that are plain classes of the class path, where Elasticsearch expects a folder with a descriptor for each. */
public final class ClassPathPlugins extends PluginsService {
    private final List<LoadedPlugin> loaded;

    public ClassPathPlugins(Environment environment, List<Class<? extends Plugin>> classes) {
        super(environment.settings(), environment.configDir(), new PluginsLoader(Set.of(), Set.of(), Map.of()));
        List<LoadedPlugin> plugins = new ArrayList<>();
        for (Class<? extends Plugin> type : classes) {
            Plugin plugin = loadPlugin(type, environment.settings(), environment.configDir());
            plugins.add(new LoadedPlugin(descriptor(type), plugin, type.getClassLoader()));
        }
        loaded = List.copyOf(plugins);
        for (LoadedPlugin plugin : loaded) {
            if (plugin.instance() instanceof ExtensiblePlugin extensible) {
                extensible.loadExtensions(new NoExtensions());
            }
        }
    }

    @Override
    protected List<LoadedPlugin> plugins() {
        return loaded;
    }

    @Override
    public PluginsAndModules info() {
        return new PluginsAndModules(List.of(), loaded.stream().map(LoadedPlugin::descriptor).toList());
    }

    /** A provider whose constructor takes a plugin gets that plugin; one whose plugin is not among ours is left out. */
    @Override
    public <T> List<? extends T> loadServiceProviders(Class<T> service) {
        List<T> providers = new ArrayList<>();
        ServiceLoader.load(service, getClass().getClassLoader()).stream().forEach(provider -> {
            try {
                T made = madeWithPlugin(service, provider.type());
                providers.add(made != null ? made : provider.get());
            } catch (ReflectiveOperationException | ServiceConfigurationError error) {
                System.err.println("provider left out: " + provider.type().getName() + ": " + error);
            }
        });
        return providers;
    }

    private <T> T madeWithPlugin(Class<T> service, Class<? extends T> type) throws ReflectiveOperationException {
        for (LoadedPlugin plugin : loaded) {
            for (Constructor<?> constructor : type.getConstructors()) {
                Class<?>[] takes = constructor.getParameterTypes();
                if (takes.length == 1 && takes[0].isInstance(plugin.instance())) {
                    return service.cast(constructor.newInstance(plugin.instance()));
                }
            }
        }
        return null;
    }

    private static PluginDescriptor descriptor(Class<? extends Plugin> type) {
        String java = Integer.toString(Runtime.version().feature());
        String name = type.getName();
        return new PluginDescriptor(
            name, "class path plugin", "NA", Build.current().version(), java, name, null, List.of(), false, false, false, false
        );
    }

    private static final class NoExtensions implements ExtensiblePlugin.ExtensionLoader {
        @Override
        public <T> List<T> loadExtensions(Class<T> point) {
            return List.of();
        }
    }
}
