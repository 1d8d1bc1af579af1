//! Metrics that are read when they are asked for: no copy of a count can be stale.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Labels from closed sets: regions, kinds.
pub type Labels = Vec<(&'static str, String)>;

/// One scrape under construction.
#[derive(Clone, Debug, Default)]
pub struct Scrape {
    families: Vec<Family>,
}

#[derive(Clone, Debug)]
struct Family {
    name: String,
    help: &'static str,
    samples: Samples,
}

#[derive(Clone, Debug)]
enum Samples {
    Gauge(Vec<(Labels, f64)>),
    Counter(Vec<(Labels, u64)>),
    Histogram(Vec<(Labels, Histogram)>),
}

impl Scrape {
    /// Values that go up and down. `name` carries its unit.
    pub fn gauge(
        &mut self,
        name: impl Into<String>,
        help: &'static str,
        samples: impl IntoIterator<Item = (Labels, f64)>,
    ) {
        let samples = Samples::Gauge(samples.into_iter().collect());
        self.families.push(Family { name: name.into(), help, samples });
    }

    /// Counts since the process began; the exposition appends `_total`.
    pub fn counter(
        &mut self,
        name: impl Into<String>,
        help: &'static str,
        samples: impl IntoIterator<Item = (Labels, u64)>,
    ) {
        let samples = Samples::Counter(samples.into_iter().collect());
        self.families.push(Family { name: name.into(), help, samples });
    }

    /// Distributions since the process began. `name` carries its unit.
    pub fn histogram(
        &mut self,
        name: impl Into<String>,
        help: &'static str,
        samples: impl IntoIterator<Item = (Labels, Histogram)>,
    ) {
        let samples = Samples::Histogram(samples.into_iter().collect());
        self.families.push(Family { name: name.into(), help, samples });
    }

    /// One counter for each number in a flat JSON object, named after its member.
    pub fn counters(&mut self, prefix: &str, help: &'static str, object: &impl serde::Serialize) {
        let Ok(serde_json::Value::Object(members)) = serde_json::to_value(object) else { return };
        for (member, value) in members {
            if let Some(value) = value.as_u64() {
                self.counter(format!("{prefix}_{member}"), help, [(Vec::new(), value)]);
            }
        }
    }

    /// The OpenMetrics text.
    #[must_use]
    pub fn finish(self) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut out = String::new();
        match text::encode(&mut out, &registry) {
            Ok(()) => out,
            Err(_) => "# EOF\n".to_string(),
        }
    }
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        for family in &self.families {
            match &family.samples {
                Samples::Gauge(samples) => {
                    let metrics = samples.iter().map(|(at, value)| (at, ConstGauge::new(*value)));
                    encode(&mut encoder, family, metrics)?;
                }
                Samples::Counter(samples) => {
                    let metrics = samples.iter().map(|(at, value)| (at, ConstCounter::new(*value)));
                    encode(&mut encoder, family, metrics)?;
                }
                Samples::Histogram(samples) => {
                    let metrics = samples.iter().map(|(at, histogram)| (at, histogram.clone()));
                    encode(&mut encoder, family, metrics)?;
                }
            }
        }
        Ok(())
    }
}

fn encode<'a, M: EncodeMetric>(
    encoder: &mut DescriptorEncoder<'_>,
    family: &Family,
    metrics: impl Iterator<Item = (&'a Labels, M)>,
) -> Result<(), std::fmt::Error> {
    let mut metrics = metrics.peekable();
    let Some((labels, first)) = metrics.peek() else { return Ok(()) };
    let kind = first.metric_type();
    let mut encoder = encoder.encode_descriptor(&family.name, family.help, None, kind)?;
    if labels.is_empty() {
        // A family without labels has one metric, and no empty braces.
        return first.encode(encoder);
    }
    for (labels, metric) in metrics {
        metric.encode(encoder.encode_family(labels)?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scrape_has_names_labels_and_values() {
        let mut scrape = Scrape::default();
        let region = |name: &str| vec![("region", name.to_string())];
        scrape.gauge("lag_ms", "Lag.", [(region("a"), 1.5), (region("b"), 2.0)]);
        scrape.counter("writes", "Writes.", [(Vec::new(), 7)]);
        let text = scrape.finish();
        assert!(text.contains("lag_ms{region=\"a\"} 1.5"), "{text}");
        assert!(text.contains("writes_total 7"), "{text}");
    }
}
