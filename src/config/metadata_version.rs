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
}
