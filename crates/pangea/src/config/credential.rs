//! Who may use the DynamoDB API.

use std::path::PathBuf;

use serde::Serialize;

/// An access key.
#[derive(Clone, PartialEq, Serialize)]
pub struct Credential {
    /// What clients present.
    pub access_key: String,
    /// What they sign with; this or `secret_file`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// The file that holds the secret, its only line; absolute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_file: Option<PathBuf>,
    /// The session token that has to come with it. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_token: Option<String>,
    /// When it ends, as `20270131T120000Z`. Default: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// What it is good for. Default: everything.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<Allow>,
}

/// Operations on tables.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Allow {
    /// Names, with `*` for any text and `?` for any character.
    pub tables: Vec<String>,
    /// Names of operations, likewise.
    pub actions: Vec<String>,
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credential").field("access_key", &self.access_key).finish_non_exhaustive()
    }
}

impl Credential {
    /// The secret, from where it is.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn secret(&self) -> std::io::Result<String> {
        match (&self.secret, &self.secret_file) {
            (Some(secret), _) => Ok(secret.clone()),
            (None, Some(path)) => Ok(std::fs::read_to_string(path)?.trim_end().to_owned()),
            (None, None) => Ok(String::new()),
        }
    }

    /// Whether it is good for this operation on this table; `*` stands for all tables.
    #[must_use]
    pub fn allows(&self, operation: &str, table: &str) -> bool {
        let any = |globs: &[String], text: &str| globs.iter().any(|glob| matches(glob, text));
        let allows = |rule: &Allow| any(&rule.tables, table) && any(&rule.actions, operation);
        self.allow.is_empty() || self.allow.iter().any(allows)
    }
}

/// Whether `text` is one that `glob` stands for. Linear for each star: nothing is tried twice.
fn matches(glob: &str, text: &str) -> bool {
    let (glob, text): (Vec<char>, Vec<char>) = (glob.chars().collect(), text.chars().collect());
    let (mut at, mut read, mut star) = (0, 0, None);
    while read < text.len() {
        match glob.get(at) {
            Some('*') => {
                star = Some((at, read));
                at += 1;
            }
            Some(&wanted) if wanted == '?' || wanted == text[read] => {
                at += 1;
                read += 1;
            }
            _ => match star {
                Some((place, from)) => {
                    star = Some((place, from + 1));
                    at = place + 1;
                    read = from + 1;
                }
                None => return false,
            },
        }
    }
    glob[at..].iter().all(|wanted| *wanted == '*')
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn globs_stand_for_texts() {
        for (glob, text) in
            [("*", ""), ("*", "a"), ("a*c", "abbc"), ("a*b*c", "aXbYbc"), ("?b*", "ab"), ("a", "a")]
        {
            assert!(matches(glob, text), "{glob} {text}");
        }
        for (glob, text) in [("", "a"), ("a", ""), ("a*c", "ab"), ("?", ""), ("a?", "abc")] {
            assert!(!matches(glob, text), "{glob} {text}");
        }
    }
}
