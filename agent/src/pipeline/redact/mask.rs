//! What is written in place of a value: masks, tokens, `[REDACTED:<rule>]`, quoted where a JSON number stood.
//! It must not know how values are found.

use fintail_parsers::sensitive::byte_at;

use super::rules::{Action, JsonNumbers, PanForm, RULES, Rank, RuleId, RuleSettings};
use super::scan::{Form, Found, card_digits};
use super::token::Tokens;

/// Writes the visible forms.
pub(super) struct Mask {
    actions: Vec<Action>,
    pan: PanForm,
    json_numbers: JsonNumbers,
    tokens: Option<Tokens>,
}

impl Mask {
    pub(super) fn new(settings: &RuleSettings) -> Self {
        Self {
            actions: (0..RULES.len()).map(|i| settings.action(RuleId(i as u16))).collect(),
            pan: settings.pan,
            json_numbers: settings.json_numbers,
            tokens: settings.token_key.as_ref().map(Tokens::new),
        }
    }

    /// The action in force for what was found. A card number that was merged with its neighbours has no part that
    /// may be shown.
    pub(super) fn action(&self, f: &Found) -> Action {
        let action = self.actions.get(f.rule.0 as usize).copied().unwrap_or(Action::Drop);
        match f.rule.rule().rank {
            Rank::Sad => Action::Drop,
            Rank::Pan if f.form == Form::Whole && action != Action::Off => Action::Drop,
            _ => action,
        }
    }

    /// Masks `raw` where it stands, if nothing but single bytes have to change.
    pub(super) fn in_place(&self, f: &Found, raw: &mut [u8]) -> bool {
        if self.action(f) != Action::Mask || f.number.is_some() {
            return false;
        }
        if f.rule.rule().rank == Rank::Secret {
            raw.fill(b'*');
            return true;
        }
        let total = raw.iter().filter(|b| b.is_ascii_alphanumeric()).count();
        let (head, tail) = match (f.form, self.pan) {
            (Form::Pan, PanForm::First8Last4) if total >= 16 => (8, 4),
            (Form::Pan, PanForm::Last4) => (0, 4),
            (Form::Pan, _) => (6, 4),
            (Form::Iban, _) => (2, 4),
            (Form::Email(_), _) => {
                let local = self.replaced(f, raw);
                raw.iter_mut().take(local).for_each(|b| *b = b'*');
                return true;
            }
            (Form::Whole, _) => (0, if total > 6 { 4 } else { 0 }),
        };
        let hidden = head..total.saturating_sub(tail);
        for (i, b) in raw.iter_mut().filter(|b| b.is_ascii_alphanumeric()).enumerate() {
            if hidden.contains(&i) {
                *b = b'*';
            }
        }
        true
    }

    /// How many bytes of `raw` the replacement stands for: an e-mail token or mask keeps `@domain`.
    pub(super) fn replaced(&self, f: &Found, raw: &[u8]) -> usize {
        match (f.form, self.action(f)) {
            (Form::Email(domain), Action::Token | Action::Mask) => {
                let domain = domain as usize;
                domain.saturating_sub(if byte_at(raw, domain.wrapping_sub(1)) == b'@' { 1 } else { 3 })
            }
            _ => raw.len(),
        }
    }

    /// Appends what stands in place of `raw`, for what `in_place` did not do.
    pub(super) fn write(&mut self, f: &Found, raw: &[u8], domain: &str, out: &mut Vec<u8>) {
        if f.number.is_some() && self.json_numbers == JsonNumbers::Null {
            out.extend_from_slice(b"null");
            return;
        }
        let quote = |out: &mut Vec<u8>| {
            if let Some(q) = f.number {
                out.extend(std::iter::repeat_n(b'\\', usize::from(q.backslashes)));
                out.push(q.byte);
            }
        };
        quote(out);
        match (self.action(f), &mut self.tokens) {
            (Action::Mask, _) => {
                let from = out.len();
                out.extend_from_slice(raw);
                let plain = Found { number: None, ..*f };
                if let Some(copy) = out.get_mut(from..) {
                    self.in_place(&plain, copy);
                }
            }
            (Action::Token, Some(tokens)) => match f.form {
                Form::Pan => tokens.write(out, f.rule, domain, card_digits(raw, 0, raw.len())),
                Form::Iban => {
                    let value = raw.iter().filter(|b| b.is_ascii_alphanumeric()).map(u8::to_ascii_uppercase);
                    tokens.write(out, f.rule, domain, value);
                }
                Form::Email(at) => tokens.write(out, f.rule, domain, address(raw, at as usize)),
                Form::Whole => tokens.write(out, f.rule, domain, raw.iter().copied()),
            },
            _ => {
                out.extend_from_slice(b"[REDACTED:");
                out.extend_from_slice(f.rule.rule().id.as_bytes());
                out.push(b']');
            }
        }
        quote(out);
    }
}

/// The address in lower case with `%40` and `%2B` decoded, so that one mailbox has one token in every spelling.
fn address(raw: &[u8], domain: usize) -> impl Iterator<Item = u8> + '_ {
    let width = if byte_at(raw, domain.wrapping_sub(1)) == b'@' { 1 } else { 3 };
    let local = raw.get(..domain.saturating_sub(width)).unwrap_or_default();
    let mut i = 0;
    let local = std::iter::from_fn(move || {
        let b = *local.get(i)?;
        let plus = b == b'%' && local.get(i + 1..i + 3).is_some_and(|h| h.eq_ignore_ascii_case(b"2b"));
        i += if plus { 3 } else { 1 };
        Some(if plus { b'+' } else { b.to_ascii_lowercase() })
    });
    let host = raw.get(domain..).unwrap_or_default().iter().map(u8::to_ascii_lowercase);
    local.chain(std::iter::once(b'@')).chain(host)
}
