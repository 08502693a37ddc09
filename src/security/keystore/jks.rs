//! Java's first key store format (class `sun.security.provider.JavaKeyStore`): big-endian, every certificate in the
//! clear, every key under a stream made of SHA-1, all of it under a SHA-1 with the password.

use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sha1::{Digest, Sha1};

use super::{Contents, Identity, KeystoreError};

const MAGIC: [u8; 4] = [0xfe, 0xed, 0xfe, 0xed];
const PRIVATE_KEY: u32 = 1;
const TRUSTED: u32 = 2;
const DIGEST_BYTES: usize = 20;
/// What Java mixes into the digest of a whole store.
const WHITENER: &[u8] = b"Mighty Aphrodite";
/// 1.3.6.1.4.1.42.2.17.1.1, the protection of keys.
const KEY_PROTECTOR: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x2a, 0x02, 0x11, 0x01, 0x01];

pub fn is_jks(store: &[u8]) -> bool {
    store.starts_with(&MAGIC)
}

pub fn read(store: &[u8], password: &str) -> Result<Contents, KeystoreError> {
    let password: Vec<u8> = password.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let (body, sum) = store.split_last_chunk::<DIGEST_BYTES>().ok_or(KeystoreError::Malformed)?;
    let whole = Sha1::new().chain_update(&password).chain_update(WHITENER).chain_update(body).finalize();
    if whole[..] != sum[..] {
        return Err(KeystoreError::Password);
    }
    let mut reader = Reader { rest: body.get(MAGIC.len()..).ok_or(KeystoreError::Malformed)? };
    let version = reader.number()?;
    if !(1..=2).contains(&version) {
        return Err(KeystoreError::Malformed);
    }
    let mut contents = Contents::default();
    // The count is not trusted: the bytes end the loop.
    for _ in 0..reader.number()? {
        let tag = reader.number()?;
        reader.name()?;
        reader.bytes(8)?; // when it was put in
        match tag {
            PRIVATE_KEY => {
                let protected = reader.block()?;
                let mut chain = Vec::new();
                for _ in 0..reader.number()? {
                    chain.push(reader.certificate(version)?);
                }
                let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(recover(protected, &password)?));
                if !chain.is_empty() {
                    contents.identities.push(Identity { chain, key });
                }
            }
            TRUSTED => contents.trusted.push(reader.certificate(version)?),
            _ => return Err(KeystoreError::Malformed),
        }
    }
    Ok(contents)
}

/// Takes the protection off a key (class `sun.security.provider.KeyProtector`): salt, key, digest of the key.
fn recover(protected: &[u8], password: &[u8]) -> Result<Vec<u8>, KeystoreError> {
    let data = protected_data(protected).ok_or(KeystoreError::Malformed)?;
    let (salt, rest) = data.split_first_chunk::<DIGEST_BYTES>().ok_or(KeystoreError::Malformed)?;
    let (sealed, sum) = rest.split_last_chunk::<DIGEST_BYTES>().ok_or(KeystoreError::Malformed)?;
    let mut key = Vec::with_capacity(sealed.len());
    let mut pad = salt.to_vec();
    for chunk in sealed.chunks(DIGEST_BYTES) {
        pad = Sha1::new().chain_update(password).chain_update(&pad).finalize().to_vec();
        key.extend(chunk.iter().zip(&pad).map(|(byte, pad)| byte ^ pad));
    }
    let check = Sha1::new().chain_update(password).chain_update(&key).finalize();
    if check[..] == sum[..] { Ok(key) } else { Err(KeystoreError::Password) }
}

/// EncryptedPrivateKeyInfo of PKCS #8: `SEQUENCE { SEQUENCE { OID, … }, OCTET STRING }`.
fn protected_data(info: &[u8]) -> Option<&[u8]> {
    let (outer, _) = der(info, 0x30)?;
    let (algorithm, rest) = der(outer, 0x30)?;
    let (oid, _) = der(algorithm, 0x06)?;
    let (data, _) = der(rest, 0x04)?;
    (oid == KEY_PROTECTOR).then_some(data)
}

/// The content of the first element, and what follows it.
fn der(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&[found, first], rest) = bytes.split_first_chunk::<2>()?;
    if found != tag {
        return None;
    }
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x83 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn bytes(&mut self, count: usize) -> Result<&'a [u8], KeystoreError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(KeystoreError::Malformed)?;
        self.rest = rest;
        Ok(taken)
    }

    fn number(&mut self) -> Result<u32, KeystoreError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(KeystoreError::Malformed)?;
        self.rest = rest;
        Ok(u32::from_be_bytes(*taken))
    }

    /// Java's modified UTF-8 under a length of two bytes; nobody asks what it says.
    fn name(&mut self) -> Result<(), KeystoreError> {
        let (length, rest) = self.rest.split_first_chunk().ok_or(KeystoreError::Malformed)?;
        self.rest = rest;
        self.bytes(u16::from_be_bytes(*length).into()).map(drop)
    }

    fn block(&mut self) -> Result<&'a [u8], KeystoreError> {
        let length = self.number()?;
        self.bytes(usize::try_from(length).map_err(|_| KeystoreError::Malformed)?)
    }

    fn certificate(&mut self, version: u32) -> Result<CertificateDer<'static>, KeystoreError> {
        if version == 2 {
            self.name()?; // always X.509
        }
        Ok(CertificateDer::from(self.block()?.to_vec()))
    }
}
