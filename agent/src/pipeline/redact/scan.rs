//! From the anchors of one line to its findings: candidates, validators in order of cost, evidence, merged spans.
//! It only reads; what becomes of a finding is `mask`'s business.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fintail_parsers::sensitive::{aws, byte_at, card, email, iban, jwt, pem};

use super::anchor::RUN;
use super::keys::{Check, Evidence, Key, KeyTable, card_evidence};
use super::rules::{self, Action, RuleId, RuleSettings};
use super::value::{self, Quote, StringState, Value};

/// How a finding can be shown in part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Not at all.
    Whole,
    /// A card number with separators.
    Pan,
    /// An IBAN with separators.
    Iban,
    /// An address; the at sign (`@` or `%40`) stands so many bytes after its start.
    Email(u32),
}

/// The key that a value was found under, as findings may show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    /// No key.
    None,
    /// A key that is not in the built-in list.
    Unknown,
    /// A built-in key phrase.
    Known(&'static str),
}

/// A stretch of the line that must go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) rule: RuleId,
    pub(super) form: Form,
    /// A bare JSON number: what is put instead needs this quote.
    pub(super) number: Option<Quote>,
    pub(super) field: Field,
}

/// The line took more work than its length allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OverBudget;

/// Work steps (bytes looked at, about) that every line may cost, and further ones a byte.
const BASE_STEPS: usize = 16 * 1024;
const STEPS_PER_BYTE: usize = 64;
/// Distinct secrets of one line that are searched for in the rest of it.
const MAX_REPEATED: usize = 8;
/// Shortest secret that is searched for elsewhere in its line, bytes.
const MIN_REPEATED_BYTES: usize = 6;
/// Longest user:password before an at sign, bytes.
const MAX_USERINFO: usize = 128;

#[derive(Clone, Copy, Debug)]
struct Group {
    start: usize,
    end: usize,
}

/// Finds what must go in one line; memory is reused.
pub(super) struct Scanner {
    keys: KeyTable,
    off: Vec<bool>,
    pub(super) found: Vec<Found>,
    /// Card numbers by form without evidence for them.
    weak: Vec<Found>,
    groups: Vec<Group>,
    strings: StringState,
    json: bool,
    steps: usize,
    /// Bytes before it are a keyed secret already.
    done_to: usize,
    run_to: usize,
}

impl Scanner {
    pub(super) fn new(settings: &RuleSettings) -> Self {
        Self {
            keys: KeyTable::new(),
            off: (0..rules::RULES.len()).map(|i| settings.action(RuleId(i as u16)) == Action::Off).collect(),
            found: Vec::new(),
            weak: Vec::new(),
            groups: Vec::new(),
            strings: StringState::default(),
            json: false,
            steps: 0,
            done_to: 0,
            run_to: 0,
        }
    }

    /// Fills `found` with the findings of `line`, ascending and apart; `anchors` are offsets in it plus `base`.
    pub(super) fn scan(&mut self, line: &[u8], anchors: &[u32], base: u32) -> Result<(), OverBudget> {
        self.found.clear();
        self.weak.clear();
        self.strings = StringState::default();
        self.json = looks_like_json(line);
        self.steps = BASE_STEPS + STEPS_PER_BYTE * line.len();
        self.done_to = 0;
        self.run_to = 0;
        for &anchor in anchors {
            let at = anchor.wrapping_sub(base) as usize;
            match byte_at(line, at) {
                b':' | b'=' => self.delimiter(line, at)?,
                b'@' => self.address(line, at, 1)?,
                b'0'..=b'9' => self.digits(line, at)?,
                b'J' => self.token(line, at),
                b'A' => self.access_key(line, at),
                b'-' => self.pem(line, at)?,
                b' ' => {
                    self.is_prose(line, at);
                    self.number_run(line, at)?;
                }
                b'B' => self.scheme(line, at),
                _ => self.number_run(line, at)?,
            }
        }
        if self.found.is_empty() {
            return Ok(());
        }
        self.promote_weak(line);
        self.repeat(line)?;
        self.merge();
        Ok(())
    }

