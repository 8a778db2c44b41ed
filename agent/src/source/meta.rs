//! What every document of a container says alike, rendered once: names, host, data stream.
//! It must not know records; all names pass redaction first, for a pod's name is the application's own text.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use super::table::SourceMeta;
use super::tail::chain::ContainerKey;
use crate::config::{Config, TokenDomain};
use crate::pipeline::document::ECS_VERSION;

/// Dataset of container logs that no rule names otherwise.
pub const CONTAINER_DATASET: &str = "kubernetes.container_logs";

/// The data stream `<type>-<dataset>-<namespace>` of a container.
#[must_use]
pub fn data_stream(config: &Config, dataset: &str, kubernetes_namespace: &str) -> (String, String, String) {
    let stream = &config.output.data_stream;
    let kind = stream.kind.render(&config.cluster, Some(kubernetes_namespace));
    let namespace = stream.namespace.render(&config.cluster, Some(kubernetes_namespace));
    (format!("{kind}-{dataset}-{namespace}"), kind, namespace)
}

/// The token domain of everything where `redaction.token_domain` is `cluster`.
pub const CLUSTER_DOMAIN: &str = "cluster";

/// Within what one value gives one token.
#[must_use]
pub fn token_domain<'a>(config: &Config, key: &'a ContainerKey) -> &'a str {
    match config.redaction.token_domain {
        TokenDomain::Namespace => &key.namespace,
        TokenDomain::Cluster => CLUSTER_DOMAIN,
    }
}

/// Renders the fragment that `document` puts between a record's own parts: from `"file"` inside of `log` up to the
/// open string of `event.created`. `redact` is the redaction of single texts.
pub fn of_container(
    config: &Config,
    key: &ContainerKey,
    restart: u32,
    mut redact: impl FnMut(&str) -> String,
) -> SourceMeta {
    let rule = config.datasets.iter().find(|d| d.matches(&key.namespace, &key.pod, &key.container));
    let dataset = rule.map_or(CONTAINER_DATASET, |d| &d.dataset);
    let (stream, kind, namespace) = data_stream(config, dataset, &key.namespace);
    let path = config
        .sources
        .containers
        .root
        .join(format!("{}_{}_{}", key.namespace, key.pod, key.uid))
        .join(&key.container)
        .join(format!("{restart}.log"));
    let mut value = json!({
        "kubernetes": {
            "namespace": redact(&key.namespace),
            "pod": {"name": redact(&key.pod), "uid": redact(&key.uid)},
            "container": {"name": redact(&key.container)},
            "node": {"name": config.node.name},
        },
        "host": {"name": config.node.name},
        "data_stream": {"type": kind, "dataset": dataset, "namespace": namespace},
        "ecs": {"version": ECS_VERSION},
        "agent": {"type": "fintail", "version": env!("CARGO_PKG_VERSION")},
    });
    if let (Some(name), Some(object)) = (&config.cluster.name, value.as_object_mut()) {
        object.insert("orchestrator".into(), json!({"type": "kubernetes", "cluster": {"name": name}}));
    }
    let file = json!({"path": redact(&text(&path))});
    // Objects without their outer braces, since the document goes on around them.
    let fragment = format!(
        ",\"file\":{file}}},{},\"event\":{{\"dataset\":{},\"created\":\"",
        inner(&value),
        json!(dataset)
    );
    SourceMeta {
        token_domain: token_domain(config, key).to_owned(),
        fragment: fragment.into_bytes().into_boxed_slice(),
        data_stream: Arc::from(stream),
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn inner(object: &Value) -> String {
    let text = object.to_string();
    text.strip_prefix('{').and_then(|t| t.strip_suffix('}')).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fragment_completes_a_document() {
        let mut config = Config::with_endpoints(["https://localhost:9200"]).unwrap();
        config.cluster.name = Some("prod".into());
        let key = ContainerKey {
            namespace: "pay".into(),
            pod: "api-1".into(),
            uid: "u-1".into(),
            container: "app".into(),
        };
        let meta = of_container(&config, &key, 3, |s| s.replace("api", "***"));
        let fragment = String::from_utf8(meta.fragment.to_vec()).unwrap();
        let doc = format!("{{\"log\":{{\"offset\":1{fragment}now\"}},\"message\":\"m\"}}");
        let doc: Value = serde_json::from_str(&doc).unwrap();
        assert_eq!(doc["kubernetes"]["pod"]["name"], "***-1");
        assert_eq!(doc["orchestrator"]["cluster"]["name"], "prod");
        assert!(doc["log"]["file"]["path"].as_str().unwrap().ends_with("/app/3.log"));
        assert_eq!(doc["event"]["created"], "now");
        assert_eq!(&*meta.data_stream, "logs-kubernetes.container_logs-default");
    }
}
