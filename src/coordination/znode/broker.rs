//! `/brokers/ids/<id>`: where a broker listens (class `BrokerIdZNode`). Written in version 5, read from 1 on.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{BadZnode, json, parse};
use crate::{
    common::{BrokerId, Timestamp},
    metadata::{BrokerImage, Endpoint},
};

const WHAT: &str = "broker registration";
const FEATURES_SINCE: i32 = 5;

/// What a broker says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerRegistration {
    pub id: BrokerId,
    pub endpoints: Vec<Endpoint>,
    pub rack: Option<String>,
    /// −1 when the broker offers no JMX.
    pub jmx_port: i32,
    pub timestamp_ms: Timestamp,
    /// 5, or 4 without features before protocol 2.7. Of one that was read it is the version it was written in.
    pub version: i32,
}

#[derive(Serialize)]
struct V5<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    features: Option<Map<String, Value>>,
    /// In the order of the listeners.
    listener_security_protocol_map: Map<String, Value>,
    endpoints: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rack: Option<&'a str>,
    jmx_port: i32,
    port: i32,
    host: Option<&'a str>,
    version: i32,
    timestamp: String,
}

#[derive(Deserialize)]
struct Any {
    version: i32,
    #[serde(default)]
    host: Option<String>,
    #[serde(default)]
    port: i32,
    #[serde(default)]
    jmx_port: Option<i32>,
    #[serde(default)]
    endpoints: Vec<String>,
    #[serde(default)]
    listener_security_protocol_map: Option<BTreeMap<String, String>>,
    #[serde(default)]
    rack: Option<String>,
    #[serde(default)]
    timestamp: Option<super::Number>,
}

impl BrokerRegistration {
    #[must_use]
    pub fn encode(&self) -> Bytes {
        // Host and port on top are for clients older than the list of endpoints; those speak plaintext only.
        let plaintext = self.endpoints.iter().find(|endpoint| endpoint.security_protocol == "PLAINTEXT");
        let protocols = self.endpoints.iter().map(|e| (e.listener.clone(), e.security_protocol.clone().into()));
        json(&V5 {
            features: (self.version >= FEATURES_SINCE).then(Map::new),
            listener_security_protocol_map: protocols.collect(),
            endpoints: self.endpoints.iter().map(to_url).collect(),
            rack: self.rack.as_deref(),
            jmx_port: self.jmx_port,
            port: plaintext.map_or(-1, |endpoint| i32::from(endpoint.port)),
            host: plaintext.map(|endpoint| endpoint.host.as_str()),
            version: self.version,
            timestamp: self.timestamp_ms.to_string(),
        })
    }

    pub fn decode(id: BrokerId, bytes: &[u8]) -> Result<Self, BadZnode> {
        let any: Any = parse(WHAT, bytes)?;
        let endpoints = match any.version {
            ..1 => return Err(BadZnode::new(WHAT, format!("version {} is not supported", any.version))),
            1 => vec![Endpoint {
                listener: "PLAINTEXT".into(),
                security_protocol: "PLAINTEXT".into(),
                host: any.host.ok_or_else(|| BadZnode::new(WHAT, "no host"))?,
                port: u16::try_from(any.port).map_err(|fault| BadZnode::new(WHAT, fault))?,
            }],
            _ => {
                let protocols = any.listener_security_protocol_map.as_ref();
                any.endpoints.iter().map(|url| from_url(url, protocols)).collect::<Result<_, _>>()?
            }
        };
        Ok(Self {
            id,
            endpoints,
            rack: any.rack,
            jmx_port: any.jmx_port.unwrap_or(-1),
            version: any.version,
            timestamp_ms: any.timestamp.and_then(|timestamp| timestamp.value()).unwrap_or(-1),
        })
    }

    /// As the cluster sees it; `epoch` is the czxid of the node.
    #[must_use]
    pub fn to_image(&self, epoch: i64) -> BrokerImage {
        BrokerImage { id: self.id, epoch, rack: self.rack.clone(), endpoints: self.endpoints.clone() }
    }
}

fn to_url(endpoint: &Endpoint) -> String {
    let Endpoint { listener, host, port, .. } = endpoint;
    if host.contains(':') { format!("{listener}://[{host}]:{port}") } else { format!("{listener}://{host}:{port}") }
}

fn from_url(url: &str, protocols: Option<&BTreeMap<String, String>>) -> Result<Endpoint, BadZnode> {
    let bad = || BadZnode::new(WHAT, format!("endpoint '{url}'"));
    let (listener, address) = url.split_once("://").ok_or_else(bad)?;
    let (host, port) = address.rsplit_once(':').ok_or_else(bad)?;
    let security_protocol = match protocols {
        Some(protocols) => protocols.get(listener).ok_or_else(bad)?.clone(),
        // Before version 4 a listener was named by its protocol.
        None => listener.to_owned(),
    };
    Ok(Endpoint {
        listener: listener.to_owned(),
        security_protocol,
        host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
        port: port.parse().map_err(|_| bad())?,
    })
}
