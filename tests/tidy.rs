//! Holds the house to its rules: who may import whom, which rooms stay pure, how large a file may grow.
//! An exemption is a line here, with its reason.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Rooms by rank. A room imports lower ranks only; rooms of one rank don't import each other.
const RANKS: &[(&str, u8)] = &[
    ("common", 0),
    ("protocol", 1),
    ("config", 1),
    ("metrics", 1),
    ("purgatory", 1),
    ("metadata", 2),
    ("security", 2),
    ("storage", 2),
    ("coordination", 3),
    ("transport", 3),
    ("client", 4),
    ("replication", 5),
    ("coordinator", 6),
    ("controller", 6),
    ("admin", 6),
    ("api", 7),
    ("network", 8),
    ("server", 9),
];

/// `(importer, imported, why)`: allowed although the ranks are equal.
const SAME_RANK_ALLOWED: &[(&str, &str, &str)] =
    &[("config", "protocol", "a topic's timestamp type and codec are the record format's own enums")];

/// `(importer, imported)`: refused although the ranks would allow it.
const FORBIDDEN: &[(&str, &str)] = &[
    ("coordination", "storage"),
    ("controller", "storage"),
    ("controller", "replication"),
    ("admin", "storage"),
    ("admin", "replication"),
];

/// Folders and files where decisions are made: no clock, no task, no socket, no file, no map without order.
const PURE: &[&str] = &[
    "common",
    "protocol",
    "config",
    "purgatory",
    "metadata",
    "security",
    "coordination/znode/",
    "coordination/embedded/tree.rs",
    "replication/partition",
    "replication/fetcher/state.rs",
    "replication/fetcher/truncation.rs",
    "replication/fetcher/session.rs",
    "coordinator/codec.rs",
    "coordinator/group",
    "coordinator/machine.rs",
    "coordinator/transaction",
    "controller/state",
    "api/data/fetch_session.rs",
];

const IMPURE_WORDS: &[&str] = &[
    "tokio::",
    "std::fs",
    "std::net",
    ".await",
    "Instant::now",
    "SystemTime::now",
    "rand::",
    "std::collections::HashMap",
    "std::collections::HashSet",
    "collections::{HashMap",
    "collections::{HashSet",
];

/// `(file, word, why)`.
const PURITY_EXEMPT: &[(&str, &str, &str)] = &[
    (
        "protocol/chunk.rs",
        "std::fs",
        "a file region carries the handle that transport will spend; nothing is read here",
    ),
    ("config/tests.rs", "std::fs", "holds the generated page of docs/ to the tables"),
    ("common/chance.rs", "rand::", "the one place that dice come from, so that a simulation can seed it"),
    ("metadata/cache.rs", "tokio::", "a watch channel tells waiters that a newer image is there"),
    ("metadata/cache.rs", ".await", "waiting for an image is what the cache offers"),
];

const LINES_MAX: usize = 600;

/// `(file, why)`: generated or tabular.
const LENGTH_EXEMPT: &[(&str, &str)] = &[];

