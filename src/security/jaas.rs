//! JAAS login configuration: the file that `java.security.auth.login.config` names, and the grammar of
//! `sasl.jaas.config` (class `javax.security.auth.login.Configuration`). Pure.
//!
//! ```text
//! Client {
//!   org.apache.zookeeper.server.auth.DigestLoginModule required username="kafka" password="secret";
//! };
//! ```
//!
//! No message ever repeats a value: values are passwords.

use std::{fmt, iter::Peekable, str::Chars};

use indexmap::IndexMap;

use crate::config::def::Password;

/// Longer than any file that was written by hand.
pub const FILE_BYTES_MAX: usize = 1 << 20;

/// One login module of an entry, with its options.
#[derive(Debug, Clone, PartialEq)]
pub struct LoginModule {
    /// Name of the Java class.
    pub class: String,
    pub flag: ControlFlag,
    pub options: IndexMap<String, Password>,
}

impl LoginModule {
    /// The name of the class without its package.
    #[must_use]
    pub fn simple_name(&self) -> &str {
        self.class.rsplit('.').next().unwrap_or_default()
    }

    #[must_use]
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.get(name).map(|value| value.0.as_str())
    }
}

/// Whether an entry's login stands or falls with a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ControlFlag {
    Required,
    Requisite,
    Sufficient,
    Optional,
}

/// Entries by name, as a file holds them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct JaasConfig {
    entries: IndexMap<String, Vec<LoginModule>>,
}

/// What is wrong, and in which line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct JaasError {
    line: usize,
    what: String,
}

impl JaasConfig {
    /// Reads a file. `property` is a Java system property, for `${name}` in values.
    pub fn parse(text: &str, property: &dyn Fn(&str) -> Option<String>) -> Result<Self, JaasError> {
        if text.len() > FILE_BYTES_MAX {
            return Err(JaasError { line: 1, what: format!("more than {FILE_BYTES_MAX} bytes") });
        }
        let mut parser = Parser { tokens: Tokens::of(text), property };
        let mut entries = IndexMap::new();
        while let Some(token) = parser.tokens.next()? {
            let Token::Text(name) = token else { return Err(parser.fault("the name of an entry is missing")) };
            let modules = parser.entry()?;
            if entries.insert(name, modules).is_some() {
                return Err(parser.fault("a second entry of the same name"));
            }
        }
        Ok(Self { entries })
    }

    /// The modules of an entry, e.g. `Client`.
    #[must_use]
    pub fn entry(&self, name: &str) -> Option<&[LoginModule]> {
        self.entries.get(name).map(Vec::as_slice)
    }
}

struct Parser<'a> {
    tokens: Tokens<'a>,
    property: &'a dyn Fn(&str) -> Option<String>,
}

