//! Finds what may not leave the node and overwrites it; the sole maker of `Batch<Clean>`.
//! It must not know files, documents or HTTP, and it must never print text.
//!
//! One pass: [`anchor`] marks the few bytes of the whole batch where a secret can stand, [`scan`] looks at those of
//! one record after the other, [`mask`] writes. The cost does not grow with the number of rules.
//!
//! Fail closed: a record that panics or exceeds its budget of work steps is overwritten and told in
//! [`Parts::withheld`]; it never ships.
//!
//! Known limits: no XML, FIX, ISO 8583, SWIFT or SQL structure yet, no decoding of `%XX` beyond `%40` and `%2B`,
//! no unicode digits, no base64 bodies.

use std::panic::{AssertUnwindSafe, catch_unwind};

use fintail_parsers::Span;

use super::batch::{Batch, Clean, Hit, Parts, Raw, Replacement};
use super::record::Shape;
use crate::source::SourceId;

mod anchor;
mod keys;
mod mask;
pub mod rules;
mod scan;
#[cfg(test)]
mod tests;
mod token;
mod value;

pub use rules::{Action, JsonNumbers, PanForm, RULES, Rule, RuleId, RuleSettings, TokenKey};

use mask::Mask;
use scan::{Field, Found, Scanner};

/// Proof that a batch went through redaction; only this module can make one.
#[derive(Debug)]
pub struct Proof(());

/// Within what one value gives one token: the namespace of a source, or the same text for all.
pub trait TokenDomains {
    /// The domain of a source.
    fn domain(&self, source: SourceId) -> &str;
}

/// One domain for every source.
impl TokenDomains for &str {
    fn domain(&self, _source: SourceId) -> &str {
        self
    }
}

/// One redaction of one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule.
    pub rule: RuleId,
    /// What was done.
    pub action: Action,
    /// The key it was found under: a built-in key phrase, `*` for any other, `None` without a key.
    pub field: Option<&'static str>,
    /// First byte in the input.
    pub start: usize,
    /// One past the last byte in the input.
    pub end: usize,
}

/// The engine: rules compiled once, scratch memory reused from batch to batch.
pub struct Redactor {
    scanner: Scanner,
    mask: Mask,
    anchors: Vec<u32>,
    counts: Vec<[u64; Action::ALL.len()]>,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redactor").finish_non_exhaustive()
    }
}

impl Default for Redactor {
    fn default() -> Self {
        Self::new(&RuleSettings::default())
    }
}

impl Redactor {
    /// An engine with these settings.
    #[must_use]
    pub fn new(settings: &RuleSettings) -> Self {
        Self {
            scanner: Scanner::new(settings),
            mask: Mask::new(settings),
            anchors: Vec::new(),
            counts: vec![[0; Action::ALL.len()]; RULES.len()],
        }
    }

    /// Redacts every record of the batch.
    #[must_use]
    pub fn redact(&mut self, mut batch: Batch<Raw>, domains: &dyn TokenDomains) -> Batch<Clean> {
        let parts = batch.parts_mut();
        anchor::find(&parts.text, &mut self.anchors);
        let (mut record, mut next) = (0, 0);
        while record < parts.records.len() {
            // A panic ends the closure at the record that caused it; the rest goes on behind it.
            let run = AssertUnwindSafe(|| self.records(parts, domains, &mut record, &mut next));
            if catch_unwind(run).is_err() {
                withhold(parts, record);
                record += 1;
            }
        }
        batch.into_clean(Proof(()))
    }

    /// Redacts a text that is no event: a label, a path. `domain` as for the events of its source.
    #[must_use]
    pub fn redact_text(&mut self, text: &str, domain: &str) -> String {
        String::from_utf8_lossy(&self.redact_line(text.as_bytes(), domain, None)).into_owned()
    }

    /// Redacts one line; `findings` gets what was done with offsets of the input, ascending.
    /// A line that cannot be finished (panic, work budget) comes back as `[REDACTED:withheld]`.
    #[must_use]
    pub fn redact_line(&mut self, line: &[u8], domain: &str, findings: Option<&mut Vec<Finding>>) -> Vec<u8> {
        let run = AssertUnwindSafe(|| self.line(line, domain, findings));
        catch_unwind(run).ok().flatten().unwrap_or_else(|| b"[REDACTED:withheld]".to_vec())
    }

