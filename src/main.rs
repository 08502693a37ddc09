//! `monedula [server.properties] [--override key=value]…`

fn main() {}
