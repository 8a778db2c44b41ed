//! The main job: the bank's pod logs to both servers over TLS, judged event by event.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use fintail_tests::{
    fleet::{Fleet, size},
    run::{Run, results},
    server::{Product, Server},
};
use serde_json::{Value, json};

const SEED: u64 = 4;

/// CRI bytes over all pods; `FINTAIL_TEST_MIB` makes it more.
fn volume_bytes() -> u64 {
    size("FINTAIL_TEST_MIB", 6) << 20
}

/// Delivers a backlog and as much again while the agent reads; wants the sums of agent, server and generator equal.
fn deliver(run: &mut Run) -> Result<()> {
    let mut fleet = Fleet::create(run.root(), SEED, 6)?;
    fleet.write(volume_bytes() / 2)?;
    let began = Instant::now();
    run.agent.restart()?;
    for _ in 0..8 {
        fleet.write(volume_bytes() / 16)?;
    }
    fleet.rotate(0)?;
    fleet.write(1 << 18)?;
    let metrics = run.settle()?;
    let seconds = began.elapsed().as_secs_f64();

    let manifest = fleet.manifest();
    let report = run.must_be_clean(&manifest)?;
    let events = manifest.events();
    eprintln!(
        "{:?}: {} MiB, {events} events in {seconds:.1} s; {}",
        run.product(),
        volume_bytes() >> 20,
        report.to_json()
    );
    assert_eq!(report.documents, events, "each event, traces too, is one document");
    assert_eq!(run.client().count(run.stream())?, events);
    assert_eq!(metrics.balance().received, events as f64);
    assert_eq!(results(&metrics, "created"), events);
    let bytes: u64 = manifest.sources.iter().map(|source| source.bytes).sum();
    assert_eq!(metrics.sum("fintail_bytes_received_total", &[]), bytes as f64);
    assert!(metrics.sum("fintail_output_bytes_total", &[]) < bytes as f64 / 2.0, "sent compressed");
    run.agent.drain(Duration::from_secs(20))
}

#[test]
fn every_event_arrives_once_and_redacted() -> Result<()> {
    for product in Product::ALL {
        let server = Server::shared(product);
        let mut run = Run::prepare(server, "delivery", &json!({}))?;
        if product == Product::OpenSearch {
            let mut output = run.output(server)?;
            output.compression = "zstd";
            run.configure(&output)?;
        }
        deliver(&mut run).with_context(|| format!("{product:?}"))?;
        for document in run.documents()?.iter().step_by(97) {
            check_fields(&document.source).with_context(|| document.source.to_string())?;
        }
    }
    Ok(())
}

/// The fields that contract.md gives every container log, with their types.
fn check_fields(document: &Value) -> Result<()> {
    let text = |pointer: &str| document.pointer(pointer).and_then(Value::as_str).context(pointer.to_owned());
    let time = text("/@timestamp")?;
    ensure!(time.starts_with("20") && time.ends_with('Z'), "{time}");
    ensure!(document.pointer("/log/offset").is_some_and(Value::is_u64), "log.offset");
    ensure!(text("/log/file/path")?.ends_with("/0.log"), "log.file.path");
    ensure!(matches!(text("/stream")?, "stdout" | "stderr"), "stream");
    for field in ["namespace", "pod/name", "pod/uid", "container/name"] {
        ensure!(!text(&format!("/kubernetes/{field}"))?.is_empty(), "{field}");
    }
    ensure!(text("/kubernetes/node/name")? == "node-1" && text("/host/name")? == "node-1", "node");
    ensure!(text("/event/dataset")? == "kubernetes.container_logs", "dataset");
    ensure!(text("/event/created")?.ends_with('Z') && !text("/ecs/version")?.is_empty(), "created");
    ensure!(!text("/fintail/ruleset")?.is_empty() && !text("/message")?.is_empty(), "ruleset");
    ensure!(document.pointer("/app").is_none_or(Value::is_object), "app");
    Ok(())
}

#[test]
fn an_api_key_with_the_rights_to_write_is_enough() -> Result<()> {
    let server = Server::shared(Product::Elasticsearch);
    let mut run = Run::prepare(server, "apikey", &json!({}))?;
    let role = json!({"writer": {"index": [{"names": [run.stream()],
        "privileges": ["create_doc", "auto_configure", "view_index_metadata"]}]}});
    let fintail_tests::client::Auth::ApiKey(key) = run.client().create_api_key("agent", &role)? else {
        anyhow::bail!("no key")
    };
    let file = run.agent.folder().join("api.key");
    std::fs::write(&file, key)?;
    let mut output = run.output(server)?;
    output.auth = format!("{{api_key: {{file: {}}}}}", file.display());
    run.configure(&output)?;
    deliver(&mut run)
}
