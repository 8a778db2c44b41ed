package fintail;

import static org.elasticsearch.rest.RestRequest.Method.DELETE;
import static org.elasticsearch.rest.RestRequest.Method.GET;

import java.io.IOException;
import java.util.Collection;
import java.util.Comparator;
import java.util.List;
import java.util.function.Predicate;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import org.elasticsearch.cluster.metadata.DataStream;
import org.elasticsearch.cluster.metadata.IndexNameExpressionResolver;
import org.elasticsearch.cluster.metadata.Metadata;
import org.elasticsearch.cluster.metadata.MetadataDataStreamsService;
import org.elasticsearch.cluster.metadata.MetadataIndexTemplateService;
import org.elasticsearch.cluster.node.DiscoveryNodes;
import org.elasticsearch.cluster.service.ClusterService;
import org.elasticsearch.common.io.stream.NamedWriteableRegistry;
import org.elasticsearch.common.regex.Regex;
import org.elasticsearch.common.settings.ClusterSettings;
import org.elasticsearch.common.settings.IndexScopedSettings;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.common.settings.SettingsFilter;
import org.elasticsearch.features.NodeFeature;
import org.elasticsearch.index.Index;
import org.elasticsearch.index.IndexNotFoundException;
import org.elasticsearch.plugins.ActionPlugin;
import org.elasticsearch.plugins.Plugin;
import org.elasticsearch.rest.RestController;
import org.elasticsearch.rest.RestHandler;
import org.elasticsearch.rest.RestResponse;
import org.elasticsearch.rest.RestStatus;
import org.elasticsearch.xcontent.XContentBuilder;

/** `GET` and `DELETE _data_stream` (module data-streams is not on Maven Central); who you are is checked, not your rights. */
public final class DataStreamRoutes extends Plugin implements ActionPlugin {
    private ClusterService cluster;

    @Override
    public Collection<?> createComponents(PluginServices services) {
        cluster = services.clusterService();
        return List.of();
    }

    @Override
    public Collection<RestHandler> getRestHandlers(
        Settings settings,
        NamedWriteableRegistry writeables,
        RestController controller,
        ClusterSettings clusterSettings,
        IndexScopedSettings indexSettings,
        SettingsFilter filter,
        IndexNameExpressionResolver resolver,
        Supplier<DiscoveryNodes> nodes,
        Predicate<NodeFeature> features
    ) {
        return List.of(
            Routes.handler(
                "get_data_stream",
                request -> get(request.param("name", "*")),
                new RestHandler.Route(GET, "/_data_stream"),
                new RestHandler.Route(GET, "/_data_stream/{name}")
            ),
            Routes.handler(
                "delete_data_stream",
                request -> delete(request.param("name")),
                new RestHandler.Route(DELETE, "/_data_stream/{name}")
            )
        );
    }

    private Routes.Answer get(String names) {
        return channel -> {
            Metadata metadata = cluster.state().metadata();
            XContentBuilder body = channel.newBuilder().startObject().startArray("data_streams");
            for (DataStream stream : matching(metadata, names)) {
                describe(body, metadata, stream);
            }
            channel.sendResponse(new RestResponse(RestStatus.OK, body.endArray().endObject()));
        };
    }

    private Routes.Answer delete(String names) {
        return channel -> ClusterTask.run(cluster, channel, "delete data stream", state ->
            MetadataDataStreamsService.deleteDataStreams(
                state,
                matching(state.metadata(), names).stream().collect(Collectors.toSet()),
                cluster.getSettings()
            )
        );
    }

    /** As the real module does: a name that matches nothing is a 404, a pattern that matches nothing an empty list. */
    private static List<DataStream> matching(Metadata metadata, String names) {
        List<DataStream> found = metadata.dataStreams().values().stream()
            .filter(stream -> Regex.simpleMatch(names.split(","), stream.getName()))
            .sorted(Comparator.comparing(DataStream::getName))
            .toList();
        if (found.isEmpty() && Regex.isSimpleMatchPattern(names) == false) {
            throw new IndexNotFoundException(names);
        }
        return found;
    }

    private static void describe(XContentBuilder body, Metadata metadata, DataStream stream) throws IOException {
        body.startObject().field("name", stream.getName());
        body.startObject("timestamp_field").field("name", "@timestamp").endObject();
        body.startArray("indices");
        for (Index index : stream.getIndices()) {
            body.startObject().field("index_name", index.getName()).field("index_uuid", index.getUUID());
            String policy = metadata.index(index).getLifecyclePolicyName();
            if (policy != null) {
                body.field("ilm_policy", policy).field("managed_by", "Index Lifecycle Management");
            }
            body.endObject();
        }
        body.endArray();
        body.field("generation", stream.getGeneration());
        body.field("template", MetadataIndexTemplateService.findV2Template(metadata, stream.getName(), false));
        body.field("hidden", stream.isHidden()).endObject();
    }
}