#[test]
fn rooms_import_only_lower_ranks() {
    let mut faults = Vec::new();
    for (path, text) in sources() {
        let Some(room) = room_of(&path) else { continue };
        let Some(rank) = rank_of(&room) else {
            faults.push(format!("{path}: room `{room}` has no rank"));
            continue;
        };
        for imported in imports(&text) {
            if imported == room {
                continue;
            }
            let Some(other) = rank_of(&imported) else { continue };
            let allowed_here = SAME_RANK_ALLOWED.iter().any(|(a, b, _)| *a == room && *b == imported);
            if (other >= rank && !allowed_here) || FORBIDDEN.contains(&(room.as_str(), imported.as_str())) {
                faults.push(format!("{path}: `{room}` (rank {rank}) imports `{imported}` (rank {other})"));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn decision_code_stays_pure() {
    let mut faults = Vec::new();
    for (path, text) in sources() {
        if !PURE.iter().any(|pure| path.starts_with(pure)) {
            continue;
        }
        for (number, line) in code_lines(&text) {
            for word in IMPURE_WORDS {
                let exempt = PURITY_EXEMPT.iter().any(|(file, exempted, _)| *file == path && exempted == word);
                if line.contains(word) && !exempt {
                    faults.push(format!("{path}:{number}: `{word}` in a pure room: {}", line.trim()));
                }
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// `(file, why)`: chance that no simulation has to repeat.
const CHANCE_EXEMPT: &[(&str, &str)] = &[
    ("common/chance.rs", "the source itself"),
    ("storage/cleaner/offset_map.rs", "the key of a hash, which nothing is ordered by"),
    ("server/shutdown.rs", "which of two signals came first changes nothing"),
];

/// A seed of the simulation is one history only if nobody draws lots beside it.
#[test]
fn chance_has_one_source() {
    let mut faults = Vec::new();
    for (path, text) in sources() {
        if path.ends_with("tests.rs") || CHANCE_EXEMPT.iter().any(|(file, _)| *file == path) {
            continue;
        }
        let lines: Vec<(usize, &str)> = code_lines(&text).collect();
        for (at, (number, line)) in lines.iter().enumerate() {
            let draws = ["Uuid::new_v4", "rand::random", "rand::rng"].iter().any(|word| line.contains(word));
            let is_open =
                line.contains("select! {") && lines.get(at + 1).is_none_or(|(_, next)| next.trim() != "biased;");
            if draws || is_open {
                faults.push(format!("{path}:{number}: chance beside common/chance.rs: {}", line.trim()));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn files_stay_small() {
    let faults: Vec<String> = sources()
        .into_iter()
        .filter(|(path, _)| !LENGTH_EXEMPT.iter().any(|(file, _)| file == path))
        .filter_map(|(path, text)| {
            let lines = text.lines().count();
            (lines > LINES_MAX).then(|| format!("{path}: {lines} lines (limit {LINES_MAX})"))
        })
        .collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn every_file_says_what_it_is() {
    let faults: Vec<String> =
        sources().into_iter().filter(|(_, text)| !text.starts_with("//!")).map(|(path, _)| path).collect();
    assert!(faults.is_empty(), "no `//!` at the top of:\n{}", faults.join("\n"));
}

#[test]
fn nothing_is_left_for_later() {
    let words = [["FIX", "ME"].concat(), ["todo", "!("].concat(), ["unimplemented", "!("].concat()];
    let mut faults = Vec::new();
    for (path, text) in sources() {
        for (number, line) in text.lines().enumerate() {
            if words.iter().any(|word| line.contains(word.as_str())) {
                faults.push(format!("{path}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// Every source under `src/` but the load generator, as (path relative to `src/`, text).
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    walk(&root, &mut files);
    files.sort();
    let named = files.into_iter().map(|file| {
        let name = file.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
        (name, fs::read_to_string(&file).unwrap())
    });
    let found: Vec<_> = named.filter(|(name, _)| !name.starts_with("bin/")).collect();
    assert!(found.len() > 20, "found only {} sources", found.len());
    found
}

fn walk(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The first folder, or none for `lib.rs` and `main.rs`.
fn room_of(path: &str) -> Option<String> {
    path.split_once('/').map(|(room, _)| room.to_owned())
}

fn rank_of(room: &str) -> Option<u8> {
    RANKS.iter().find(|(name, _)| *name == room).map(|(_, rank)| *rank)
}

/// Rooms named after `crate::` outside comments and outside test modules, also in `use crate::{a::…, b::…}` groups.
fn imports(text: &str) -> Vec<String> {
    let code: String = code_lines(text).map(|(_, line)| format!("{line}\n")).collect();
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            found.extend(group_heads(group));
        } else {
            found.push(identifier(rest));
        }
    }
    found
}

/// First path segments of a brace group's top-level items.
fn group_heads(group: &str) -> Vec<String> {
    let mut depth = 0;
    let mut heads = vec![identifier(group.trim_start())];
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => heads.push(identifier(group[at + 1..].trim_start())),
            _ => {}
        }
    }
    heads
}

fn identifier(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// Lines outside comments, up to the file's test module (tests may reach wider).
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .take_while(|(_, line)| line.trim() != "#[cfg(test)]" && line.trim() != "#![cfg(test)]")
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .map(|(at, line)| (at + 1, line))
}
