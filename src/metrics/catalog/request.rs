//! Requests by API (class `RequestMetrics`).

use crate::{
    common::ErrorCode,
    metrics::{Meter, Source, Value, Visitor},
};

/// An API that is counted: key, name, and the versions served, both ends inclusive.
#[derive(Debug, Clone, Copy)]
pub struct CountedApi {
    pub key: i16,
    pub name: &'static str,
    pub min_version: i16,
    pub max_version: i16,
}

/// Counters by API, version and error. Made whole at the start, so that counting takes no lock.
#[derive(Debug, Default)]
pub struct RequestMetrics {
    /// By API key.
    apis: Vec<Option<Counters>>,
}

#[derive(Debug)]
struct Counters {
    api: CountedApi,
    /// By version, from `min_version` on.
    requests: Box<[Meter]>,
    /// By code, from −1 on.
    errors: Box<[Meter]>,
}

impl RequestMetrics {
    #[must_use]
    pub fn new(apis: impl IntoIterator<Item = CountedApi>) -> Self {
        let mut made = Self::default();
        for api in apis {
            let Ok(key) = usize::try_from(api.key) else { continue };
            if made.apis.len() <= key {
                made.apis.resize_with(key + 1, || None);
            }
            made.apis[key] = Some(Counters::new(api));
        }
        made
    }

    /// A request is being served.
    pub fn received(&self, key: i16, version: i16) {
        if let Some(counters) = self.counters(key)
            && let Some(meter) = at(&counters.requests, version, counters.api.min_version)
        {
            meter.mark(1);
        }
    }

    /// One of the error codes of an answer (Kafka counts NONE too).
    pub fn answered(&self, key: i16, code: i16) {
        if let Some(counters) = self.counters(key)
            && let Some(meter) = at(&counters.errors, code, ErrorCode::UnknownServerError.code())
        {
            meter.mark(1);
        }
    }

    fn counters(&self, key: i16) -> Option<&Counters> {
        self.apis.get(usize::try_from(key).ok()?)?.as_ref()
    }
}

impl Counters {
    fn new(api: CountedApi) -> Self {
        let meters = |from: i16, to: i16| (from..=to).map(|_| Meter::default()).collect();
        let codes = ErrorCode::ALL.iter().map(|code| code.code());
        Self {
            api,
            requests: meters(api.min_version, api.max_version),
            errors: meters(ErrorCode::UnknownServerError.code(), codes.max().unwrap_or(0)),
        }
    }
}

fn at(meters: &[Meter], number: i16, first: i16) -> Option<&Meter> {
    meters.get(usize::try_from(i32::from(number) - i32::from(first)).ok()?)
}

/// What has never happened is left out, as MBeans are in Kafka until then.
impl Source for RequestMetrics {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        for Counters { api, requests, errors } in self.apis.iter().flatten() {
            for (version, meter) in (api.min_version..).zip(requests).filter(|(_, meter)| meter.count() > 0) {
                let labels = [("request", api.name), ("version", &version.to_string())];
                visitor("kafka.network:type=RequestMetrics,name=RequestsPerSec", &labels, Value::from(meter));
            }
            let codes = ErrorCode::UnknownServerError.code()..;
            for (code, meter) in codes.zip(errors).filter(|(_, meter)| meter.count() > 0) {
                let labels = [("request", api.name), ("error", ErrorCode::from_code(code).name())];
                visitor("kafka.network:type=RequestMetrics,name=ErrorsPerSec", &labels, Value::from(meter));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_is_served_and_nothing_else() {
        let api = |key, name, max_version| CountedApi { key, name, min_version: 0, max_version };
        let metrics = RequestMetrics::new([api(3, "Metadata", 12), api(18, "ApiVersions", 4)]);
        for (key, version) in [(3, 12), (3, 12), (18, 0), (18, 5), (18, -1), (7, 0), (-1, 0), (99, 0)] {
            metrics.received(key, version);
        }
        for (key, code) in [(3, 0), (3, -1), (3, 127), (3, 128), (3, -2), (44, 0)] {
            metrics.answered(key, code);
        }
        let mut seen = Vec::new();
        metrics.visit(&mut |_, labels, value| {
            seen.push((labels.iter().map(|(_, value)| *value).collect::<Vec<_>>().join(" "), value));
        });
        let counted = |label: &str, count| (label.to_owned(), Value::Counter(count));
        let expected = [
            counted("Metadata 12", 2),
            counted("Metadata UNKNOWN_SERVER_ERROR", 1),
            counted("Metadata NONE", 1),
            counted("Metadata VOTER_NOT_FOUND", 1),
            counted("ApiVersions 0", 1),
        ];
        assert_eq!(seen, expected);
    }
}
