//! Values that stand elsewhere: `${file:/run/secrets/broker.properties:password}` (KIP-297, KIP-421; classes
//! `ConfigTransformer`, `FileConfigProvider`, `DirectoryConfigProvider`, `EnvVarConfigProvider`, `AllowedPaths`).
//!
//! `config.providers` names providers, `config.providers.<name>.class` says what each is. What a provider does not know
//! stays as it is written. Files and the environment are reached through [`Outside`].

use std::{
    io,
    path::{Component, Path, PathBuf},
};

use indexmap::IndexMap;
use regex::Regex;

use super::error::ConfigError;

const PROVIDERS: &str = "config.providers";
const NOT_LOADED: &str = "Could not load config provider class or one of its dependencies: built in are FileConfigProvider, \
                          DirectoryConfigProvider and EnvVarConfigProvider of org.apache.kafka.common.config.provider";

/// What lies outside the process's configuration.
pub trait Outside {
    /// A whole file; an error also if it is unreasonably large.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    fn exists(&self, path: &Path) -> bool;
    fn is_dir(&self, path: &Path) -> bool;
    fn is_file(&self, path: &Path) -> bool;
    fn variable(&self, name: &str) -> Option<String>;
}

/// Replaces the variables in all values. Gives lines for the log about those that stay.
pub fn resolve(properties: &mut IndexMap<String, String>, outside: &dyn Outside) -> Result<Vec<String>, ConfigError> {
    let mut notes = Vec::new();
    let providers = configured(properties, outside, &mut notes)?;
    if providers.is_empty() {
        return Ok(notes);
    }
    for (name, value) in properties.iter_mut() {
        let mut resolved = String::new();
        let mut rest = value.as_str();
        while let Some((before, variable, after)) = next_variable(rest) {
            let text = &rest[before.len()..rest.len() - after.len()];
            resolved.push_str(before);
            match providers.get(variable.provider) {
                Some(provider) => match provider.get(&variable, outside, &mut notes)? {
                    Some(found) => resolved.push_str(&found),
                    None => {
                        notes.push(format!("{name}: {text} stays as it is: the provider has no such value"));
                        resolved.push_str(text);
                    }
                },
                None => resolved.push_str(text),
            }
            rest = after;
        }
        resolved.push_str(rest);
        *value = resolved;
    }
    Ok(notes)
}

/// `${provider:path:key}` or `${provider:key}`.
#[derive(Debug, PartialEq, Eq)]
struct Variable<'a> {
    provider: &'a str,
    path: &'a str,
    key: &'a str,
}

/// The first variable, with what stands before and after it. Only the key may hold further colons.
fn next_variable(text: &str) -> Option<(&str, Variable<'_>, &str)> {
    let mut from = 0;
    loop {
        let begin = from + text[from..].find("${")?;
        let inner = &text[begin + 2..];
        let length = inner.find('}')?;
        if let Some((provider, rest)) = inner[..length].split_once(':') {
            let (path, key) = rest.split_once(':').unwrap_or(("", rest));
            return Some((&text[..begin], Variable { provider, path, key }, &inner[length + 1..]));
        }
        from = begin + 2;
    }
}

enum Provider {
    File(AllowedPaths),
    Directory(AllowedPaths),
    Environment(Regex),
}

fn configured(
    properties: &IndexMap<String, String>,
    outside: &dyn Outside,
    notes: &mut Vec<String>,
) -> Result<IndexMap<String, Provider>, ConfigError> {
    let mut providers = IndexMap::new();
    let names = properties.get(PROVIDERS).map_or("", String::as_str);
    // As Kafka, without trimming: a space after the comma is part of the name.
    for name in names.split(',').filter(|name| !name.is_empty()) {
        let key = format!("{PROVIDERS}.{name}.class");
        let Some(class) = properties.get(&key) else {
            notes.push(format!("{PROVIDERS} names '{name}', but there is no {key}"));
            continue;
        };
        let param = |param: &str| {
            let key = format!("{PROVIDERS}.{name}.param.{param}");
            properties.get(&key).map(|value| (key, value.as_str()))
        };
        let provider = match class.strip_prefix("org.apache.kafka.common.config.provider.") {
            Some("FileConfigProvider") => Provider::File(AllowedPaths::parse(param("allowed.paths"), outside)?),
            Some("DirectoryConfigProvider") => {
                Provider::Directory(AllowedPaths::parse(param("allowed.paths"), outside)?)
            }
            Some("EnvVarConfigProvider") => Provider::Environment(allowlist(param("allowlist.pattern"))?),
            _ => return Err(ConfigError::value(&key, class, Some(NOT_LOADED))),
        };
        providers.insert(name.to_owned(), provider);
    }
    Ok(providers)
}

