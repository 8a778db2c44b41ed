//! The agent's figures as `/metrics` shows them: what a demo needs of them. It must not know how they come about.

use std::collections::BTreeMap;

/// Sums over labels.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Figures {
    /// Events received.
    pub received: u64,
    /// Bytes received.
    pub received_bytes: u64,
    /// Documents taken as new.
    pub created: u64,
    /// Documents the server had.
    pub duplicate: u64,
    /// Documents answered with anything else that ends them.
    pub other: u64,
    /// Events dropped.
    pub dropped: u64,
    /// Events without an answer yet.
    pub in_flight: u64,
    /// Age of the oldest line that is on disk and not answered for.
    pub lag_s: f64,
    /// Redactions by rule.
    pub redactions: BTreeMap<String, u64>,
}

impl Figures {
    /// From the text of `/metrics`.
    pub fn read(text: &str) -> Self {
        let mut figures = Self::default();
        for line in text.lines().filter_map(|line| line.strip_prefix("fintail_")) {
            let Some((name, value)) = line.rsplit_once(' ') else { continue };
            let (name, labels) = name.split_once('{').unwrap_or((name, ""));
            let count = || value.parse::<u64>().unwrap_or(0);
            match name {
                "events_received_total" => figures.received += count(),
                "bytes_received_total" => figures.received_bytes += count(),
                "events_dropped_total" => figures.dropped += count(),
                "events_in_flight" => figures.in_flight += count(),
                "source_lag_seconds" => figures.lag_s = value.parse().unwrap_or(0.0),
                "output_documents_total" => match label(labels, "result") {
                    "created" => figures.created += count(),
                    "duplicate" => figures.duplicate += count(),
                    _ => figures.other += count(),
                },
                "redactions_total" if count() > 0 => {
                    *figures.redactions.entry(label(labels, "rule").to_owned()).or_default() += count();
                }
                _ => {}
            }
        }
        figures
    }

    /// What received events have become, those in flight counted.
    pub fn answered(&self) -> u64 {
        self.created + self.duplicate + self.other + self.dropped + self.in_flight
    }

    /// Redactions of all rules.
    pub fn hidden(&self) -> u64 {
        self.redactions.values().sum()
    }

    /// Rules with their redactions, most frequent first.
    pub fn by_rule(&self) -> Vec<(&str, u64)> {
        let mut rules: Vec<_> = self.redactions.iter().map(|(rule, count)| (rule.as_str(), *count)).collect();
        rules.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        rules
    }
}

fn label<'a>(labels: &'a str, name: &str) -> &'a str {
    let value = labels.split(',').find_map(|pair| pair.strip_prefix(name)?.strip_prefix("=\""));
    value.and_then(|value| value.split('"').next()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_over_labels() {
        let figures = Figures::read(
            "# TYPE fintail_events_received counter\n\
             fintail_events_received_total{source=\"containers\"} 10\n\
             fintail_events_received_total{source=\"spool\"} 1\n\
             fintail_output_documents_total{result=\"created\"} 7\n\
             fintail_output_documents_total{result=\"rejected\"} 2\n\
             fintail_events_in_flight 2\n\
             fintail_redactions_total{rule=\"pan\",action=\"mask\"} 3\n\
             fintail_redactions_total{rule=\"email\",action=\"token\"} 4\n\
             fintail_source_lag_seconds 0.25\n",
        );
        assert_eq!((figures.received, figures.answered(), figures.lag_s), (11, 11, 0.25));
        assert_eq!(figures.by_rule(), [("email", 4), ("pan", 3)]);
    }
}
