//! What both servers are seen to do, on which the architecture rests: a new server version that does otherwise fails here.

use std::io::Write;

use anyhow::{Context, Result};
use fintail_tests::{
    client::{Auth, Client, Trust, create_body, item_statuses, unique_stream},
    server::{Options, Product, Server, Tls},
};
use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};

/// Runs a test against the shared node of each product with a fresh data stream, named after the test.
fn on_both(word: &str, template: &Value, test: impl Fn(Product, &Client, &str) -> Result<()>) -> Result<()> {
    for product in Product::ALL {
        let client = Server::shared(product).client();
        let stream = unique_stream(word);
        client.put_data_stream_template(&stream, template)?;
        test(product, client, &stream).with_context(|| format!("{product:?}"))?;
    }
    Ok(())
}

fn document(message: &str) -> Value {
    json!({"@timestamp": "2026-11-23T08:01:02.123456789Z", "message": message})
}

fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

#[test]
fn create_of_an_id_that_is_there_answers_409() -> Result<()> {
    on_both("twice", &json!({}), |_, client, stream| {
        assert_eq!(client.create(stream, &[("a", document("one")), ("b", document("two"))])?, [201, 201]);
        assert_eq!(client.create(stream, &[("b", document("two")), ("c", document("three"))])?, [409, 201]);
        client.refresh(stream)?;
        assert_eq!(client.count(stream)?, 3);
        Ok(())
    })
}

#[test]
fn after_a_rollover_the_same_id_is_created_again() -> Result<()> {
    on_both("rollover", &json!({}), |_, client, stream| {
        assert_eq!(client.create(stream, &[("a", document("one"))])?, [201]);
        let write_index = client.rollover(stream)?;
        assert_eq!(client.create(stream, &[("a", document("one"))])?, [201]);
        client.refresh(stream)?;

        let indices = client.backing_indices(stream)?;
        assert_eq!(indices.len(), 2);
        assert_eq!(indices.last(), Some(&write_index));
        let documents = client.all_documents(stream, &["message"])?;
        assert_eq!(documents.len(), 2);
        assert!(documents.iter().all(|d| d.id == "a" && d.source == json!({"message": "one"})));
        assert_ne!(documents[0].index, documents[1].index);
        Ok(())
    })
}

#[test]
fn a_mapping_conflict_refuses_its_own_item_only() -> Result<()> {
    let template = json!({"mappings": {"properties": {"port": {"type": "long"}}}});
    on_both("mapping", &template, |_, client, stream| {
        let mut bad = document("bad");
        bad["port"] = json!("not a number");
        let body = create_body(&[("a", document("good")), ("b", bad), ("c", document("good"))]);
        let answer = client.bulk(stream, body, None)?.ok()?;
        assert_eq!(item_statuses(&answer)?, [201, 400, 201]);
        let kind = answer["items"][1]["create"]["error"]["type"].as_str();
        assert!(
            matches!(kind, Some("mapper_parsing_exception" | "document_parsing_exception")),
            "an error that names the document, not {kind:?}"
        );
        Ok(())
    })
}

#[test]
fn a_write_block_refuses_each_item_with_403_until_it_is_lifted() -> Result<()> {
    on_both("block", &json!({}), |_, client, stream| {
        assert_eq!(client.create(stream, &[("a", document("one"))])?, [201]);
        client.set_write_block(stream, true)?;
        assert_eq!(client.create(stream, &[("b", document("two")), ("c", document("three"))])?, [403, 403]);
        client.set_write_block(stream, false)?;
        assert_eq!(client.create(stream, &[("b", document("two"))])?, [201]);
        Ok(())
    })
}

#[test]
fn gzip_members_one_behind_another_are_one_bulk_body() -> Result<()> {
    on_both("gzip", &json!({}), |_, client, stream| {
        let mut body = gzip(&create_body(&[("a", document("first member"))]))?;
        body.extend(gzip(&create_body(&[("b", document("second member"))]))?);
        let answer = client.bulk(stream, body, Some("gzip"))?.ok()?;
        assert_eq!(item_statuses(&answer)?, [201, 201]);
        Ok(())
    })
}

#[test]
fn zstd_is_taken_by_opensearch_and_refused_by_elasticsearch() -> Result<()> {
    on_both("zstd", &json!({}), |product, client, stream| {
        let frame = |id| zstd::bulk::compress(&create_body(&[(id, document("a frame"))]), 1);
        let body = [frame("a")?, frame("b")?].concat();
        let answer = client.bulk(stream, body, Some("zstd"))?;
        match product {
            Product::OpenSearch => assert_eq!(item_statuses(&answer.ok()?)?, [201, 201]),
            Product::Elasticsearch => assert_eq!(answer.status, 400, "{}", answer.body),
        }
        Ok(())
    })
}

