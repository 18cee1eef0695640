//! The SMPP side: takes connections and binds, and answers what the ESMEs ask.

use std::sync::Arc;
use std::time::Duration;

use matrix_smpp_codec::{Body, COctets, CommandId, CommandStatus, SubmitSm, SubmitSmResp};
use matrix_smpp_session::{
    Admission, Authenticator, BindRequest, Incoming, Link, LinkEvent, LinkEvents, ListenError,
    Listener, ListenerSettings, Peer, Running, ServerTlsSettings, SessionSettings,
};
use tokio::sync::Semaphore;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::sim::clock::Now;
use crate::sim::lines::Line;
use crate::sim::model::{Answer, Origin};
use crate::sim::settings::{Account, SimSettings};
use crate::sim::smsc::Smsc;

/// What the simulator calls itself in `bind_resp`.
const SYSTEM_ID: &str = "smsc-sim";

/// How many `deliver_sm` may wait for their answers on one bind.
const WINDOW: usize = 100;

/// How long a link that is to be unbound may take over what is still unanswered.
const DRAIN: Duration = Duration::from_secs(1);

/// How many events of one bind are taken at once.
const BATCH: usize = 256;

/// How many answers of one bind may wait for their time; then nothing more is read from it.
const MAX_DELAYED: usize = 10_000;

/// How long to wait when no connection can be taken (out of file descriptors, most often).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What every connection needs.
#[derive(Clone)]
pub(crate) struct Peers {
    pub(crate) smsc: Arc<Smsc>,
    /// Who may bind; empty is anybody.
    pub(crate) accounts: Arc<[Account]>,
    pub(crate) tasks: TaskTracker,
    /// Takes no more connections.
    pub(crate) stop: CancellationToken,
    /// Cuts every connection.
    pub(crate) cut: CancellationToken,
}

/// Opens the SMPP port.
pub(crate) async fn listen(settings: &SimSettings) -> Result<Listener, ListenError> {
    let tls = settings.tls.as_ref().map(|files| ServerTlsSettings {
        certificate: files.chain.clone(),
        key: files.key.clone(),
        ..ServerTlsSettings::default()
    });
    let listener = ListenerSettings {
        system_id: COctets::try_from(SYSTEM_ID).unwrap_or_default(),
        tls,
        session: SessionSettings {
            window: WINDOW,
            drain: DRAIN,
            ..SessionSettings::default()
        },
        ..ListenerSettings::default()
    };
    Listener::bind(&settings.smpp.to_string(), listener).await
}