/// The pattern must match a variable's whole name.
fn allowlist(given: Option<(String, &str)>) -> Result<Regex, ConfigError> {
    let (key, pattern) = given.unwrap_or_else(|| (String::new(), ".*"));
    Regex::new(&format!("^(?:{pattern})$")).map_err(|_| {
        let reason = "not a regular expression, or one with look-around or back-references, which are not understood";
        ConfigError::value(&key, pattern, Some(reason))
    })
}

impl Provider {
    fn get(
        &self,
        variable: &Variable<'_>,
        outside: &dyn Outside,
        notes: &mut Vec<String>,
    ) -> Result<Option<String>, ConfigError> {
        match self {
            Self::File(allowed) => match allowed.untrusted(variable.path, notes) {
                Some(path) => from_file(&path, variable, outside),
                None => Ok(None),
            },
            Self::Directory(allowed) => match allowed.untrusted(variable.path, notes) {
                Some(path) => from_directory(&path, variable, outside),
                None => Ok(None),
            },
            Self::Environment(allowed) if variable.path.is_empty() => {
                Ok(if allowed.is_match(variable.key) { outside.variable(variable.key) } else { None })
            }
            Self::Environment(_) => Err(ConfigError::invalid(format!(
                "Path is not supported for EnvVarConfigProvider, invalid value '{}'",
                variable.path
            ))),
        }
    }
}

/// One property of a properties file in UTF-8.
fn from_file(path: &Path, variable: &Variable<'_>, outside: &dyn Outside) -> Result<Option<String>, ConfigError> {
    let unreadable =
        |fault: String| ConfigError::invalid(format!("Could not read properties from file {}: {fault}", variable.path));
    let bytes = outside.read(path).map_err(|fault| unreadable(fault.to_string()))?;
    let mut found = None;
    java_properties::PropertiesIter::new_with_encoding(bytes.as_slice(), encoding_rs::UTF_8)
        .read_into(|key, value| {
            if key == variable.key {
                found = Some(value);
            }
        })
        .map_err(|fault| unreadable(fault.to_string()))?;
    Ok(found)
}

/// The content of a file of that name, to its last byte.
fn from_directory(path: &Path, variable: &Variable<'_>, outside: &dyn Outside) -> Result<Option<String>, ConfigError> {
    let file = path.join(variable.key);
    // Only what lies in the directory itself.
    let is_name = matches!(Path::new(variable.key).components().collect::<Vec<_>>()[..], [Component::Normal(_)]);
    if !is_name || !outside.is_dir(path) || !outside.is_file(&file) {
        return Ok(None);
    }
    match outside.read(&file) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(fault) => Err(ConfigError::invalid(format!(
            "Could not read file {} for property {}: {fault}",
            file.display(),
            variable.key
        ))),
    }
}

/// `allowed.paths`: where a provider may look; anywhere if it is not set.
struct AllowedPaths(Option<Vec<PathBuf>>);

