package fintail;

import java.io.IOException;
import java.util.List;
import org.elasticsearch.client.internal.node.NodeClient;
import org.elasticsearch.rest.BaseRestHandler;
import org.elasticsearch.rest.RestChannel;
import org.elasticsearch.rest.RestHandler;
import org.elasticsearch.rest.RestRequest;

/** REST handlers from lambdas, for the few routes whose modules are not on Maven Central. */
final class Routes {
    private Routes() {}

    /** Reads everything it needs of the request, then answers. */
    interface Prepare {
        Answer prepare(RestRequest request) throws IOException;
    }

    interface Answer {
        void to(RestChannel channel) throws Exception;
    }

    static RestHandler handler(String name, Prepare prepare, RestHandler.Route... routes) {
        return new BaseRestHandler() {
            @Override
            public String getName() {
                return "fintail_tests_" + name;
            }

            @Override
            public List<Route> routes() {
                return List.of(routes);
            }

            @Override
            protected RestChannelConsumer prepareRequest(RestRequest request, NodeClient client) throws IOException {
                Answer answer = prepare.prepare(request);
                return answer::to;
            }
        };
    }
}
