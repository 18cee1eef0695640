//! `[[link_group.link]]`: one SMPP session with a peer.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use crate::adapt::{Adapt, RawAdapt};
use crate::check::{host_port, label, lasts, octets, within};
use crate::read::{Context, FromToml, Mend, Node, Reader};
use crate::secret::password;
use crate::section::{Section, section};

/// The direction of one bind. SMPP 3.4 §2.2.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bind {
    /// Sends and receives.
    Transceiver,
    /// Only sends.
    Transmitter,
    /// Only receives.
    Receiver,
}

/// The binds that one `[[link_group.link]]` stands for.
#[derive(Debug, Clone, Copy)]
enum Binds {
    One(Bind),
    Pair,
}

const BINDS: [(&str, Binds); 4] = [
    ("transceiver", Binds::One(Bind::Transceiver)),
    ("transmitter", Binds::One(Bind::Transmitter)),
    ("receiver", Binds::One(Bind::Receiver)),
    ("pair", Binds::Pair),
];

section! {
    /// TLS towards a peer.
    pub struct Tls, raw RawTls {
        /// The PEM file of the authorities to trust, in place of those of the system.
        ca_file: Option<PathBuf> = optional("\"/etc/matrix-smpp/smsc-ca.pem\"");
        /// The PEM file of our certificate, where the peer asks for one. Needs `key_file`.
        cert_file: Option<PathBuf> = optional("\"/etc/matrix-smpp/client.pem\"");
        /// The PEM file of its private key.
        key_file: Option<PathBuf> = optional("\"/etc/matrix-smpp/client.key\"");
        /// The name that the peer's certificate must have. By default the host of `address`.
        server_name: Option<String> = optional("\"smsc.example.net\""), check server_name;
    }
}

impl FromToml for Tls {
    fn from_toml(node: &Node<'_>) -> Option<Self> {
        let raw: RawTls = node
            .table("a table, e.g. { } or { ca_file = \"...\" }")?
            .section();
        for (key, path) in [
            ("ca_file", &raw.ca_file),
            ("cert_file", &raw.cert_file),
            ("key_file", &raw.key_file),
        ] {
            check_pem(node, key, path.as_ref().and_then(Option::as_ref));
        }
        match (&raw.cert_file, &raw.key_file) {
            (Some(Some(_)), Some(None)) => node.wrong("has cert_file alone; add its key_file"),
            (Some(None), Some(Some(_))) => node.wrong("has key_file alone; add its cert_file"),
            _ => raw.checked(),
        }
    }
}

/// The keys that name files with secrets in them.
const HOLD_SECRETS: [&str; 2] = ["key_file", "password_file"];

/// Checks that a file can be read; gives its text.
pub(crate) fn check_readable(node: &Node<'_>, key: &str, path: Option<&PathBuf>) -> Option<String> {
    let path = path?;
    let text = node.cx.env.read_file(path);
    if HOLD_SECRETS.contains(&key) {
        node.cx
            .note_if_public(&format!("{}.{key}", node.path), path);
    }
    let unreadable = |error| {
        let path = path.display();
        let mend = format!("cannot read {path} ({error}); let the service's user read it");
        node.cx.wrong(&format!("{}.{key}", node.path), mend);
    };
    text.map_err(unreadable).ok()
}

/// Checks that a file holds a private key where the key is called so, else a certificate.
pub(crate) fn check_pem(node: &Node<'_>, key: &str, path: Option<&PathBuf>) {
    let what = if key == "key_file" {
        "PRIVATE KEY"
    } else {
        "CERTIFICATE"
    };
    let holds = |text: &String| {
        let begins = |line: &str| line.starts_with("-----BEGIN ") && line.contains(what);
        text.lines().any(begins)
    };
    if check_readable(node, key, path).is_some_and(|text| !holds(&text)) {
        let mend = format!("holds no {what}; name a PEM file with -----BEGIN {what}-----");
        node.cx.wrong(&format!("{}.{key}", node.path), mend);
    }
}

