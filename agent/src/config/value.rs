//! What the text of one scalar means: sizes, times, endpoints, stream name templates, dataset names.
//! Must not know keys or places. Errors are the part of a sentence after "…: " and never repeat the text.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;

use super::limits::STREAM_PART_MAX_BYTES;

/// Bytes of `64MiB`, `500KiB`, `1GiB`, `1TiB` or a plain number.
pub(super) fn size_bytes(text: &str) -> Result<u64, &'static str> {
    const FORM: &str = "a size is bytes or has a unit KiB, MiB, GiB, TiB, as 64MiB";
    let (digits, unit) = number_and_unit(text).ok_or(FORM)?;
    let shift = match unit {
        "" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        "TiB" => 40,
        _ => return Err(FORM),
    };
    digits.checked_mul(1 << shift).ok_or("more than 2^64 bytes")
}

/// `250ms`, `30s`, `5m`, `24h`, `30d`.
pub(super) fn time(text: &str) -> Result<Duration, &'static str> {
    const FORM: &str = "a time has a unit ms, s, m, h, d, as 30s";
    let (count, unit) = number_and_unit(text).ok_or(FORM)?;
    let seconds = match unit {
        "ms" => return Ok(Duration::from_millis(count)),
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(FORM),
    };
    count.checked_mul(seconds).map(Duration::from_secs).ok_or("more than 2^64 seconds")
}

/// A size as a person writes it: the greatest unit that leaves no rest.
pub(super) fn size_text(bytes: u64) -> String {
    let units = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    match units.iter().find(|(_, shift)| bytes > 0 && bytes.is_multiple_of(1 << shift)) {
        Some((unit, shift)) => format!("{}{unit}", bytes >> shift),
        None => bytes.to_string(),
    }
}

/// A time as a person writes it.
pub(super) fn time_text(time: Duration) -> String {
    let (ms, s) = (time.as_millis(), u128::from(time.as_secs()));
    if ms == 0 || !ms.is_multiple_of(1000) {
        return if ms == 0 { "0s".to_owned() } else { format!("{ms}ms") };
    }
    let units = [("d", 86_400), ("h", 3_600), ("m", 60)];
    match units.iter().find(|(_, unit)| s.is_multiple_of(*unit)) {
        Some((name, unit)) => format!("{}{name}", s / unit),
        None => format!("{s}s"),
    }
}

fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at_checked(end)?;
    Some((digits.parse().ok()?, unit))
}

/// `[a-z][a-z0-9_.]{0,99}`, and none of the prefixes that only the agent itself may write.
pub(super) fn dataset(text: &str) -> Result<(), &'static str> {
    let mut chars = text.chars();
    let first = chars.next().is_some_and(|c| c.is_ascii_lowercase());
    let rest = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '.';
    if !first || !chars.all(rest) || text.len() > STREAM_PART_MAX_BYTES {
        return Err("a dataset name is a lower-case letter, then at most 99 of a-z 0-9 _ .");
    }
    if ["aws.", "kubernetes.audit", "fintail.", "system."].iter().any(|p| text.starts_with(p)) {
        return Err("aws.*, kubernetes.audit*, fintail.* and system.* are written by the agent alone");
    }
    Ok(())
}

/// Part of a token, so its alphabet is a token's.
pub(super) fn key_id(text: &str) -> Result<(), &'static str> {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if text.is_empty() || text.len() > 16 || !text.chars().all(good) {
        return Err("a key id is 1 to 16 of a-z 0-9");
    }
    Ok(())
}

/// `http://` or `https://`, host, perhaps port and path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint(reqwest::Url);

impl Endpoint {
    /// Reads `text`.
    ///
    /// # Errors
    /// What is wrong with it, without repeating it: it may hold a password.
    pub fn new(text: &str) -> Result<Self, &'static str> {
        const FORM: &str = "an endpoint is https://HOST:PORT";
        let url = reqwest::Url::parse(text).map_err(|_| FORM)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err("user and password belong under output.auth, not into the URL");
        }
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(FORM);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("an endpoint has no query and no fragment");
        }
        Ok(Self(url))
    }

    /// The parsed URL; its path is a prefix for every request.
    pub fn url(&self) -> &reqwest::Url {
        &self.0
    }

    /// Whether it is `https`.
    pub fn is_tls(&self) -> bool {
        self.0.scheme() == "https"
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

impl<'de> Deserialize<'de> for Endpoint {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(from)?).map_err(serde::de::Error::custom)
    }
}

/// A part of a data stream's name with placeholders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    ClusterName,
    ClusterEnvironment,
    Namespace,
}

const PLACEHOLDERS: [(&str, Part); 3] = [
    ("cluster.name", Part::ClusterName),
    ("cluster.environment", Part::ClusterEnvironment),
    ("kubernetes.namespace", Part::Namespace),
];

