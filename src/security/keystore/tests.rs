//! One key and its certificate in stores that `keytool` and `openssl` wrote: `compat-tests/golden/keystores`.

use proptest::prelude::*;

use super::*;

macro_rules! golden {
    ($name:literal) => {
        include_bytes!(concat!("../../../compat-tests/golden/keystores/", $name)).as_slice()
    };
}

const PASSWORD: &str = "secret1";
const KEY_JKS: &[u8] = golden!("key.jks");
const KEY_P12: &[u8] = golden!("key.p12");
const KEY_PEM: &[u8] = golden!("key.pem");
const ENCRYPTED_PEM: &[u8] = golden!("encrypted.pem");
const TRUST_JKS: &[u8] = golden!("trust.jks");
const TRUST_P12: &[u8] = golden!("trust.p12");
const CERTIFICATE: &[u8] = golden!("cert.pem");

use StoreType::{Binary, Pem};

#[test]
fn every_format_gives_the_same_key_and_certificate() {
    let plain = identity(KEY_PEM, Pem, "").unwrap();
    for (name, store, kind) in [("jks", KEY_JKS, Binary), ("pkcs12", KEY_P12, Binary), ("pem", ENCRYPTED_PEM, Pem)] {
        let found = identity(store, kind, PASSWORD).unwrap();
        assert_eq!(found.chain, plain.chain, "{name}");
        // PKCS #8 may carry the public key too; what both have in common is the private one.
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let key = |key: &PrivateKeyDer<'static>| provider.key_provider.load_private_key(key.clone_key()).unwrap();
        assert_eq!(key(&found.key).public_key(), key(&plain.key).public_key(), "{name}");
    }
}

#[test]
fn every_format_gives_the_same_authorities() {
    let plain = authorities(CERTIFICATE, Pem, "").unwrap();
    assert_eq!(plain.len(), 1);
    assert_eq!(authorities(TRUST_JKS, Binary, PASSWORD).unwrap(), plain);
    assert_eq!(authorities(TRUST_P12, Binary, PASSWORD).unwrap(), plain);
}

#[test]
fn a_wrong_password_is_told_from_a_broken_store() {
    for store in [KEY_JKS, KEY_P12, TRUST_JKS, TRUST_P12] {
        assert_eq!(read(store, Binary, "secret2").err(), Some(KeystoreError::Password));
        assert_eq!(read(store, Binary, "").err(), Some(KeystoreError::Password));
    }
    assert_eq!(identity(ENCRYPTED_PEM, Pem, "secret2").err(), Some(KeystoreError::Password));
    assert_eq!(read(b"hello", Binary, PASSWORD).err(), Some(KeystoreError::Unknown));
    assert_eq!(read(b"", Binary, PASSWORD).err(), Some(KeystoreError::Unknown));
}

#[test]
fn a_store_of_the_other_kind_has_not_what_is_asked_of_it() {
    assert_eq!(identity(TRUST_JKS, Binary, PASSWORD).err(), Some(KeystoreError::NoKey));
    assert_eq!(identity(TRUST_P12, Binary, PASSWORD).err(), Some(KeystoreError::NoKey));
    assert_eq!(identity(CERTIFICATE, Pem, PASSWORD).err(), Some(KeystoreError::NoKey));
    assert_eq!(authorities(KEY_JKS, Binary, PASSWORD).err(), Some(KeystoreError::NoCertificate));
    assert_eq!(authorities(b"", Pem, PASSWORD).err(), Some(KeystoreError::NoCertificate));
}

#[test]
fn types_are_named_or_seen_from_the_files_name() {
    assert_eq!(StoreType::of(Some("jks"), "x"), Some(Binary));
    assert_eq!(StoreType::of(Some("PEM"), "x.jks"), Some(Pem));
    assert_eq!(StoreType::of(None, "/etc/trust.p12"), Some(Binary));
    assert_eq!(StoreType::of(Some(" "), "/etc/trust.pem"), Some(Pem));
    assert_eq!(StoreType::of(None, "/etc/trust"), None);
    assert_eq!(StoreType::of(Some("BCFKS"), "x.jks"), None);
}

#[test]
fn nothing_secret_is_shown() {
    assert_eq!(format!("{:?}", identity(KEY_PEM, Pem, "").unwrap()), "Identity(1 certificates)");
}

proptest! {
    /// A JKS store whose sum is right and whose inside is anything.
    #[test]
    fn a_hostile_store_is_an_error(cut in 0usize..480, changed in 4usize..480, to: u8) {
        use sha1::{Digest, Sha1};
        let mut body = KEY_JKS[..KEY_JKS.len() - 20].to_vec();
        body[changed] = to;
        body.truncate(body.len() - cut.min(body.len() - 4));
        let password: Vec<u8> = PASSWORD.encode_utf16().flat_map(u16::to_be_bytes).collect();
        let sum = Sha1::new().chain_update(password).chain_update(b"Mighty Aphrodite").chain_update(&body).finalize();
        body.extend_from_slice(&sum);
        let _ = read(&body, Binary, PASSWORD);
    }

    #[test]
    fn hostile_pem_is_an_error(text in "(-----BEGIN [A-Z ]{0,30}-----|\n|[A-Za-z0-9+/=]{0,64}|-----END [A-Z ]{0,30}-----){0,8}") {
        let _ = identity(text.as_bytes(), Pem, PASSWORD);
        let _ = authorities(text.as_bytes(), Pem, PASSWORD);
    }
}
