//! PKCS12, what `keytool` and `openssl` write today.

use p12_keystore::{KeyStore, KeyStoreEntry, Pkcs12ImportPolicy, error::Error};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::{Contents, Identity, KeystoreError};

/// A DER sequence.
pub fn may_be_pkcs12(store: &[u8]) -> bool {
    store.first() == Some(&0x30)
}

/// Keys with their chains, and the certificates that `keytool` has marked as trusted: Java takes no others for authorities.
pub fn read(store: &[u8], password: &str) -> Result<Contents, KeystoreError> {
    let store = KeyStore::from_pkcs12(store, password, Pkcs12ImportPolicy::Strict).map_err(fault)?;
    let certificate = |der: &[u8]| CertificateDer::from(der.to_vec());
    let mut contents = Contents::default();
    for (_, entry) in store.entries() {
        match entry {
            KeyStoreEntry::PrivateKeyChain(entry) => contents.identities.push(Identity {
                chain: entry.certs().iter().map(|it| certificate(it.as_der())).collect(),
                key: PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(entry.key().as_der().to_vec())),
            }),
            KeyStoreEntry::Certificate(it) => contents.trusted.push(certificate(it.as_der())),
            KeyStoreEntry::Secret(_) => {}
        }
    }
    Ok(contents)
}

fn fault(fault: Error) -> KeystoreError {
    match fault {
        Error::MacError(_) | Error::UnpadError | Error::Pkcs5Error(_) => KeystoreError::Password,
        Error::DerError(_) | Error::InvalidLength | Error::InvalidData => KeystoreError::Malformed,
        other => KeystoreError::Unreadable(other.to_string()),
    }
}
