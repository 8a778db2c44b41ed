//! The configuration's loader: never panics, and what it says never shows a secret.
use fintail::config;

/// The bytes as a configuration file.
pub fn config(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let env = |name: &str| (name.len() % 2 == 0).then(|| "value".to_owned());
    match config::parse_with(&text, "fuzz.yaml", &env) {
        Ok(config) => {
            let _ = (config.notes(), format!("{config:?}"));
        }
        Err(errors) => assert!(!errors.to_string().is_empty(), "refused without a word"),
    }
    // A secret in place of one says so, and does not stand in what is said.
    let secret = "Zq7hunter2Zq7";
    if !text.contains("Zq7") {
        let with =
            format!("{text}\noutput:\n  auth:\n    basic:\n      username: u\n      password: {secret}\n");
        if let Err(errors) = config::parse_with(&with, "fuzz.yaml", &env) {
            assert!(!errors.to_string().contains(secret), "an error shows a secret: {errors}");
        }
    }
}
