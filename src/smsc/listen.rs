//! Where aggregators bind to us: the listener, and a pump for each bind.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use matrix_smpp_codec::{COctets, Password};
use matrix_smpp_config::{Bind, Esme, ListenerTls, Settings};
use matrix_smpp_session::{
    Account, Accounts, AccountsSettings, BindMode, ListenError, Listener, ListenerSettings, Peer,
    Role, ServerTls, ServerTlsSettings, SessionSettings,
};
use secrecy::ExposeSecret as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use super::connect::{CONFIRM_ANSWERS, Unusable, adapt, misfit};
use super::group::Group;
use crate::crew::Crew;
use crate::flow::Gateway;

/// Binds that may wait for their pump.
const ARRIVALS: usize = 64;

/// The longest wait before a bind is refused; shorter than any time that a peer may have to bind.
const REFUSAL_AFTER: Duration = Duration::from_millis(500);

/// Why nobody can bind to us.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotListening {
    /// The settings of the listener or of an account do not fit into SMPP.
    #[error(transparent)]
    Settings(#[from] Unusable),
    /// The address or the TLS settings cannot be used.
    #[error("the SMPP listener on {at}: {cause}")]
    Listen {
        /// The address.
        at: SocketAddr,
        /// Why not.
        cause: ListenError,
    },
    /// Signals cannot be received.
    #[error("signals: {0}")]
    Signals(#[source] io::Error),
}

/// Opens the listener, where the config has one, and gives its address. Each account that binds is
/// served by its group, until `stop`; binds that stand then are closed by [`super::Links::close`].
pub(super) async fn open(
    gateway: &Gateway,
    crew: &Crew,
    groups: &[Arc<Group>],
) -> Result<Option<SocketAddr>, NotListening> {
    let settings = &gateway.settings;
    let Some(at) = settings.listener.listen else {
        return Ok(None);
    };
    let accounts = settings.esmes.iter().map(account);
    let accounts = accounts.collect::<Result<Vec<_>, _>>()?;
    let by_account: HashMap<COctets<16>, Arc<Group>> = accounts
        .iter()
        .zip(&settings.esmes)
        .filter_map(|(account, esme)| {
            let group = groups.iter().find(|group| group.name() == esme.name)?;
            Some((account.system_id, Arc::clone(group)))
        })
        .collect();
    let refuse = AccountsSettings {
        refusal_after: REFUSAL_AFTER,
        ..AccountsSettings::default()
    };
    let listening = Listener::bind(&at.to_string(), listener(settings)?).await;
    let listener = listening.map_err(|cause| NotListening::Listen { at, cause })?;
    let bound = listener.local_addr().unwrap_or(at);
    if let Some(tls) = listener.tls() {
        let hangup = signal(SignalKind::hangup()).map_err(NotListening::Signals)?;
        crew.spawn(
            "the certificate reader",
            reread(tls, hangup, crew.stop.clone()),
        );
    }
    let accounts = Accounts::new(refuse, accounts);
    crew.spawn(
        "the SMPP listener",
        serve(
            listener,
            accounts,
            (gateway.clone(), by_account),
            crew.clone(),
        ),
    );
    info!(address = %bound, "accounts can bind");
    Ok(Some(bound))
}

async fn serve(
    listener: Listener,
    accounts: Accounts,
    (gateway, groups): (Gateway, HashMap<COctets<16>, Arc<Group>>),
    crew: Crew,
) {
    let (sender, mut peers) = mpsc::channel(ARRIVALS);
    // Nobody waits for connections that are not bound.
    let accepting = listener.serve(accounts, sender, TaskTracker::new());
    let welcoming = async {
        while let Some(peer) = peers.recv().await {
            welcome(&gateway, peer, &groups, &crew);
        }
    };
    tokio::select! {
        () = crew.stop.cancelled() => {}
        ((), ()) = async { tokio::join!(accepting, welcoming) } => {}
    }
}

/// Starts a bind's pump. One for whose account there is no group is dropped, and so closed.
fn welcome(gateway: &Gateway, peer: Peer, groups: &HashMap<COctets<16>, Arc<Group>>, crew: &Crew) {
    let Some(group) = groups.get(&peer.system_id) else {
        return;
    };
    let takes = peer.mode.sends(Role::Smsc);
    let bind = (peer.link, peer.events);
    let serving = Arc::clone(group).serve(gateway.clone(), bind, takes);
    // Not of those that the gateway cannot do without: it ends with the bind.
    crew.tracker.spawn(serving);
}

/// Reads the certificates again at each SIGHUP.
async fn reread(tls: ServerTls, mut hangup: tokio::signal::unix::Signal, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = hangup.recv() => {}
        }
        let tls = tls.clone();
        match tokio::task::spawn_blocking(move || tls.reload()).await {
            Ok(Ok(())) => info!("the SMPP listener's certificates were read again"),
            Ok(Err(error)) => warn!(%error, "the SMPP listener keeps its old certificates"),
            Err(error) => warn!(%error, "the SMPP listener keeps its old certificates"),
        }
    }
}

fn listener(settings: &Settings) -> Result<ListenerSettings, Unusable> {
    let ours = &settings.listener;
    let system_id = COctets::try_from(ours.system_id.as_str());
    Ok(ListenerSettings {
        system_id: system_id.map_err(misfit("the listener", "system_id"))?,
        tls: ours.tls.as_ref().map(tls),
        session: SessionSettings {
            response_timeout: ours.response_timeout,
            enquire_link: ours.enquire_link,
            confirm_answers: Some(CONFIRM_ANSWERS),
            session_init: ours.session_init,
            inactivity: ours.inactivity,
            drain: settings.gateway.drain_timeout,
            adapt: adapt(&ours.adapt),
            ..SessionSettings::default()
        },
        max_connections: ours.max_connections,
        max_per_address: Some(ours.max_per_address),
    })
}

fn tls(tls: &ListenerTls) -> ServerTlsSettings {
    ServerTlsSettings {
        certificate: tls.cert_file.clone().unwrap_or_default(),
        key: tls.key_file.clone().unwrap_or_default(),
        client_ca: tls.client_ca_file.clone(),
        client_optional: tls.client_optional.unwrap_or(true),
    }
}

fn account(esme: &Esme) -> Result<Account, Unusable> {
    let system_id = COctets::try_from(esme.system_id.as_str());
    let password = esme.password.as_ref();
    let password = password.map(|secret| Password::try_from(secret.expose_secret()));
    Ok(Account {
        system_id: system_id.map_err(misfit(&esme.name, "system_id"))?,
        password: password
            .transpose()
            .map_err(misfit(&esme.name, "password"))?,
        certificate: esme.certificate.clone(),
        modes: esme.binds.iter().map(|bind| mode(*bind)).collect(),
        networks: esme.networks.clone(),
        max_binds: esme.max_binds,
        window: esme.window,
        rate: esme.rate,
        peer_window: esme.submit_window,
        peer_rate: esme.submit_rate,
        quirks: esme.quirks,
    })
}

fn mode(bind: Bind) -> BindMode {
    match bind {
        Bind::Transceiver => BindMode::Transceiver,
        Bind::Transmitter => BindMode::Transmitter,
        Bind::Receiver => BindMode::Receiver,
    }
}