impl Peers {
    /// Takes connections until the simulator stops. Each is served by a task of its own.
    pub(crate) async fn accept(self, listener: Listener) {
        loop {
            let incoming = tokio::select! {
                () = self.stop.cancelled() => return,
                incoming = listener.accept() => incoming,
            };
            match incoming {
                Ok(incoming) => {
                    self.tasks.spawn(self.clone().serve(incoming));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn serve(self, incoming: Incoming) {
        let address = incoming.address();
        let bound = tokio::select! {
            () = self.cut.cancelled() => return,
            () = self.stop.cancelled() => return,
            bound = incoming.establish(&self) => bound,
        };
        match bound {
            Ok((peer, running)) => self.attend(peer, running).await,
            Err(reason) => tracing::info!(%address, %reason, "not bound"),
        }
    }

    /// Serves one bind until it ends.
    async fn attend(self, peer: Peer, running: Running) {
        let Peer {
            system_id,
            mode,
            address,
            link,
            mut events,
        } = peer;
        let system_id = system_id.to_text();
        let cut = self.cut.child_token();
        let line = Line {
            system_id: system_id.clone(),
            mode,
            address,
            link: link.clone(),
            cut: cut.clone(),
            since: Now::read().unix_ms,
        };
        let bind = self.smsc.open(line);
        tracing::info!(bind, system_id, ?mode, %address, "bound");
        let desk = Desk {
            peers: self,
            link,
            bind,
            system_id,
            delayed: Semaphore::new(MAX_DELAYED).into(),
        };
        tokio::join!(drive(running, cut), desk.read(&mut events));
        desk.peers.smsc.close(bind);
        tracing::info!(bind, "gone");
    }
}

impl Authenticator for Peers {
    async fn authenticate(&self, request: BindRequest) -> Result<Admission, CommandStatus> {
        let verdict = known(&self.accounts, &request);
        if verdict.is_err() {
            self.smsc.refused(request.mode.request());
        }
        verdict.map(Admission::from)
    }
}

/// Carries the session until it ends or is cut.
async fn drive(running: Running, cut: CancellationToken) {
    tokio::select! {
        reason = running => tracing::info!(%reason, "link ended"),
        () = cut.cancelled() => tracing::info!("link cut"),
    }
}

fn known(accounts: &[Account], request: &BindRequest) -> Result<(), CommandStatus> {
    if accounts.is_empty() {
        return Ok(());
    }
    let is_named =
        |account: &&Account| account.system_id.as_bytes() == request.system_id.as_bytes();
    let account = accounts
        .iter()
        .find(is_named)
        .ok_or(CommandStatus::ESME_RINVSYSID)?;
    if account.password.as_bytes() != request.password.as_bytes() {
        return Err(CommandStatus::ESME_RINVPASWD);
    }
    Ok(())
}

/// Answers one bind.
struct Desk {
    peers: Peers,
    link: Link,
    bind: u64,
    system_id: String,
    /// Room for answers that wait for their time.
    delayed: Arc<Semaphore>,
}

/// Where an answer belongs: the number of the request, and the session it came on.
#[derive(Clone, Copy)]
struct Asked {
    epoch: u64,
    sequence: u32,
}

impl Desk {
    async fn read(&self, events: &mut LinkEvents) {
        let mut batch = Vec::new();
        while events.recv_many(&mut batch, BATCH).await > 0 {
            for event in batch.drain(..) {
                self.handle(event).await;
            }
        }
    }

    async fn handle(&self, event: LinkEvent) {
        match event {
            LinkEvent::Request {
                epoch,
                sequence,
                body,
            } => {
                self.request(Asked { epoch, sequence }, body).await;
            }
            LinkEvent::Answered { ticket, status, .. } => self.peers.smsc.answered(ticket, status),
            LinkEvent::Unanswered { ticket, .. } => self.peers.smsc.unanswered(ticket),
            _ => {}
        }
    }

    async fn request(&self, asked: Asked, body: Body) {
        match body {
            Body::SubmitSm(pdu) => self.submit(asked, &pdu).await,
            other => self.decline(asked, other.command_id()),
        }
    }

    async fn submit(&self, asked: Asked, pdu: &SubmitSm) {
        let now = Now::read();
        let origin = Origin {
            bind: self.bind,
            system_id: &self.system_id,
            sequence: asked.sequence,
        };
        let outcome = self.peers.smsc.submit(now, origin, pdu);
        if let Some(answer) = outcome.answer {
            self.answer(asked, answer).await;
        }
        if let Some(owed) = outcome.receipt {
            self.peers.smsc.owe(now, &self.system_id, owed);
        }
    }

    async fn answer(&self, asked: Asked, answer: Answer) {
        let Answer {
            status,
            message_id,
            delay,
        } = answer;
        let message_id = message_id
            .and_then(|id| id.parse().ok())
            .unwrap_or_default();
        let body = Body::SubmitSmResp(SubmitSmResp {
            message_id,
            ..SubmitSmResp::default()
        });
        let link = self.link.clone();
        if delay.is_zero() {
            link.respond(asked.sequence, asked.epoch, status, body);
            return;
        }
        // The semaphore is never closed.
        let place = Arc::clone(&self.delayed).acquire_owned().await;
        let cut = self.peers.cut.clone();
        self.peers.tasks.spawn(async move {
            tokio::select! {
                () = sleep(delay) => {
                    link.respond(asked.sequence, asked.epoch, status, body);
                }
                () = cut.cancelled() => {}
            }
            drop(place);
        });
    }

    /// Answers a request that the simulator does not serve.
    fn decline(&self, asked: Asked, command_id: CommandId) {
        let body = command_id
            .response()
            .and_then(Body::empty)
            .unwrap_or(Body::GenericNack);
        self.link.respond(
            asked.sequence,
            asked.epoch,
            CommandStatus::ESME_RINVCMDID,
            body,
        );
    }
}
