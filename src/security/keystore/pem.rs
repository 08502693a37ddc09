//! PEM: private key and certificates as text (class `PEMFileLoader`).

use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject};

use super::{Identity, KeystoreError};

const ENCRYPTED_KEY: (&str, &str) = ("-----BEGIN ENCRYPTED PRIVATE KEY-----", "-----END ENCRYPTED PRIVATE KEY-----");

pub fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, KeystoreError> {
    let unreadable = |fault: rustls::pki_types::pem::Error| KeystoreError::Unreadable(fault.to_string());
    CertificateDer::pem_slice_iter(text).collect::<Result<_, _>>().map_err(unreadable)
}

/// The key, encrypted with `password` or not, and the certificates in the order of the file.
pub fn identity(text: &[u8], password: &str) -> Result<Identity, KeystoreError> {
    let chain = certificates(text)?;
    if chain.is_empty() {
        return Err(KeystoreError::NoKey);
    }
    let key = match encrypted_key(text) {
        Some(block) => decrypt(block, password)?,
        None => PrivateKeyDer::from_pem_slice(text).map_err(|_| KeystoreError::NoKey)?,
    };
    Ok(Identity { chain, key })
}

fn encrypted_key(text: &[u8]) -> Option<&str> {
    let text = str::from_utf8(text).ok()?;
    let (begin, end) = ENCRYPTED_KEY;
    let from = text.find(begin)?;
    let to = from + text[from..].find(end)? + end.len();
    Some(&text[from..to])
}

fn decrypt(block: &str, password: &str) -> Result<PrivateKeyDer<'static>, KeystoreError> {
    let (_, document) = pkcs8::SecretDocument::from_pem(block).map_err(|_| KeystoreError::Malformed)?;
    let info =
        pkcs8::EncryptedPrivateKeyInfoRef::try_from(document.as_bytes()).map_err(|_| KeystoreError::Malformed)?;
    let key = info.decrypt(password).map_err(|_| KeystoreError::Password)?;
    Ok(PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.as_bytes().to_vec())))
}