impl Template {
    /// Reads `text`.
    ///
    /// # Errors
    /// An unknown placeholder, or text that no stream name may hold.
    pub fn new(text: &str) -> Result<Self, &'static str> {
        let mut parts = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (literal, tail) = match rest.split_once('{') {
                Some((literal, tail)) => (literal, Some(tail)),
                None => (rest, None),
            };
            if !literal.is_empty() {
                if literal.chars().any(|c| forbidden(c) || c.is_uppercase()) {
                    return Err(
                        "a part of a stream name is lower case, without - \\ / * ? \" < > | , # : } or blanks",
                    );
                }
                parts.push(Part::Text(literal.to_owned()));
            }
            rest = match tail {
                None => "",
                Some(tail) => {
                    const KNOWN: &str =
                        "placeholders are {cluster.name}, {cluster.environment}, {kubernetes.namespace}";
                    let (name, tail) = tail.split_once('}').ok_or(KNOWN)?;
                    let known = PLACEHOLDERS.into_iter().find(|(n, _)| *n == name);
                    parts.push(known.ok_or(KNOWN)?.1);
                    tail
                }
            };
        }
        // Index names begin with none of `-`, `_`, `+`, but ours begin with the type and only it could.
        match parts.first() {
            None => Err("a part of a stream name is not empty"),
            Some(Part::Text(t)) if t.starts_with(['_', '+', '.']) => {
                Err("a part of a stream name does not begin with _ + .")
            }
            Some(_) => Ok(Self(parts)),
        }
    }

    /// The name's part: placeholders in lower case, what an index name forbids and `-` as `_`, unset or empty as
    /// `default`; at most [`STREAM_PART_MAX_BYTES`] bytes.
    pub fn render(&self, cluster: &super::Cluster, kubernetes_namespace: Option<&str>) -> String {
        let mut name = String::new();
        for part in &self.0 {
            let value = match part {
                Part::Text(text) => {
                    name.push_str(text);
                    continue;
                }
                Part::ClusterName => cluster.name.as_deref(),
                Part::ClusterEnvironment => cluster.environment.as_deref(),
                Part::Namespace => kubernetes_namespace,
            };
            let value = value.filter(|v| !v.is_empty()).unwrap_or("default");
            let lower = value.chars().flat_map(char::to_lowercase);
            name.extend(lower.map(|c| if forbidden(c) { '_' } else { c }));
        }
        while name.len() > STREAM_PART_MAX_BYTES {
            name.pop();
        }
        name
    }

    /// Whether it depends on the pod.
    pub fn is_per_namespace(&self) -> bool {
        self.0.contains(&Part::Namespace)
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(from)?).map_err(serde::de::Error::custom)
    }
}

/// What an index name may not hold (Elasticsearch, create index API), and `-`, which parts a stream's name.
fn forbidden(c: char) -> bool {
    "-\\/*?\"<>|,#:{}".contains(c) || c.is_whitespace() || c.is_control()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::config::Cluster;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", 0),
            ("512", 512),
            ("500KiB", 512_000),
            ("64MiB", 67_108_864),
            ("1GiB", 1 << 30),
            ("2TiB", 2 << 40),
        ] {
            assert_eq!(size_bytes(text), Ok(bytes), "{text}");
        }
        for text in ["", "MiB", "64MB", "64 MiB", "-1", "1.5GiB", "64mib", "99999999TiB", "٣MiB"] {
            assert!(size_bytes(text).is_err(), "{text}");
        }
        assert_eq!(size_text(512_000), "500KiB");
        assert_eq!(size_text(0), "0");
        assert_eq!(size_text(1 << 30), "1GiB");
    }

    #[test]
    fn times() {
        for (text, ms) in
            [("250ms", 250), ("30s", 30_000), ("5m", 300_000), ("24h", 86_400_000), ("30d", 2_592_000_000)]
        {
            assert_eq!(time(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "30", "30 s", "1.5s", "-1s", "5min", "99999999999999999999s"] {
            assert!(time(text).is_err(), "{text}");
        }
        for text in ["250ms", "30s", "5m", "36h", "30d", "0s"] {
            assert_eq!(time_text(time(text).unwrap()), text);
        }
    }

    #[test]
    fn datasets() {
        for good in ["app", "payments", "a", "kubernetes.container_logs", "pay.eu_1"] {
            assert_eq!(dataset(good), Ok(()), "{good}");
        }
        let long = format!("a{}", "b".repeat(100));
        for bad in
            ["", "Pay", "1a", "_a", "a-b", "aws.x", "kubernetes.audit", "fintail.gap", "system.auth", &long]
        {
            assert!(dataset(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn endpoints() {
        let endpoint = Endpoint::new("https://es-0:9200/proxy/").unwrap();
        assert_eq!(endpoint.to_string(), "https://es-0:9200/proxy");
        assert!(endpoint.is_tls());
        assert!(!Endpoint::new("http://[::1]:9200").unwrap().is_tls());
        for bad in [
            "",
            "es-0:9200",
            "ftp://es",
            "https://",
            "https://u:p@es",
            "https://u@es",
            "https://es?x=1",
            "https://es#x",
        ] {
            assert!(Endpoint::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn stream_names() {
        let cluster = Cluster { name: Some("Prod-EU 1".into()), environment: None };
        let render = |text: &str| Template::new(text).unwrap().render(&cluster, Some("pay-a"));
        assert_eq!(render("logs"), "logs");
        assert_eq!(render("{cluster.name}"), "prod_eu_1");
        assert_eq!(render("{cluster.environment}"), "default");
        assert_eq!(render("x.{kubernetes.namespace}_y"), "x.pay_a_y");
        assert_eq!(render(&"і".repeat(60)).len(), 100);
        for bad in ["", "Logs", "a-b", "{x}", "{cluster.name", "a}", "_a", "a b"] {
            assert!(Template::new(bad).is_err(), "{bad}");
        }
    }
}