impl Parser<'_> {
    fn fault(&self, what: impl Into<String>) -> JaasError {
        JaasError { line: self.tokens.line, what: what.into() }
    }

    /// `{ module… };`
    fn entry(&mut self) -> Result<Vec<LoginModule>, JaasError> {
        self.expect('{')?;
        let mut modules = Vec::new();
        loop {
            match self.tokens.next()? {
                Some(Token::Text(class)) => modules.push(self.module(class)?),
                Some(Token::Symbol('}')) => break,
                _ => return Err(self.fault("a login module or '}' is missing")),
            }
        }
        self.expect(';')?;
        if modules.is_empty() {
            return Err(self.fault("an entry without a login module"));
        }
        Ok(modules)
    }

    /// `flag key=value …;`
    fn module(&mut self, class: String) -> Result<LoginModule, JaasError> {
        let flag = match self.tokens.next()? {
            Some(Token::Text(flag)) => self.flag(&flag)?,
            _ => return Err(self.fault("required, requisite, sufficient or optional is missing")),
        };
        let mut options = IndexMap::new();
        loop {
            match self.tokens.next()? {
                Some(Token::Text(key)) => {
                    self.expect('=')?;
                    let Some(Token::Text(value)) = self.tokens.next()? else {
                        return Err(self.fault("an option's value is missing"));
                    };
                    options.insert(key, Password(self.expand(&value)?));
                }
                Some(Token::Symbol(';')) => return Ok(LoginModule { class, flag, options }),
                _ => return Err(self.fault("an option or ';' is missing")),
            }
        }
    }

    fn flag(&self, text: &str) -> Result<ControlFlag, JaasError> {
        let flags = [
            ("required", ControlFlag::Required),
            ("requisite", ControlFlag::Requisite),
            ("sufficient", ControlFlag::Sufficient),
            ("optional", ControlFlag::Optional),
        ];
        let found = flags.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
        found.map(|(_, flag)| flag).ok_or_else(|| self.fault("the flag of a login module is none of the four"))
    }

    fn expect(&mut self, symbol: char) -> Result<(), JaasError> {
        match self.tokens.next()? {
            Some(Token::Symbol(found)) if found == symbol => Ok(()),
            _ => Err(self.fault(format!("'{symbol}' is missing"))),
        }
    }

    /// `${name}` stands for a system property, `${/}` for the separator of paths.
    fn expand(&self, value: &str) -> Result<String, JaasError> {
        let mut expanded = String::with_capacity(value.len());
        let mut rest = value;
        while let Some(at) = rest.find("${") {
            let Some(length) = rest[at..].find('}') else { break };
            let name = &rest[at + 2..at + length];
            expanded.push_str(&rest[..at]);
            match name {
                "/" => expanded.push('/'),
                _ => match (self.property)(name) {
                    Some(text) => expanded.push_str(&text),
                    None => return Err(self.fault("a value names a system property that is not set")),
                },
            }
            rest = &rest[at + length + 1..];
        }
        expanded.push_str(rest);
        Ok(expanded)
    }
}

enum Token {
    /// A word, or what stood in quotes.
    Text(String),
    Symbol(char),
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a token")
    }
}

/// Words, quoted texts and single symbols; comments as in Java, and `/` starts one too.
struct Tokens<'a> {
    chars: Peekable<Chars<'a>>,
    line: usize,
}

impl<'a> Tokens<'a> {
    fn of(text: &'a str) -> Self {
        Self { chars: text.chars().peekable(), line: 1 }
    }

    fn next(&mut self) -> Result<Option<Token>, JaasError> {
        while let Some(c) = self.take() {
            match c {
                '/' if self.chars.peek() == Some(&'*') => self.skip_block()?,
                '/' => self.skip_line(),
                '"' | '\'' => return self.quoted(c).map(|text| Some(Token::Text(text))),
                c if is_word(c) => return Ok(Some(Token::Text(self.word(c)))),
                c if c.is_whitespace() || c.is_control() => {}
                c => return Ok(Some(Token::Symbol(c))),
            }
        }
        Ok(None)
    }

    fn take(&mut self) -> Option<char> {
        let c = self.chars.next();
        self.line += usize::from(c == Some('\n'));
        c
    }

    fn skip_line(&mut self) {
        while self.chars.peek().is_some_and(|c| *c != '\n') {
            self.chars.next();
        }
    }

    fn skip_block(&mut self) -> Result<(), JaasError> {
        self.take();
        while let Some(c) = self.take() {
            if c == '*' && self.chars.peek() == Some(&'/') {
                self.take();
                return Ok(());
            }
        }
        Err(JaasError { line: self.line, what: "a comment without end".to_owned() })
    }

    fn word(&mut self, first: char) -> String {
        let mut word = String::from(first);
        while let Some(c) = self.chars.next_if(|c| is_word(*c)) {
            word.push(c);
        }
        word
    }

    fn quoted(&mut self, quote: char) -> Result<String, JaasError> {
        let mut text = String::new();
        loop {
            match self.take() {
                Some(c) if c == quote => return Ok(text),
                Some('\\') => text.extend(self.escaped()),
                None | Some('\n' | '\r') => {
                    return Err(JaasError { line: self.line, what: "a quote without end".to_owned() });
                }
                Some(c) => text.push(c),
            }
        }
    }

