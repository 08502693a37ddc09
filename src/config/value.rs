//! From text to a typed value and back, as `ConfigDef.parseType` and `ConfigDef.convertToString` do.

use super::error::ConfigError;

/// Type of a key (class `ConfigDef.Type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Boolean,
    String,
    Int,
    Short,
    Long,
    Double,
    List,
    Class,
    Password,
}

impl Kind {
    /// As Kafka's messages and documentation write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Boolean => "BOOLEAN",
            Self::String => "STRING",
            Self::Int => "INT",
            Self::Short => "SHORT",
            Self::Long => "LONG",
            Self::Double => "DOUBLE",
            Self::List => "LIST",
            Self::Class => "CLASS",
            Self::Password => "PASSWORD",
        }
    }
}

/// The name of a Java class: known ones are mapped to what we have, none is loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassName(pub String);

/// A secret; printing it shows `[hidden]`.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(pub String);

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[hidden]")
    }
}

/// A parsed value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    Boolean(bool),
    String(String),
    Int(i32),
    Short(i16),
    Long(i64),
    Double(f64),
    List(Vec<String>),
    Class(ClassName),
    Password(Password),
}

impl Value {
    /// The text an admin client is shown; `None` for null. A password gives its true text: callers hide it.
    #[must_use]
    pub fn to_text(&self) -> Option<String> {
        Some(match self {
            Self::Null => return None,
            Self::Boolean(value) => value.to_string(),
            Self::String(value) | Self::Class(ClassName(value)) | Self::Password(Password(value)) => value.clone(),
            Self::Int(value) => value.to_string(),
            Self::Short(value) => value.to_string(),
            Self::Long(value) => value.to_string(),
            Self::Double(value) => double_text(*value),
            Self::List(values) => values.join(","),
        })
    }

    /// The text for an error message: as Java prints it, a list in brackets, a secret hidden.
    #[must_use]
    pub fn printable(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Password(_) => "[hidden]".to_owned(),
            Self::List(values) => format!("[{}]", values.join(", ")),
            other => other.to_text().unwrap_or_default(),
        }
    }

    /// The number, if it is one; exact for everything a range compares with.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Self::Int(value) => Some(f64::from(*value)),
            Self::Short(value) => Some(f64::from(*value)),
            Self::Long(value) => Some(*value as f64),
            Self::Double(value) => Some(*value),
            _ => None,
        }
    }
}

/// Parses `text` for the key `name`.
pub fn parse(name: &str, text: &str, kind: Kind) -> Result<Value, ConfigError> {
    // Java's `trim`: everything up to and including the space.
    let trimmed = text.trim_matches(|c: char| c <= ' ');
    let not_a_number = || ConfigError::value(name, text, Some(&format!("Not a number of type {}", kind.name())));
    Ok(match kind {
        Kind::Boolean if trimmed.eq_ignore_ascii_case("true") => Value::Boolean(true),
        Kind::Boolean if trimmed.eq_ignore_ascii_case("false") => Value::Boolean(false),
        Kind::Boolean => {
            return Err(ConfigError::value(name, text, Some("Expected value to be either true or false")));
        }
        Kind::String => Value::String(trimmed.to_owned()),
        Kind::Int => Value::Int(trimmed.parse().map_err(|_| not_a_number())?),
        Kind::Short => Value::Short(trimmed.parse().map_err(|_| not_a_number())?),
        Kind::Long => Value::Long(trimmed.parse().map_err(|_| not_a_number())?),
        Kind::Double => Value::Double(parse_double(trimmed).ok_or_else(not_a_number)?),
        Kind::List => Value::List(parse_list(trimmed)),
        Kind::Class => Value::Class(ClassName(trimmed.to_owned())),
        Kind::Password => Value::Password(Password(trimmed.to_owned())),
    })
}

/// Items between commas; empty items stay, an empty text has none.
fn parse_list(trimmed: &str) -> Vec<String> {
    if trimmed.is_empty() {
        return Vec::new();
    }
    trimmed.split(',').map(|item| item.trim_matches(is_java_space).to_owned()).collect()
}

/// Java's `\s`.
pub(crate) fn is_java_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\x0b' | '\x0c' | '\r')
}

/// `Double.parseDouble`: a type suffix is allowed, and only Java's names of the special values.
fn parse_double(text: &str) -> Option<f64> {
    match text.trim_start_matches(['+', '-']) {
        "NaN" | "Infinity" => return text.parse().ok(),
        _ => {}
    }
    let digits = text.strip_suffix(['d', 'D', 'f', 'F']).unwrap_or(text);
    if digits.chars().any(|c| c.is_ascii_alphabetic() && !matches!(c, 'e' | 'E')) {
        return None;
    }
    digits.parse().ok()
}

/// `Double.toString`: plain between 10⁻³ and 10⁷, else with an exponent, always with a fraction.
#[must_use]
pub fn double_text(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let size = value.abs();
    if size == 0.0 || (1e-3..1e7).contains(&size) {
        return format!("{value:?}");
    }
    let text = format!("{value:E}");
    match text.split_once('E') {
        Some((digits, exponent)) if !digits.contains('.') => format!("{digits}.0E{exponent}"),
        _ => text,
    }
}

/// A Rust type that a key's value can have.
pub trait FieldType: Sized {
    const KIND: Kind;
    /// `None` for a null that the type has no room for.
    fn from_value(value: Value) -> Option<Self>;
}

macro_rules! field_types {
    ($($type:ty => $kind:ident),+) => {$(
        impl FieldType for $type {
            const KIND: Kind = Kind::$kind;
            fn from_value(value: Value) -> Option<Self> {
                match value { Value::$kind(value) => Some(value), _ => None }
            }
        }
    )+};
}

field_types! {
    bool => Boolean, String => String, i32 => Int, i16 => Short, i64 => Long, f64 => Double, Vec<String> => List,
    ClassName => Class, Password => Password
}

impl<T: FieldType> FieldType for Option<T> {
    const KIND: Kind = T::KIND;
    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Null => Some(None),
            value => T::from_value(value).map(Some),
        }
    }
}
