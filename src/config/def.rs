//! What a key is: its type, default, check, and who may change it (class `ConfigDef`). The tables under `table/`
//! declare every key once through [`config_keys!`] and [`topic_keys!`]; the typed snapshot, DescribeConfigs,
//! validation of changes and `docs/config.md` all read those declarations.

pub use super::{
    check::{Validator, at_least, between, each_of, one_of, one_of_ignoring_case},
    value::{ClassName, FieldType, Kind, Password, Value},
};
use super::{error::ConfigError, value};

/// How much a key matters, for the reader of the documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Importance {
    High,
    Medium,
    Low,
}

/// Whether and where a key may be changed while the broker runs (KIP-226).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dynamic {
    ReadOnly,
    /// Only under one broker's id.
    PerBroker,
    /// Under one broker's id, or for the whole cluster.
    ClusterWide,
}

/// One declared key.
#[derive(Debug)]
pub struct ConfigKey {
    pub name: &'static str,
    pub kind: Kind,
    /// Text of the default; `None` stands for Kafka's null.
    pub default: Option<&'static str>,
    pub check: Validator,
    pub importance: Importance,
    pub doc: &'static str,
    pub dynamic: Dynamic,
    /// The topic key whose default this one is.
    pub topic: Option<&'static str>,
    /// Left out of documentation and, unless set, of DescribeConfigs.
    pub internal: bool,
}

impl ConfigKey {
    /// The value of `text`, or the default if there is none, checked.
    pub fn parse(&self, text: Option<&str>) -> Result<Value, ConfigError> {
        let value = match text {
            Some(text) => value::parse(self.name, text, self.kind)?,
            None => self.default_value(),
        };
        self.check.ensure_valid(self.name, &value)?;
        Ok(value)
    }

    /// The default; a declaration that does not parse would be caught by this room's tests.
    #[must_use]
    pub fn default_value(&self) -> Value {
        self.default.and_then(|text| value::parse(self.name, text, self.kind).ok()).unwrap_or(Value::Null)
    }

    /// [`ConfigKey::parse`] as the Rust type of the field.
    pub(crate) fn field<T: FieldType>(&self, text: Option<&str>) -> Result<T, ConfigError> {
        T::from_value(self.parse(text)?)
            .ok_or_else(|| ConfigError::value(self.name, "null", Some("entry must be non null")))
    }

    #[must_use]
    pub fn is_sensitive(&self) -> bool {
        self.kind == Kind::Password
    }
}

macro_rules! default_text {
    (null) => {
        None
    };
    ($text:literal) => {
        Some($text)
    };
}

/// A value if one is written, else what follows the semicolon.
macro_rules! or_else {
    (; $default:expr) => {
        $default
    };
    ($given:expr; $default:expr) => {
        $given
    };
}

/// Declares a family of broker keys: the typed struct, its list of [`ConfigKey`]s, and the parser from text.
macro_rules! config_keys {
    (
        $(#[doc = $family_doc:literal])+
        pub struct $family:ident;
        $(
            $(#[doc = $doc:literal])+
            $field:ident: $type:ty = $name:literal {
                default: $default:tt
                $(, check: $check:expr)?
                , importance: $importance:ident
                $(, dynamic: $dynamic:ident)?
                $(, topic: $topic:literal)?
                $(, internal: $internal:literal)?
            }
        )+
    ) => {
        $(#[doc = $family_doc])+
        #[derive(Debug, Clone, PartialEq)]
        pub struct $family {
            $($(#[doc = $doc])+ pub $field: $type,)+
        }

        impl $family {
            /// The family's keys, ordered by name.
            pub const KEYS: &'static [crate::config::def::ConfigKey] = &[$(
                crate::config::def::ConfigKey {
                    name: $name,
                    kind: <$type as crate::config::def::FieldType>::KIND,
                    default: crate::config::def::default_text!($default),
                    check: crate::config::def::or_else!($($check)?; crate::config::def::Validator::Any),
                    importance: crate::config::def::Importance::$importance,
                    doc: concat!($($doc),+),
                    dynamic: crate::config::def::or_else!(
                        $(crate::config::def::Dynamic::$dynamic)?; crate::config::def::Dynamic::ReadOnly
                    ),
                    topic: crate::config::def::or_else!($(Some($topic))?; None),
                    internal: crate::config::def::or_else!($($internal)?; false),
                },
            )+];

            /// Typed values of what is given, defaults for the rest.
            pub(crate) fn parse(
                given: &indexmap::IndexMap<String, String>,
            ) -> Result<Self, crate::config::error::ConfigError> {
                let mut keys = Self::KEYS.iter();
                Ok(Self {
                    $($field: crate::config::def::next_field(&mut keys, given)?,)+
                })
            }
        }
    };
}

/// Declares the topic keys: [`TopicValues`](super::table::topic::TopicValues) and their list with broker synonyms.
macro_rules! topic_keys {
    ($(
        $(#[doc = $doc:literal])+
        $field:ident: $type:ty = $name:literal {
            default: $default:tt
            $(, check: $check:expr)?
            , importance: $importance:ident
            $(, server: [$($server:literal),+])?
        }
    )+) => {
        /// The topic keys of one log, typed but not yet interpreted.
        #[derive(Debug, Clone, PartialEq)]
        pub struct TopicValues {
            $($(#[doc = $doc])+ pub $field: $type,)+
        }

        impl TopicValues {
            /// The topic keys, ordered by name.
            pub const KEYS: &'static [crate::config::def::ConfigKey] = &[$(
                crate::config::def::ConfigKey {
                    name: $name,
                    kind: <$type as crate::config::def::FieldType>::KIND,
                    default: crate::config::def::default_text!($default),
                    check: crate::config::def::or_else!($($check)?; crate::config::def::Validator::Any),
                    importance: crate::config::def::Importance::$importance,
                    doc: concat!($($doc),+),
                    dynamic: crate::config::def::Dynamic::ClusterWide,
                    topic: None,
                    internal: false,
                },
            )+];

            /// Broker keys a topic key takes its default from, in the order of [`TopicValues::KEYS`]; the first one
            /// that is set counts.
            pub const SERVER_KEYS: &'static [&'static [&'static str]] = &[$(
                crate::config::def::or_else!($(&[$($server),+])?; &[]),
            )+];

            /// Typed values of what is given, defaults for the rest.
            pub(crate) fn parse(
                given: &indexmap::IndexMap<String, String>,
            ) -> Result<Self, crate::config::error::ConfigError> {
                let mut keys = Self::KEYS.iter();
                Ok(Self {
                    $($field: crate::config::def::next_field(&mut keys, given)?,)+
                })
            }
        }
    };
}

pub(crate) use {config_keys, default_text, or_else, topic_keys};

/// The next key's field; the macros walk the keys in the order in which they declared the fields.
pub(crate) fn next_field<T: FieldType>(
    keys: &mut std::slice::Iter<'_, ConfigKey>,
    given: &indexmap::IndexMap<String, String>,
) -> Result<T, ConfigError> {
    match keys.next() {
        Some(key) => key.field(given.get(key.name).map(String::as_str)),
        None => Err(ConfigError::invalid("more fields than keys")),
    }
}
