//! Stories kept as text (`testdata/*.txt`): a command line, `----`, and what came of it. `UPDATE=1` writes them anew.

use std::{fs, path::Path};

/// Runs every story of `folder` (below the package) through `retell`, which returns the text with what really happened.
pub(super) fn check(folder: &str, retell: fn(&str) -> String) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let told = retell(&text);
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&file, told).unwrap();
        } else {
            assert_eq!(told, text, "{} (UPDATE=1 rewrites it)", file.display());
        }
    }
}