    /// What follows a backslash: a letter with a meaning, up to three octal digits, or any other character as it is.
    fn escaped(&mut self) -> Option<char> {
        let c = self.take()?;
        Some(match c {
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            '0'..='7' => {
                let mut code = c.to_digit(8).unwrap_or_default();
                let digits_max = if c <= '3' { 2 } else { 1 };
                for _ in 0..digits_max {
                    let Some(digit) = self.chars.next_if(|c| c.is_digit(8)).and_then(|c| c.to_digit(8)) else { break };
                    code = code * 8 + digit;
                }
                char::from_u32(code).unwrap_or('?')
            }
            other => other,
        })
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || "$_-*.".contains(c) || ('\u{a0}'..='\u{ff}').contains(&c)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn none(_: &str) -> Option<String> {
        None
    }

    fn parse(text: &str) -> Result<JaasConfig, JaasError> {
        JaasConfig::parse(text, &none)
    }

    #[test]
    fn the_file_of_a_secured_zookeeper_is_read() {
        let config = parse(
            r#"
            /* both sides
               in one file */
            Server {
               org.apache.zookeeper.server.auth.DigestLoginModule required
               user_super="adminsecret" user_kafka="it's \"secret\"";
            };
            // the broker's own
            Client {
               org.apache.zookeeper.server.auth.DigestLoginModule REQUIRED
               username = kafka
               password="it's \"secret\"";
            };"#,
        )
        .unwrap();
        let [module] = config.entry("Client").unwrap() else { panic!("one module") };
        assert_eq!(module.simple_name(), "DigestLoginModule");
        assert_eq!(module.flag, ControlFlag::Required);
        assert_eq!((module.option("username"), module.option("password")), (Some("kafka"), Some("it's \"secret\"")));
        assert_eq!(config.entry("Server").unwrap()[0].options.len(), 2);
        assert_eq!(config.entry("KafkaServer"), None);
    }

    #[test]
    fn several_modules_escapes_and_properties() {
        let property = |name: &str| (name == "secrets").then(|| "/run/secrets".to_owned());
        let text = r#"A { x.One optional k="${secrets}${/}a"; x.Two sufficient k='tab\there' o="\101\7"; };"#;
        let config = JaasConfig::parse(text, &property).unwrap();
        let modules = config.entry("A").unwrap();
        assert_eq!(modules[0].option("k"), Some("/run/secrets/a"));
        assert_eq!((modules[1].option("k"), modules[1].option("o")), (Some("tab\there"), Some("A\u{7}")));
        assert!(parse(text).is_err(), "a property that nobody has set");
    }

    #[test]
    fn what_is_broken_is_named_by_its_line_and_never_by_its_value() {
        for broken in [
            "Client",
            "Client {",
            "Client { };",
            "Client { m required }",
            "Client { m required k=\"hunter2\n\"; };",
            "Client {\n m sometimes k=\"hunter2\"; };",
            "Client { m required k \"hunter2\"; };",
            "Client { m required k=; };",
            "Client { m required k=\"hunter2\"; }",
            "Client { m required; }; Client { m required; };",
            "/* hunter2",
            "= { m required; };",
        ] {
            let fault = parse(broken).expect_err(broken).to_string();
            assert!(fault.starts_with("line ") && !fault.contains("hunter2"), "{broken}: {fault}");
        }
        assert!(parse(&" ".repeat(FILE_BYTES_MAX + 1)).is_err());
        assert!(parse("").unwrap().entries.is_empty());
        let shown = format!("{:?}", parse("A { m required k=\"hunter2\"; };").unwrap());
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd(text in r#"([A-Za-z{};=/*'"\\$ \n.]|\PC){0,200}"#) {
            let _ = parse(&text);
        }

        #[test]
        fn what_is_quoted_comes_back(value in "[^\\x00-\\x1f\"\\\\$]{0,40}") {
            let config = parse(&format!("A {{ m required k=\"{value}\"; }};")).unwrap();
            prop_assert_eq!(config.entry("A").unwrap()[0].option("k"), Some(value.as_str()));
        }
    }
}
