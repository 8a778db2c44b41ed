//! Redaction rule ids with their default and allowed actions, as the contract lists them.
//! Must not know how a rule finds or hides anything.

use serde::Deserialize;

/// What happens to a hit. The order is strictness: an override may only go up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleAction {
    /// Nothing.
    Off,
    /// Hidden characters become `*`.
    Mask,
    /// `tok_<rule>_<key>_…`: one value, one token.
    Token,
    /// `[REDACTED:<rule>]`.
    Drop,
}

impl RuleAction {
    /// All, from lax to strict.
    pub const ALL: [Self; 4] = [Self::Off, Self::Mask, Self::Token, Self::Drop];

    /// The word in the configuration and in metric labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Mask => "mask",
            Self::Token => "token",
            Self::Drop => "drop",
        }
    }
}

/// One line of [`RULES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Metric label, config key, entry of `fintail.redactions`.
    pub id: &'static str,
    /// Where the user names none. `Token` acts as `Drop` without a key.
    pub default: RuleAction,
    /// What the user may choose.
    pub allowed: &'static [RuleAction],
}

/// The rule of this id.
pub fn find(id: &str) -> Option<&'static Rule> {
    RULES.iter().find(|r| r.id == id)
}

use RuleAction::{Drop, Mask, Off, Token};

const fn rule(id: &'static str, default: RuleAction) -> Rule {
    Rule { id, default, allowed: &RuleAction::ALL }
}

/// PCI DSS 3.3.1: authentication data is not kept after authorisation, in no form.
const fn pci(id: &'static str) -> Rule {
    Rule { id, default: Drop, allowed: &[Drop] }
}

/// Every rule id there is; user rules are `custom:<name>` and `field:<path>`.
pub const RULES: &[Rule] = &[
    rule("pan", Mask),
    rule("card_expiry", Token),
    pci("cvv"),
    pci("pin"),
    pci("pin_block"),
    pci("track1"),
    pci("track2"),
    pci("emv"),
    rule("iban", Mask),
    rule("bic", Off),
    rule("aba_routing", Mask),
    rule("bank_account", Mask),
    rule("uk_sort_code", Mask),
    rule("us_ssn", Drop),
    rule("us_itin", Drop),
    rule("us_ein", Mask),
    rule("ua_rnokpp", Token),
    rule("ua_passport", Token),
    rule("pl_pesel", Token),
    rule("pl_nip", Token),
    rule("de_tax_id", Token),
    rule("fr_nir", Token),
    rule("nl_bsn", Token),
    rule("be_nrn", Token),
    rule("ro_cnp", Token),
    rule("cz_rc", Token),
    rule("lt_ak", Token),
    rule("lv_pk", Token),
    rule("ee_ik", Token),
    rule("se_pnr", Token),
    rule("fi_hetu", Token),
    rule("at_svnr", Token),
    rule("es_dni", Token),
    rule("es_nie", Token),
    rule("it_cf", Token),
    rule("uk_nino", Token),
    rule("in_aadhaar", Token),
    rule("in_pan", Token),
    rule("br_cpf", Token),
    rule("br_cnpj", Token),
    rule("ca_sin", Token),
    rule("au_tfn", Token),
    rule("passport", Drop),
    rule("driving_licence", Drop),
    rule("btc_address", Token),
    rule("eth_address", Token),
    rule("crypto_key", Drop),
    rule("phone", Mask),
    rule("email", Token),
    rule("person_name", Drop),
    rule("dob", Drop),
    rule("postal_address", Drop),
    rule("ip", Off),
    rule("amount", Off),
    rule("aws_access_key", Drop),
    rule("aws_secret_key", Drop),
    rule("gcp_key", Drop),
    rule("azure_key", Drop),
    rule("github_token", Drop),
    rule("slack_token", Drop),
    rule("slack_webhook", Drop),
    rule("stripe_key", Drop),
    rule("plaid_key", Drop),
    rule("square_key", Drop),
    rule("paypal_key", Drop),
    rule("twilio_key", Drop),
    rule("sendgrid_key", Drop),
    rule("provider_token", Drop),
    rule("jwt", Drop),
    rule("bearer", Drop),
    rule("basic_auth", Drop),
    rule("cookie", Drop),
    rule("private_key", Drop),
    rule("password", Drop),
    rule("url_password", Drop),
    rule("otp", Drop),
    rule("session_id", Drop),
    rule("api_key", Drop),
    rule("k8s_secret", Drop),
    rule("base64_payload", Drop),
];

/// Rules that this version has; naming another one (but `off`) is an error.
pub const PRESENT: &[&str] = &[
    "pan",
    "iban",
    "cvv",
    "pin",
    "password",
    "api_key",
    "email",
    "jwt",
    "bearer",
    "basic_auth",
    "cookie",
    "aws_access_key",
    "private_key",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_and_defaults_allowed() {
        for (i, rule) in RULES.iter().enumerate() {
            assert_eq!(RULES.iter().position(|r| r.id == rule.id), Some(i), "{}", rule.id);
            assert!(rule.allowed.contains(&rule.default), "{}", rule.id);
        }
        for id in PRESENT {
            assert!(find(id).is_some(), "{id}");
        }
    }

    #[test]
    fn strictness_is_the_order() {
        assert!(RuleAction::ALL.is_sorted());
    }
}
