//! System properties that a broker's environment gives to a JVM: `KAFKA_OPTS`, as `kafka-run-class.sh` reads it.
//! Some of Kafka's settings can only be given there, e.g. the file with the login for ZooKeeper.

use indexmap::IndexMap;

const VARIABLE: &str = "KAFKA_OPTS";

/// `-Dname=value` by name; the last one wins.
#[derive(Debug, Default)]
pub struct JavaOptions {
    properties: IndexMap<String, String>,
}

impl JavaOptions {
    #[must_use]
    pub fn from_environment() -> Self {
        std::env::var(VARIABLE).map(|text| Self::parse(&text)).unwrap_or_default()
    }

    /// Words between blanks: the script expands the variable without quotes.
    pub fn parse(text: &str) -> Self {
        let definitions = text.split_ascii_whitespace().filter_map(|word| word.strip_prefix("-D"));
        let pairs = definitions.map(|word| word.split_once('=').unwrap_or((word, "")));
        Self { properties: pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect() }
    }

    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.properties.get(name).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_are_found_among_other_options() {
        let options = JavaOptions::parse("-Xmx1g -Da.b=/x=y\n-Dflag -XX:+UseG1GC -Da.b=/z");
        assert_eq!(options.get("a.b"), Some("/z"));
        assert_eq!(options.get("flag"), Some(""));
        assert_eq!(options.get("Xmx1g"), None);
    }
}
