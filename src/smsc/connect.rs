//! A link of the config as the session crate wants it.

use std::time::Duration;

use matrix_smpp_codec::values::{InterfaceVersion, Npi, Ton};
use matrix_smpp_codec::{COctets, OctetsError, Password};
use matrix_smpp_config::{Adapt, Bind, Link, LinkGroup, Tls};
use matrix_smpp_session::{
    AdaptSettings, Backoff, BindMode, BindSettings, LinkSettings, SessionSettings, TlsSettings,
};
use secrecy::ExposeSecret as _;

/// How long it may stay unknown whether a peer has an answer of ours: what it sends again after
/// its bind was cut within that time cannot be told from a new text with the same words.
pub(super) const CONFIRM_ANSWERS: Duration = Duration::from_secs(3);

/// A link whose settings do not fit into SMPP. The config's own checks come first, so this is for
/// settings that were not made by them.
#[derive(Debug, thiserror::Error)]
#[error("{link}: {field} does not fit: {cause}")]
pub struct Unusable {
    link: String,
    field: &'static str,
    cause: OctetsError,
}

/// The settings of one link of a group.
pub(super) fn settings(
    group: &LinkGroup,
    link: &Link,
    drain: Duration,
) -> Result<LinkSettings, Unusable> {
    Ok(LinkSettings {
        name: format!("{}/{}", group.name, link.name),
        address: link.address.clone(),
        tls: link.tls.as_ref().map(tls),
        bind: bind(link)?,
        session: SessionSettings {
            window: link.window,
            rate: link.rate,
            response_timeout: link.response_timeout,
            enquire_link: link.enquire_link,
            confirm_answers: Some(CONFIRM_ANSWERS),
            session_init: link.session_init,
            inactivity: link.inactivity,
            drain,
            adapt: adapt(&link.adapt),
            silent_peer: InterfaceVersion(link.silent_peer),
            quirks: group.quirks,
            ..SessionSettings::default()
        },
        reconnect: Backoff {
            first: link.reconnect_first,
            cap: link.reconnect_cap,
        },
    })
}

/// How the pace follows the peer; `None` for not at all.
pub(super) fn adapt(adapt: &Adapt) -> Option<AdaptSettings> {
    adapt.enabled.then_some(AdaptSettings {
        floor_percent: adapt.floor_percent,
        recovery: adapt.recovery,
        pause: adapt.pause,
        longest_pause: adapt.longest_pause,
        slower_by: (!adapt.slower_by.is_zero()).then_some(adapt.slower_by),
    })
}

fn bind(link: &Link) -> Result<BindSettings, Unusable> {
    let misfit = |field| misfit(&link.name, field);
    Ok(BindSettings {
        mode: match link.bind {
            Bind::Transceiver => BindMode::Transceiver,
            Bind::Transmitter => BindMode::Transmitter,
            Bind::Receiver => BindMode::Receiver,
        },
        system_id: COctets::try_from(link.system_id.as_str()).map_err(misfit("system_id"))?,
        password: Password::try_from(link.password.expose_secret()).map_err(misfit("password"))?,
        system_type: COctets::try_from(link.system_type.as_str()).map_err(misfit("system_type"))?,
        interface_version: InterfaceVersion(link.interface_version),
        addr_ton: Ton(link.addr_ton),
        addr_npi: Npi(link.addr_npi),
        address_range: COctets::try_from(link.address_range.as_str())
            .map_err(misfit("address_range"))?,
    })
}

/// What a setting that does not fit makes of its link or account.
pub(super) fn misfit(link: &str, field: &'static str) -> impl FnOnce(OctetsError) -> Unusable {
    let link = link.to_owned();
    move |cause| Unusable { link, field, cause }
}

fn tls(tls: &Tls) -> TlsSettings {
    TlsSettings {
        ca: tls.ca_file.clone(),
        certificate: tls.cert_file.clone(),
        key: tls.key_file.clone(),
        server_name: tls.server_name.clone(),
    }
}
