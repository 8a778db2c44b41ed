//! Owns one scrape of an agent's `/metrics`, read as OpenMetrics text.
//! Must not know which metrics there are, but for the sum that every fault test checks.

use std::collections::BTreeMap;

/// Samples by name and labels, as exposed (counters end in `_total`).
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    samples: Vec<Sample>,
}

#[derive(Debug, Clone)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

/// The two sides of the sum that holds whenever an agent is quiet: every event received is accounted for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Balance {
    /// Events that came in.
    pub received: f64,
    /// Documents by result, drops by reason, and what is in flight.
    pub accounted: f64,
    /// The part of `accounted` that is still on its way.
    pub in_flight: f64,
}

impl Metrics {
    /// Reads the text; lines that are no samples are passed over.
    pub fn parse(text: &str) -> Self {
        Self { samples: text.lines().filter_map(sample).collect() }
    }

    /// Sum over all samples of a name whose labels hold all of `labels`; 0 where there is none, as for a counter that has
    /// not moved.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let holds = |sample: &Sample| {
            sample.name == name
                && labels.iter().all(|(k, v)| sample.labels.get(*k).is_some_and(|have| have == v))
        };
        // folded from 0.0: the empty `sum` of floats is -0.0
        self.samples.iter().filter(|sample| holds(sample)).fold(0.0, |sum, sample| sum + sample.value)
    }

    /// Whether a sample of that name was exposed at all.
    pub fn has(&self, name: &str) -> bool {
        self.samples.iter().any(|sample| sample.name == name)
    }

    /// Names of all samples, each once.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.samples.iter().map(|sample| sample.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// events_received = created + duplicate + failure_store + noop + rejected + dropped + in flight
    pub fn balance(&self) -> Balance {
        let in_flight = self.sum("fintail_events_in_flight", &[]);
        let done =
            self.sum("fintail_output_documents_total", &[]) + self.sum("fintail_events_dropped_total", &[]);
        Balance {
            received: self.sum("fintail_events_received_total", &[]),
            accounted: done + in_flight,
            in_flight,
        }
    }
}

/// `name{label="value",…} number`, perhaps with a time behind it; exemplars and comments begin with `#`.
fn sample(line: &str) -> Option<Sample> {
    if line.starts_with('#') {
        return None;
    }
    let (name, rest) = line.split_at_checked(line.find(['{', ' '])?)?;
    let mut labels = BTreeMap::new();
    let mut rest = rest.strip_prefix('{').unwrap_or(rest);
    while let Some((label, after)) = rest.split_once("=\"").filter(|(label, _)| !label.contains([' ', '}'])) {
        let (value, behind) = quoted(after)?;
        labels.insert(label.trim_start_matches(',').to_owned(), value);
        rest = behind;
    }
    let value = rest.trim_start_matches('}').split_whitespace().next()?.parse().ok()?;
    Some(Sample { name: name.to_owned(), labels, value })
}

/// What stands before the closing quote, with escapes undone, and what follows the quote.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, text.get(at + 1..)?)),
            '\\' => value.push(match characters.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"# TYPE fintail_events_received counter
fintail_events_received_total{source="containers"} 7
fintail_events_received_total{source="in\"ternal, {x}"} 3
fintail_output_documents_total{result="created"} 6
fintail_output_documents_total{result="duplicate",extra="1"} 1
fintail_events_dropped_total{reason="filter"} 1 1700000000.5
fintail_events_in_flight 2
# EOF
"#;

    #[test]
    fn sums_over_labels_and_picks_by_label() {
        let metrics = Metrics::parse(TEXT);
        assert_eq!(metrics.sum("fintail_events_received_total", &[]), 10.0);
        assert_eq!(metrics.sum("fintail_events_received_total", &[("source", "in\"ternal, {x}")]), 3.0);
        assert_eq!(metrics.sum("fintail_output_documents_total", &[("result", "duplicate")]), 1.0);
        assert_eq!(metrics.sum("fintail_output_documents_total", &[("result", "noop")]), 0.0);
        assert!(metrics.has("fintail_events_in_flight") && !metrics.has("fintail_events"));
        assert_eq!(metrics.names().len(), 4);
    }

    #[test]
    fn balances_what_came_in_with_what_became_of_it() {
        assert_eq!(
            Metrics::parse(TEXT).balance(),
            Balance { received: 10.0, accounted: 10.0, in_flight: 2.0 }
        );
    }
}
