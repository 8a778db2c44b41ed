//! Destinations that refuse: single documents, everything, or us. What is bad is put away, the rest is held and arrives once.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use fintail_tests::{
    agent, port,
    run::{DEADLINE, Run, results},
    server::{Options, Product, Server, Tls},
};
use serde_json::{Value, json};

const POD: &str = "pay_api-1_0a1b2c3d-0000-4000-8000-000000000001/app";

/// Complete JSON lines `first..first + count` in CRI framing, each a millisecond after the one before.
fn lines(first: u64, count: u64, extra: impl Fn(u64) -> String) -> Vec<u8> {
    (first..first + count)
        .flat_map(|n| {
            let (second, millisecond) = (n / 1000, n % 1000);
            format!(
                "2026-11-23T08:01:{second:02}.{millisecond:03}Z stdout F {{\"msg\":\"line-{n:06}\"{}}}\n",
                extra(n)
            )
            .into_bytes()
        })
        .collect()
}

/// Wants each of the lines `0..count` without those in `absent` exactly once.
fn must_hold(run: &Run, count: u64, absent: impl Fn(u64) -> bool) -> Result<()> {
    let mut seen = vec![0_u32; usize::try_from(count)?];
    for document in run.documents()? {
        let message = document.source["message"].as_str().context("message")?;
        let number: usize = message.strip_prefix("line-").context("line")?.parse()?;
        *seen.get_mut(number).context("a line that was never written")? += 1;
    }
    for (n, seen) in (0..count).zip(seen) {
        ensure!(seen == u32::from(!absent(n)), "line {n} is there {seen} times\n{}", run.agent.stderr());
    }
    Ok(())
}

#[test]
fn documents_that_the_mapping_refuses_become_dead_letters_and_the_others_arrive() -> Result<()> {
    const COUNT: u64 = 500;
    let bad = |n: u64| n % 10 == 3;
    for product in Product::ALL {
        let strict = json!({"app": {"type": "object", "properties": {"port": {"type": "long"}}}});
        let mut run = Run::prepare(Server::shared(product), "deadletters", &strict)?;
        let extra = |n| match bad(n) {
            true => ",\"port\":\"none, card 4111111111111111\"".to_owned(),
            false => format!(",\"port\":{n}"),
        };
        run.append(POD, "0.log", &lines(0, COUNT, extra))?;
        run.agent.restart()?;
        let metrics = run.settle()?;
        assert_eq!(results(&metrics, "created"), COUNT * 9 / 10, "{product:?}");
        assert_eq!(results(&metrics, "rejected"), COUNT / 10, "{product:?}");
        assert_eq!(metrics.sum("fintail_dead_letters", &[]), (COUNT / 10) as f64);
        must_hold(&run, COUNT, bad)?;

        let letters = dead_letters(&run.agent.state_dir())?;
        assert_eq!(letters.len(), usize::try_from(COUNT / 10)?);
        for letter in &letters {
            ensure!(letter["status"] == 400 && letter["data_stream"] == run.stream(), "{letter}");
            ensure!(letter["reason"].as_str().is_some_and(|reason| reason.contains("app.port")), "{letter}");
            let text = letter.to_string();
            ensure!(text.contains("411111******1111") && !text.contains("4111111111111111"), "{text}");
            ensure!(
                letter["document"]["message"].as_str().is_some_and(|text| text.starts_with("line-")),
                "{letter}"
            );
        }
        // and it goes on
        run.append(POD, "0.log", &lines(COUNT, 10, |_| String::new()))?;
        run.agent.wait_metrics("further lines", DEADLINE, |metrics| {
            results(metrics, "created") == COUNT * 9 / 10 + 10
        })?;
        run.agent.drain(DEADLINE)?;
    }
    Ok(())
}

