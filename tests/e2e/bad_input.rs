//! What no log should hold, and what nobody should leave among logs: good lines arrive, bad ones are counted and flagged.

use std::{fs, os::unix::fs::symlink, process::Command};

use anyhow::{Context, Result, ensure};
use fintail_tests::{
    fleet::size,
    run::{DEADLINE, Run, results},
    server::{Product, Server},
};
use serde_json::json;

fn pod(number: u32) -> String {
    format!("shop_web-{number}_0a1b2c3d-0000-4000-8000-{number:012}/app")
}

fn cri(second: u32, tag: &str, body: &[u8]) -> Vec<u8> {
    [format!("2026-11-23T08:{:02}:{:02}.5Z stdout {tag} ", second / 60, second % 60).as_bytes(), body, b"\n"]
        .concat()
}

fn good(number: u32) -> Vec<u8> {
    cri(number, "F", format!("good line {number} end").as_bytes())
}

#[test]
fn every_good_line_among_bad_ones_arrives_and_bad_ones_are_flagged() -> Result<()> {
    const PODS: u32 = 9;
    let long_bytes = usize::try_from(size("FINTAIL_TEST_LINE_MIB", 8) << 20)?;
    let mut run = Run::prepare(Server::shared(Product::OpenSearch), "badinput", &json!({}))?;
    let root = run.root().to_owned();
    let mut flawed = 0;
    let mut write = |number: u32, bad: Vec<u8>, flaws: u32| {
        flawed += flaws;
        run.append(&pod(number), "0.log", &[good(number * 10), bad, good(number * 10 + 1)].concat())
    };
    write(0, b"2026-11-23T08:0\n2026-11-23T08:01:02Z stdo\n2026-11-23T08:01:02Z stdout\n\n".to_vec(), 3)?;
    write(1, cri(11, "F", &[0; 5000]), 0)?;
    write(2, [vec![0; 70_000], b"\n".to_vec()].concat(), 1)?;
    write(3, cri(31, "F", b"bytes \xff\xfe\xc3( that are no text \xf0\x9f"), 0)?;
    write(4, cri(41, "F", &vec![b'x'; long_bytes]), 0)?;
    write(5, [vec![b'y'; long_bytes], b"\n".to_vec()].concat(), 1)?;
    // a piece that is never ended: the next line of the stream is whole
    write(6, cri(61, "P", b"a piece with no end "), 0)?;
    write(7, cri(71, "X", b"no such tag"), 0)?;
    write(8, cri(81, "F", br#"{"msg": "cut off", "n": {"a": ["#), 0)?;

    // what is no log among the logs
    run.append(&pod(90), "0.log", b"")?;
    let folder = root.join(pod(91));
    fs::create_dir_all(folder.join("0.log"))?;
    let folder = root.join(pod(92));
    fs::create_dir_all(&folder)?;
    let made = Command::new("mkfifo").arg(folder.join("0.log")).status()?;
    ensure!(made.success(), "mkfifo");
    let folder = root.join(pod(93));
    fs::create_dir_all(&folder)?;
    let outside = run.agent.folder().join("outside.log");
    fs::write(&outside, cri(1, "F", b"SECRET OUTSIDE THE TREE"))?;
    symlink(&outside, folder.join("0.log"))?;
    let folder = root.join(pod(94));
    fs::create_dir_all(&folder)?;
    symlink(folder.join("nowhere"), folder.join("0.log"))?;
    fs::write(root.join("a_file_among_the_pods"), "x\n")?;
    // a folder that vanishes while it is being read
    run.append(&pod(95), "0.log", &good(950))?;

    run.agent.restart()?;
    run.agent.wait_metrics("the first lines", DEADLINE, |metrics| {
        results(metrics, "created") >= 2 * u64::from(PODS)
    })?;
    fs::remove_dir_all(root.join(pod(95)).parent().context("pod")?)?;
    run.append(&pod(0), "0.log", &good(2))?;
    run.agent.wait_until("the bad pods looked at", DEADLINE, |agent| {
        Ok(["91", "92", "93"].iter().all(|n| agent.stderr().contains(&format!("web-{n}"))))
    })?;
    let metrics = run.settle()?;

    let documents = run.documents()?;
    let messages: Vec<&str> = documents.iter().filter_map(|found| found.source["message"].as_str()).collect();
    let mut wanted: Vec<u32> = (0..PODS).flat_map(|number| [number * 10, number * 10 + 1]).collect();
    wanted.extend([2, 950]);
    for number in wanted {
        let line = format!("good line {number} end");
        // the piece that has no end is joined with the line after it, as containerd would mean it
        let times = messages.iter().filter(|message| message.ends_with(&line)).count();
        assert_eq!(times, 1, "{line}\n{}", run.agent.stderr());
    }
    let truncated: Vec<u64> =
        documents.iter().filter_map(|found| found.source["fintail"]["truncated_bytes"].as_u64()).collect();
    assert_eq!(truncated.len(), 2, "both long lines are cut");
    assert!(truncated.iter().all(|bytes| *bytes > 0 && *bytes < long_bytes as u64), "{truncated:?}");
    // one flaw is a string, several are a list
    let flaws = documents.iter().map(|found| found.source["fintail"]["flaw"].to_string());
    let flags: Vec<String> = flaws.filter(|flaw| flaw != "null").collect();
    eprintln!("{} documents, flaws: {flags:?}", documents.len());
    ensure!(flags.len() >= flawed as usize, "{flawed} lines are no CRI lines, flagged: {flags:?}");
    assert_eq!(metrics.sum("fintail_events_flawed_total", &[]), flags.len() as f64);
    ensure!(
        !messages.iter().any(|message| message.contains("OUTSIDE")),
        "a link out of the tree was followed"
    );
    assert_eq!(metrics.sum("fintail_dead_letters", &[]), 0.0);
    ensure!(!run.agent.stderr().contains("panic"), "{}", run.agent.stderr());
    let resident = metrics.sum("process_resident_memory_bytes", &[]);
    eprintln!("resident: {:.1} MiB after lines of {} MiB", resident / f64::from(1 << 20), long_bytes >> 20);
    ensure!(resident < f64::from(64 << 20), "{resident} bytes resident");
    run.agent.drain(DEADLINE)
}
