//! What is wrong with a configuration, with its place, for people and for programs.
//! Must not know the schema. An excerpt never shows what stands where a secret belongs.

use std::fmt;

use serde::Serialize;

use super::limits::CONFIG_MAX_ERRORS;
use super::tree::Span;

/// Characters of a source line that an excerpt shows at most.
const EXCERPT_MAX_CHARS: usize = 120;
/// Of them, before the place.
const EXCERPT_LEAD_CHARS: usize = 60;
/// Bytes looked at on either side of the place: a file may be one line of a megabyte.
const EXCERPT_WINDOW_BYTES: usize = 1024;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConfigError {
    /// Key as `output.batch.bytes` or `datasets[0].dataset`; empty where the text is no YAML.
    pub path: String,
    /// 1-based; 0 where the file could not be read.
    pub line: usize,
    /// 1-based, in characters; 0 where the file could not be read.
    pub column: usize,
    /// What is wrong.
    pub cause: String,
    /// What to write instead, where it can be told.
    pub hint: Option<String>,
    /// The line, secrets as `***`, clipped if long.
    pub excerpt: String,
    /// Where in `excerpt` the place begins and how long it is, in characters.
    #[serde(skip)]
    caret: (usize, usize),
}

/// What is wrong with one file, in the file's order; the first [`CONFIG_MAX_ERRORS`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConfigErrors {
    /// The file's name as given.
    pub file: String,
    /// At least one.
    pub errors: Vec<ConfigError>,
    /// Errors beyond those.
    pub omitted: usize,
}

impl std::error::Error for ConfigErrors {}

impl ConfigErrors {
    /// One JSON object: `{"file":…,"errors":[{"path","line","column","cause","hint","excerpt"}],"omitted":n}`.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The file could not be had at all.
    pub(super) fn unread(file: &str, cause: String) -> Self {
        let error = ConfigError {
            path: String::new(),
            line: 0,
            column: 0,
            cause,
            hint: None,
            excerpt: String::new(),
            caret: (0, 0),
        };
        Self { file: file.to_owned(), errors: vec![error], omitted: 0 }
    }

    /// Gives `problems` their lines of `text`; what lies in `secrets` is not shown.
    pub(super) fn new(file: &str, text: &str, mut problems: Vec<Problem>, secrets: &[Span]) -> Self {
        problems.sort_by_key(|p| p.span.start);
        let omitted = problems.len().saturating_sub(CONFIG_MAX_ERRORS);
        problems.truncate(CONFIG_MAX_ERRORS);
        let errors = problems.into_iter().map(|p| p.placed(text, secrets)).collect();
        Self { file: file.to_owned(), errors, omitted }
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.errors.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            error.write(f, &self.file)?;
        }
        match self.omitted {
            0 => Ok(()),
            n => writeln!(f, "\n… and {n} more"),
        }
    }
}

impl ConfigError {
    fn write(&self, f: &mut fmt::Formatter<'_>, file: &str) -> fmt::Result {
        let colon = if self.path.is_empty() { "" } else { ": " };
        writeln!(f, "error: {}{colon}{}", self.path, self.cause)?;
        if self.line == 0 {
            return writeln!(f, "  --> {file}");
        }
        let number = self.line.to_string();
        let (pad, (start, len)) = (number.len(), self.caret);
        writeln!(f, "{:pad$}--> {file}:{}:{}", "", self.line, self.column)?;
        writeln!(f, "{:pad$} |", "")?;
        writeln!(f, "{number} | {}", self.excerpt)?;
        writeln!(f, "{:pad$} | {:start$}{}", "", "", "^".repeat(len))?;
        if let Some(hint) = &self.hint {
            writeln!(f, "{:pad$} = {hint}", "")?;
        }
        Ok(())
    }
}

/// An error that knows its bytes but not yet its line.
#[derive(Debug, Clone)]
pub(super) struct Problem {
    pub(super) path: String,
    pub(super) span: Span,
    pub(super) cause: String,
    pub(super) hint: Option<String>,
}

impl Problem {
    fn placed(self, text: &str, secrets: &[Span]) -> ConfigError {
        let start = floor(text, self.span.start);
        let before = text.get(..start).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        let from = line_start.max(floor(text, start.saturating_sub(EXCERPT_WINDOW_BYTES)));
        let to = floor(text, start + EXCERPT_WINDOW_BYTES);
        let line = text.get(from..to).unwrap_or_default();
        let rest = line.get(start - from..).unwrap_or_default();
        let line_end = rest.find(['\n', '\r']).map_or(line.len(), |i| start - from + i);
        let line = line.get(..line_end).unwrap_or_default();
        let near: Vec<_> = secrets.iter().filter(|s| s.start < to && s.end > from).cloned().collect();
        let (excerpt, caret) = excerpt(line, from, &(start..self.span.end), &near);
        ConfigError {
            path: self.path,
            line: before.matches('\n').count() + 1,
            column: text.get(line_start..start).unwrap_or_default().chars().count() + 1,
            cause: self.cause,
            hint: self.hint,
            excerpt,
            caret,
        }
    }
}

