//! Ids as Kafka prints them: 16 bytes in URL-safe base64 without padding, 22 characters (class `Uuid`).

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
pub use uuid::Uuid;

#[must_use]
pub fn to_base64(id: Uuid) -> String {
    URL_SAFE_NO_PAD.encode(id.as_bytes())
}

/// `None` for anything that is not exactly 16 bytes of base64.
#[must_use]
pub fn from_base64(text: &str) -> Option<Uuid> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    Uuid::from_slice(&bytes).ok()
}

/// A random id whose text does not start with `-`, because tools would take it for an option (class `Uuid.randomUuid`).
#[must_use]
pub fn random() -> Uuid {
    loop {
        let id = super::chance::uuid();
        if !id.is_nil() && !to_base64(id).starts_with('-') {
            return id;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips() {
        let id = random();
        let text = to_base64(id);
        assert_eq!(text.len(), 22);
        assert_eq!(from_base64(&text), Some(id));
        assert_eq!(from_base64("short"), None);
    }
}
