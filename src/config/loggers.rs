//! Log levels that an admin client may read and change (KIP-412, class `RuntimeLoggerManager`). They are not stored:
//! a restart forgets them. What a level does is up to the callback.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use super::error::ConfigError;

/// The logger that all others fall back to.
pub const ROOT: &str = "root";
/// Levels of Kafka's clients, in the order of its message.
pub const LEVELS: &[&str] = &["DEBUG", "ERROR", "FATAL", "INFO", "TRACE", "WARN"];

/// Called with every logger that has a level of its own; FATAL has to be read as ERROR.
type Apply = Box<dyn Fn(&BTreeMap<String, String>) + Send + Sync>;

/// Loggers by name, with the level each was given.
pub struct Loggers {
    levels: Mutex<BTreeMap<String, Option<String>>>,
    apply: Apply,
}

impl Loggers {
    /// `names` are the loggers that exist beside the root.
    #[must_use]
    pub fn new(root_level: &str, names: &[&str], apply: Apply) -> Self {
        let mut levels: BTreeMap<String, Option<String>> =
            names.iter().map(|name| ((*name).to_owned(), None)).collect();
        levels.insert(ROOT.to_owned(), Some(root_level.to_owned()));
        Self { levels: Mutex::new(levels), apply }
    }

    /// Every logger with the level in force.
    #[must_use]
    pub fn describe(&self) -> Vec<(String, String)> {
        let levels = self.levels.lock();
        let root = levels.get(ROOT).cloned().flatten().unwrap_or_default();
        levels.iter().map(|(name, level)| (name.clone(), level.clone().unwrap_or_else(|| root.clone()))).collect()
    }

    #[must_use]
    pub fn exists(&self, name: &str) -> bool {
        self.levels.lock().contains_key(name)
    }

    /// Whether the logger exists and the level is one.
    pub fn check(&self, name: &str, level: &str) -> Result<(), ConfigError> {
        self.check_exists(name)?;
        if LEVELS.contains(&level) {
            return Ok(());
        }
        Err(ConfigError::refused(format!(
            "Cannot set the log level of {name} to {level} as it is not a supported log level. Valid log levels are {}",
            LEVELS.join(", ")
        )))
    }

    pub fn check_exists(&self, name: &str) -> Result<(), ConfigError> {
        if self.exists(name) { Ok(()) } else { Err(ConfigError::refused(format!("Logger {name} does not exist!"))) }
    }

    /// Sets a level, or with `None` lets the logger follow the root again.
    pub fn set(&self, name: &str, level: Option<&str>) {
        let mut levels = self.levels.lock();
        if let Some(entry) = levels.get_mut(name) {
            *entry = level.map(str::to_owned);
        }
        let own = levels.iter().filter_map(|(name, level)| Some((name.clone(), level.clone()?))).collect();
        (self.apply)(&own);
    }
}
