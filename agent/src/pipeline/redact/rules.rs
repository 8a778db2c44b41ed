//! The rule table: every id with its default action, what may be set instead, and its rank where spans overlap.
//! It must not know how a rule finds its values. It is the truth of the ids that config and metrics use.

use std::fmt;

use serde::Deserialize;
use zeroize::Zeroizing;

/// What becomes of a value. Ordered: a later one is stricter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Action {
    /// Left as it is.
    Off,
    /// Partly shown, hidden characters become `*`.
    Mask,
    /// A keyed pseudonym.
    Token,
    /// `[REDACTED:<rule id>]`.
    Drop,
}

impl Action {
    /// All actions, in the order of their number.
    pub const ALL: [Self; 4] = [Self::Off, Self::Mask, Self::Token, Self::Drop];

    /// The name in config and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Mask => "mask",
            Self::Token => "token",
            Self::Drop => "drop",
        }
    }
}

/// Which rule wins where spans overlap; the later one does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Rank {
    /// Everything else.
    Other,
    /// A card number.
    Pan,
    /// Credentials.
    Secret,
    /// PCI sensitive authentication data.
    Sad,
}

/// Index into [`RULES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId(pub u16);

impl RuleId {
    /// The rule.
    #[must_use]
    pub fn rule(self) -> &'static Rule {
        RULES.get(self.0 as usize).unwrap_or(&RULES[0])
    }
    /// The rule of this id.
    #[must_use]
    pub fn by_name(id: &str) -> Option<Self> {
        RULES.iter().position(|r| r.id == id).and_then(|i| u16::try_from(i).ok()).map(Self)
    }
}

/// One built-in rule.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Name in config, metrics and documents.
    pub id: &'static str,
    /// What is done where the config says nothing (token without a key: drop).
    pub default: Action,
    /// Rank where spans overlap.
    pub rank: Rank,
    /// False while the engine does not look for it yet.
    pub implemented: bool,
}

impl Rule {
    /// What config may set. PCI DSS 3.3.1 forbids to keep authentication data in any form.
    #[must_use]
    pub const fn allowed(&self) -> &'static [Action] {
        match self.rank {
            Rank::Sad => &[Action::Drop],
            Rank::Secret | Rank::Pan | Rank::Other => &Action::ALL,
        }
    }
}

const fn row(id: &'static str, default: Action, rank: Rank, implemented: bool) -> Rule {
    Rule { id, default, rank, implemented }
}

/// All built-in rules.
pub const RULES: &[Rule] = {
    use Action::{Drop, Mask, Off, Token};
    use Rank::{Other, Pan, Sad, Secret};
    &[
        row("pan", Mask, Pan, true),
        row("card_expiry", Token, Other, false),
        row("cvv", Drop, Sad, true),
        row("pin", Drop, Sad, true),
        row("pin_block", Drop, Sad, true),
        row("track1", Drop, Sad, false),
        row("track2", Drop, Sad, false),
        row("emv", Drop, Sad, false),
        row("iban", Mask, Other, true),
        row("bic", Off, Other, false),
        row("aba_routing", Mask, Other, false),
        row("bank_account", Mask, Other, false),
        row("uk_sort_code", Mask, Other, false),
        row("us_ssn", Drop, Other, false),
        row("us_itin", Drop, Other, false),
        row("us_ein", Mask, Other, false),
        row("ua_rnokpp", Token, Other, false),
        row("ua_passport", Token, Other, false),
        row("pl_pesel", Token, Other, false),
        row("pl_nip", Token, Other, false),
        row("de_tax_id", Token, Other, false),
        row("fr_nir", Token, Other, false),
        row("nl_bsn", Token, Other, false),
        row("be_nrn", Token, Other, false),
        row("ro_cnp", Token, Other, false),
        row("cz_rc", Token, Other, false),
        row("lt_ak", Token, Other, false),
        row("lv_pk", Token, Other, false),
        row("ee_ik", Token, Other, false),
        row("se_pnr", Token, Other, false),
        row("fi_hetu", Token, Other, false),
        row("at_svnr", Token, Other, false),
        row("es_dni", Token, Other, false),
        row("es_nie", Token, Other, false),
        row("it_cf", Token, Other, false),
        row("uk_nino", Token, Other, false),
        row("in_aadhaar", Token, Other, false),
        row("in_pan", Token, Other, false),
        row("br_cpf", Token, Other, false),
        row("br_cnpj", Token, Other, false),
        row("ca_sin", Token, Other, false),
        row("au_tfn", Token, Other, false),
        row("passport", Drop, Other, false),
        row("driving_licence", Drop, Other, false),
        row("btc_address", Token, Other, false),
        row("eth_address", Token, Other, false),
        row("crypto_key", Drop, Secret, false),
        row("phone", Mask, Other, false),
        row("email", Token, Other, true),
        row("person_name", Drop, Other, false),
        row("dob", Drop, Other, false),
        row("postal_address", Drop, Other, false),
        row("ip", Off, Other, false),
        row("amount", Off, Other, false),
        row("aws_access_key", Drop, Secret, true),
        row("aws_secret_key", Drop, Secret, true),
        row("gcp_key", Drop, Secret, false),
        row("azure_key", Drop, Secret, false),
        row("github_token", Drop, Secret, false),
        row("slack_token", Drop, Secret, false),
        row("slack_webhook", Drop, Secret, false),
        row("stripe_key", Drop, Secret, false),
        row("plaid_key", Drop, Secret, false),
        row("square_key", Drop, Secret, false),
        row("paypal_key", Drop, Secret, false),
        row("twilio_key", Drop, Secret, false),
        row("sendgrid_key", Drop, Secret, false),
        row("provider_token", Drop, Secret, false),
        row("jwt", Drop, Secret, true),
        row("bearer", Drop, Secret, true),
        row("basic_auth", Drop, Secret, true),
        row("cookie", Drop, Secret, true),
        row("private_key", Drop, Secret, true),
        row("password", Drop, Secret, true),
        row("url_password", Drop, Secret, true),
        row("otp", Drop, Secret, true),
        row("session_id", Drop, Secret, true),
        row("api_key", Drop, Secret, true),
        row("k8s_secret", Drop, Secret, false),
        row("base64_payload", Drop, Secret, false),
    ]
};