section! {
    /// A link of the account: one SMPP session that the gateway keeps open. Repeat it for each one.
    pub struct Link, raw RawLink {
        /// Its name in logs and metrics, another one for each link of the account. The two halves
        /// of a pair are `<name>-tx` and `<name>-rx`. 1 to 64 letters, digits, `-`, `_` or `.`.
        name: String = required("\"a\""), check label;
        /// The host and port of the peer.
        address: String = required("\"127.0.0.1:2775\""), check host_port;
        /// "transceiver", "transmitter", "receiver", or "pair" for a transmitter and a receiver.
        bind: Bind = apart("\"transceiver\"");
        /// The user name at the peer. At most 15 characters.
        system_id: String = required("\"smsgw\""), check octets(15);
        /// The password at the peer. At most 8 characters.
        password: SecretString = secret("operator_password"), check password;
        /// The kind of system that we are, where the peer asks for one. At most 12 characters.
        system_type: String = default("\"\""), check octets(12);
        /// The type of number of `address_range`. 0 to 6.
        addr_ton: u8 = default("0"), check within(0..=6);
        /// The numbering plan of `address_range`. 0 to 18.
        addr_npi: u8 = default("0"), check within(0..=18);
        /// The numbers that this link serves, where the peer asks for them. At most 40 characters.
        address_range: String = default("\"\""), check octets(40);
        /// The version of SMPP that the bind tells: 0x34 is 3.4, 0x33 is 3.3.
        interface_version: u8 = default("0x34"), check |version: &u8| interface_version(*version);
        /// The version that the peer is taken to speak where it does not say so when we bind. 0x33
        /// keeps what is beyond 3.3 (optional parameters) from it.
        silent_peer: u8 = default("0x34"), check |version: &u8| interface_version(*version);
        /// How many requests may wait for their answers at a time. 1 to 10000.
        window: usize = default("10"), check within(1..=10_000);
        /// The most segments in a second. By default there is no limit but the peer's answers.
        rate: Option<NonZeroU32> = optional("50");
        /// How window and rate follow what the peer can take.
        adapt: Adapt = nested(RawAdapt::FIELDS);
        /// A link that is silent for so long is asked whether it lives. 1s to 1h.
        enquire_link: Duration = default("\"30s\""), check lasts("1s", "1h");
        /// How long an answer is waited for. 1s to 10m.
        response_timeout: Duration = default("\"30s\""), check lasts("1s", "10m");
        /// How long connecting and binding may take. 1s to 10m.
        session_init: Duration = default("\"10s\""), check lasts("1s", "10m");
        /// A link without messages for so long is closed and opened again. 1m to 7d.
        inactivity: Option<Duration> = optional("\"1h\""), check lasts("1m", "7d");
        /// How long to wait before the first attempt to connect again. 100ms to 1h.
        reconnect_first: Duration = default("\"1s\""), check lasts("100ms", "1h");
        /// The wait doubles with each attempt, up to this. 100ms to 1h.
        reconnect_cap: Duration = default("\"60s\""), check lasts("100ms", "1h");
        /// TLS towards the peer. Without it the session is plain TCP.
        tls: Option<Tls> = optional_nested(RawTls::FIELDS);
    }
}

fn interface_version(version: u8) -> Mend {
    if matches!(version, 0x33 | 0x34) {
        return Ok(());
    }
    Err(format!(
        "is {version:#04x}; write 0x34 for SMPP 3.4, or 0x33"
    ))
}

fn server_name(name: &impl AsRef<str>) -> Mend {
    let name = name.as_ref();
    host_port(&format!("{name}:1"))
        .map_err(|_| "is not a host name; write the name only".to_owned())
}

/// Reads every link of a group; there is at least one, and no two share a name, neither as it is
/// written nor with the end that a pair gives it.
pub(crate) fn read_all(group: &Reader<'_>) -> Option<Vec<Link>> {
    if group.get("link").is_none() {
        group.cx.wrong(
            &group.path_of("link"),
            "is missing; add a [[link_group.link]]",
        );
    }
    let tables = group.tables_at("link");
    let read: Vec<_> = tables.iter().flat_map(read_one).collect();
    let written = tables.iter().filter_map(|table| {
        let name = table.get("name")?;
        Some((name.value.as_str()?.to_owned(), name.path))
    });
    check_names(group.cx, &written.collect::<Vec<_>>(), &read);
    read.into_iter().map(|(_, raw)| raw.checked()).collect()
}

/// Reads one table as the links that it stands for.
fn read_one(table: &Reader<'_>) -> Vec<(String, RawLink)> {
    let raw: RawLink = table.section();
    check_reconnect(table, &raw);
    let binds = match table.get("bind") {
        Some(node) => node.word(&BINDS),
        None => Some(Binds::One(Bind::Transceiver)),
    };
    let links = match binds {
        Some(Binds::One(bind)) => vec![raw.bound("", Some(bind))],
        Some(Binds::Pair) => vec![
            raw.bound("-tx", Some(Bind::Transmitter)),
            raw.bound("-rx", Some(Bind::Receiver)),
        ],
        None => vec![raw],
    };
    links
        .into_iter()
        .map(|link| (table.path_of("name"), link))
        .collect()
}

impl RawLink {
    /// This link with another end of its name, and with its bind.
    fn bound(&self, end: &str, bind: Option<Bind>) -> Self {
        let name = self.name.as_ref().map(|name| format!("{name}{end}"));
        Self {
            name,
            bind,
            ..self.clone()
        }
    }
}

fn check_reconnect(table: &Reader<'_>, raw: &RawLink) {
    let (Some(first), Some(cap)) = (raw.reconnect_first, raw.reconnect_cap) else {
        return;
    };
    if cap < first {
        let mend = "is shorter than reconnect_first; write a longer time";
        table.cx.wrong(&table.path_of("reconnect_cap"), mend);
    }
}

/// The names are those that are written and those that come of them, each once for its table.
fn check_names(cx: &Context<'_>, written: &[(String, String)], links: &[(String, RawLink)]) {
    let expanded = links
        .iter()
        .filter_map(|(path, raw)| Some((raw.name.clone()?, path.clone())));
    let names: BTreeSet<_> = expanded
        .chain(written.iter().cloned())
        .map(|(name, path)| (cx.line_of(&path), name, path))
        .collect();
    let names = names.into_iter().map(|(_, name, path)| (name, path));
    cx.unique("the name", &names.collect::<Vec<_>>());
}
