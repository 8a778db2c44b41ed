package fintail;

import java.util.function.UnaryOperator;
import org.elasticsearch.action.support.master.AcknowledgedResponse;
import org.elasticsearch.cluster.AckedClusterStateUpdateTask;
import org.elasticsearch.cluster.ClusterState;
import org.elasticsearch.cluster.service.ClusterService;
import org.elasticsearch.core.TimeValue;
import org.elasticsearch.rest.RestChannel;
import org.elasticsearch.rest.action.RestToXContentListener;

/** A change of the cluster state that answers `{"acknowledged": true}` once it holds. */
final class ClusterTask {
    static final TimeValue DEADLINE = TimeValue.timeValueSeconds(30);

    private ClusterTask() {}

    static void run(ClusterService cluster, RestChannel channel, String what, UnaryOperator<ClusterState> change) {
        RestToXContentListener<AcknowledgedResponse> listener = new RestToXContentListener<>(channel);
        cluster.submitUnbatchedStateUpdateTask(what, new AckedClusterStateUpdateTask(DEADLINE, DEADLINE, listener) {
            @Override
            public ClusterState execute(ClusterState state) {
                return change.apply(state);
            }
        });
    }
}