/// The index of a rule, found at compile time; a wrong name does not compile.
const fn named(id: &str) -> RuleId {
    let mut i = 0;
    loop {
        let (a, b) = (RULES[i].id.as_bytes(), id.as_bytes());
        let mut k = 0;
        while a.len() == b.len() && k < a.len() && a[k] == b[k] {
            k += 1;
        }
        if a.len() == b.len() && k == a.len() {
            return RuleId(i as u16);
        }
        i += 1;
    }
}

pub(super) const PAN: RuleId = named("pan");
pub(super) const CVV: RuleId = named("cvv");
pub(super) const PIN: RuleId = named("pin");
pub(super) const PIN_BLOCK: RuleId = named("pin_block");
pub(super) const IBAN: RuleId = named("iban");
pub(super) const EMAIL: RuleId = named("email");
pub(super) const AWS_ACCESS_KEY: RuleId = named("aws_access_key");
pub(super) const AWS_SECRET_KEY: RuleId = named("aws_secret_key");
pub(super) const JWT: RuleId = named("jwt");
pub(super) const BEARER: RuleId = named("bearer");
pub(super) const BASIC_AUTH: RuleId = named("basic_auth");
pub(super) const COOKIE: RuleId = named("cookie");
pub(super) const PRIVATE_KEY: RuleId = named("private_key");
pub(super) const PASSWORD: RuleId = named("password");
pub(super) const URL_PASSWORD: RuleId = named("url_password");
pub(super) const OTP: RuleId = named("otp");
pub(super) const SESSION_ID: RuleId = named("session_id");
pub(super) const API_KEY: RuleId = named("api_key");

/// How much of a card number stays (PCI DSS 3.4.1, FAQ 1091).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PanForm {
    /// First six and last four.
    #[default]
    First6Last4,
    /// Last four.
    Last4,
    /// First eight and last four; six and four for numbers shorter than 16 digits.
    First8Last4,
}

/// What a redacted JSON number becomes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JsonNumbers {
    /// A string with the visible form.
    #[default]
    String,
    /// `null`.
    Null,
}

/// The key of the tokens. `Debug` shows the id only.
#[derive(Clone)]
pub struct TokenKey {
    /// Stands in every token, so that keys can be rotated: `[a-z0-9]+`.
    pub id: String,
    /// At least 32 bytes.
    pub bytes: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What config sets.
#[derive(Clone, Debug)]
pub struct RuleSettings {
    actions: Vec<Action>,
    /// How much of a card number stays.
    pub pan: PanForm,
    /// What a redacted JSON number becomes.
    pub json_numbers: JsonNumbers,
    /// Without it `token` acts as `drop`.
    pub token_key: Option<TokenKey>,
}

impl Default for RuleSettings {
    fn default() -> Self {
        Self {
            actions: RULES.iter().map(|r| r.default).collect(),
            pan: PanForm::default(),
            json_numbers: JsonNumbers::default(),
            token_key: None,
        }
    }
}

impl RuleSettings {
    /// Sets the action of a rule; false where the rule does not allow it (nothing is changed then).
    pub fn set(&mut self, rule: RuleId, action: Action) -> bool {
        match self.actions.get_mut(rule.0 as usize) {
            Some(slot) if rule.rule().allowed().contains(&action) => {
                *slot = action;
                true
            }
            _ => false,
        }
    }
    /// The action in force: as set, but `drop` for `token` without a key.
    #[must_use]
    pub fn action(&self, rule: RuleId) -> Action {
        match self.actions.get(rule.0 as usize).copied().unwrap_or(Action::Drop) {
            Action::Token if self.token_key.is_none() => Action::Drop,
            action => action,
        }
    }
}
