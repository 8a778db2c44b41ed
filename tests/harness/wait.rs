//! Owns waiting: a condition is asked again until it holds or its deadline passes.
//! Must not know what is waited for.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Asks `condition` until it gives a value; an error ends the wait at once, `what` names the wait when it takes too long.
pub fn until<T>(
    what: &str,
    deadline: Duration,
    mut condition: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(value) = condition()? {
            return Ok(value);
        }
        if start.elapsed() > deadline {
            bail!("{what}: not within {deadline:?}");
        }
        thread::sleep(POLL_INTERVAL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_the_value_of_a_condition_that_comes_true() {
        let mut asked = 0;
        let value = until("third question", Duration::from_secs(5), || {
            asked += 1;
            Ok((asked == 3).then_some("yes"))
        });
        assert_eq!(value.unwrap(), "yes");
    }

    #[test]
    fn names_what_did_not_come_in_time() {
        let never = until::<()>("the end of time", Duration::from_millis(1), || Ok(None));
        assert_eq!(never.unwrap_err().to_string(), "the end of time: not within 1ms");
    }
}
