package fintail;

import static org.elasticsearch.rest.RestRequest.Method.DELETE;
import static org.elasticsearch.rest.RestRequest.Method.GET;
import static org.elasticsearch.rest.RestRequest.Method.PUT;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.function.Predicate;
import java.util.function.Supplier;
import org.elasticsearch.ResourceNotFoundException;
import org.elasticsearch.cluster.ClusterState;
import org.elasticsearch.cluster.metadata.IndexNameExpressionResolver;
import org.elasticsearch.cluster.metadata.Metadata;
import org.elasticsearch.cluster.node.DiscoveryNodes;
import org.elasticsearch.cluster.service.ClusterService;
import org.elasticsearch.common.io.stream.NamedWriteableRegistry;
import org.elasticsearch.common.regex.Regex;
import org.elasticsearch.common.settings.ClusterSettings;
import org.elasticsearch.common.settings.IndexScopedSettings;
import org.elasticsearch.common.settings.Setting;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.common.settings.SettingsFilter;
import org.elasticsearch.core.CheckedFunction;
import org.elasticsearch.features.NodeFeature;
import org.elasticsearch.plugins.ActionPlugin;
import org.elasticsearch.plugins.Plugin;
import org.elasticsearch.rest.RestController;
import org.elasticsearch.rest.RestHandler;
import org.elasticsearch.rest.RestRequest;
import org.elasticsearch.rest.RestResponse;
import org.elasticsearch.rest.RestStatus;
import org.elasticsearch.xcontent.NamedXContentRegistry;
import org.elasticsearch.xcontent.ParseField;
import org.elasticsearch.xcontent.XContentParser;
import org.elasticsearch.xpack.core.ilm.AllocateAction;
import org.elasticsearch.xpack.core.ilm.DeleteAction;
import org.elasticsearch.xpack.core.ilm.ForceMergeAction;
import org.elasticsearch.xpack.core.ilm.FreezeAction;
import org.elasticsearch.xpack.core.ilm.IndexLifecycleMetadata;
import org.elasticsearch.xpack.core.ilm.LifecycleAction;
import org.elasticsearch.xpack.core.ilm.LifecyclePolicy;
import org.elasticsearch.xpack.core.ilm.LifecyclePolicyMetadata;
import org.elasticsearch.xpack.core.ilm.LifecycleSettings;
import org.elasticsearch.xpack.core.ilm.LifecycleType;
import org.elasticsearch.xpack.core.ilm.MigrateAction;
import org.elasticsearch.xpack.core.ilm.ReadOnlyAction;
import org.elasticsearch.xpack.core.ilm.RolloverAction;
import org.elasticsearch.xpack.core.ilm.SearchableSnapshotAction;
import org.elasticsearch.xpack.core.ilm.SetPriorityAction;
import org.elasticsearch.xpack.core.ilm.ShrinkAction;
import org.elasticsearch.xpack.core.ilm.TimeseriesLifecycleType;
import org.elasticsearch.xpack.core.ilm.UnfollowAction;
import org.elasticsearch.xpack.core.ilm.WaitForSnapshotAction;
import org.elasticsearch.xpack.core.ilm.action.PutLifecycleRequest;

/** `_ilm/policy`: policies are parsed, validated and stored by the real classes, but never run (that module is not there). */
public final class LifecycleRoutes extends Plugin implements ActionPlugin {
    private ClusterService cluster;

    @Override
    public Collection<?> createComponents(PluginServices services) {
        cluster = services.clusterService();
        return List.of();
    }

    @Override
    public List<Setting<?>> getSettings() {
        return List.of(
            LifecycleSettings.LIFECYCLE_NAME_SETTING,
            LifecycleSettings.LIFECYCLE_INDEXING_COMPLETE_SETTING,
            LifecycleSettings.LIFECYCLE_SKIP_SETTING,
            LifecycleSettings.LIFECYCLE_POLL_INTERVAL_SETTING,
            RolloverAction.LIFECYCLE_ROLLOVER_ALIAS_SETTING
        );
    }

