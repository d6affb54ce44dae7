//! The text formats: OpenMetrics, and the older one of Prometheus for readers that do not accept it.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::catalog::{FAMILIES, Kind};
use super::samples::{Samples, Value};
use crate::control::http::Response;
use crate::metrics::{BOUNDS_S, Distribution};

/// A text format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// The text format of Prometheus, version 0.0.4.
    Plain,
}

impl Format {
    /// The format that an Accept header prefers: OpenMetrics only where it is named.
    pub(super) fn accepted(accept: &str) -> Self {
        let is_open = |range: &str| {
            let mut parts = range.split(';').map(str::trim);
            parts.next() == Some("application/openmetrics-text")
                && parts.all(|part| part.strip_prefix("q=").is_none_or(|q| q.parse::<f32>().is_ok_and(|q| q > 0.0)))
        };
        if accept.split(',').any(is_open) { Self::OpenMetrics } else { Self::Plain }
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Plain => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// The answer to a scrape.
pub(super) fn response(samples: Samples, format: Format) -> Response {
    match encode(samples, format) {
        Ok(text) => Response::new(200, format.content_type(), text),
        Err(fmt::Error) => Response::text(500, "internal error: the figures cannot be written\n"),
    }
}

/// The samples as text.
pub(super) fn encode(samples: Samples, format: Format) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Page(samples)));
    let mut text = String::new();
    text::encode(&mut text, &registry)?;
    Ok(match format {
        Format::OpenMetrics => text,
        Format::Plain => plain(&text),
    })
}

/// The older format: a counter's family has the name of its samples, and there is no end mark.
fn plain(open: &str) -> String {
    let counters: Vec<&str> = FAMILIES.iter().filter(|family| family.kind == Kind::Counter).map(|f| f.name).collect();
    let mut text = String::with_capacity(open.len() + open.len() / 16);
    for line in open.lines().filter(|line| !line.starts_with("# EOF") && !line.starts_with("# UNIT")) {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some(what), Some(name), Some(rest)) if counters.contains(&name) => {
                text.push_str(&format!("# {what} {name}_total {rest}"));
            }
            _ => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

/// The samples as a collector, which the encoder asks for its families.
#[derive(Debug)]
struct Page(Samples);

impl Collector for Page {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for family in FAMILIES {
            let series = self.0.of(family.name);
            if series.is_empty() {
                continue;
            }
            let kind = match family.kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge => MetricType::Gauge,
                Kind::Histogram => MetricType::Histogram,
            };
            let mut metric = encoder.encode_descriptor(family.name, family.help, None, kind)?;
            for (labels, value) in series {
                if labels.is_empty() {
                    encode_value(&mut metric, family.kind, value)?;
                } else {
                    encode_value(&mut metric.encode_family(labels)?, family.kind, value)?;
                }
            }
        }
        Ok(())
    }
}

fn encode_value(metric: &mut MetricEncoder<'_>, kind: Kind, value: &Value) -> Result<(), fmt::Error> {
    match (kind, value) {
        (Kind::Counter, Value::Count(count)) => metric.encode_counter::<NoLabelSet, _, u64>(count, None),
        (Kind::Counter, Value::Real(real)) => metric.encode_counter::<NoLabelSet, _, u64>(real, None),
        (_, Value::Count(count)) => metric.encode_gauge(count),
        (_, Value::Real(real)) => metric.encode_gauge(real),
        (_, Value::Durations(durations)) => encode_durations(metric, durations),
    }
}

fn encode_durations(metric: &mut MetricEncoder<'_>, durations: &Distribution) -> Result<(), fmt::Error> {
    let bounds = BOUNDS_S.into_iter().chain([f64::INFINITY]);
    let buckets: Vec<(f64, u64)> = bounds.zip(durations.buckets).collect();
    metric.encode_histogram::<NoLabelSet>(durations.seconds, durations.count(), &buckets, None)
}
