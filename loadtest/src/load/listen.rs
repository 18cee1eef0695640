//! The SMSC role: lets ESMEs bind, sends `deliver_sm` to those that receive, and answers what they
//! submit.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use matrix_smpp_codec::{COctets, CommandStatus};
use matrix_smpp_session::{
    BindRequest, Incoming, ListenError, Listener, ListenerSettings, Peer, Role, Running,
};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::load::clock;
use crate::load::error::LoadError;
use crate::load::feed::Feed;
use crate::load::lane::Lane;
use crate::load::meter::Interval;
use crate::load::outcome::Outcome;
use crate::load::run::{Conductor, Phase, Shared, Stop};
use crate::load::send::session;
use crate::load::settings::{ListenSettings, Password};

/// How long to wait when no connection can be taken (out of file descriptors, most often).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// An open port, before the traffic.
#[derive(Debug)]
pub struct Listen {
    settings: ListenSettings,
    listener: Listener,
    shared: Arc<Shared>,
    feeds: Vec<Feed>,
}

impl Listen {
    /// Opens the port.
    ///
    /// # Errors
    ///
    /// When it is taken, or a setting makes no sense.
    pub async fn bind(settings: ListenSettings) -> Result<Self, LoadError> {
        let shared = Shared::new(settings.binds);
        let feeds = Feed::all(settings.binds, &shared, &settings.traffic, true)?;
        let listener = ListenerSettings {
            system_id: COctets::try_from("smpp-load").unwrap_or_default(),
            tls: settings.tls.clone(),
            session: session(&settings.traffic),
            max_connections: 10_000,
            ..ListenerSettings::default()
        };
        let listener = Listener::bind(&settings.listen.to_string(), listener).await?;
        Ok(Self {
            settings,
            listener,
            shared,
            feeds,
        })
    }

    /// Where ESMEs bind.
    ///
    /// # Errors
    ///
    /// When the system does not know.
    pub fn address(&self) -> Result<SocketAddr, LoadError> {
        self.listener
            .local_addr()
            .map_err(|error| LoadError::Listen(ListenError::Socket(error)))
    }

    /// Waits for the binds, sends, waits for what is due, unbinds. `observe` sees each interval as it
    /// ends. Without binds to wait for it answers until the time is over or `stop` says so.
    ///
    /// # Errors
    ///
    /// When too few ESMEs come in time.
    pub async fn run(
        self,
        stop: &Stop,
        mut observe: impl FnMut(&Interval) + Send,
    ) -> Result<Outcome, LoadError> {
        let Self {
            settings,
            listener,
            shared,
            feeds,
        } = self;
        if settings.binds == 0 {
            // Never taken away: the run has no other end than its time.
            shared
                .sending
                .fetch_add(1, std::sync::atomic::Ordering::AcqRel);
        }
        let (vacant, mut missing) = watch::channel(feeds.len());
        let hall = Arc::new(Hall {
            shared: Arc::clone(&shared),
            feeds: Mutex::new(feeds),
            vacant,
            password: settings.password.clone(),
            receipts: settings.receipts,
        });
        let tasks = TaskTracker::new();
        let accept = accept(listener, hall, tasks.clone());
        let traffic = async {
            enough(&settings, &mut missing, stop).await?;
            let conductor = Conductor {
                shared: &shared,
                traffic: &settings.traffic,
                stop,
                observe: &mut observe,
            };
            Ok::<_, LoadError>(conductor.conduct().await)
        };
        let mut meter = tokio::select! {
            meter = traffic => meter?,
            () = accept => return Err(LoadError::Stopped),
        };
        tasks.close();
        tasks.wait().await;
        observe(meter.tick(clock::now(), &shared.tallies));
        Ok(Outcome::of_listen(&settings, &meter, &shared))
    }
}

/// Waits until there is somebody for every feed.
async fn enough(
    settings: &ListenSettings,
    missing: &mut watch::Receiver<usize>,
    stop: &Stop,
) -> Result<(), LoadError> {
    let binds = settings.binds;
    let waited = tokio::select! {
        waited = timeout(settings.bind_timeout, missing.wait_for(|vacant| *vacant == 0)) => {
            waited.is_ok()
        }
        () = stop.sending.cancelled() => return Err(LoadError::Stopped),
    };
    let vacant = *missing.borrow();
    if waited {
        return Ok(());
    }
    Err(LoadError::TooFewPeers {
        up: binds.saturating_sub(vacant),
        binds,
        waited: settings.bind_timeout,
    })
}

/// What every connection needs.
struct Hall {
    shared: Arc<Shared>,
    /// Those that no bind sends at the moment.
    feeds: Mutex<Vec<Feed>>,
    vacant: watch::Sender<usize>,
    password: Option<Password>,
    receipts: bool,
}

impl Hall {
    fn take(&self) -> Option<Feed> {
        let mut feeds = self.feeds.lock().unwrap_or_else(PoisonError::into_inner);
        let feed = feeds.pop();
        self.vacant.send_replace(feeds.len());
        feed
    }

    fn give_back(&self, feed: Feed) {
        let mut feeds = self.feeds.lock().unwrap_or_else(PoisonError::into_inner);
        feeds.push(feed);
        self.vacant.send_replace(feeds.len());
    }

    async fn serve(self: Arc<Self>, number: usize, incoming: Incoming, _alive: TaskTrackerToken) {
        let hall = Arc::clone(&self);
        let judge = move |request: BindRequest| std::future::ready(hall.knows(&request));
        let mut phase = self.shared.phase.subscribe();
        let established = tokio::select! {
            established = incoming.establish(&judge) => established,
            _ = phase.wait_for(|phase| *phase == Phase::Closing) => return,
        };
        match established {
            Ok((peer, running)) => self.attend(number, peer, running).await,
            Err(reason) => tracing::info!(%reason, "not bound"),
        }
    }

    fn knows(&self, request: &BindRequest) -> Result<(), CommandStatus> {
        match &self.password {
            Some(Password(wanted)) if wanted.as_bytes() != request.password.as_bytes() => {
                Err(CommandStatus::ESME_RINVPASWD)
            }
            _ => Ok(()),
        }
    }

    async fn attend(&self, number: usize, peer: Peer, running: Running) {
        let Peer {
            mode,
            link,
            mut events,
            ..
        } = peer;
        let feed = if mode.sends(Role::Smsc) {
            self.take()
        } else {
            None
        };
        let mut lane = Lane::new(number, link, feed, Arc::clone(&self.shared));
        lane.gives_receipts = self.receipts && mode.sends(Role::Smsc);
        let (_reason, left) = tokio::join!(running, lane.work(&mut events));
        if let Some(feed) = left {
            self.give_back(feed);
        }
    }
}

/// Takes connections; each is served by a task of its own.
async fn accept(listener: Listener, hall: Arc<Hall>, tasks: TaskTracker) {
    for number in 0.. {
        match listener.accept().await {
            Ok(incoming) => {
                let alive = tasks.token();
                tasks.spawn(Arc::clone(&hall).serve(number, incoming, alive));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