    @Override
    public List<NamedXContentRegistry.Entry> getNamedXContent() {
        List<NamedXContentRegistry.Entry> entries = new ArrayList<>();
        entries.add(
            new NamedXContentRegistry.Entry(
                Metadata.Custom.class,
                new ParseField(IndexLifecycleMetadata.TYPE),
                parser -> IndexLifecycleMetadata.PARSER.parse(parser, null)
            )
        );
        entries.add(
            new NamedXContentRegistry.Entry(
                LifecycleType.class,
                new ParseField(TimeseriesLifecycleType.TYPE),
                (parser, context) -> TimeseriesLifecycleType.INSTANCE
            )
        );
        entries.add(action(AllocateAction.NAME, AllocateAction::parse));
        entries.add(action(DeleteAction.NAME, DeleteAction::parse));
        entries.add(action(ForceMergeAction.NAME, ForceMergeAction::parse));
        entries.add(action(FreezeAction.NAME, FreezeAction::parse));
        entries.add(action(MigrateAction.NAME, MigrateAction::parse));
        entries.add(action(ReadOnlyAction.NAME, ReadOnlyAction::parse));
        entries.add(action(RolloverAction.NAME, RolloverAction::parse));
        entries.add(action(SearchableSnapshotAction.NAME, SearchableSnapshotAction::parse));
        entries.add(action(SetPriorityAction.NAME, SetPriorityAction::parse));
        entries.add(action(ShrinkAction.NAME, ShrinkAction::parse));
        entries.add(action(UnfollowAction.NAME, UnfollowAction::parse));
        entries.add(action(WaitForSnapshotAction.NAME, WaitForSnapshotAction::parse));
        return entries;
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
                "get_policy",
                request -> get(request.param("name", "*")),
                new RestHandler.Route(GET, "/_ilm/policy"),
                new RestHandler.Route(GET, "/_ilm/policy/{name}")
            ),
            Routes.handler("put_policy", this::put, new RestHandler.Route(PUT, "/_ilm/policy/{name}")),
            Routes.handler(
                "delete_policy",
                request -> delete(request.param("name")),
                new RestHandler.Route(DELETE, "/_ilm/policy/{name}")
            )
        );
    }

    private Routes.Answer get(String names) {
        return channel -> {
            var body = channel.newBuilder().startObject();
            boolean found = false;
            for (var entry : stored(cluster.state()).getPolicyMetadatas().entrySet()) {
                if (Regex.simpleMatch(names.split(","), entry.getKey())) {
                    found = true;
                    body.startObject(entry.getKey());
                    body.field("version", entry.getValue().getVersion());
                    body.field("modified_date", entry.getValue().getModifiedDateString());
                    body.field("policy", entry.getValue().getPolicy());
                    body.endObject();
                }
            }
            if (found == false && Regex.isSimpleMatchPattern(names) == false) {
                throw notFound(names);
            }
            channel.sendResponse(new RestResponse(RestStatus.OK, body.endObject()));
        };
    }

    private Routes.Answer put(RestRequest request) throws IOException {
        String name = request.param("name");
        LifecyclePolicy policy = parsed(name, request);
        policy.validate();
        LifecyclePolicy.validatePolicyName(name);
        return channel -> ClusterTask.run(cluster, channel, "put policy", state -> {
            SortedMap<String, LifecyclePolicyMetadata> policies = new TreeMap<>(stored(state).getPolicyMetadatas());
            LifecyclePolicyMetadata before = policies.get(name);
            long version = before == null ? 1 : before.getVersion() + 1;
            policies.put(name, new LifecyclePolicyMetadata(policy, Map.of(), version, System.currentTimeMillis()));
            return with(state, policies);
        });
    }

    private Routes.Answer delete(String name) {
        return channel -> ClusterTask.run(cluster, channel, "delete policy", state -> {
            SortedMap<String, LifecyclePolicyMetadata> policies = new TreeMap<>(stored(state).getPolicyMetadatas());
            if (policies.remove(name) == null) {
                throw notFound(name);
            }
            return with(state, policies);
        });
    }

    private static LifecyclePolicy parsed(String name, RestRequest request) throws IOException {
        PutLifecycleRequest.Factory factory = new PutLifecycleRequest.Factory() {
            @Override
            public PutLifecycleRequest create(LifecyclePolicy policy) {
                return new PutLifecycleRequest(ClusterTask.DEADLINE, ClusterTask.DEADLINE, policy);
            }

            @Override
            public String getPolicyName() {
                return name;
            }
        };
        try (XContentParser parser = request.contentParser()) {
            return PutLifecycleRequest.parseRequest(factory, parser).getPolicy();
        }
    }

    private static IndexLifecycleMetadata stored(ClusterState state) {
        return state.metadata().custom(IndexLifecycleMetadata.TYPE, IndexLifecycleMetadata.EMPTY);
    }

    private static ClusterState with(ClusterState state, SortedMap<String, LifecyclePolicyMetadata> policies) {
        IndexLifecycleMetadata changed = new IndexLifecycleMetadata(policies, stored(state).getOperationMode());
        Metadata.Builder metadata = Metadata.builder(state.metadata()).putCustom(IndexLifecycleMetadata.TYPE, changed);
        return ClusterState.builder(state).metadata(metadata).build();
    }

    private static ResourceNotFoundException notFound(String names) {
        return new ResourceNotFoundException("Lifecycle policy not found: {}", names);
    }

    private static NamedXContentRegistry.Entry action(
        String name,
        CheckedFunction<XContentParser, ? extends LifecycleAction, IOException> parse
    ) {
        return new NamedXContentRegistry.Entry(LifecycleAction.class, new ParseField(name), parse::apply);
    }
}
