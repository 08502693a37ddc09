//! Prometheus' text format, in the spelling of the jmx_exporter's Kafka example and of Strimzi, which dashboards know:
//! `kafka.server:type=BrokerTopicMetrics,name=BytesInPerSec` is `kafka_server_brokertopicmetrics_bytesin_total`.

use std::{collections::BTreeMap, fmt::Write};

use super::{Source, Value};

/// All readings of `sources`, grouped by metric as the format demands.
#[must_use]
pub fn render(sources: &[&dyn Source]) -> String {
    let mut families: BTreeMap<String, (Value, String)> = BTreeMap::new();
    for source in sources {
        source.visit(&mut |mbean, labels, value| {
            let (name, mut all_labels) = metric_name(mbean);
            all_labels.extend(labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
            let (_, lines) = families.entry(name.clone()).or_insert_with(|| (value, String::new()));
            write_line(lines, &name, &all_labels, value);
        });
    }
    let mut text = String::new();
    for (name, (value, lines)) in families {
        let kind = if matches!(value, Value::Counter(_)) { "counter" } else { "gauge" };
        let _ = write!(text, "# TYPE {name} {kind}\n{lines}");
    }
    text
}

/// Name and labels of an MBean: domain, type and name make the name, other properties are labels.
fn metric_name(mbean: &str) -> (String, Vec<(String, String)>) {
    let (domain, properties) = mbean.split_once(':').unwrap_or(("", mbean));
    let (mut kind, mut name, mut labels) = ("", "", Vec::new());
    for property in properties.split(',') {
        match property.split_once('=') {
            Some(("type", value)) => kind = value,
            Some(("name", value)) => name = value,
            Some((key, value)) => labels.push((key.to_owned(), value.to_owned())),
            None => {}
        }
    }
    let (name, suffix) = match (name.strip_suffix("PerSec"), name.strip_suffix("Percent")) {
        (Some(stem), _) => (stem, "_total"),
        (_, Some(stem)) => (stem, "_percent"),
        _ => (name, ""),
    };
    let name = format!("{domain}_{kind}_{name}{suffix}").to_lowercase().replace(['.', '-'], "_");
    (name, labels)
}

fn write_line(lines: &mut String, name: &str, labels: &[(String, String)], value: Value) {
    lines.push_str(name);
    for (at, (key, value)) in labels.iter().enumerate() {
        let escaped = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let _ = write!(lines, "{}{key}=\"{escaped}\"", if at == 0 { '{' } else { ',' });
    }
    if !labels.is_empty() {
        lines.push('}');
    }
    let _ = match value {
        Value::Counter(count) => writeln!(lines, " {count}"),
        Value::Gauge(value) => writeln!(lines, " {value}"),
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{
        BrokerTopicStats, ReplicaManagerMetrics, RequestMetrics,
        catalog::{CountedApi, PurgatoryMetrics},
    };

    #[test]
    fn speaks_the_exporters_names() {
        let stats = BrokerTopicStats::default();
        stats.all_topics.bytes_in.mark(7);
        stats.topic(&"or\"ders".into()).bytes_in.mark(3);
        let replicas = ReplicaManagerMetrics::default();
        replicas.leader_count.set(2);
        let requests = RequestMetrics::new([CountedApi { key: 0, name: "Produce", min_version: 0, max_version: 11 }]);
        requests.received(0, 9);
        let purgatory = PurgatoryMetrics::default();
        let text = render(&[&stats, &replicas, &requests, &purgatory]);
        for line in [
            "# TYPE kafka_server_brokertopicmetrics_bytesin_total counter\n",
            "kafka_server_brokertopicmetrics_bytesin_total 7\n",
            "kafka_server_brokertopicmetrics_bytesin_total{topic=\"or\\\"ders\"} 3\n",
            "# TYPE kafka_server_replicamanager_leadercount gauge\nkafka_server_replicamanager_leadercount 2\n",
            "kafka_network_requestmetrics_requests_total{request=\"Produce\",version=\"9\"} 1\n",
            "kafka_server_delayedoperationpurgatory_purgatorysize{delayedOperation=\"Fetch\"} 0\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        assert_eq!(text.matches("# TYPE kafka_server_brokertopicmetrics_bytesin_total").count(), 1);
    }
}