    fn spend(&mut self, steps: usize) -> Result<(), OverBudget> {
        self.steps = self.steps.checked_sub(steps).ok_or(OverBudget)?;
        Ok(())
    }

    fn push(&mut self, start: usize, end: usize, rule: RuleId, form: Form, field: Field) {
        self.push_number(start, end, rule, form, field, None);
    }

    fn push_number(
        &mut self,
        start: usize,
        end: usize,
        rule: RuleId,
        form: Form,
        field: Field,
        number: Option<Quote>,
    ) {
        if start < end && !self.off.get(rule.0 as usize).copied().unwrap_or(false) {
            self.found.push(Found { start, end, rule, form, number, field });
        }
    }

    // ---- keys

    #[inline]
    fn delimiter(&mut self, line: &[u8], d: usize) -> Result<(), OverBudget> {
        let (end, quote) = value::key_before(line, d);
        let Some(key) = self.keys.ending_at(line, end) else { return Ok(()) };
        if d < self.done_to {
            return Ok(());
        }
        self.keyed(line, value::after_delimiter(line, d), quote, key, byte_at(line, d) == b':')
    }

    #[cold]
    fn keyed(
        &mut self,
        line: &[u8],
        from: usize,
        quote: Option<Quote>,
        key: &'static Key,
        colon: bool,
    ) -> Result<(), OverBudget> {
        if key.check == Check::Innocent || (self.json && quote.is_none() && byte_at(line, from) == b'"') {
            return Ok(());
        }
        let mut i = from;
        let list = byte_at(line, i) == b'['
            && !value::is_masked(line.get(i..).unwrap_or_default().get(..12).unwrap_or_default());
        if list {
            i = value::skip_blanks(line, i + 1);
            if byte_at(line, i) == b']' {
                return Ok(());
            }
        }
        loop {
            let header = matches!(key.check, Check::Authorization | Check::Cookie) && quote.is_none();
            let value = if header && value::quote_at(line, i).is_none() {
                Some(Value { start: i, end: header_end(line, i, list), quote: None })
            } else {
                value::value_at(line, i, quote)
            };
            let Some(value) = value else { return Ok(()) };
            self.spend(value.end - value.start + 8)?;
            self.judge(line, value, quote, key, colon);
            if !list {
                return Ok(());
            }
            i = value.end + value.quote.map_or(0, |q| usize::from(q.backslashes) + 1);
            i = value::skip_blanks(line, i);
            if byte_at(line, i) != b',' {
                return Ok(());
            }
            i = value::skip_blanks(line, i + 1);
        }
    }

    fn judge(&mut self, line: &[u8], v: Value, key_quote: Option<Quote>, key: &'static Key, colon: bool) {
        let Some(text) = line.get(v.start..v.end) else { return };
        let lead = text.iter().take_while(|b| **b == b' ').count();
        let trail = text.iter().rev().take_while(|b| **b == b' ').count();
        let (start, end) = (v.start + lead, v.end.saturating_sub(trail));
        let Some(text) = line.get(start..end) else { return };
        if value::is_no_secret(text) {
            return;
        }
        let hit = match key.check {
            Check::CardCode => matches!(text.len(), 3 | 4) && digits_only(text),
            Check::Pin => (4..=12).contains(&text.len()) && digits_only(text),
            Check::PinBlock => text.len() == 16 && text.iter().all(u8::is_ascii_hexdigit),
            Check::Password => true,
            Check::Secret(min) => {
                text.len() >= usize::from(min)
                    && !(v.quote.is_none()
                        && colon
                        && key_quote.is_none()
                        && text.iter().all(u8::is_ascii_lowercase))
            }
            Check::OneTime => {
                (4..=10).contains(&text.len())
                    && text.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-')
                    && text.iter().any(u8::is_ascii_digit)
            }
            Check::Authorization => return self.authorization(line, start, end, key),
            Check::Cookie => memchr::memchr(b'=', text).is_some(),
            Check::Innocent => false,
        };
        if !hit {
            return;
        }
        // A number in JSON: the value stands bare behind a quoted key.
        let number = key_quote.filter(|_| v.quote.is_none() && colon && is_json_number(text));
        self.push_number(start, end, key.rule, Form::Whole, Field::Known(key.phrase), number);
        self.done_to = self.done_to.max(end);
    }

