//! What TLS may use, by the names that Java gives to versions and suites (JSSE's standard names). Pure.

use rustls::crypto::{CryptoProvider, aws_lc_rs};

/// TLS versions that exist here. Older ones are broken and not built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Tls12,
    Tls13,
}

impl Protocol {
    /// `TLSv1.2` or `TLSv1.3`.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        match name.trim() {
            "TLSv1.2" => Some(Self::Tls12),
            "TLSv1.3" => Some(Self::Tls13),
            _ => None,
        }
    }
}

/// What is allowed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsChoice {
    /// None given: all that exist.
    pub protocols: Vec<Protocol>,
    /// Java's names; none given: all that exist.
    pub suites: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsChoiceError {
    #[error("{0}: no such cipher suite is built")]
    UnknownSuite(String),
    #[error("no allowed cipher suite belongs to an allowed TLS version")]
    NothingLeft,
}

impl TlsChoice {
    /// The primitives reduced to the suites of these versions and names; a version without a suite is not offered.
    pub fn provider(&self) -> Result<CryptoProvider, TlsChoiceError> {
        let all = aws_lc_rs::default_provider();
        let mut suites = all.cipher_suites.clone();
        if !self.suites.is_empty() {
            let by_name = |name: &String| {
                let found = all.cipher_suites.iter().find(|suite| java_name(**suite) == name.trim());
                found.copied().ok_or_else(|| TlsChoiceError::UnknownSuite(name.clone()))
            };
            suites = self.suites.iter().map(by_name).collect::<Result<_, _>>()?;
        }
        suites.retain(|suite| self.protocols.is_empty() || self.protocols.contains(&protocol(*suite)));
        if suites.is_empty() {
            return Err(TlsChoiceError::NothingLeft);
        }
        Ok(CryptoProvider { cipher_suites: suites, ..all })
    }
}

fn protocol(suite: rustls::SupportedCipherSuite) -> Protocol {
    if suite.tls13().is_some() { Protocol::Tls13 } else { Protocol::Tls12 }
}

/// Java writes `TLS_AES_…` also for TLS 1.3.
fn java_name(suite: rustls::SupportedCipherSuite) -> String {
    suite.suite().as_str().unwrap_or_default().replacen("TLS13_", "TLS_", 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suites(protocols: &[Protocol], names: &[&str]) -> Result<Vec<String>, TlsChoiceError> {
        let suites = names.iter().map(|name| (*name).to_owned()).collect();
        let provider = TlsChoice { protocols: protocols.to_vec(), suites }.provider()?;
        Ok(provider.cipher_suites.into_iter().map(java_name).collect())
    }

    #[test]
    fn versions_choose_among_suites() {
        let all = suites(&[], &[]).unwrap();
        let (old, new) = (suites(&[Protocol::Tls12], &[]).unwrap(), suites(&[Protocol::Tls13], &[]).unwrap());
        assert!(old.contains(&"TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384".to_owned()), "{old:?}");
        assert!(new.contains(&"TLS_AES_256_GCM_SHA384".to_owned()), "{new:?}");
        assert_eq!(all.len(), old.len() + new.len());
    }

    #[test]
    fn suites_are_taken_in_the_order_given_and_unknown_ones_refused() {
        let wanted = ["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256"];
        assert_eq!(suites(&[], &wanted).unwrap(), wanted);
        assert_eq!(suites(&[Protocol::Tls13], &wanted).unwrap(), wanted[1..]);
        assert_eq!(suites(&[Protocol::Tls13], &wanted[..1]), Err(TlsChoiceError::NothingLeft));
        let weak = "TLS_RSA_WITH_AES_128_CBC_SHA";
        assert_eq!(suites(&[], &[weak]), Err(TlsChoiceError::UnknownSuite(weak.to_owned())));
    }

    #[test]
    fn old_versions_do_not_exist() {
        assert_eq!(Protocol::of(" TLSv1.2"), Some(Protocol::Tls12));
        for name in ["TLSv1", "TLSv1.1", "SSLv3", "TLS", ""] {
            assert_eq!(Protocol::of(name), None, "{name}");
        }
    }
}
