//! Patterns over Kubernetes names: `*` any run, `?` one character, the rest literally.
//! Must not know which containers exist.

use serde::Deserialize;

/// A name pattern. Linear in pattern × name, whatever the pattern.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Glob(String);

impl Glob {
    /// `pattern` with `*` and `?`.
    pub fn new(pattern: impl Into<String>) -> Self {
        Self(pattern.into())
    }

    /// The pattern's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the whole of `name` fits.
    pub fn matches(&self, name: &str) -> bool {
        let (mut pattern, mut name) = (self.0.chars(), name.chars());
        // After a mismatch only the last `*` need take one character more; earlier ones cannot help.
        let mut retry: Option<(std::str::Chars<'_>, std::str::Chars<'_>)> = None;
        loop {
            let at = name.clone();
            match (pattern.next(), name.next()) {
                (None, None) => return true,
                (Some('*'), _) => {
                    name = at.clone();
                    retry = Some((pattern.clone(), at));
                }
                (Some('?'), Some(_)) => {}
                (Some(p), Some(n)) if p == n => {}
                _ => {
                    let Some((after_star, mut taken)) = retry.take() else { return false };
                    if taken.next().is_none() {
                        return false;
                    }
                    pattern = after_star.clone();
                    name = taken.clone();
                    retry = Some((after_star, taken));
                }
            }
        }
    }
}

/// Which containers: all three patterns must fit; those not given are `*`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selector {
    /// Namespace pattern.
    pub namespace: Glob,
    /// Pod name pattern.
    pub pod: Glob,
    /// Container name pattern.
    pub container: Glob,
}

impl Selector {
    /// Whether this container is meant.
    pub fn matches(&self, namespace: &str, pod: &str, container: &str) -> bool {
        self.namespace.matches(namespace) && self.pod.matches(pod) && self.container.matches(container)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn table() {
        for (pattern, name, fits) in [
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("pay-*", "pay-", true),
            ("pay-*", "pay-eu", true),
            ("pay-*", "prepay-eu", false),
            ("*-*-*", "a-b-c", true),
            ("*ab*ab", "abab", true),
            ("*ab*ab", "aba", false),
            ("?", "ї", true),
            ("a?c", "ac", false),
            ("kube-system", "kube-system", true),
            ("[a]", "a", false),
        ] {
            assert_eq!(Glob::new(pattern).matches(name), fits, "{pattern} on {name}");
        }
    }

    fn oracle(pattern: &[u8], name: &[u8]) -> bool {
        match (pattern.split_first(), name.split_first()) {
            (None, _) => name.is_empty(),
            (Some((b'*', rest)), _) => {
                oracle(rest, name) || name.split_first().is_some_and(|(_, n)| oracle(pattern, n))
            }
            (Some((b'?', rest)), Some((_, n))) => oracle(rest, n),
            (Some((p, rest)), Some((c, n))) => p == c && oracle(rest, n),
            (Some(_), None) => false,
        }
    }

    proptest! {
        #[test]
        fn like_the_recursive_definition(pattern in "[ab*?]{0,8}", name in "[ab]{0,10}") {
            prop_assert_eq!(
                Glob::new(pattern.clone()).matches(&name),
                oracle(pattern.as_bytes(), name.as_bytes())
            );
        }
    }
}
