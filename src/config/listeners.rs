//! `listeners`, `advertised.listeners` and the map of security protocols (classes `EndPoint`, `SocketServerConfigs`).

use core::net::{Ipv4Addr, Ipv6Addr};

use indexmap::IndexMap;

use super::{error::ConfigError, value::is_java_space};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecurityProtocol {
    Plaintext,
    Ssl,
    SaslPlaintext,
    SaslSsl,
}

impl SecurityProtocol {
    /// Any case is accepted.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name.to_ascii_uppercase().as_str() {
            "PLAINTEXT" => Self::Plaintext,
            "SSL" => Self::Ssl,
            "SASL_PLAINTEXT" => Self::SaslPlaintext,
            "SASL_SSL" => Self::SaslSsl,
            _ => return None,
        })
    }

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "PLAINTEXT",
            Self::Ssl => "SSL",
            Self::SaslPlaintext => "SASL_PLAINTEXT",
            Self::SaslSsl => "SASL_SSL",
        }
    }

    #[must_use]
    pub const fn uses_sasl(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslSsl)
    }
}

/// One listener, bound or advertised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerConfig {
    /// In capitals.
    pub name: String,
    pub protocol: SecurityProtocol,
    /// `None`: every interface when bound, this host's name when advertised.
    pub host: Option<String>,
    /// 0 lets the system choose.
    pub port: u16,
}

impl ListenerConfig {
    /// `NAME://host:port`.
    #[must_use]
    pub fn connection_string(&self) -> String {
        match &self.host {
            Some(host) if host.contains(':') => format!("{}://[{host}]:{}", self.name, self.port),
            host => format!("{}://{}:{}", self.name, host.as_deref().unwrap_or_default(), self.port),
        }
    }
}

/// `a:b,c:d` as pairs; spaces around commas and colons don't count.
pub fn parse_map(key: &str, text: &str) -> Result<IndexMap<String, String>, ConfigError> {
    let mut map = IndexMap::new();
    // As Java's `split`: empty entries at the end are dropped, one in the middle is an error.
    let trimmed = text.trim_end_matches(|c| c == ',' || is_java_space(c));
    if text.is_empty() {
        return Ok(map);
    }
    for entry in trimmed.split(',') {
        let Some((name, value)) = entry.rsplit_once(':') else {
            return Err(ConfigError::invalid(format!(
                "Error parsing configuration property '{key}': begin 0, end -1, length {}",
                entry.trim_matches(is_java_space).len()
            )));
        };
        map.insert(name.trim().to_owned(), value.trim().to_owned());
    }
    Ok(map)
}

/// Items between commas, without empty ones.
#[must_use]
pub fn parse_csv(text: &str) -> Vec<String> {
    text.split(',')
        .map(|item| item.trim_matches(is_java_space))
        .filter(|it| !it.is_empty())
        .map(str::to_owned)
        .collect()
}

/// `listener.security.protocol.map` with names in capitals.
pub fn parse_protocol_map(text: &str) -> Result<IndexMap<String, SecurityProtocol>, ConfigError> {
    const KEY: &str = "listener.security.protocol.map";
    parse_map(KEY, text)?
        .into_iter()
        .map(|(name, protocol)| match SecurityProtocol::from_name(&protocol) {
            Some(known) => Ok((name.to_uppercase(), known)),
            None => Err(ConfigError::invalid(format!("Invalid security protocol `{protocol}` defined in {KEY}"))),
        })
        .collect()
}

/// Parses a list of `NAME://host:port`. Bound ports must differ, but for one IPv4 and one IPv6 address.
pub fn parse_listeners(
    text: &str,
    protocols: &IndexMap<String, SecurityProtocol>,
    distinct_ports: bool,
) -> Result<Vec<ListenerConfig>, ConfigError> {
    let listeners =
        parse_csv(text).iter().map(|entry| parse_listener(entry, protocols)).collect::<Result<Vec<_>, _>>().map_err(
            |reason| ConfigError::invalid(format!("Error creating broker listeners from '{text}': {reason}")),
        )?;
    for (at, listener) in listeners.iter().enumerate() {
        if listeners[..at].iter().any(|other| other.name == listener.name) {
            return Err(ConfigError::requirement(format!(
                "Each listener must have a different name, listeners: {text}"
            )));
        }
    }
    if distinct_ports {
        check_ports(text, &listeners)?;
    }
    Ok(listeners)
}

fn parse_listener(entry: &str, protocols: &IndexMap<String, SecurityProtocol>) -> Result<ListenerConfig, String> {
    let unparsable = || format!("Unable to parse {entry} to a broker endpoint");
    let (name, address) = entry.rsplit_once("://").ok_or_else(unparsable)?;
    let (host, port) = address.rsplit_once(':').ok_or_else(unparsable)?;
    let host = host.strip_prefix('[').unwrap_or(host);
    let host = host.strip_suffix(']').unwrap_or(host);
    if !host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '%' | '.' | '_' | ':')) {
        return Err(unparsable());
    }
    let port = port.parse().map_err(|_| unparsable())?;
    let name = name.to_uppercase();
    let protocol = *protocols.get(&name).ok_or_else(|| format!("No security protocol defined for listener {name}"))?;
    Ok(ListenerConfig { name, protocol, host: (!host.is_empty()).then(|| host.to_owned()), port })
}

fn check_ports(text: &str, listeners: &[ListenerConfig]) -> Result<(), ConfigError> {
    for listener in listeners.iter().filter(|listener| listener.port != 0) {
        let port = listener.port;
        let (with_ip, without_ip): (Vec<_>, Vec<_>) =
            listeners.iter().filter(|it| it.port == port).partition(|it| ip_version(it).is_some());
        if with_ip.len() + without_ip.len() < 2 {
            continue;
        }
        if without_ip.len() > 1 {
            return Err(ConfigError::requirement(format!(
                "Each listener must have a different port, listeners: {text}"
            )));
        }
        match with_ip.as_slice() {
            [one, other] => {
                let message = format!(
                    "If you have two listeners on the same port then one needs to be IPv4 and the other IPv6, \
                     listeners: {text}, port: {port}"
                );
                if ip_version(one) == ip_version(other) {
                    return Err(ConfigError::requirement(message));
                }
                if !without_ip.is_empty() {
                    return Err(ConfigError::invalid(message));
                }
            }
            [] => {}
            _ => {
                return Err(ConfigError::invalid(format!(
                    "Each listener must have a different port unless exactly one listener has an IPv4 address and \
                     the other IPv6 address, listeners: {text}, port: {port}"
                )));
            }
        }
    }
    Ok(())
}

/// 4 or 6 if the host is an address.
fn ip_version(listener: &ListenerConfig) -> Option<u8> {
    let host = listener.host.as_deref()?;
    if host.parse::<Ipv4Addr>().is_ok() {
        Some(4)
    } else if host.split('%').next().is_some_and(|it| it.parse::<Ipv6Addr>().is_ok()) {
        Some(6)
    } else {
        None
    }
}
