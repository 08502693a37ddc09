//! Holds the generated parts of the docs to the code; `UPDATE=1 cargo test --test docs` rewrites them.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{fmt::Write, fs, path::Path};

use monedula::api::table::API_TABLE;

const BEGIN: &str = "<!-- generated: apis (UPDATE=1 cargo test --test docs) -->\n";
const END: &str = "<!-- end generated -->";

#[test]
fn the_readme_lists_the_apis_that_are_served() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("README has the marker of the generated part");
    let (found, after) = rest.split_once(END).expect("README has the end of the generated part");
    let wanted = api_table();
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, format!("{before}{BEGIN}{wanted}{END}{after}")).unwrap();
        return;
    }
    assert_eq!(found, wanted, "run `UPDATE=1 cargo test --test docs`");
}

fn api_table() -> String {
    let mut table = String::from("| key | API | versions |\n|--:|---|---|\n");
    for row in API_TABLE {
        let versions = if row.min_version == row.max_version {
            row.max_version.to_string()
        } else {
            format!("{}–{}", row.min_version, row.max_version)
        };
        writeln!(table, "| {} | {} | {versions} |", row.key, row.name).unwrap();
    }
    table
}