/// All dead letters below the state folder.
fn dead_letters(state: &Path) -> Result<Vec<Value>> {
    let mut letters = Vec::new();
    for entry in walk(state)? {
        if entry.extension().is_some_and(|extension| extension == "ndjson") {
            for line in fs::read_to_string(entry)?.lines() {
                letters.push(serde_json::from_str(line)?);
            }
        }
    }
    Ok(letters)
}

fn walk(folder: &Path) -> Result<Vec<std::path::PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { files.extend(walk(&path)?) } else { files.push(path) }
    }
    Ok(files)
}

#[test]
fn a_write_block_holds_everything_until_it_is_lifted() -> Result<()> {
    for product in Product::ALL {
        let mut run = Run::prepare(Server::shared(product), "held", &json!({}))?;
        run.append(POD, "0.log", &lines(0, 100, |_| String::new()))?;
        run.agent.restart()?;
        run.settle()?;
        run.client().set_write_block(run.stream(), true)?;
        run.append(POD, "0.log", &lines(100, 2000, |_| String::new()))?;
        run.agent.wait_metrics("the hold", DEADLINE, |metrics| {
            metrics.sum("fintail_output_held", &[("reason", "write_block")]) == 1.0
                && metrics.sum("fintail_output_retries_total", &[("reason", "held")]) > 4000.0
        })?;
        let metrics = run.agent.metrics()?;
        assert_eq!(results(&metrics, "created"), 100, "{product:?}");
        assert_eq!(metrics.balance().in_flight, 2000.0);
        assert_eq!(metrics.balance().received, metrics.balance().accounted);
        ensure!(run.agent.stderr().contains("held"), "{}", run.agent.stderr());

        run.client().set_write_block(run.stream(), false)?;
        let metrics = run.settle()?;
        assert_eq!(results(&metrics, "created"), 2100, "{product:?}");
        assert_eq!(metrics.sum("fintail_output_held", &[]), 0.0);
        assert_eq!(metrics.sum("fintail_dead_letters", &[]), 0.0);
        must_hold(&run, 2100, |_| false)?;
    }
    Ok(())
}

/// Starts the agent on a configuration that cannot work, waits for the words of the cause, mends it, and wants all lines once.
fn mended(run: &mut Run, words: &[&str], mend: impl FnOnce(&mut Run) -> Result<()>) -> Result<()> {
    run.append(POD, "0.log", &lines(0, 300, |_| String::new()))?;
    run.agent.restart()?;
    run.agent.wait_until(&format!("an error that says {words:?}"), DEADLINE, |agent| {
        let stderr = agent.stderr().to_lowercase();
        Ok(words.iter().any(|word| stderr.contains(word)))
    })?;
    run.agent
        .wait_metrics("300 events in flight", DEADLINE, |metrics| metrics.balance().in_flight == 300.0)?;
    let metrics = run.agent.metrics()?;
    assert_eq!(results(&metrics, "created") + results(&metrics, "rejected"), 0);
    mend(run)?;
    run.settle()?;
    must_hold(run, 300, |_| false)
}

#[test]
fn a_ca_that_did_not_sign_the_server_is_named_and_nothing_is_lost() -> Result<()> {
    for product in Product::ALL {
        let server = Server::shared(product);
        let mut run = Run::prepare(server, "wrongca", &json!({}))?;
        let good = run.output(server)?;
        let mut bad = good.clone();
        bad.ca = server.certs().wrong_ca.clone();
        run.configure(&bad)?;
        mended(&mut run, &["ca_file", "unknown issuer", "unknownissuer"], |run| {
            run.agent.kill9()?;
            run.configure(&good)?;
            run.agent.restart()
        })?;
    }
    Ok(())
}

#[test]
fn a_certificate_that_is_over_or_anothers_is_named_and_nothing_is_lost() -> Result<()> {
    let good_server = Server::shared(Product::OpenSearch);
    for (tls, words) in [(Tls::Expired, ["expired"]), (Tls::WrongName, ["another name"])] {
        let server = Server::start(Product::OpenSearch, Options { tls, ..Options::default() })?;
        let mut run = Run::prepare(good_server, "badcert", &json!({}))?;
        let good = run.output(good_server)?;
        let mut bad = good.clone();
        bad.url = server.url().to_owned();
        bad.ca = server.certs().ca.clone();
        run.configure(&bad)?;
        mended(&mut run, &words, |run| {
            run.agent.kill9()?;
            run.configure(&good)?;
            run.agent.restart()
        })?;
    }
    Ok(())
}

