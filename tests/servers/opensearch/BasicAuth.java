package fintail;

import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.function.UnaryOperator;
import org.opensearch.common.util.concurrent.ThreadContext;
import org.opensearch.core.rest.RestStatus;
import org.opensearch.plugins.ActionPlugin;
import org.opensearch.plugins.Plugin;
import org.opensearch.rest.BytesRestResponse;
import org.opensearch.rest.RestHandler;

/** Answers 401 to every request without the right Authorization header (the security plugin is not on Maven Central). */
public final class BasicAuth extends Plugin implements ActionPlugin {
    private static final String REFUSAL = "{\"error\":{\"type\":\"security_exception\",\"reason\":\"unauthorized\"},\"status\":401}";

    @Override
    public UnaryOperator<RestHandler> getRestHandlerWrapper(ThreadContext context) {
        String credentials = System.getenv("NODE_BASIC");
        if (credentials == null) {
            return null;
        }
        String wanted = "Basic " + Base64.getEncoder().encodeToString(credentials.getBytes(StandardCharsets.UTF_8));
        return handler -> (request, channel, client) -> {
            if (wanted.equals(request.header("Authorization"))) {
                handler.handleRequest(request, channel, client);
                return;
            }
            BytesRestResponse refusal =
                new BytesRestResponse(RestStatus.UNAUTHORIZED, "application/json; charset=UTF-8", REFUSAL);
            refusal.addHeader("WWW-Authenticate", "Basic realm=\"fintail-tests\"");
            channel.sendResponse(refusal);
        };
    }
}