#[test]
fn a_look_up_by_id_on_backing_indices_sees_what_no_search_sees_yet() -> Result<()> {
    // no refresh may make the documents visible by itself while the test looks
    let template = json!({"settings": {"index.refresh_interval": "-1"}});
    on_both("mget", &template, |_, client, stream| {
        client.create(stream, &[("old", document("one"))])?;
        client.rollover(stream)?;
        client.create(stream, &[("new", document("two"))])?;
        let indices = client.backing_indices(stream)?;
        let wanted: Vec<Value> = indices
            .iter()
            .flat_map(|index| ["old", "new", "absent"].map(|id| json!({"_index": index, "_id": id})))
            .collect();
        let answer = client.post("_mget?_source=false", &json!({"docs": wanted}))?.ok()?;
        let found: Vec<bool> =
            answer["docs"].as_array().context("docs")?.iter().map(|doc| doc["found"] == true).collect();
        assert_eq!(found, [true, false, false, false, true, false]);
        assert_eq!(client.count(stream)?, 0);
        Ok(())
    })
}

#[test]
fn create_on_an_old_backing_index_is_refused() -> Result<()> {
    on_both("oldindex", &json!({}), |_, client, stream| {
        client.create(stream, &[("a", document("one"))])?;
        client.rollover(stream)?;
        let old = client.backing_indices(stream)?.remove(0);
        assert_eq!(client.create(&old, &[("b", document("two"))])?, [400]);
        Ok(())
    })
}

#[test]
fn paging_gives_every_document_of_every_backing_index_once() -> Result<()> {
    const PER_INDEX: usize = 12_345;
    on_both("paging", &json!({}), |_, client, stream| {
        for generation in 0..2 {
            let ids: Vec<String> = (0..PER_INDEX).map(|n| format!("{generation}-{n}")).collect();
            let documents: Vec<(&str, Value)> = ids.iter().map(|id| (id.as_str(), document(id))).collect();
            assert!(client.create(stream, &documents)?.iter().all(|status| *status == 201));
            if generation == 0 {
                client.rollover(stream)?;
            }
        }
        client.refresh(stream)?;
        let mut ids = Vec::new();
        client.each_document(stream, &["message"], |found| {
            assert_eq!(found.source["message"], found.id.as_str());
            ids.push(found.id);
            Ok(())
        })?;
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 2 * PER_INDEX);
        client.delete_data_stream(stream)?;
        assert_eq!(client.get(&format!("_data_stream/{stream}"))?.status, 404);
        Ok(())
    })
}

#[test]
fn a_wrong_password_answers_401() -> Result<()> {
    on_both("password", &json!({}), |product, client, stream| {
        let wrong = Auth::Basic(Server::shared(product).user().to_owned(), "wrong-password".to_owned());
        for auth in [wrong, Auth::None] {
            assert_eq!(
                client.with_auth(auth).bulk(stream, create_body(&[("a", document("x"))]), None)?.status,
                401
            );
        }
        Ok(())
    })
}

#[test]
fn a_client_that_trusts_another_ca_gets_no_connection() -> Result<()> {
    for product in Product::ALL {
        let server = Server::shared(product);
        let distrustful = Client::new(server.url(), Auth::None, Trust::Ca(&server.certs().wrong_ca), None)?;
        let error = distrustful.get("").unwrap_err();
        assert!(format!("{error:#?}").contains("UnknownIssuer"), "{product:?}: {error:#?}");
    }
    Ok(())
}

#[test]
fn an_api_key_may_do_what_its_role_says_item_by_item() -> Result<()> {
    let client = Server::shared(Product::Elasticsearch).client();
    let (own, foreign) = (unique_stream("own"), unique_stream("foreign"));
    for stream in [&own, &foreign] {
        client.put_data_stream_template(stream, &json!({}))?;
        client.create(stream, &[("first", document("one"))])?;
    }
    let role =
        json!({"writer": {"index": [{"names": [own], "privileges": ["create_doc", "auto_configure"]}]}});
    let writer = client.with_auth(client.create_api_key("writer", &role)?);
    assert_eq!(writer.create(&own, &[("second", document("two"))])?, [201]);
    assert_eq!(writer.create(&foreign, &[("second", document("two"))])?, [403]);
    Ok(())
}

#[test]
fn a_certificate_that_is_over_or_for_another_host_is_refused() -> Result<()> {
    for (tls, reason) in [(Tls::Expired, "Expired"), (Tls::WrongName, "NotValidForName")] {
        let server = Server::start(Product::OpenSearch, Options { tls, ..Options::default() })?;
        let error = server.client().get("").unwrap_err();
        assert!(format!("{error:#?}").contains(reason), "{error:#?}");
    }
    Ok(())
}

#[test]
fn a_server_that_wants_client_certificates_takes_only_those_of_its_ca() -> Result<()> {
    for product in Product::ALL {
        let server = Server::start(product, Options { client_certificates: true, ..Options::default() })?;
        assert_eq!(server.client().get("")?.status, 200, "{product:?}");
        let ca = Trust::Ca(&server.certs().ca);
        let without = Client::new(server.url(), server.client().auth().clone(), ca, None)?;
        assert!(without.get("").is_err(), "{product:?}");
    }
    Ok(())
}
