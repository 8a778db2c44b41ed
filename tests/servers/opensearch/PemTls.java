package fintail;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Base64;
import java.util.Optional;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.SSLException;
import javax.net.ssl.TrustManagerFactory;
import org.opensearch.common.settings.Settings;
import org.opensearch.env.Environment;
import org.opensearch.http.HttpServerTransport;
import org.opensearch.plugins.Plugin;
import org.opensearch.plugins.SecureHttpTransportSettingsProvider;
import org.opensearch.plugins.SecureSettingsFactory;
import org.opensearch.plugins.SecureTransportSettingsProvider;
import org.opensearch.plugins.TransportExceptionHandler;

/** TLS for OpenSearch's own secure Netty transport, from the PEM files that the harness puts into HOME/config. */
public final class PemTls extends Plugin {
    private static final char[] NO_PASSWORD = new char[0];

    @Override
    public Optional<SecureSettingsFactory> getSecureSettingFactory(Settings settings) {
        Path config = Path.of(Environment.PATH_HOME_SETTING.get(settings)).resolve("config");
        return Optional.of(new SecureSettingsFactory() {
            @Override
            public Optional<SecureTransportSettingsProvider> getSecureTransportSettingsProvider(Settings ignored) {
                return Optional.empty();
            }

            @Override
            public Optional<SecureHttpTransportSettingsProvider> getSecureHttpTransportSettingsProvider(Settings ignored) {
                return Optional.of(new Http(config));
            }
        });
    }

    private static final class Http implements SecureHttpTransportSettingsProvider {
        private final Path config;
        private SSLContext context;

        Http(Path config) {
            this.config = config;
        }

        @Override
        public Optional<TransportExceptionHandler> buildHttpServerExceptionHandler(Settings s, HttpServerTransport t) {
            return Optional.of(TransportExceptionHandler.NOOP);
        }

        /** Called once a connection; all share one context, so that clients can resume their sessions. */
        @Override
        public synchronized Optional<SSLEngine> buildSecureHttpServerEngine(Settings s, HttpServerTransport t)
            throws SSLException {
            Path clientCa = config.resolve("client-ca.crt");
            boolean mutual = Files.exists(clientCa);
            try {
                if (context == null) {
                    SSLContext fresh = SSLContext.getInstance("TLS");
                    fresh.init(
                        serverKeys(config).getKeyManagers(),
                        mutual ? trustIn(clientCa).getTrustManagers() : null,
                        null
                    );
                    context = fresh;
                }
            } catch (GeneralSecurityException | IOException error) {
                throw new SSLException(error);
            }
            SSLEngine engine = context.createSSLEngine();
            engine.setUseClientMode(false);
            engine.setNeedClientAuth(mutual);
            return Optional.of(engine);
        }
    }

    private static KeyManagerFactory serverKeys(Path config) throws GeneralSecurityException, IOException {
        KeyStore store = emptyStore();
        store.setKeyEntry(
            "server",
            privateKey(config.resolve("server.key")),
            NO_PASSWORD,
            certificates(config.resolve("server.crt"))
        );
        KeyManagerFactory keys = KeyManagerFactory.getInstance("PKIX");
        keys.init(store, NO_PASSWORD);
        return keys;
    }

    private static TrustManagerFactory trustIn(Path pem) throws GeneralSecurityException, IOException {
        KeyStore store = emptyStore();
        int index = 0;
        for (Certificate certificate : certificates(pem)) {
            store.setCertificateEntry("ca" + index++, certificate);
        }
        TrustManagerFactory trust = TrustManagerFactory.getInstance("PKIX");
        trust.init(store);
        return trust;
    }

    private static KeyStore emptyStore() throws GeneralSecurityException, IOException {
        KeyStore store = KeyStore.getInstance("PKCS12");
        store.load(null, NO_PASSWORD);
        return store;
    }

    private static Certificate[] certificates(Path pem) throws GeneralSecurityException, IOException {
        try (InputStream input = Files.newInputStream(pem)) {
            return CertificateFactory.getInstance("X.509").generateCertificates(input).toArray(Certificate[]::new);
        }
    }

    /** An unencrypted PKCS #8 key of an elliptic curve: what the harness writes. */
    private static PrivateKey privateKey(Path pem) throws GeneralSecurityException, IOException {
        String body = Files.readString(pem).replaceAll("-----[A-Z ]+-----", "");
        byte[] der = Base64.getMimeDecoder().decode(body);
        return KeyFactory.getInstance("EC").generatePrivate(new PKCS8EncodedKeySpec(der));
    }
}
