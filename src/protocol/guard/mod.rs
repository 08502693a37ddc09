//! Bounds what decoding a body may allocate before the message crate sees it.
//!
//! The crate reserves an array for whatever count the wire claims, so four bytes could end the process. The guard walks
//! the body first with a table of shapes and looks only at lengths and counts: no length may exceed the bytes that are
//! there, no count may exceed what they could hold, and what the decoded arrays and unknown tags would take is added up
//! against a budget that grows with the body (CVE-2026-111108, CVE-2026-111115). It allocates nothing.

mod shape;
mod shapes;
#[cfg(test)]
mod tests;
mod walk;

/// Decoded size that any request may reach, in bytes.
const BUDGET_FLOOR: usize = 1 << 20;
/// Bytes that each received byte may become, once and again up to [`BUDGET_SLACK_MAX`].
const BUDGET_FACTOR: usize = 2;
/// Dense messages (short names in arrays) take more than [`BUDGET_FACTOR`]; they get six more bytes per byte up to this.
const BUDGET_SLACK_FACTOR: usize = 6;
const BUDGET_SLACK_MAX: usize = 64 << 20;
/// Unknown tags in one structure. Kafka has no limit; the newest schemas know fewer than five.
const UNKNOWN_TAGS_MAX: usize = 64;
/// What an unknown tag takes in the decoded message's map.
const UNKNOWN_TAG_SIZE: usize = 128;

/// Why a body is refused; the connection is closed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

/// Walks `body` as a request of `api_key` and `version`, looking only at lengths and counts. Bytes after the message
/// are let be, as in Kafka.
pub fn check(api_key: i16, version: i16, body: &[u8]) -> Result<(), Refused> {
    check_shape(shapes::of(api_key), api_key, version, body)
}

/// As [`check`], for the response that a peer gave to a request of `api_key` and `version`.
pub fn check_response(api_key: i16, version: i16, body: &[u8]) -> Result<(), Refused> {
    check_shape(shapes::of_response(api_key), api_key, version, body)
}

fn check_shape(shape: Option<&'static shape::Shape>, api_key: i16, version: i16, body: &[u8]) -> Result<(), Refused> {
    let Some(shape) = shape else { return Err(Refused(format!("api key {api_key} is not known"))) };
    if !(0..=shape.versions).contains(&version) {
        return Err(Refused(format!("{} has no version {version}", shape.name)));
    }
    walk::Walk::new(shape, version, body)
        .run()
        .map_err(|fault| Refused(format!("{} version {version}: {fault}", shape.name)))
}

/// Bytes that decoding a body of `received` bytes may take beyond the body itself.
pub(in crate::protocol) fn budget(received: usize) -> usize {
    let slack = received.saturating_mul(BUDGET_SLACK_FACTOR).min(BUDGET_SLACK_MAX);
    BUDGET_FLOOR.saturating_add(received.saturating_mul(BUDGET_FACTOR)).saturating_add(slack)
}
