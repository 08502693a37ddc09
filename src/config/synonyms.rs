//! Keys that stand for the same thing: units of one setting, and keys under a listener's prefix
//! (`DynamicBrokerConfig.brokerConfigSynonyms`).

/// Keys given as `listener.name.<listener>.<mechanism>.<key>` instead of `listener.name.<listener>.<key>`.
const PER_MECHANISM: &[&str] = &[
    "sasl.jaas.config",
    "sasl.login.callback.handler.class",
    "sasl.login.class",
    "sasl.server.callback.handler.class",
    "connections.max.reauth.ms",
];

const ROLL: &[&str] = &["log.roll.ms", "log.roll.hours"];
const ROLL_JITTER: &[&str] = &["log.roll.jitter.ms", "log.roll.jitter.hours"];
const FLUSH: &[&str] = &["log.flush.interval.ms", "log.flush.scheduler.interval.ms"];
const RETENTION: &[&str] = &["log.retention.ms", "log.retention.minutes", "log.retention.hours"];

/// What follows `listener.name.<listener>.`, if `name` has that prefix.
#[must_use]
pub fn listener_base_name(name: &str) -> Option<&str> {
    name.strip_prefix("listener.name.")?.split_once('.').map(|(_, base)| base)
}

/// The names under which the setting may be given, strongest first. With `through_listener`, a listener's key is
/// followed by the key that it overrides.
#[must_use]
pub fn broker_synonyms(name: &str, through_listener: bool) -> Vec<&str> {
    match name {
        "log.roll.ms" | "log.roll.hours" => ROLL.to_vec(),
        "log.roll.jitter.ms" | "log.roll.jitter.hours" => ROLL_JITTER.to_vec(),
        // The check interval is only a fallback: described by its own name it stands alone.
        "log.flush.interval.ms" => FLUSH.to_vec(),
        "log.retention.ms" | "log.retention.minutes" | "log.retention.hours" => RETENTION.to_vec(),
        _ => match listener_base_name(name) {
            Some(base) if through_listener => {
                let overridden = PER_MECHANISM.iter().find(|key| base.ends_with(**key)).map_or(base, |key| key);
                vec![name, overridden]
            }
            _ => vec![name],
        },
    }
}
