//! The agent's end at any moment: killed, drained, its checkpoint lost or old. Nothing is lost, nothing is doubled, over all
//! backing indices.

use std::{
    fs, thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result};
use fintail_tests::{
    fleet::{Fleet, size},
    run::{DEADLINE, Run, results},
    server::{Product, Server},
};
use serde_json::json;

/// A small generator (SplitMix64): its seed is printed, and gives the same faults again at about the same moments.
struct Chance(u64);

impl Chance {
    /// From `FINTAIL_TEST_SEED`, else from the clock.
    fn new(test: &str) -> Result<Self> {
        let clock = SystemTime::now().duration_since(UNIX_EPOCH)?.subsec_nanos();
        let seed = size("FINTAIL_TEST_SEED", u64::from(clock));
        eprintln!("{test}: FINTAIL_TEST_SEED={seed}");
        Ok(Self(seed))
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % limit.max(1)
    }
}

/// Writes `bytes` in small pieces until `end`, as living pods do.
fn write_until(fleet: &mut Fleet, bytes: u64, end: Instant) -> Result<()> {
    const TICK: Duration = Duration::from_millis(20);
    let ticks = u64::try_from(end.saturating_duration_since(Instant::now()).as_millis())? / 20 + 1;
    for _ in 0..ticks {
        fleet.write(bytes / ticks)?;
        thread::sleep(TICK.min(end.saturating_duration_since(Instant::now())));
    }
    Ok(())
}

#[test]
fn killed_at_random_points_with_rollovers_between() -> Result<()> {
    let kills = size("FINTAIL_TEST_KILLS", 6);
    let bytes_a_life = (size("FINTAIL_TEST_MIB", 6) << 20) / (kills + 1);
    for product in Product::ALL {
        let mut chance = Chance::new("killed")?;
        let mut run = Run::prepare(Server::shared(product), "killed", &json!({}))?;
        let mut fleet = Fleet::create(run.root(), chance.0, 5)?;
        let (mut rollovers, mut rotations) = (0, 0);
        for _ in 0..kills {
            fleet.write(bytes_a_life / 2)?;
            run.agent.restart()?;
            let life = Duration::from_millis(20 + chance.below(1800));
            write_until(&mut fleet, bytes_a_life / 2, Instant::now() + life)?;
            if chance.below(3) == 0 {
                fleet.rotate(usize::try_from(chance.below(5))?)?;
                rotations += 1;
            }
            run.agent.kill9()?;
            // there is no stream before its first document
            let exists = run.client().get(&format!("_data_stream/{}", run.stream()))?.status == 200;
            if exists && chance.below(2) == 0 {
                run.client().rollover(run.stream())?;
                rollovers += 1;
            }
        }
        run.agent.restart()?;
        fleet.write(bytes_a_life / 2)?;
        let metrics = run.settle().with_context(|| format!("{product:?}"))?;
        let report = run.must_be_clean(&fleet.manifest()).with_context(|| format!("{product:?}"))?;
        eprintln!(
            "{product:?}: {kills} kills, {rollovers} rollovers, {rotations} rotations, {} events, last life: {} created, {} duplicates",
            report.delivered,
            results(&metrics, "created"),
            results(&metrics, "duplicate"),
        );
        assert_eq!(
            metrics.sum("fintail_output_uncertain_total", &[]),
            0.0,
            "it may read: nothing stays unknown"
        );
    }
    Ok(())
}

#[test]
fn a_lost_or_old_checkpoint_brings_409_and_no_second_document() -> Result<()> {
    for product in Product::ALL {
        let mut run = Run::prepare(Server::shared(product), "replay", &json!({}))?;
        let mut fleet = Fleet::create(run.root(), 9, 3)?;
        fleet.write(300_000)?;
        run.agent.restart()?;
        run.settle()?;
        let first = fleet.manifest().events();
        run.agent.drain(DEADLINE)?;
        let checkpoint = run.agent.state_dir().join("checkpoint");
        let old = fs::read(&checkpoint)?;

        fleet.write(200_000)?;
        run.agent.restart()?;
        run.settle()?;
        run.agent.drain(DEADLINE)?;
        let all = fleet.manifest().events();

        fs::write(&checkpoint, old)?;
        run.agent.restart()?;
        let metrics = replayed(&mut run, all - first)?;
        assert_eq!(
            results(&metrics, "duplicate"),
            all - first,
            "{product:?}: what came after the old checkpoint"
        );
        run.agent.drain(DEADLINE)?;

        for name in ["checkpoint", "checkpoint.before"] {
            fs::remove_file(run.agent.state_dir().join(name))?;
        }
        run.agent.restart()?;
        let metrics = replayed(&mut run, all)?;
        assert_eq!(results(&metrics, "duplicate"), all, "{product:?}: everything");
        assert_eq!(results(&metrics, "created"), 0, "{product:?}");
        assert_eq!(metrics.sum("fintail_dead_letters", &[]), 0.0);
        assert_eq!(run.must_be_clean(&fleet.manifest())?.documents, all);
    }
    Ok(())
}

/// Settles once so many events were read.
fn replayed(run: &mut Run, events: u64) -> Result<fintail_tests::metrics::Metrics> {
    run.agent.wait_metrics("the replay", DEADLINE, |metrics| metrics.balance().received >= events as f64)?;
    run.settle()
}

#[test]
fn sigterm_under_load_drains_and_the_next_start_doubles_nothing() -> Result<()> {
    for product in Product::ALL {
        let mut run = Run::prepare(Server::shared(product), "drain", &json!({}))?;
        let mut fleet = Fleet::create(run.root(), 5, 4)?;
        fleet.write(3 << 20)?;
        run.agent.restart()?;
        run.agent.wait_metrics("first documents", DEADLINE, |metrics| results(metrics, "created") > 0)?;
        fleet.write(1 << 20)?;
        let began = Instant::now();
        run.agent.drain(Duration::from_secs(20))?;
        eprintln!("{product:?}: drained in {:.2} s", began.elapsed().as_secs_f64());
        fleet.write(1 << 19)?;

        run.agent.restart()?;
        let metrics = run.settle()?;
        run.must_be_clean(&fleet.manifest()).with_context(|| format!("{product:?}"))?;
        assert_eq!(results(&metrics, "duplicate"), 0, "{product:?}: the marks were those of the last answer");
    }
    Ok(())
}
