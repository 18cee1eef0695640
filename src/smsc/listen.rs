//! Where aggregators bind to us: the listener, and a pump for each bind.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use matrix_smpp_codec::{COctets, Password};
use matrix_smpp_config::{Bind, Esme, ListenerTls, Settings};
use matrix_smpp_session::{
    Account, Accounts, AccountsSettings, BindMode, Listener, ListenerSettings, ListenerWatch, Peer,
    Refusal, Role, ServerTls, ServerTlsSettings, SessionSettings, TlsError,
};
use secrecy::ExposeSecret as _;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use super::connect::{CONFIRM_ANSWERS, Unusable, adapt, misfit};
use super::group::Group;
use crate::crew::Crew;
use crate::doors::Inlet;
use crate::flow::Gateway;
use crate::ops::metrics::{self, Metrics};

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
    /// The TLS settings cannot be used.
    #[error("the SMPP listener's TLS: {0}")]
    Tls(#[from] TlsError),
    /// An account bears the name of a link group that runs.
    #[error("{0} is the name of a link group that runs")]
    Name(String),
}

/// The open listener. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Door {
    accounts: Accounts,
    tls: Option<ServerTls>,
    watch: ListenerWatch,
    served: Arc<RwLock<Served>>,
}

/// The accounts, and who serves the binds of each; by `system_id`.
type Served = HashMap<COctets<16>, (Account, Arc<Group>)>;

impl Door {
    /// Makes a listener of what comes in. Nobody can bind before [`Self::serve`].
    pub(super) fn open(
        settings: &Settings,
        inlet: Inlet,
    ) -> Result<(Self, Listener<Inlet>), NotListening> {
        let refuse = AccountsSettings {
            refusal_after: REFUSAL_AFTER,
            ..AccountsSettings::default()
        };
        let listener = Listener::over(inlet, listener(settings)?)?;
        let door = Self {
            accounts: Accounts::new(refuse, []),
            tls: listener.tls(),
            watch: listener.watch(),
            served: Arc::default(),
        };
        Ok((door, listener))
    }

    /// Lets these accounts in from now on, each served by its group. Binds of others are closed, and
    /// so are those that could not be made any more; the rest go on within their new limits. Gives
    /// the accounts that were let in before.
    pub(super) fn admit(&self, accounts: Vec<(Account, Arc<Group>)>) -> Vec<(Account, Arc<Group>)> {
        let all = accounts.iter().map(|(account, _)| account.clone());
        let all: Vec<_> = all.collect();
        let served = accounts.into_iter();
        let served = served.map(|one| (one.0.system_id, one)).collect();
        let before = {
            let mut known = self.served.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *known, served)
        };
        self.accounts.reload(all);
        for (system_id, (_, group)) in &before {
            let now = self.group(system_id);
            if !now.is_some_and(|now| Arc::ptr_eq(&now, group)) {
                for stray in self.accounts.bound(system_id) {
                    stray.link.close();
                }
            }
        }
        before.into_values().collect()
    }

    fn group(&self, system_id: &COctets<16>) -> Option<Arc<Group>> {
        let served = self.served.read().unwrap_or_else(PoisonError::into_inner);
        served.get(system_id).map(|(_, group)| Arc::clone(group))
    }

    pub(super) fn accepts(&self) -> bool {
        self.watch.accepts()
    }

    pub(super) fn export(&self, metrics: &Metrics) {
        metrics.listener.up.set(i64::from(self.accepts()));
        let connections = self.watch.connections();
        let states = [
            ("unbound", connections.unbound),
            ("bound", connections.bound),
        ];
        for (state, count) in states {
            let gauge = metrics.listener.connections.with_label_values(&[state]);
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        for reason in Refusal::ALL {
            let count = self.accounts.refused(reason) + self.watch.refused(reason);
            let counter = metrics.listener.refused.with_label_values(&[reason.name()]);
            metrics::catch_up(&counter, count);
        }
    }

    /// Reads the certificates again; `None` where the listener speaks no TLS.
    pub(super) async fn reread_certificates(&self) -> Option<Result<(), TlsError>> {
        let tls = self.tls.clone()?;
        let reading = tokio::task::spawn_blocking(move || tls.reload());
        // It does not panic; if it did, the old ones would stay.
        reading.await.ok()
    }

    /// Accepts binds until the `stop` of `crew`.
    pub(super) async fn serve(self, listener: Listener<Inlet>, gateway: Gateway, crew: Crew) {
        let (sender, mut peers) = mpsc::channel(ARRIVALS);
        // Nobody waits for connections that are not bound.
        let accepting = listener.serve(self.accounts.clone(), sender, TaskTracker::new());
        let welcoming = async {
            while let Some(peer) = peers.recv().await {
                self.welcome(&gateway, peer, &crew);
            }
        };
        tokio::select! {
            () = crew.stop.cancelled() => {}
            ((), ()) = async { tokio::join!(accepting, welcoming) } => {}
        }
    }

    /// Starts a bind's pump. One for whose account there is no group is dropped, and so closed.
    fn welcome(&self, gateway: &Gateway, peer: Peer, crew: &Crew) {
        let Some(group) = self.group(&peer.system_id) else {
            return;
        };
        let takes = peer.mode.sends(Role::Smsc);
        let bind = (peer.link, peer.events);
        let serving = group.serve(gateway.clone(), bind, takes);
        // Not of those that the gateway cannot do without: it ends with the bind.
        crew.tracker.spawn(serving);
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

/// An account of the config as the session crate wants it.
pub(super) fn account(esme: &Esme) -> Result<Account, Unusable> {
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
