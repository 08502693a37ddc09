//! `docs/config.md`, written from the declarations.

use std::fmt::Write;

use super::{
    def::{ConfigKey, Dynamic, Importance},
    table::{self, topic::TopicValues},
};

/// The whole page.
#[must_use]
pub fn markdown() -> String {
    let mut page = String::from(
        "# Configuration\n\nEvery key of Apache Kafka 3.9 with its default, in Kafka's names and units, generated from \
         `src/config/table`.\nTimes ending in `.ms` are milliseconds, sizes are bytes. A dash stands for no value. \
         *Dynamic* says where a key may be\nchanged while the broker runs: for one broker, or also for the whole \
         cluster. Keys may be given in `server.properties`,\nby `--override key=value`, and for one listener as \
         `listener.name.<listener>.<key>`.\n",
    );
    for (title, keys) in table::FAMILIES {
        let _ =
            write!(page, "\n## {title}\n\n| key | type | default | allowed | importance | dynamic | what it does |\n");
        page.push_str("|---|---|---|---|---|---|---|\n");
        for key in keys.iter().filter(|key| !key.internal) {
            let _ = writeln!(page, "{} {} | {} |", columns(key), dynamic(key.dynamic), key.doc.trim());
        }
    }
    page.push_str("\n## Topics\n\nA topic without its own value takes the first of the broker's keys that is set.\n\n");
    page.push_str(
        "| key | type | default | allowed | importance | broker keys | what it does |\n|---|---|---|---|---|---|---|\n",
    );
    for (key, server) in TopicValues::KEYS.iter().zip(TopicValues::SERVER_KEYS) {
        let server: Vec<String> = server.iter().map(|name| format!("`{name}`")).collect();
        let server = if server.is_empty() { "–".to_owned() } else { server.join(", ") };
        let _ = writeln!(page, "{} {server} | {} |", columns(key), key.doc.trim());
    }
    page
}

/// The first five columns, which broker and topic keys share.
fn columns(key: &ConfigKey) -> String {
    let default = match key.default {
        None => "–".to_owned(),
        Some("") => "empty".to_owned(),
        Some("9223372036854775807" | "2147483647" | "1.7976931348623157E308") => "no limit".to_owned(),
        Some(text) => format!("`{text}`"),
    };
    let allowed = key.check.describe();
    let allowed = if allowed.is_empty() { "–" } else { &allowed };
    let importance = match key.importance {
        Importance::High => "high",
        Importance::Medium => "medium",
        Importance::Low => "low",
    };
    format!("| `{}` | {} | {default} | {allowed} | {importance} |", key.name, key.kind.name().to_lowercase())
}

fn dynamic(mode: Dynamic) -> &'static str {
    match mode {
        Dynamic::ReadOnly => "–",
        Dynamic::PerBroker => "broker",
        Dynamic::ClusterWide => "cluster",
    }
}