#[test]
fn a_wrong_password_holds_until_its_file_is_right() -> Result<()> {
    for product in Product::ALL {
        let server = Server::shared(product);
        let mut run = Run::prepare(server, "password", &json!({}))?;
        fs::write(run.password_file(), "wrong-password")?;
        mended(&mut run, &["401"], |run| {
            run.agent.wait_metrics("the hold", DEADLINE, |metrics| {
                metrics.sum("fintail_output_held", &[("reason", "auth")]) == 1.0
            })?;
            Ok(fs::write(run.password_file(), server.password())?)
        })?;
        ensure!(!run.agent.stderr().contains(server.password()), "no secret in the log");
    }
    Ok(())
}

#[test]
fn a_server_that_is_away_and_one_that_is_killed_get_everything_once() -> Result<()> {
    let mut server = Server::start(Product::OpenSearch, Options::default())?;
    let mut run = Run::prepare(&server, "away", &json!({}))?;
    let good = run.output(&server)?;
    let mut bad = good.clone();
    bad.url = format!("https://127.0.0.1:{}", port::free()?);
    run.configure(&bad)?;
    mended(&mut run, &["refused", "connect"], |run| {
        run.agent.kill9()?;
        run.configure(&good)?;
        run.agent.restart()
    })?;
    for round in 0..4 {
        run.append(POD, "0.log", &lines(300 + round * 1000, 1000, |_| String::new()))?;
        if round == 1 {
            server.kill9()?;
        }
    }
    server.restart()?;
    run.settle()?;
    must_hold(&run, 4300, |_| false)
}

#[test]
fn plain_http_is_wrong_use_unless_it_is_allowed() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let config = folder.path().join("config.yaml");
    let path = config.to_str().context("path")?;
    let state = folder.path().join("state");
    for command in ["check", "run"] {
        fs::write(&config, "output: {endpoints: ['http://127.0.0.1:9200']}\n")?;
        let output = agent::run(&[command, "--config", path], b"")?;
        let stderr = String::from_utf8(output.stderr)?;
        assert_eq!(output.status.code(), Some(2), "{command}: {stderr}");
        ensure!(stderr.contains("allow_plaintext"), "{stderr}");
    }
    fs::write(
        &config,
        format!(
            "state_dir: {}\noutput: {{endpoints: ['http://127.0.0.1:9200'], allow_plaintext: true}}\n",
            state.display()
        ),
    )?;
    let output = agent::run(&["check", "--config", path], b"")?;
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

#[test]
fn a_pod_that_comes_while_the_agent_runs_is_seen_at_once() -> Result<()> {
    let mut run = Run::prepare(Server::shared(Product::OpenSearch), "newpod", &json!({}))?;
    run.append(POD, "0.log", &lines(0, 1, |_| String::new()))?;
    run.agent.restart()?;
    run.settle()?;
    let began = std::time::Instant::now();
    run.append(
        "pay_api-2_0a1b2c3d-0000-4000-8000-000000000002/app",
        "0.log",
        &lines(1, 1, |_| String::new()),
    )?;
    run.agent
        .wait_metrics("the new pod's line read", DEADLINE, |metrics| metrics.balance().received == 2.0)?;
    let read = began.elapsed();
    run.agent.wait_metrics("its answer", DEADLINE, |metrics| results(metrics, "created") == 2)?;
    eprintln!("new pod: read after {read:?}, answered after {:?}", began.elapsed());
    ensure!(read < Duration::from_secs(2) && began.elapsed() < Duration::from_secs(5));
    must_hold(&run, 2, |_| false)
}