    fn authorization(&mut self, line: &[u8], start: usize, end: usize, key: &'static Key) {
        let text = line.get(start..end).unwrap_or_default();
        if is_json_number(text) {
            return;
        }
        let field = Field::Known(key.phrase);
        let scheme_end = text.iter().position(|b| *b == b' ').unwrap_or(0);
        let scheme = text.get(..scheme_end).unwrap_or_default();
        let from = value::skip_blanks(line, start + scheme_end);
        let rest = line.get(from..end).unwrap_or_default();
        let rule = if scheme.eq_ignore_ascii_case(b"basic") { rules::BASIC_AUTH } else { rules::BEARER };
        if scheme.is_empty() {
            if text.len() >= 6 {
                self.push(start, end, rules::BEARER, Form::Whole, field);
                self.done_to = end;
            }
        } else if !value::is_no_secret(rest) && known_scheme(scheme) {
            self.push(from, end, rule, Form::Whole, field);
            self.done_to = end;
        } else if !known_scheme(scheme) && !scheme.iter().all(u8::is_ascii_alphabetic) {
            self.push(start, start + scheme_end, rules::BEARER, Form::Whole, field);
        }
    }

    /// `Bearer abc…` and `Basic dTpw` without a header name.
    fn scheme(&mut self, line: &[u8], at: usize) {
        let rest = line.get(at..).unwrap_or_default();
        let (skip, rule) = if rest.starts_with(b"Bearer ") {
            (7, rules::BEARER)
        } else if rest.starts_with(b"Basic ") {
            (6, rules::BASIC_AUTH)
        } else {
            return;
        };
        let credential = rest.get(skip..).unwrap_or_default();
        let n = credential
            .iter()
            .position(|b| {
                !(b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~' | b'+' | b'/' | b'='))
            })
            .unwrap_or(credential.len());
        let mut credential = credential.get(..n).unwrap_or_default();
        if let Some(stripped) = credential.strip_suffix(b".") {
            credential = stripped;
        }
        let secret = if rule == rules::BASIC_AUTH {
            let mut plain = [0u8; 256];
            let n = STANDARD.decode_slice(credential, &mut plain).unwrap_or(0);
            plain.get(..n).is_some_and(|p| p.contains(&b':'))
        } else {
            let padding = credential.iter().rev().take_while(|b| **b == b'=').count();
            let inner = credential.get(..credential.len() - padding).unwrap_or_default();
            let word = inner.len() >= 8 && !inner.contains(&b'=') && !value::is_masked(inner);
            word && inner.iter().any(u8::is_ascii_digit)
        };
        if secret {
            self.push(at + skip, at + skip + credential.len(), rule, Form::Whole, Field::None);
        }
    }

    /// `password is x`: the blank behind `is` is at `at`.
    fn is_prose(&mut self, line: &[u8], at: usize) {
        let is = at >= 3 && line.get(at - 3..=at) == Some(b" is ");
        let Some(key) = is.then(|| self.keys.ending_at(line, at - 3)).flatten() else { return };
        let Some(v) = value::value_at(line, value::skip_blanks(line, at), None) else { return };
        let mut text = line.get(v.start..v.end).unwrap_or_default();
        if v.quote.is_none() {
            while let [head @ .., b'.' | b',' | b'!' | b';'] = text {
                text = head;
            }
        }
        let v = Value { end: v.start + text.len(), ..v };
        let telling = text.iter().any(|b| !b.is_ascii_lowercase()) || v.quote.is_some();
        match key.check {
            Check::Password if telling || text.len() > 5 => self.judge(line, v, None, key, true),
            Check::Secret(_) if text.iter().any(u8::is_ascii_digit) => self.judge(line, v, None, key, true),
            Check::CardCode | Check::Pin | Check::OneTime => self.judge(line, v, None, key, true),
            _ => {}
        }
    }

    /// `PIN 1234`: the first digit is at `at`, a blank before it.
    fn digit_prose(&mut self, line: &[u8], at: usize) {
        let Some(key) = self.keys.ending_at(line, at - 1) else { return };
        if matches!(key.check, Check::CardCode | Check::Pin | Check::OneTime) {
            let rest = line.get(at..).unwrap_or_default();
            let n = rest.iter().position(|b| !b.is_ascii_digit()).unwrap_or(rest.len());
            let joined = matches!(byte_at(rest, n), b'-' | b'.' | b'/' | b':')
                && byte_at(rest, n + 1).is_ascii_digit();
            if !(joined || byte_at(rest, n).is_ascii_alphabetic() || byte_at(rest, n) == b'*') {
                self.judge(line, Value { start: at, end: at + n, quote: None }, None, key, false);
            }
        }
    }

    // ---- values that speak for themselves

    fn address(&mut self, line: &[u8], at: usize, width: usize) -> Result<(), OverBudget> {
        self.spend(32)?;
        if width == 1 && self.userinfo(line, at)? {
            return Ok(());
        }
        if let Some((start, end)) = email::email_around(line, at, width) {
            self.spend(end - start)?;
            // The account of a repository or of a URL, not a mailbox.
            let local = line.get(start..at).unwrap_or_default();
            let account = start >= 2 && line.get(start - 2..start) == Some(b"//");
            let repository = local == b"git" && byte_at(line, end) == b':';
            if !(account || repository || value::is_token(local)) {
                let field = if before_is_delimiter(line, start) { Field::Unknown } else { Field::None };
                self.push(start, end, rules::EMAIL, Form::Email((at + width - start) as u32), field);
            }
        }
        Ok(())
    }

    /// `scheme://user:password@host`: true where the at sign ends a userinfo.
    fn userinfo(&mut self, line: &[u8], at: usize) -> Result<bool, OverBudget> {
        let floor = at.saturating_sub(MAX_USERINFO);
        let mut i = at;
        let mut colon = None;
        while i > floor {
            match byte_at(line, i - 1) {
                b' ' | b'"' | b'\'' | b'<' | b'>' | b'\n' | b'\t' | b'(' | b'{' => break,
                b':' => colon = Some(i - 1),
                b'/' if i >= 3 && line.get(i - 3..i) == Some(b"://") => {
                    self.spend(at - i)?;
                    if let Some(colon) = colon {
                        let password = line.get(colon + 1..at).unwrap_or_default();
                        // `://host:8443/path@2`: a port, no password.
                        let port = password.iter().position(|b| *b == b'/').and_then(|n| password.get(..n));
                        if port.is_some_and(digits_only) {
                            return Ok(false);
                        }
                        if !value::is_no_secret(password) {
                            self.push(colon + 1, at, rules::URL_PASSWORD, Form::Whole, Field::None);
                        }
                    }
                    return Ok(colon.is_some());
                }
                _ => {}
            }
            i -= 1;
        }
        Ok(false)
    }

    fn token(&mut self, line: &[u8], at: usize) {
        let Some(start) = at.checked_sub(2) else { return };
        if word_begins(line, start)
            && let Some(end) = jwt::jwt_at(line, start)
        {
            self.push(start, end, rules::JWT, Form::Whole, Field::None);
            self.done_to = self.done_to.max(end);
        }
    }

    fn access_key(&mut self, line: &[u8], at: usize) {
        let Some(start) = at.checked_sub(3) else { return };
        if word_begins(line, start)
            && let Some(end) = aws::access_key_at(line, start)
        {
            self.push(start, end, rules::AWS_ACCESS_KEY, Form::Whole, Field::None);
        }
    }

    fn pem(&mut self, line: &[u8], at: usize) -> Result<(), OverBudget> {
        if at >= self.done_to
            && let Some(start) = at.checked_sub(4)
            && let Some(end) = pem::private_key_at(line, start)
        {
            self.spend(end - start)?;
            self.push(start, end, rules::PRIVATE_KEY, Form::Whole, Field::None);
            self.done_to = end;
        }
        self.number_run(line, at)
    }

    fn digits(&mut self, line: &[u8], at: usize) -> Result<(), OverBudget> {
        let back = |n: usize| at.checked_sub(n).map_or(0, |i| byte_at(line, i));
        if back(1).is_ascii_digit() && back(2).is_ascii_alphabetic() && back(3).is_ascii_alphabetic() {
            self.account(line, at - 3);
        }
        if back(1) == b' ' && back(2).is_ascii_alphabetic() {
            self.digit_prose(line, at);
        }
        if byte_at(line, at) == b'4' && back(1) == b'%' && byte_at(line, at + 1) == b'0' {
            self.address(line, at - 1, 3)?;
        }
        self.number_run(line, at)
    }

    fn account(&mut self, line: &[u8], start: usize) {
        if word_begins(line, start)
            && let Some(end) = iban::iban_at(line, start)
        {
            let field = if before_is_delimiter(line, start) { Field::Unknown } else { Field::None };
            self.push(start, end, rules::IBAN, Form::Iban, field);
        }
    }

    // ---- card numbers

    /// A run of digits and separators that is long enough passes `at`.
    fn number_run(&mut self, line: &[u8], at: usize) -> Result<(), OverBudget> {
        let number = |i: usize| byte_at(line, i).is_ascii_digit() || byte_at(line, i) >= 0x80;
        let member = |i: usize| {
            number(i) || (matches!(byte_at(line, i), b' ' | b'-' | b'.' | b'+') && i > 0 && number(i - 1))
        };
        if at < self.run_to
            || !member(at.wrapping_sub(RUN as usize - 1))
            || !(0..RUN as usize).all(|n| at.checked_sub(n).is_some_and(member))
        {
            return Ok(());
        }
        let mut start = at;
        while start > 0 && member(start - 1) {
            start -= 1;
        }
        let mut end = at + 1;
        while member(end) {
            end += 1;
        }
        self.run_to = end;
        self.spend(end - start)?;
        self.groups.clear();
        let mut i = start;
        while i < end {
            if byte_at(line, i).is_ascii_digit() {
                let from = i;
                while i < end && byte_at(line, i).is_ascii_digit() {
                    i += 1;
                }
                // `%204111…` and `\u00204111…`: the digits of an escape come first.
                let escape = match (
                    from.checked_sub(2).map_or(0, |b| byte_at(line, b)),
                    byte_at(line, from.wrapping_sub(1)),
                ) {
                    (_, b'%') => 2,
                    (b'\\', b'u') => 4,
                    _ => 0,
                };
                self.groups.push(Group { start: (from + escape).min(i), end: i });
            } else {
                i += 1;
            }
        }
        let mut g = 0;
        while g < self.groups.len() {
            g += self.card_from(line, g).unwrap_or(1);
        }
        Ok(())
    }

    /// Looks for a card number that begins with group `g`; returns how many groups it took.
    fn card_from(&mut self, line: &[u8], g: usize) -> Option<usize> {
        let first = *self.groups.get(g)?;
        let mut digits = [0u8; card::MAX_DIGITS];
        let mut count = 0;
        let mut joint: Option<&[u8]> = None;
        for k in g..self.groups.len() {
            let group = *self.groups.get(k)?;
            if k > g {
                let before = self.groups.get(k - 1)?;
                let between = line.get(before.end..group.start)?;
                if !is_separator(between) || joint.is_some_and(|j| j != between) {
                    return None;
                }
                joint = Some(between);
            }
            for &b in line.get(group.start..group.end)? {
                *digits.get_mut(count)? = b - b'0';
                count += 1;
            }
            if count < card::MIN_DIGITS {
                continue;
            }
            let number = digits.get(..count)?;
            let standard = self.groups.get(g..=k).is_some_and(standard_grouping);
            if card::is_pan(number) && self.card(line, first.start, group.end, count, joint, standard) {
                return Some(k - g + 1);
            }
        }
        None
    }

    /// A number with issuer and check digit stands at `start..end`; true where it was taken as a card number.
    fn card(
        &mut self,
        line: &[u8],
        start: usize,
        end: usize,
        count: usize,
        joint: Option<&[u8]>,
        standard: bool,
    ) -> bool {
        let (before, after) = (start.checked_sub(1).map_or(0, |i| byte_at(line, i)), byte_at(line, end));
        let before2 = start.checked_sub(2).map_or(0, |i| byte_at(line, i));
        let after2 = byte_at(line, end + 1);
        let escape = |i: usize| i >= 1 && byte_at(line, i - 1) == b'\\';
        let escaped = (before.is_ascii_alphabetic() && escape(start - 1))
            || (start >= 3
                && byte_at(line, start - 3) == b'%'
                && before.is_ascii_hexdigit()
                && before2.is_ascii_hexdigit())
            || (start >= 6 && line.get(start - 6..start - 4) == Some(b"\\u"));
        let track = (before == b'B' && before2 == b'%')
            || (matches!(after, b'D' | b'^' | b'=') && after2.is_ascii_digit());
        // In hex, in a longer word or number, in a fraction: never.
        let inside = (before.is_ascii_alphanumeric() && !escaped && !track)
            || (after.is_ascii_alphanumeric() && !track)
            || (before == b'.' && before2.is_ascii_digit())
            || (after == b'.' && after2.is_ascii_digit())
            || (before == b'-' && before2.is_ascii_alphanumeric() && joint.is_some_and(|j| j == b"-"))
            || (after == b'-' && after2.is_ascii_alphanumeric() && joint.is_some_and(|j| j == b"-"));
        if inside {
            return false;
        }
        let loose = (before == b'-' && before2.is_ascii_alphanumeric())
            || (after == b'-' && after2.is_ascii_alphanumeric())
            || before == b'_'
            || after == b'_'
            || before == b'-' && joint.is_none();
        let strong = matches!(count, 14..=16) && (joint.is_none() || standard) && !loose;
        // A word of a value that will not stand there tells nothing of this one.
        let redacted = self.found.iter().rev().take(8).map(|f| f.end).filter(|&end| end <= start).max();
        let evidence = card_evidence(line, redacted.unwrap_or(0), start);
        // Trace ids and order numbers are not written in the groups of a card.
        let grouped = strong && joint.is_some();
        let field = if before_is_delimiter(line, start) { Field::Unknown } else { Field::None };
        let number = self.json_number(line, start, end);
        let found = Found { start, end, rule: rules::PAN, form: Form::Pan, number, field };
        if evidence == Evidence::For || grouped || (strong && evidence == Evidence::None) {
            self.push_number(start, end, rules::PAN, Form::Pan, field, number);
            true
        } else {
            self.weak.push(found);
            false
        }
    }

    /// The quote that a text in place of the bare JSON number `start..end` needs; `None` inside a string.
    fn json_number(&mut self, line: &[u8], start: usize, end: usize) -> Option<Quote> {
        let mut i = start;
        while i > 0 && matches!(byte_at(line, i - 1), b' ' | b'\t' | b'\n' | b'\r') {
            i -= 1;
        }
        let before = if i > 0 { byte_at(line, i - 1) } else { 0 };
        let closes = matches!(byte_at(line, end), b',' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r')
            || end == line.len();
        if !matches!(before, b':' | b',' | b'[') || !closes {
            return None;
        }
        if self.json && !self.strings.inside(line, start) {
            return Some(Quote { backslashes: 0, byte: b'"' });
        }
        // JSON inside a string or behind other text: back over numbers to the key.
        let floor = start.saturating_sub(256);
        while i > floor && matches!(byte_at(line, i - 1), b'0'..=b'9' | b',' | b' ' | b'[' | b'.' | b'-') {
            i -= 1;
        }
        (i > 0 && byte_at(line, i - 1) == b':').then(|| value::key_before(line, i - 1).1).flatten()
    }

    // ---- the line as a whole

    /// A card number once found is one everywhere in its line.
    fn promote_weak(&mut self, line: &[u8]) {
        for w in 0..self.weak.len() {
            let Some(&weak) = self.weak.get(w) else { return };
            let same = |f: &Found| {
                f.rule == rules::PAN
                    && card_digits(line, f.start, f.end).eq(card_digits(line, weak.start, weak.end))
            };
            if w < MAX_REPEATED * 8 && self.found.iter().take(MAX_REPEATED * 8).any(same) {
                self.found.push(weak);
            }
        }
    }

    /// A keyed secret once found is one everywhere in its line.
    fn repeat(&mut self, line: &[u8]) -> Result<(), OverBudget> {
        let keyed = self.found.len();
        let mut searched = 0;
        for k in 0..keyed {
            let Some(&f) = self.found.get(k) else { break };
            let secret = line.get(f.start..f.end).unwrap_or_default();
            if !matches!(f.field, Field::Known(_))
                || secret.len() < MIN_REPEATED_BYTES
                || searched == MAX_REPEATED
            {
                continue;
            }
            searched += 1;
            self.spend(line.len())?;
            for at in memchr::memmem::find_iter(line, secret) {
                let end = at + secret.len();
                let whole = !byte_at(line, end).is_ascii_alphanumeric()
                    && (word_begins(line, at) || !byte_at(line, at).is_ascii_alphanumeric());
                let bare = secret.iter().all(u8::is_ascii_digit);
                if at != f.start && whole {
                    let number = if bare { self.json_number(line, at, end) } else { None };
                    self.push_number(at, end, f.rule, f.form, Field::None, number);
                }
            }
        }
        Ok(())
    }

    /// Sorts, and joins what overlaps: the higher rank names it, then the longer.
    fn merge(&mut self) {
        if self.found.len() < 2 {
            return;
        }
        self.found.sort_unstable_by_key(|f| (f.start, usize::MAX - f.end, f.rule));
        let mut kept = 0;
        for i in 1..self.found.len() {
            let (Some(&last), Some(&next)) = (self.found.get(kept), self.found.get(i)) else { return };
            let joined = if next.start < last.end {
                join(last, next)
            } else {
                kept += 1;
                next
            };
            if let Some(slot) = self.found.get_mut(kept) {
                *slot = joined;
            }
        }
        self.found.truncate(kept + 1);
    }
}

fn join(a: Found, b: Found) -> Found {
    let weight = |f: &Found| (f.rule.rule().rank, f.end - f.start);
    let (best, other) = if weight(&b) > weight(&a) { (b, a) } else { (a, b) };
    let (start, end) = (a.start.min(b.start), a.end.max(b.end));
    let same = start == best.start && end == best.end;
    let number = best.number.or(other.number.filter(|_| other.start == start && other.end == end));
    Found { start, end, form: if same { best.form } else { Form::Whole }, number, ..best }
}

/// True where bare digits are JSON numbers: `{"…` and `[…]`, not `{Number:…}` and `[time] text`.
fn looks_like_json(line: &[u8]) -> bool {
    let line = line.trim_ascii();
    match line {
        [b'{', rest @ ..] => matches!(rest.trim_ascii_start().first(), Some(b'"' | b'}')),
        [b'[', rest @ .., b']'] => {
            matches!(
                rest.trim_ascii_start().first(),
                Some(b'{' | b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n')
            )
        }
        _ => false,
    }
}

/// The digits of a card number with separators.
pub(super) fn card_digits(line: &[u8], start: usize, end: usize) -> impl Iterator<Item = u8> + '_ {
    line.get(start..end).unwrap_or_default().iter().copied().filter(u8::is_ascii_digit)
}

/// True where a word can begin at `start`: no letter or digit before it, unless an escape put it there.
fn word_begins(line: &[u8], start: usize) -> bool {
    let back = |n: usize| start.checked_sub(n).map_or(0, |i| byte_at(line, i));
    !(back(1).is_ascii_alphanumeric() || back(1) == b'_')
        || (back(2) == b'\\' && matches!(back(1), b'n' | b'r' | b't'))
        || (back(3) == b'%' && back(1).is_ascii_hexdigit() && back(2).is_ascii_hexdigit())
        || (back(6) == b'\\' && back(5) == b'u')
}

fn before_is_delimiter(line: &[u8], start: usize) -> bool {
    let mut i = start;
    while i > 0 && start - i < 6 && matches!(byte_at(line, i - 1), b'"' | b'\\' | b' ' | b'\'') {
        i -= 1;
    }
    i > 0 && matches!(byte_at(line, i - 1), b':' | b'=')
}

fn header_end(line: &[u8], from: usize, list: bool) -> usize {
    let rest = line.get(from..).unwrap_or_default();
    let mut i = 0;
    while i < rest.len() {
        match byte_at(rest, i) {
            b'"' | b'\'' | b'\n' | b'\r' | b'<' | b'|' => break,
            b'\\' if matches!(byte_at(rest, i + 1), b'n' | b'r' | b'"' | b'\\') => break,
            b']' | b'}' | b')'
                if list
                    || i + 1 == rest.len()
                    || matches!(byte_at(rest, i + 1), b',' | b' ' | b'}' | b']' | b')') =>
            {
                break;
            }
            b',' if i > 0 && byte_at(rest, i + 1) == b' ' && name_follows(rest, i + 2) => break,
            _ => i += 1,
        }
    }
    from + i
}

/// `Host=…` or `Host: …` after the comma of a printed header map; `Signature=` belongs to the credential.
fn name_follows(rest: &[u8], from: usize) -> bool {
    let name = rest.get(from..).unwrap_or_default();
    let n = name.iter().position(|b| !(b.is_ascii_alphanumeric() || *b == b'-' || *b == b'_')).unwrap_or(0);
    let name_bytes = name.get(..n).unwrap_or_default();
    n > 0
        && matches!(byte_at(name, n), b'=' | b':')
        && ![
            &b"SignedHeaders"[..],
            b"Signature",
            b"Credential",
            b"nonce",
            b"uri",
            b"response",
            b"realm",
            b"qop",
            b"nc",
            b"cnonce",
            b"opaque",
            b"algorithm",
        ]
        .contains(&name_bytes)
}

fn known_scheme(scheme: &[u8]) -> bool {
    [
        &b"bearer"[..],
        b"basic",
        b"token",
        b"digest",
        b"apikey",
        b"api-key",
        b"negotiate",
        b"ntlm",
        b"aws4-hmac-sha256",
        b"hmac",
        b"oauth",
        b"dpop",
        b"key",
        b"jwt",
        b"sso-key",
        b"splunk",
        b"ghost",
    ]
    .iter()
    .any(|s| s.eq_ignore_ascii_case(scheme))
}

fn digits_only(text: &[u8]) -> bool {
    text.iter().all(u8::is_ascii_digit)
}

fn is_json_number(text: &[u8]) -> bool {
    text.first().is_some_and(|b| b.is_ascii_digit() || *b == b'-')
        && text.iter().all(|b| matches!(b, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'))
}

fn is_separator(between: &[u8]) -> bool {
    // `+` is a blank in a query string.
    matches!(between, b" " | b"-" | b"." | b"+" | [0xC2, 0xA0] | [0xE2, 0x80, 0x91 | 0xAF | 0x87 | 0x89])
}

/// Groupings printed on cards: 4-4-4-4(-3), 4-6-5, 4-6-4, 4-4-5 and single runs.
fn standard_grouping(groups: &[Group]) -> bool {
    let len = |g: &Group| g.end - g.start;
    match groups {
        [_] => true,
        [head @ .., last] if head.iter().all(|g| len(g) == 4) => (1..=5).contains(&len(last)),
        [a, b, c] => len(a) == 4 && len(b) == 6 && (4..=5).contains(&len(c)),
        _ => false,
    }
}