    /// Redactions since the last call by rule and action, for metrics.
    pub fn take_counts(&mut self) -> impl Iterator<Item = (RuleId, Action, u64)> + '_ {
        self.counts.iter_mut().enumerate().flat_map(|(rule, counts)| {
            let taken = std::mem::take(counts);
            Action::ALL
                .into_iter()
                .zip(taken)
                .filter(|(_, n)| *n > 0)
                .map(move |(a, n)| (RuleId(rule as u16), a, n))
        })
    }

    fn records(
        &mut self,
        parts: &mut Parts,
        domains: &dyn TokenDomains,
        record: &mut usize,
        next: &mut usize,
    ) {
        while let Some(&r) = parts.records.get(*record) {
            let rest = self.anchors.get(*next..).unwrap_or_default();
            let skip = rest.iter().take_while(|a| **a < r.body.start).count();
            let rest = rest.get(skip..).unwrap_or_default();
            let count = rest.iter().take_while(|a| **a < r.body.end).count();
            let anchors = rest.get(..count).unwrap_or_default();
            *next += skip + count;
            if !anchors.is_empty() {
                match self.scanner.scan(r.body.of(&parts.text), anchors, r.body.start) {
                    Ok(()) if self.scanner.found.is_empty() => {}
                    Ok(()) => self.apply(parts, *record, r.body.start as usize, domains.domain(r.source)),
                    Err(scan::OverBudget) => withhold(parts, *record),
                }
            }
            *record += 1;
        }
    }

    fn apply(&mut self, parts: &mut Parts, record: usize, base: usize, domain: &str) {
        let hits_from = parts.hits.len();
        for f in &self.scanner.found {
            let Some(raw) = parts.text.get_mut(base + f.start..base + f.end) else { continue };
            count(&mut self.counts, f, self.mask.action(f));
            if !self.mask.in_place(f, raw) {
                let with = parts.replacement_text.len();
                self.mask.write(f, raw, domain, &mut parts.replacement_text);
                let replaced = self.mask.replaced(f, raw);
                raw.iter_mut().take(replaced).for_each(|b| *b = b'*');
                let start = base + f.start;
                parts.replacements.push(Replacement {
                    at: span(start, start + replaced),
                    with: span(with, parts.replacement_text.len()),
                });
            }
            let hit = Hit { record: record as u32, rule: f.rule.0 };
            if !parts.hits.get(hits_from..).unwrap_or_default().contains(&hit) {
                parts.hits.push(hit);
            }
        }
    }

    fn line(
        &mut self,
        line: &[u8],
        domain: &str,
        mut findings: Option<&mut Vec<Finding>>,
    ) -> Option<Vec<u8>> {
        anchor::find(line, &mut self.anchors);
        self.scanner.scan(line, &self.anchors, 0).ok()?;
        let mut out = Vec::with_capacity(line.len() + 32);
        let mut from = 0;
        for f in &self.scanner.found {
            let action = self.mask.action(f);
            count(&mut self.counts, f, action);
            out.extend_from_slice(line.get(from..f.start)?);
            let raw = line.get(f.start..f.end)?;
            let at = out.len();
            out.extend_from_slice(raw);
            if !self.mask.in_place(f, out.get_mut(at..)?) {
                out.truncate(at);
                self.mask.write(f, raw, domain, &mut out);
                out.extend_from_slice(raw.get(self.mask.replaced(f, raw)..)?);
            }
            from = f.end;
            if let Some(list) = findings.as_deref_mut() {
                let field = match f.field {
                    Field::None => None,
                    Field::Unknown => Some("*"),
                    Field::Known(phrase) => Some(phrase),
                };
                list.push(Finding { rule: f.rule, action, field, start: f.start, end: f.end });
            }
        }
        out.extend_from_slice(line.get(from..)?);
        Some(out)
    }
}

fn count(counts: &mut [[u64; Action::ALL.len()]], f: &Found, action: Action) {
    if let Some(n) = counts.get_mut(f.rule.0 as usize).and_then(|c| c.get_mut(action as usize)) {
        *n += 1;
    }
}

fn span(start: usize, end: usize) -> Span {
    Span::new(start as u32, end as u32)
}

/// Overwrites a record and takes back what was written for it.
fn withhold(parts: &mut Parts, record: usize) {
    let Some(r) = parts.records.get_mut(record) else { return };
    r.shape = Shape::Text;
    r.field_count = 0;
    let body = r.body;
    if let Some(text) = parts.text.get_mut(body.start as usize..body.end as usize) {
        text.fill(b'*');
    }
    while parts.replacements.last().is_some_and(|p| p.at.start >= body.start) {
        parts.replacements.pop();
    }
    while parts.hits.last().is_some_and(|h| h.record == record as u32) {
        parts.hits.pop();
    }
    parts.withheld.push(record as u32);
}
