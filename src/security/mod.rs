//! Who somebody is: logins, and the keys and authorities they are proven with.

pub mod jaas;
pub mod keystore;
pub mod tls;
