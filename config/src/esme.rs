//! `[[esme]]`: an account with which an aggregator binds to the gateway.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use ipnet::IpNet;
use matrix_smpp_codec::Quirks;
use secrecy::SecretString;

use crate::check::{country_code, label, lasts, octets, within};
use crate::link::Bind;
use crate::link_group::MoUnleased;
use crate::listener::Listener;
use crate::quirks::RawQuirkKeys;
use crate::read::{FromToml, Mend, Node, Reader, quoted};
use crate::secret::password;
use crate::section::{Section, section};

section! {
    /// An account of an aggregator that binds to the gateway's listener. What it submits is inbound
    /// traffic; routes that name it send to it.
    pub struct Esme, raw RawEsme {
        /// The name that routes use as their link group; no `[[link_group]]` has it. It is part of
        /// the keys in the store, so it must not change. 1 to 64 letters, digits, `-`, `_` or `.`.
        name: String = required("\"aggregator\""), check label;
        /// The user name with which it binds. At most 15 characters.
        system_id: String = required("\"aggregator\""), check octets(15);
        /// The password with which it binds. At most 8 characters. An account has a password, a
        /// certificate, or both: then it must show both.
        password: Option<SecretString> = optional_secret("aggregator_password"), check password;
        /// The name that its TLS certificate must bear (a DNS name of its subjectAltName, or its
        /// common name). Needs `listener.tls.client_ca_file`.
        certificate: Option<String> = optional("\"esme.example.net\"");
        /// What it may bind as: "transceiver", "transmitter", "receiver".
        binds: Vec<Bind> = default("[\"transceiver\", \"transmitter\", \"receiver\"]"), check some_binds;
        /// The networks that it may come from; an empty list is anywhere.
        networks: Vec<IpNet> = default("[]");
        /// The most binds at a time. 1 to 1000.
        max_binds: usize = default("4"), check within(1..=1_000);
        /// How many of our requests may wait for its answers at a time, on each bind. 1 to 10000.
        window: usize = default("10"), check within(1..=10_000);
        /// The most messages that are sent to it in a second. By default there is no limit.
        rate: Option<NonZeroU32> = optional("50");
        /// How many of its requests may wait for our answers at a time, on each bind; more are
        /// refused for the time being. 1 to 10000.
        submit_window: usize = default("100"), check within(1..=10_000);
        /// The most messages that it may submit in a second; more are refused for the time being.
        /// By default there is no limit.
        submit_rate: Option<NonZeroU32> = optional("100");
        /// The country code of the numbers that it writes in national form. Without it a sender in
        /// national form has no number that can be texted. 1 to 3 digits.
        country_code: Option<String> = optional("\"44\""), check country_code;
        /// How an SMS to one of our numbers is answered when its handset has no conversation there:
        /// "drop" accepts and drops it, "reject" tells that the destination is wrong.
        mo_unleased: MoUnleased = default("\"drop\"");
        /// How long the receipts that it is owed wait for it while it is away. 1m to 30d.
        receipt_age: Duration = default("\"24h\""), check lasts("1m", "30d");
        /// What it does otherwise than SMPP 3.4 says.
        quirks: Quirks = nested(RawQuirkKeys::FIELDS);
    }
}

impl FromToml for Bind {
    fn from_toml(node: &Node<'_>) -> Option<Self> {
        node.word(&[
            ("transceiver", Self::Transceiver),
            ("transmitter", Self::Transmitter),
            ("receiver", Self::Receiver),
        ])
    }
}

impl FromToml for IpNet {
    fn from_toml(node: &Node<'_>) -> Option<Self> {
        let wanted = "a network, e.g. \"192.0.2.0/24\", or an address";
        let text = node.text(wanted)?;
        let address = || text.parse::<IpAddr>().ok().map(Self::from);
        let wrong = || node.wrong(format!("{} is no network; write {wanted}", quoted(text)));
        text.parse().ok().or_else(address).or_else(wrong)
    }
}

fn some_binds(binds: &impl AsRef<[Bind]>) -> Mend {
    if binds.as_ref().is_empty() {
        return Err("is empty; write e.g. [\"transceiver\"]".to_owned());
    }
    Ok(())
}

/// Reads every `[[esme]]`; no two share a name or a `system_id`, and no link group has its name.
/// Gives the names of all that carry messages: `groups` and these.
pub(crate) fn read_all(
    root: &Reader<'_>,
    groups: Vec<String>,
    listener: Option<&Listener>,
) -> (Option<Vec<Esme>>, Vec<String>) {
    let tables = root.tables_at("esme");
    let raws: Vec<RawEsme> = tables.iter().map(Reader::section).collect();
    let read = || raws.iter().zip(&tables);
    let ids = read()
        .filter_map(|(raw, table)| Some((raw.system_id.clone()?, table.path_of("system_id"))));
    root.cx.unique("the system_id", &ids.collect::<Vec<_>>());
    let names: Vec<_> = read()
        .filter_map(|(raw, table)| Some((raw.name.clone()?, table.path_of("name"))))
        .collect();
    root.cx.unique("the name", &names);
    for (name, path) in &names {
        if groups.contains(name) {
            let mend = format!(
                "{} is the name of a [[link_group]]; give another",
                quoted(name)
            );
            root.cx.wrong(path, mend);
        }
    }
    for (raw, table) in read() {
        check_proof(raw, table);
    }
    if let Some(listener) = listener {
        for (raw, table) in read() {
            check_listener(raw, table, listener);
        }
    }
    let known = groups
        .into_iter()
        .chain(names.into_iter().map(|(name, _)| name));
    let known = known.collect();
    (raws.into_iter().map(Section::checked).collect(), known)
}

/// An account that nobody could bind with is a mistake.
fn check_proof(raw: &RawEsme, table: &Reader<'_>) {
    if matches!((&raw.password, &raw.certificate), (Some(None), Some(None))) {
        let mend = "has neither a password nor a certificate; add one of `password`, \
                    `password_file`, `password_credential` and `certificate`";
        table.cx.wrong(&table.path, mend);
    }
}

/// So is one that has nothing to bind to, or whose certificate nobody can check.
fn check_listener(raw: &RawEsme, table: &Reader<'_>, listener: &Listener) {
    if listener.listen.is_none() {
        let mend = "has no listener to bind to; add `listen` to [listener]";
        return table.cx.wrong(&table.path, mend);
    }
    let authorities = listener
        .tls
        .as_ref()
        .and_then(|tls| tls.client_ca_file.as_ref());
    if matches!(raw.certificate, Some(Some(_))) && authorities.is_none() {
        let mend = "cannot be checked; add `tls.client_ca_file` to [listener]";
        table.cx.wrong(&table.path_of("certificate"), mend);
    }
}
