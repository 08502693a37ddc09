//! The kinds of values, and the macro that declares a set of them.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// Counts events; Kafka derives its rates from it (`Meter`, `…PerSec`).
#[derive(Debug, Default)]
pub struct Meter(AtomicU64);

impl Meter {
    pub fn mark(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Something that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    pub fn set(&self, value: i64) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub fn add(&self, by: i64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }

    #[must_use]
    pub fn value(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    Counter(u64),
    Gauge(i64),
}

impl From<&Meter> for Value {
    fn from(meter: &Meter) -> Self {
        Value::Counter(meter.count())
    }
}

impl From<&Gauge> for Value {
    fn from(gauge: &Gauge) -> Self {
        Value::Gauge(gauge.value())
    }
}

/// Receives every reading: MBean name, further labels, value.
pub type Visitor<'a> = dyn FnMut(&str, &[(&str, &str)], Value) + 'a;

/// Anything that can report its metrics.
pub trait Source: Send + Sync {
    fn visit(&self, visitor: &mut Visitor<'_>);
}

/// Declares a struct of metrics, each with its doc and its MBean name.
#[macro_export]
macro_rules! metrics {
    ($(#[$outer:meta])* pub struct $name:ident {
        $($(#[$doc:meta])* $field:ident: $kind:ident = $mbean:literal;)*
    }) => {
        $(#[$outer])*
        #[derive(Debug, Default)]
        pub struct $name {
            $($(#[$doc])* pub $field: $crate::metrics::meter::$kind,)*
        }

        impl $name {
            /// Every MBean of this set.
            pub const MBEANS: &'static [&'static str] = &[$($mbean),*];

            /// Reports all readings, with `labels` added to each.
            pub fn visit_with(&self, labels: &[(&str, &str)], visitor: &mut $crate::metrics::meter::Visitor<'_>) {
                $(visitor($mbean, labels, (&self.$field).into());)*
            }
        }

        impl $crate::metrics::meter::Source for $name {
            fn visit(&self, visitor: &mut $crate::metrics::meter::Visitor<'_>) {
                self.visit_with(&[], visitor);
            }
        }
    };
}
