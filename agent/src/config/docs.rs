//! `docs/configuration.md`, written from the schema and the rule table.
//! Must not know anything that is not in them.

use std::fmt::Write;

use super::schema::{Absent, GAPS, KEYS, Key, Kind, children};
use super::value::{size_text, time_text};
use crate::pipeline::redact::rules::RULES;

const HEAD: &str = "# Configuration

<!-- Written by the program from its schema: do not edit. `FINTAIL_WRITE_DOCS=1 cargo test -p fintail config::docs` -->

One YAML file, `fintail run --config FILE`. `fintail check --config FILE` reports every error at once.
All is optional but `output.endpoints`. Unknown keys are errors. A key without a value is as good as not written.

- A value may be `{env: NAME}` or `{file: PATH}`; there is no `${…}` in texts. A file's last line end is cut off.
- Secrets are given as `{file: PATH}` only. The file is read again when it is needed, so a new secret needs no restart.
- Sizes: bytes, or `KiB`, `MiB`, `GiB`, `TiB` as in `64MiB`. Times: `250ms`, `30s`, `5m`, `24h`, `30d`.
- Where `off` is a value, `false` means the same (Helm's YAML turns a bare `off` into `false`).
- Relative paths count from the folder in which the agent was started.
- `[]` in a key stands for each entry of a list.

The smallest file:
```yaml
output:
  endpoints: [https://es-0:9200]
```
";

/// The whole page.
pub fn reference() -> String {
    let mut page = HEAD.to_owned();
    let here = children("").filter(|k| !k.is_gap());
    let (sections, alone): (Vec<_>, Vec<_>) = here.partition(|k| deep(k).next().is_some());
    table(&mut page, "Top", "", alone.into_iter());
    for section in sections {
        table(&mut page, section.path, section.doc, deep(section));
    }
    rule_table(&mut page);
    gap_list(&mut page);
    page
}

fn deep(top: &Key) -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(|k| k.path.strip_prefix(top.path).is_some_and(|rest| rest.starts_with(['.', '['])))
}

// Writing to a String cannot fail, so its results are dropped.
fn table<'a>(page: &mut String, title: &str, doc: &str, keys: impl Iterator<Item = &'a Key>) {
    let doc = if doc.is_empty() { String::new() } else { format!("\n{doc}\n") };
    let _ = writeln!(page, "\n## {title}\n{doc}\n| key | type | default | meaning |\n|---|---|---|---|");
    let gap = |k: &Key| GAPS.iter().any(|g| g.word.is_none() && covers(g.path, k.path));
    for key in keys.filter(|k| !gap(k) && !k.is_gap()) {
        let row = [format!("`{}`", key.path), kind(key), absent(key), key.doc.to_owned()];
        let cells: Vec<_> = row.iter().map(|cell| cell.replace('|', "\\|")).collect();
        let _ = writeln!(page, "| {} |", cells.join(" | "));
    }
}

fn covers(gap: &str, path: &str) -> bool {
    path.strip_prefix(gap).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

fn kind(key: &Key) -> String {
    let range = |low: String, high: String| format!("{low} … {high}");
    let ms = |ms| time_text(std::time::Duration::from_millis(ms));
    match key.kind {
        Kind::Section => "mapping".to_owned(),
        Kind::OneOf => "mapping with one key".to_owned(),
        Kind::List => "list".to_owned(),
        Kind::Rules => "rule id → action".to_owned(),
        Kind::Labels => "word → text".to_owned(),
        Kind::Bool => "true, false".to_owned(),
        Kind::Word(words) => {
            let mut words: Vec<_> = words.iter().map(|w| format!("`{w}`")).collect();
            words.extend(key.children().filter(|c| !c.is_gap()).map(|c| format!("`{{{}: …}}`", c.name())));
            words.join(", ")
        }
        Kind::Size(low, high) => format!("size, {}", range(size_text(low), size_text(high))),
        Kind::Time(low, high) => format!("time, {}", range(ms(low), ms(high))),
        Kind::Count(low, high) => format!("number, {}", range(low.to_string(), high.to_string())),
        Kind::Share => "number, 0 … 1".to_owned(),
        Kind::Text => "text".to_owned(),
        Kind::Path => "path".to_owned(),
        Kind::Glob => "pattern".to_owned(),
        Kind::Regex => "regular expression".to_owned(),
        Kind::Endpoint => "URL".to_owned(),
        Kind::Secret => "`{file: PATH}`".to_owned(),
        Kind::Dataset => "dataset name".to_owned(),
        Kind::Template => "text with placeholders".to_owned(),
        Kind::Listen => "ADDRESS:PORT".to_owned(),
        Kind::KeyId => "1 to 16 of a-z 0-9".to_owned(),
    }
}

fn absent(key: &Key) -> String {
    match key.absent {
        Absent::Default(text) => format!("`{text}`"),
        Absent::Error => "**required**".to_owned(),
        Absent::Nothing | Absent::Inner => String::new(),
    }
}

fn rule_table(page: &mut String) {
    let head = "\n## Redaction rules\n\n`redaction.rules` changes an action. Strictness: off < mask < token < drop. \
        A default of `token` acts as `drop`\nwithout `redaction.token_key`.\n\n\
        | rule | default | may be | in this version |\n|---|---|---|---|";
    let _ = writeln!(page, "{head}");
    for rule in RULES {
        let allowed: Vec<_> = rule.allowed().iter().map(|a| a.as_str()).collect();
        let here = if rule.implemented { "yes" } else { "" };
        let default = rule.default.as_str();
        let _ = writeln!(page, "| `{}` | {default} | {} | {here} |", rule.id, allowed.join(", "));
    }
}

fn gap_list(page: &mut String) {
    let _ = writeln!(
        page,
        "\n## Not in this version\n\nThese keys are known; to use them is an error that says so.\n"
    );
    for gap in GAPS {
        let word = gap.word.map(|w| format!(": {w}")).unwrap_or_default();
        let _ = writeln!(page, "- `{}{word}`: {}", gap.path, gap.what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_in_docs_is_up_to_date() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
        let page = reference();
        if std::env::var_os("FINTAIL_WRITE_DOCS").is_some() {
            std::fs::write(file, &page).unwrap();
        }
        let found = std::fs::read_to_string(file).unwrap_or_default();
        assert!(found == page, "docs/configuration.md is old: run this test with FINTAIL_WRITE_DOCS=1");
    }
}
