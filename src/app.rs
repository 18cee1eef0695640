//! The whole gateway put together: started, watched, stopped.

mod greeter;
mod reread;
mod systemd;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use axum::Router;
use axum::serve::Listener;
use matrix_smpp_config::{Engine, Homeserver as HomeserverSettings, Settings};
use ruma::{OwnedUserId, UserId};
use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tracing::{error, info, warn};

use self::systemd::{notify, say_alive, watchdog};
use crate::clock::Clock;
use crate::crew::Crew;
use crate::doors::{Doors, Entrance, Inlet, Shared};
use crate::flow::{self, Connected, Gateway, Parts, Wakes, front};
use crate::gateway::names::Names;
use crate::gateway::number;
use crate::gateway::opt_out::Words;
use crate::matrix::client::{HomeserverAccess, HttpHomeserver};
use crate::matrix::ghost::Ghosts;
use crate::matrix::http::{self, HttpLimits};
use crate::ops::metrics::Metrics;
use crate::ops::{admin, http as ops};
use crate::smsc::{self, Links};
use crate::store::{self, Store, StoreError};

/// How many ghosts that homeservers asked for may wait to be made.
const WISHES: usize = 1_024;

/// Why the gateway could not start, or stopped by itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppError {
    /// The store cannot be opened.
    #[error("the store: {0}")]
    Store(#[from] StoreError),
    /// A listener cannot be opened.
    #[error("cannot listen on {at}: {cause}")]
    Listen {
        /// Its address or path.
        at: String,
        /// Why not.
        cause: io::Error,
    },
    /// The HTTP client cannot be made.
    #[error("the HTTP client: {0}")]
    Client(#[from] reqwest::Error),
    /// TLS cannot be set up.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// A Matrix ID cannot be made of the settings.
    #[error("a Matrix ID cannot be made of the settings: {0}")]
    Name(#[from] ruma::IdParseError),
    /// A link's settings do not fit.
    #[error(transparent)]
    Link(#[from] smsc::Unusable),
    /// The SMPP listener cannot be opened.
    #[error(transparent)]
    Listener(#[from] smsc::NotListening),
    /// Signals cannot be received.
    #[error("signals: {0}")]
    Signals(#[source] io::Error),
    /// Another gateway works with the store now.
    #[error("another gateway has taken the store over")]
    TakenOver,
    /// A part of the gateway ended that never should.
    #[error("{0} ended by itself")]
    Died(&'static str),
}

/// Runs the gateway until a signal asks it to stop. SIGTERM or SIGINT: takes nothing more, waits
/// for outstanding answers, unbinds, returns. A second one: returns at once. SIGHUP: reads from
/// `config` again what can change meanwhile.
pub async fn run(settings: Settings, config: &Path) -> Result<(), AppError> {
    let mut signals = Signals::new().map_err(AppError::Signals)?;
    let running = tokio::select! {
        started = Running::start(settings, config) => started?,
        name = signals.next() => {
            info!(signal = name, "stopped before the start was done");
            return Ok(());
        }
    };
    notify(&[
        sd_notify::NotifyState::Ready,
        sd_notify::NotifyState::Status("running"),
    ]);
    info!("running");
    let ended = tokio::select! {
        name = signals.next() => {
            info!(signal = name, "stopping");
            Ok(())
        }
        died = running.crew.died.cancelled() => {
            let () = died;
            Err(AppError::Died("a part of the gateway"))
        }
        // What still comes cannot be kept, and the ports are wanted elsewhere: it ends at once.
        () = running.store.lost() => return Err(AppError::TakenOver),
    };
    notify(&[sd_notify::NotifyState::Stopping]);
    tokio::select! {
        () = running.stop() => info!("stopped"),
        name = signals.next() => warn!(signal = name, "stopped at once"),
    }
    ended
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// Opens the store. While another gateway works with it this one is a standby: started, as systemd
/// sees it, with doors that lead to the other one where it has an inner door, and nothing more.
async fn open(
    settings: &Arc<Settings>,
    standing: store::Standing,
) -> Result<Arc<dyn Store>, AppError> {
    if settings.store.engine == Engine::Redis {
        let status = sd_notify::NotifyState::Status("standby: another gateway works");
        notify(&[sd_notify::NotifyState::Ready, status]);
    }
    let (settings, runtime) = (Arc::clone(settings), Handle::current());
    let (sender, opened) = oneshot::channel();
    // A thread of its own, for the end of the gateway does not wait for it.
    std::thread::spawn(move || {
        let _inside = runtime.enter();
        // Before it has the store: on a busy machine an owner that is held up by this loses it again.
        number::learn_plans();
        drop(sender.send(store::open(&settings, None, standing)));
    });
    let opened = tokio::select! {
        opened = opened => opened.map_err(|_| AppError::Died("the opening of the store"))?,
        () = say_alive(None) => Err(AppError::Died("the watchdog"))?,
    };
    Ok(opened?)
}

/// What there is of a gateway before it has its store.
struct Hall {
    settings: Arc<Settings>,
    metrics: Metrics,
    crew: Crew,
    doors: Doors,
}

impl Hall {
    async fn open(settings: Settings) -> Result<Self, AppError> {
        let (metrics, crew) = (Metrics::new(), Crew::default());
        let doors = Doors::open(&settings, &metrics, &crew).await;
        let doors = doors.map_err(|(at, cause)| AppError::Listen {
            at: at.to_string(),
            cause,
        })?;
        Ok(Self {
            settings: Arc::new(settings),
            metrics,
            crew,
            doors,
        })
    }

    /// What comes in through a door, from now on; waits for its address as long as it may be in use.
    async fn enter<T>(
        &self,
        door: &Entrance,
        open: impl AsyncFnMut() -> io::Result<T>,
    ) -> Result<T, AppError> {
        let opened = until_free(patience(&self.settings), open).await;
        opened.map_err(|cause| AppError::Listen {
            at: door.at().to_string(),
            cause,
        })
    }

    async fn inlet(&self, door: &Entrance) -> Result<Inlet, AppError> {
        self.enter(door, async || door.inlet().await).await
    }
}

/// The running gateway.
struct Running {
    links: Links,
    crew: Crew,
    store: Arc<dyn Store>,
    drain: Duration,
}

impl Running {
    async fn start(settings: Settings, config: &Path) -> Result<Self, AppError> {
        let hangup = signal(SignalKind::hangup()).map_err(AppError::Signals)?;
        let hall = Hall::open(settings).await?;
        let store = open(&hall.settings, hall.doors.standing()).await?;
        tokio::select! {
            begun = Self::begin(&hall, Arc::clone(&store), (config, hangup)) => begun,
            () = store.lost() => Err(AppError::TakenOver),
        }
    }

    /// Starts everything on a store that is ours.
    async fn begin(
        hall: &Hall,
        store: Arc<dyn Store>,
        (config, hangup): (&Path, Signal),
    ) -> Result<Self, AppError> {
        let clock = Clock::system();
        let uncertain = store.recover(clock.now()).await?;
        if uncertain > 0 {
            warn!(
                uncertain,
                "segments were on the wire when the gateway last ended"
            );
        }
        let gateway = gateway(hall, Arc::clone(&store), clock)?;
        let (doors, crew) = (&hall.doors, &hall.crew);
        let appservice = hall.inlet(&doors.appservice).await?;
        let operations = hall
            .enter(&doors.ops, async || doors.ops.open().await)
            .await?;
        let links = Links::start(&gateway, crew)?;
        if let Some(door) = &doors.smpp {
            links.listen(&gateway, crew, hall.inlet(door).await?)?;
        }
        let known = (gateway.clone(), crew.clone());
        let rereading = reread::run(config.to_owned(), links.clone(), known, hangup);
        crew.spawn("the reader of the configuration", rereading);
        let running = Self {
            links,
            crew: crew.clone(),
            store,
            drain: hall.settings.gateway.drain_timeout,
        };
        running.open_doors(&gateway, appservice);
        let answered = Arc::new(AtomicBool::new(false));
        let ops = ops::Ops {
            metrics: gateway.metrics.clone(),
            store: Arc::clone(&gateway.store),
            links: running.links.clone(),
            homeservers_answer: Arc::clone(&answered),
        };
        doors.works();
        gateway.metrics.doors.owner.set(1);
        running.serve(
            "the operations listener",
            Shared(operations),
            ops::router(ops),
        );
        running.start_admin(&gateway)?;
        running.start_workers(&gateway, answered);
        Ok(running)
    }

    /// Serves what homeservers ask.
    fn open_doors(&self, gateway: &Gateway, appservice: Inlet) {
        let (wanted, wishes) = mpsc::channel(WISHES);
        let router = front::router(gateway, wanted);
        self.serve("the appservice listener", appservice, router);
        self.crew.spawn(
            "the ghost maker",
            front::make_ghosts(gateway.clone(), wishes, self.crew.stop.clone()),
        );
    }

    fn serve<L>(&self, name: &'static str, listener: L, router: Router)
    where
        L: Listener<Addr = SocketAddr>,
    {
        let stop = self.crew.stop.clone().cancelled_owned();
        self.crew.spawn(name, async move {
            if let Err(error) = axum::serve(listener, router)
                .with_graceful_shutdown(stop)
                .await
            {
                error!(%error, name, "cannot serve");
            }
        });
    }

    fn start_admin(&self, gateway: &Gateway) -> Result<(), AppError> {
        let path: &Path = &gateway.settings.gateway.admin_socket;
        let listener = admin::listen(path).map_err(|cause| AppError::Listen {
            at: path.display().to_string(),
            cause,
        })?;
        self.crew.spawn(
            "the admin socket",
            admin::serve(gateway.clone(), listener, self.crew.stop.clone()),
        );
        Ok(())
    }

    fn start_workers(&self, gateway: &Gateway, answered: Arc<AtomicBool>) {
        let (gateway, stop) = (|| gateway.clone(), || self.crew.stop.clone());
        self.crew
            .spawn("the inbox worker", flow::run_inbox(gateway(), stop()));
        self.crew
            .spawn("the SMS worker", flow::to_room::run(gateway(), stop()));
        self.crew
            .spawn("the outbox worker", flow::outbox::run(gateway(), stop()));
        self.crew
            .spawn("the look back", flow::look_back::run(gateway(), stop()));
        self.crew
            .spawn("the watcher of pools", flow::pools::run(gateway(), stop()));
        self.crew
            .spawn("the sweeper", flow::sweep::run(gateway(), stop()));
        self.crew.spawn("the watchdog", watchdog(gateway(), stop()));
        self.crew
            .spawn("the greeter", greeter::greet(gateway(), answered, stop()));
    }

    /// Takes nothing more, unbinds, and waits as long as the settings allow.
    async fn stop(self) {
        self.crew.stop.cancel();
        self.links.close();
        self.crew.tracker.close();
        // The links end by themselves after the drain time; the rest is quick.
        let limit = self.drain + Duration::from_secs(5);
        let stopped = tokio::time::timeout(limit, self.crew.tracker.wait());
        tokio::select! {
            stopped = stopped => if stopped.is_err() {
                warn!("something did not stop in time");
            },
            () = self.store.lost() => warn!("another gateway has taken the store over"),
        }
        // Others wait for it, and what did not stop in time may hold it still.
        self.store.close().await;
    }
}

/// How long an address is waited for that is in use. The gateway before this one on the same machine
/// may have lost the store and still be about to end.
fn patience(settings: &Settings) -> Duration {
    match settings.store.engine {
        Engine::Sqlite => Duration::ZERO,
        Engine::Redis => settings.gateway.drain_timeout + settings.store.redis.takeover_after,
    }
}

/// Between two attempts to listen.
const LISTEN_PAUSE: Duration = Duration::from_millis(100);

/// Tries to listen until the address is not in use any more.
async fn until_free<T>(
    patience: Duration,
    mut listen: impl AsyncFnMut() -> io::Result<T>,
) -> io::Result<T> {
    let mut waited = Duration::ZERO;
    loop {
        match listen().await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && waited < patience => {
                if waited.is_zero() {
                    warn!(
                        "an address is in use; waiting for the gateway that had the store before"
                    );
                }
                tokio::time::sleep(LISTEN_PAUSE).await;
                waited += LISTEN_PAUSE;
            }
            ended => return ended,
        }
    }
}

/// Everything that the workers share.
fn gateway(hall: &Hall, store: Arc<dyn Store>, clock: Clock) -> Result<Gateway, AppError> {
    let settings = &hall.settings;
    let limits = HttpLimits {
        idle_connections: most_requests(settings),
        ..HttpLimits::default()
    };
    let client = http::http_client(trust_the_systems_roots()?, limits)?;
    let mut homeservers = BTreeMap::new();
    for one in &settings.homeservers {
        homeservers.insert(one.name.clone(), connect(settings, one, client.clone())?);
    }
    Ok(Gateway::new(Parts {
        bounds: flow::Bounds::default(),
        opt_out: Words::new(&settings.opt_out),
        ghosts: Ghosts::new(Arc::clone(&store)),
        wakes: Wakes::for_groups(settings.group_names())
            .and_homeservers(homeservers.keys().map(|name| name.as_str())),
        metrics: hall.metrics.clone(),
        settings: Arc::clone(settings),
        routing: settings.routing.clone().into(),
        store,
        homeservers,
        clock,
    }))
}

/// TLS towards homeservers: whom the system trusts, and nobody else.
fn trust_the_systems_roots() -> Result<rustls::ClientConfig, AppError> {
    let mut roots = rustls::RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        warn!(%error, "a trusted root cannot be read");
    }
    roots.add_parsable_certificates(found.certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

fn connect(
    settings: &Settings,
    one: &HomeserverSettings,
    client: reqwest::Client,
) -> Result<Connected, AppError> {
    let bot: OwnedUserId = UserId::parse(format!("@{}:{}", one.bot_localpart, one.name))?;
    let access = HomeserverAccess {
        name: one.name.clone(),
        url: one.url.clone(),
        appservice_id: settings.gateway.name.clone(),
        bot: bot.clone(),
        as_token: one.as_token.clone(),
        max_in_flight: most_requests(settings),
    };
    Ok(Connected {
        api: Arc::new(HttpHomeserver::new(access, client)),
        names: Names::new(settings.gateway.ghost_prefix.clone(), bot),
    })
}

/// Requests to a homeserver that may be under way at once.
fn most_requests(settings: &Settings) -> usize {
    settings.limits.outbox_concurrency + settings.limits.inbox_concurrency
}