impl AllowedPaths {
    fn parse(given: Option<(String, &str)>, outside: &dyn Outside) -> Result<Self, ConfigError> {
        let Some((_, text)) = given.filter(|(_, text)| !text.is_empty()) else { return Ok(Self(None)) };
        let mut paths = Vec::new();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let path = normalized(Path::new(part));
            if !path.is_absolute() {
                return Err(ConfigError::invalid(format!("Path {} is not absolute", path.display())));
            }
            if !outside.exists(&path) {
                return Err(ConfigError::invalid(format!("Path {} does not exist", path.display())));
            }
            paths.push(path);
        }
        Ok(Self(Some(paths)))
    }

    /// The path, unless it is empty or leads elsewhere.
    fn untrusted(&self, path: &str, notes: &mut Vec<String>) -> Option<PathBuf> {
        if path.is_empty() {
            return None;
        }
        let Some(allowed) = &self.0 else { return Some(PathBuf::from(path)) };
        let normal = normalized(Path::new(path));
        if allowed.iter().any(|one| normal.starts_with(one)) {
            return Some(normal);
        }
        notes.push(format!("The path {path} is not allowed to be accessed"));
        None
    }
}

/// Without `.`, and without `..` where there is something to go back from; symbolic links are not looked at.
fn normalized(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                if normal.file_name().is_some() {
                    normal.pop();
                } else if !normal.has_root() {
                    normal.push("..");
                }
            }
            other => normal.push(other),
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const PACKAGE: &str = "org.apache.kafka.common.config.provider.";

    /// Files by path, and `$NAME` for variables.
    struct Fake(BTreeMap<&'static str, &'static str>);

    impl Outside for Fake {
        fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
            let found = path.to_str().and_then(|path| self.0.get(path));
            found.map(|text| text.as_bytes().to_vec()).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
        }

        fn exists(&self, path: &Path) -> bool {
            self.is_file(path) || self.is_dir(path)
        }

        fn is_dir(&self, path: &Path) -> bool {
            self.0.keys().any(|file| Path::new(file).parent().is_some_and(|dir| dir.starts_with(path)))
        }

        fn is_file(&self, path: &Path) -> bool {
            path.to_str().is_some_and(|path| self.0.contains_key(path))
        }

        fn variable(&self, name: &str) -> Option<String> {
            self.0.get(format!("${name}").as_str()).map(|text| (*text).to_owned())
        }
    }

    fn outside() -> Fake {
        Fake(BTreeMap::from([
            ("/secrets/broker.properties", "password = top : secret\nname=Zo\u{eb}\nempty=\n"),
            ("/secrets/dir/partitions", "7"),
            ("/etc/passwd", "root=no"),
            ("$KAFKA_HOST", "localhost"),
            ("$HOME", "/root"),
        ]))
    }

    fn resolved(pairs: &[(&str, &str)]) -> Result<(IndexMap<String, String>, Vec<String>), ConfigError> {
        let mut given: IndexMap<String, String> =
            pairs.iter().map(|(key, value)| ((*key).to_owned(), value.replace('@', PACKAGE))).collect();
        let notes = resolve(&mut given, &outside())?;
        Ok((given, notes))
    }

    const ALL: [(&str, &str); 4] = [
        ("config.providers", "file,dir,env"),
        ("config.providers.file.class", "@FileConfigProvider"),
        ("config.providers.dir.class", "@DirectoryConfigProvider"),
        ("config.providers.env.class", "@EnvVarConfigProvider"),
    ];

    fn value_of(value: &str, more: &[(&str, &str)]) -> Result<String, ConfigError> {
        let pairs: Vec<_> = ALL.into_iter().chain(more.iter().copied()).chain([("x", value)]).collect();
        resolved(&pairs).map(|(mut given, _)| given.swap_remove("x").unwrap())
    }

    #[test]
    fn variables_are_found_where_they_stand() {
        let of = |text| next_variable(text).map(|(before, v, after)| (before, v.provider, v.path, v.key, after));
        assert_eq!(of("a${p:/x:k}b"), Some(("a", "p", "/x", "k", "b")));
        assert_eq!(of("${p:k}"), Some(("", "p", "", "k", "")));
        assert_eq!(of("${p:a:b:c}"), Some(("", "p", "a", "b:c", "")));
        assert_eq!(of("${no} ${p:k}"), Some(("${no} ", "p", "", "k", "")));
        assert_eq!(of("${p:k"), None);
        assert_eq!(of("$p:k}"), None);
    }

    #[test]
    fn a_value_may_come_from_a_file_a_directory_or_the_environment() {
        assert_eq!(value_of("${file:/secrets/broker.properties:password}", &[]).unwrap(), "top : secret");
        assert_eq!(value_of("${file:/secrets/broker.properties:name}", &[]).unwrap(), "Zo\u{eb}");
        assert_eq!(value_of("${dir:/secrets/dir:partitions}", &[]).unwrap(), "7");
        let two = "PLAINTEXT://${env:KAFKA_HOST}:9092,${env:KAFKA_HOST}";
        assert_eq!(value_of(two, &[]).unwrap(), "PLAINTEXT://localhost:9092,localhost");
        assert_eq!(value_of("<${file:/secrets/broker.properties:empty}>", &[]).unwrap(), "<>");
    }

    #[test]
    fn what_no_provider_knows_stays_as_it_is() {
        for text in [
            "${vault:a}",
            "${file:/secrets/broker.properties:other}",
            "${file:key}",
            "${env:NOBODY}",
            "${dir:/secrets:dir}",
        ] {
            assert_eq!(value_of(text, &[]).unwrap(), text);
        }
        // Without providers nothing is looked at.
        let (given, notes) = resolved(&[("x", "${file:/nowhere:key}")]).unwrap();
        assert_eq!((given["x"].as_str(), notes.len()), ("${file:/nowhere:key}", 0));
        let (_, notes) = resolved(&[("config.providers", "file"), ("x", "1")]).unwrap();
        assert_eq!(notes, ["config.providers names 'file', but there is no config.providers.file.class"]);
    }

    #[test]
    fn a_provider_keeps_to_the_paths_it_is_allowed() {
        let only = [
            ("config.providers.file.param.allowed.paths", "/secrets"),
            ("config.providers.dir.param.allowed.paths", "/secrets/dir,/etc"),
        ];
        assert_eq!(value_of("${file:/secrets/broker.properties:password}", &only).unwrap(), "top : secret");
        for text in ["${file:/etc/passwd:root}", "${file:/secrets/../etc/passwd:root}", "${file:secrets/x:y}"] {
            assert_eq!(value_of(text, &only).unwrap(), text);
        }
        assert_eq!(value_of("${dir:/secrets/./dir:partitions}", &only).unwrap(), "7");
        assert_eq!(
            value_of("${dir:/secrets/dir:../broker.properties}", &only).unwrap(),
            "${dir:/secrets/dir:../broker.properties}"
        );
        let fault = |path| value_of("", &[("config.providers.file.param.allowed.paths", path)]).unwrap_err().message;
        assert_eq!(fault("secrets"), "Path secrets is not absolute");
        assert_eq!(fault("/secrets,/gone/x/.."), "Path /gone does not exist");
    }

    #[test]
    fn the_environment_is_only_what_the_pattern_allows() {
        let only = [("config.providers.env.param.allowlist.pattern", "KAFKA_.*")];
        assert_eq!(value_of("${env:KAFKA_HOST}${env:HOME}", &only).unwrap(), "localhost${env:HOME}");
        // All of the name has to match.
        let part = [("config.providers.env.param.allowlist.pattern", "KAFKA|HO")];
        assert_eq!(value_of("${env:KAFKA_HOST}${env:HOME}", &part).unwrap(), "${env:KAFKA_HOST}${env:HOME}");
    }

    #[test]
    fn what_cannot_be_is_one_line() {
        let faults = [
            value_of("${file:/gone:key}", &[]),
            value_of("${env:/path:HOME}", &[]),
            value_of("", &[("config.providers.env.param.allowlist.pattern", "(")]),
            value_of("", &[("config.providers.file.class", "com.example.VaultProvider")]),
        ];
        let words = ["/gone", "'/path'", "allowlist.pattern", "Invalid value com.example.VaultProvider"];
        for (fault, word) in faults.into_iter().zip(words) {
            let message = fault.unwrap_err().message;
            assert!(message.contains(word) && !message.contains('\n'), "{message}");
        }
    }
}
