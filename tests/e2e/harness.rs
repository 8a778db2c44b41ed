//! What the tests take for granted of their own harness: nothing survives, nothing is lost over a restart.

use std::{path::PathBuf, time::Duration};

use anyhow::Result;
use fintail_tests::{
    client::unique_stream,
    server::{Options, Product, Server, Tls},
    wait,
};
use serde_json::json;

#[test]
fn a_killed_server_comes_back_on_its_port_with_its_documents() -> Result<()> {
    let mut server = Server::start(Product::OpenSearch, Options { tls: Tls::Off, ..Options::default() })?;
    let stream = unique_stream("restart");
    server.client().put_data_stream_template(&stream, &json!({}))?;
    let document = json!({"@timestamp": "2026-11-23T08:01:02Z"});
    assert_eq!(server.client().create(&stream, &[("a", document.clone())])?, [201]);

    server.kill9()?;
    assert!(server.client().get("").is_err());
    server.restart()?;
    wait::until("recovery of the stream", Duration::from_secs(30), || {
        Ok(server.client().create(&stream, &[("a", document.clone())])?.eq(&[409]).then_some(()))
    })
}

#[test]
fn a_stopped_server_leaves_neither_process_nor_folder() -> Result<()> {
    let mut server = Server::start(Product::Elasticsearch, Options { tls: Tls::Off, ..Options::default() })?;
    let process = PathBuf::from(format!("/proc/{}", server.pid().unwrap()));
    let folder = server.certs().ca.clone();
    assert!(process.exists() && folder.exists());
    server.stop()?;
    assert!(!process.exists());
    drop(server);
    assert!(!folder.exists());
    Ok(())
}

#[test]
fn a_server_whose_test_process_died_goes_with_its_folder() -> Result<()> {
    for product in Product::ALL {
        let server = Server::start(product, Options { tls: Tls::Off, ..Options::default() })?;
        let (pid, home) = server.abandon()?;
        let process = PathBuf::from(format!("/proc/{pid}"));
        wait::until("end of an abandoned server", Duration::from_secs(30), || {
            Ok((!process.exists() && !home.exists()).then_some(()))
        })?;
    }
    Ok(())
}
