//! Which texts name a version of the inter-broker protocol (class `MetadataVersion`).

/// Release, and how many `-IVn` steps it had.
const RELEASES: &[(&str, u8)] = &[
    ("0.10.0", 2),
    ("0.10.1", 3),
    ("0.10.2", 1),
    ("0.11.0", 3),
    ("1.0", 1),
    ("1.1", 1),
    ("2.0", 2),
    ("2.1", 3),
    ("2.2", 2),
    ("2.3", 2),
    ("2.4", 2),
    ("2.5", 1),
    ("2.6", 1),
    ("2.7", 3),
    ("2.8", 2),
    ("3.0", 2),
    ("3.1", 1),
    ("3.2", 1),
    ("3.3", 4),
    ("3.4", 1),
    ("3.5", 3),
    ("3.6", 3),
    ("3.7", 5),
    ("3.8", 1),
    ("3.9", 1),
    ("4.0", 2),
];
/// Releases from before steps existed.
const OLD_RELEASES: &[&str] = &["0.8.0", "0.8.1", "0.8.2", "0.9.0"];

/// Whether `text` is `3.9`, `3.9-IV0`, or a patch release such as `3.9.1`.
#[must_use]
pub fn is_valid(text: &str) -> bool {
    let segments = if text.starts_with("0.") { 3 } else { 2 };
    let end = text.match_indices('.').nth(segments - 1).map_or(text.len(), |(at, _)| at);
    let key = &text[..end];
    if OLD_RELEASES.contains(&key) {
        return true;
    }
    let (release, step) = match key.split_once("-IV") {
        Some((release, step)) => (release, Some(step)),
        None => (key, None),
    };
    RELEASES.iter().any(|&(name, steps)| {
        name == release && step.is_none_or(|step| (0..steps).any(|number| number.to_string() == step))
    })
}

/// A version of the inter-broker protocol, in order of age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MetadataVersion {
    /// Place in the list of releases; `None` before those with steps.
    release: Option<usize>,
    step: u8,
}

impl MetadataVersion {
    /// What a valid text names; without a step it is the release's last.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let segments = if text.starts_with("0.") { 3 } else { 2 };
        let end = text.match_indices('.').nth(segments - 1).map_or(text.len(), |(at, _)| at);
        let (name, step) =
            text[..end].split_once("-IV").map_or((&text[..end], None), |(name, step)| (name, Some(step)));
        let release = RELEASES.iter().position(|(release, _)| *release == name);
        let last = release.map_or(0, |at| RELEASES[at].1.saturating_sub(1));
        Self { release, step: step.and_then(|step| step.parse().ok()).unwrap_or(last) }
    }

    /// `MetadataVersion.isAtLeast`
    #[must_use]
    pub fn is_at_least(self, text: &str) -> bool {
        self >= Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_releases_steps_and_patches() {
        for good in ["0.8.2", "0.9.0.1", "0.10.2", "0.11.0-IV2", "2.1", "2.8-IV1", "3.0-IV1", "3.9", "3.9.1", "3.9-IV0"]
        {
            assert!(is_valid(good), "{good}");
        }
        for bad in ["", "3", "3.10", "3.9-IV1", "0.11.1", "2.9", "3.9-IV00", "kafka"] {
            assert!(!is_valid(bad), "{bad}");
        }
    }

    #[test]
    fn versions_are_ordered_by_age() {
        let newest = MetadataVersion::parse("3.9-IV0");
        assert!(newest.is_at_least("3.4-IV0") && newest.is_at_least("3.9"));
        let old = MetadataVersion::parse("2.8");
        assert!(old.is_at_least("2.8-IV1") && old.is_at_least("2.4-IV1") && !old.is_at_least("3.2-IV0"));
        assert!(!MetadataVersion::parse("2.4-IV0").is_at_least("2.4-IV1"));
        assert!(!MetadataVersion::parse("0.9.0.1").is_at_least("0.10.0-IV0"));
    }
}
