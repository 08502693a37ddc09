//! Key stores and trust stores: JKS, PKCS12 and PEM (classes `StandardTypeFileKeyStoreLoader`, `PEMFileLoader`). Bytes in,
//! keys and certificates out; pure.

mod jks;
mod pem;
mod pkcs12;

#[cfg(test)]
mod tests;

use std::fmt;

use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Larger than any store of a broker.
pub const STORE_BYTES_MAX: u64 = 16 << 20;

/// What a store is said to be. Java reads JKS and PKCS12 under either name, so both mean "look".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreType {
    /// `JKS` or `PKCS12`.
    Binary,
    Pem,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeystoreError {
    #[error("it is neither JKS nor PKCS12")]
    Unknown,
    #[error("its password is wrong, or it was tampered with")]
    Password,
    #[error("it ends too early or is malformed")]
    Malformed,
    #[error("it cannot be read: {0}")]
    Unreadable(String),
    #[error("it holds no private key with a certificate")]
    NoKey,
    #[error("it holds no trusted certificate")]
    NoCertificate,
}

/// A private key and its certificate, followed by those that vouch for it.
pub struct Identity {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({} certificates)", self.chain.len())
    }
}

impl Clone for Identity {
    fn clone(&self) -> Self {
        Self { chain: self.chain.clone(), key: self.key.clone_key() }
    }
}

/// What a store holds.
#[derive(Debug, Clone, Default)]
struct Contents {
    identities: Vec<Identity>,
    trusted: Vec<CertificateDer<'static>>,
}

/// The store's key; the first one where it has several.
pub fn identity(store: &[u8], kind: StoreType, password: &str) -> Result<Identity, KeystoreError> {
    read(store, kind, password)?.identities.into_iter().next().ok_or(KeystoreError::NoKey)
}

/// The certificates that a store trusts.
pub fn authorities(
    store: &[u8],
    kind: StoreType,
    password: &str,
) -> Result<Vec<CertificateDer<'static>>, KeystoreError> {
    let trusted = match kind {
        StoreType::Pem => pem::certificates(store)?,
        StoreType::Binary => read(store, kind, password)?.trusted,
    };
    if trusted.is_empty() { Err(KeystoreError::NoCertificate) } else { Ok(trusted) }
}

fn read(store: &[u8], kind: StoreType, password: &str) -> Result<Contents, KeystoreError> {
    match kind {
        StoreType::Pem => {
            pem::identity(store, password).map(|identity| Contents { identities: vec![identity], trusted: Vec::new() })
        }
        StoreType::Binary if jks::is_jks(store) => jks::read(store, password),
        StoreType::Binary if pkcs12::may_be_pkcs12(store) => pkcs12::read(store, password),
        StoreType::Binary => Err(KeystoreError::Unknown),
    }
}

impl StoreType {
    /// A `…store.type` of ZooKeeper's client, or without one the ending of the file's name
    /// (class `KeyStoreFileType`). `None` for one that is not known.
    #[must_use]
    pub fn of(given: Option<&str>, location: &str) -> Option<Self> {
        match given.map(str::trim).filter(|given| !given.is_empty()) {
            Some(given) => match given.to_ascii_uppercase().as_str() {
                "JKS" | "PKCS12" => Some(Self::Binary),
                "PEM" => Some(Self::Pem),
                _ => None,
            },
            None if location.ends_with(".jks") || location.ends_with(".p12") => Some(Self::Binary),
            None if location.ends_with(".pem") => Some(Self::Pem),
            None => None,
        }
    }
}