/// `line` as shown, and where `place` lies in it. `offset` is its first byte.
fn excerpt(line: &str, offset: usize, place: &Span, secrets: &[Span]) -> (String, (usize, usize)) {
    let mut shown: Vec<char> = Vec::new();
    let mut hidden = false;
    let (mut from, mut to) = (None, None);
    for (i, c) in line.char_indices() {
        let at = offset + i;
        if at >= place.end && from.is_some() {
            to.get_or_insert(shown.len());
        }
        if at >= place.start {
            from.get_or_insert(shown.len());
        }
        let secret = secrets.iter().any(|s| s.contains(&at));
        match (secret, hidden) {
            (true, false) => shown.extend("***".chars()),
            (true, true) => {}
            (false, _) if c.is_control() => shown.push(' '),
            (false, _) => shown.push(c),
        }
        hidden = secret;
    }
    let from = from.unwrap_or(shown.len());
    let to = to.unwrap_or(shown.len()).max(from + 1);
    let clip = if shown.len() > EXCERPT_MAX_CHARS { from.saturating_sub(EXCERPT_LEAD_CHARS) } else { 0 };
    let mut text: String = shown.iter().skip(clip).take(EXCERPT_MAX_CHARS).collect();
    text.truncate(text.trim_end().len());
    let room = text.chars().count().saturating_sub(from - clip).max(1);
    (text, (from - clip, (to - from).min(room)))
}

/// The character boundary at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0)
}

/// The one of `known` that `word` most likely was meant to be.
pub(super) fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word: Vec<char> = word.chars().take(64).flat_map(char::to_lowercase).collect();
    let (distance, best) = known
        .into_iter()
        .map(|k| (edits(&word, &k.chars().collect::<Vec<_>>()), k))
        .min_by_key(|(distance, _)| *distance)?;
    (distance <= (best.len() / 3).max(1) && distance < best.len()).then_some(best)
}

/// Insertions, deletions, replacements and swaps of neighbours (optimal string alignment).
fn edits(a: &[char], b: &[char]) -> usize {
    let width = b.len() + 1;
    let mut rows = vec![0; (a.len() + 1) * width];
    let at = |rows: &[usize], i: usize, j: usize| rows.get(i * width + j).copied().unwrap_or(0);
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            let best = if i == 0 || j == 0 {
                i + j
            } else {
                let same = a.get(i - 1) == b.get(j - 1);
                let swapped = i > 1 && j > 1 && a.get(i - 1) == b.get(j - 2) && a.get(i - 2) == b.get(j - 1);
                let swap = if swapped { at(&rows, i - 2, j - 2) + 1 } else { usize::MAX };
                (at(&rows, i - 1, j) + 1)
                    .min(at(&rows, i, j - 1) + 1)
                    .min(at(&rows, i - 1, j - 1) + usize::from(!same))
                    .min(swap)
            };
            if let Some(cell) = rows.get_mut(i * width + j) {
                *cell = best;
            }
        }
    }
    at(&rows, a.len(), b.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meant() {
        for (word, meant) in [
            ("endpoint", Some("endpoints")),
            ("enpdoints", Some("endpoints")),
            ("Endpoints", Some("endpoints")),
            ("compresion", None),
            ("sn", None),
        ] {
            assert_eq!(did_you_mean(word, ["endpoints", "auth", "tls"]), meant, "{word}");
        }
    }

    #[test]
    fn excerpt_hides_secrets_and_keeps_the_caret() {
        let line = "a: {password: hunter2, b: 1}";
        let at = |word: &str| line.find(word).map(|i| i..i + word.len()).unwrap_or_default();
        let (text, caret) = excerpt(line, 0, &at("b: 1"), &[at("hunter2")]);
        assert_eq!((text.as_str(), caret), ("a: {password: ***, b: 1}", (19, 4)));
        let (_, caret) = excerpt(line, 0, &at("hunter2"), &[at("hunter2")]);
        assert_eq!(caret, (14, 3));
    }

    #[test]
    fn long_lines_are_clipped_around_the_place() {
        let line = format!("{}x{}", "a".repeat(5_000), "b".repeat(5_000));
        let (text, (start, len)) = excerpt(&line, 0, &(5_000..5_001), &[]);
        assert_eq!((text.chars().nth(start), len), (Some('x'), 1));
        assert_eq!(text.len(), EXCERPT_MAX_CHARS);
    }
}
