//! The whole file: every section, and what must hold between them.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use crate::appservice::{Appservice, RawAppservice};
use crate::env::Env;
use crate::esme::{self, Esme};
use crate::fraud::RawFraud;
use crate::gateway::{Gateway, RawGateway};
use crate::homeserver::{self, Homeserver};
use crate::limits::{self, Limits, RawLimits};
use crate::link_group::{self, LinkGroup};
use crate::listener::{Listener, RawListener};
use crate::log::{Log, RawLog};
use crate::mistake::{Mistake, Mistakes, Report};
use crate::ops::{Ops, RawOps};
use crate::opt_out::{self, OptOut, RawOptOut};
use crate::pool::{self, Dedicated, RawPool};
use crate::read::{Context, Reader};
use crate::route;
use crate::routing::Routing;
use crate::section::Section;
use crate::store::{RawStore, Store};

/// A configuration in which everything has been checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The gateway itself.
    pub gateway: Gateway,
    /// The store of messages, leases and accounts.
    pub store: Store,
    /// The HTTP listener for homeservers.
    pub appservice: Appservice,
    /// The HTTP listener for metrics and health.
    pub ops: Ops,
    /// The log.
    pub log: Log,
    /// The homeservers, at least one; names and homeserver tokens are unique.
    pub homeservers: Vec<Homeserver>,
    /// The accounts at peers; names are unique.
    pub link_groups: Vec<LinkGroup>,
    /// The SMPP listener.
    pub listener: Listener,
    /// The accounts that bind to it; their names are link groups too, unique among all.
    pub esmes: Vec<Esme>,
    /// The routes and the operator's numbers.
    pub routing: Routing,
    /// Phones that want no more texts.
    pub opt_out: OptOut,
    /// How much the gateway does at a time.
    pub limits: Limits,
    /// What is no mistake, and is hardly meant: to be shown to whoever runs the gateway.
    pub notes: Vec<Mistake>,
}

impl Settings {
    /// The names of all that carry messages: the link groups and the accounts that bind to us.
    pub fn group_names(&self) -> impl Iterator<Item = &str> {
        let dialled = self.link_groups.iter().map(|group| group.name.as_str());
        dialled.chain(self.esmes.iter().map(|esme| esme.name.as_str()))
    }
}

/// Reads and checks a configuration file.
///
/// # Errors
///
/// Every mistake in it. A file that is not TOML is told by its mistakes of syntax alone.
pub fn load(path: &Path, env: &dyn Env) -> Result<Settings, Mistakes> {
    match env.read_file(path) {
        Ok(text) => parse(&text, path, env),
        Err(error) => Err(Mistakes::of_file(path, format!("cannot be read: {error}"))),
    }
}

/// Checks the text of a configuration file; `path` is its name in mistakes, and relative paths
/// start at its folder.
///
/// # Errors
///
/// As [`load`].
pub fn parse(text: &str, path: &Path, env: &dyn Env) -> Result<Settings, Mistakes> {
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut report = Report::new(text);
    for error in &errors {
        let line = report.line_at(error.span().map_or(0, |span| span.start));
        report.add_at(line, "", format!("is not TOML: {}", error.message()));
    }
    if !errors.is_empty() {
        return Err(report.into_mistakes(path));
    }
    let folder = path.parent().unwrap_or_else(|| Path::new(""));
    let cx = Context {
        env,
        file: path,
        folder,
        report: RefCell::new(report),
    };
    let settings = read(&Reader::root(&cx, document.get_ref()));
    let mut report = cx.report.into_inner();
    let notes = report.notes();
    match settings {
        Some(settings) if report.is_clean() => Ok(Settings { notes, ..settings }),
        _ => Err(report.into_mistakes(path)),
    }
}

/// The tables at the root of the file.
const ROOT: [&str; 15] = [
    "gateway",
    "store",
    "appservice",
    "ops",
    "log",
    "homeserver",
    "link_group",
    "listener",
    "esme",
    "pool",
    "route",
    "dedicated",
    "opt_out",
    "fraud",
    "limits",
];

/// Reads every section before it gives up on any.
fn read(root: &Reader<'_>) -> Option<Settings> {
    root.refuse_unknown(&ROOT);
    let gateway = read_gateway(root);
    let gateway = gateway.as_ref();
    let store = read_store(root, gateway.and_then(|gateway| gateway.data_dir.as_ref()));
    let (appservice, ops) = read_listeners(root);
    let log = root.section_at::<RawLog>("log").and_then(Section::checked);
    let ghost_prefix = gateway.and_then(|gateway| gateway.ghost_prefix.as_deref());
    let homeservers = homeserver::read_all(root, ghost_prefix);
    let (link_groups, groups) = link_group::read_all(root);
    let listener = root
        .section_at::<RawListener>("listener")
        .and_then(Section::checked);
    refuse_collisions(
        root,
        &[
            (
                "appservice.listen",
                appservice.as_ref().map(|one| one.listen),
            ),
            ("ops.listen", ops.as_ref().map(|one| one.listen)),
            (
                "listener.listen",
                listener.as_ref().and_then(|one| one.listen),
            ),
            (
                "store.redis.inner_listen",
                store.as_ref().and_then(|one| one.redis.inner_listen),
            ),
        ],
    );
    let (esmes, groups) = esme::read_all(root, groups, listener.as_ref());
    let (pools, raw_pools) = pool::read_pools(root);
    let routes = route::read_all(root, &groups, &names_of(&raw_pools));
    let dedicated = pool::read_dedicated(root, &raw_pools);
    refuse_own_owners(
        root,
        ghost_prefix,
        homeservers.as_deref().unwrap_or_default(),
        dedicated.as_deref().unwrap_or_default(),
    );
    let opt_out = read_opt_out(root);
    let fraud = root
        .section_at::<RawFraud>("fraud")
        .and_then(Section::checked);
    let limits = read_limits(root);
    let accounts = esmes.iter().flatten().map(|one| one.name.clone()).collect();
    Some(Settings {
        gateway: gateway.cloned()?.checked()?,
        store: store?,
        appservice: appservice?,
        ops: ops?,
        log: log?,
        homeservers: homeservers?,
        link_groups: link_groups?,
        listener: listener?,
        esmes: esmes?,
        routing: Routing {
            routes: routes?,
            pools: pools?,
            dedicated: dedicated?,
            accounts,
            fraud: fraud?,
        },
        opt_out: opt_out?,
        limits: limits?,
        notes: Vec::new(),
    })
}

fn read_gateway(root: &Reader<'_>) -> Option<RawGateway> {
    let mut gateway: RawGateway = root.section_at("gateway")?;
    gateway.fill();
    if let Err(mend) = gateway.check_socket() {
        root.cx.wrong("gateway.admin_socket", mend);
    }
    Some(gateway)
}

fn read_store(root: &Reader<'_>, data_dir: Option<&PathBuf>) -> Option<Store> {
    let mut store: RawStore = root.section_at("store")?;
    if store.path.is_none() {
        store.path = data_dir.map(|folder| folder.join("gateway.db"));
    }
    if let Some(path) = store
        .path
        .as_ref()
        .filter(|path| root.cx.env.is_folder(path))
    {
        let mend = format!("{} is a folder; name a file in it", path.display());
        root.cx.wrong("store.path", mend);
    }
    store.checked()
}

/// Refuses numbers that would belong to a phone's own Matrix ID, or to the bot.
fn refuse_own_owners(
    root: &Reader<'_>,
    ghost_prefix: Option<&str>,
    homeservers: &[Homeserver],
    dedicated: &[Dedicated],
) {
    for (at, one) in dedicated.iter().enumerate() {
        let localpart = one.owner.localpart();
        let is_ours = |home: &Homeserver| {
            let is_ghost = ghost_prefix.is_some_and(|prefix| localpart.starts_with(prefix));
            home.name == one.owner.server_name() && (is_ghost || localpart == home.bot_localpart)
        };
        if homeservers.iter().any(is_ours) {
            let mend = "is a Matrix ID of the gateway's own; write that of a person";
            root.cx.wrong(&format!("dedicated[{at}].owner"), mend);
        }
    }
}

/// Refuses listeners that would want the same port of the same address.
fn refuse_collisions(root: &Reader<'_>, listening: &[(&str, Option<SocketAddr>)]) {
    let mut before: Vec<(&str, SocketAddr)> = Vec::new();
    for (key, at) in listening {
        let Some(at) = at else { continue };
        if let Some((other, _)) = before.iter().find(|(_, other)| collide(*at, *other)) {
            let mend = format!("is where {other} listens; write another port");
            root.cx.wrong(key, mend);
        }
        before.push((key, *at));
    }
}

/// Port 0 asks the system for a free port, so two of them do not collide.
fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let is_any = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() != 0 && one.port() == other.port() && (is_any || one.ip() == other.ip())
}

fn read_listeners(root: &Reader<'_>) -> (Option<Appservice>, Option<Ops>) {
    let appservice = root
        .section_at::<RawAppservice>("appservice")
        .and_then(Section::checked);
    let ops = root.section_at::<RawOps>("ops").and_then(Section::checked);
    (appservice, ops)
}

fn read_opt_out(root: &Reader<'_>) -> Option<OptOut> {
    let raw: RawOptOut = root.section_at("opt_out")?;
    opt_out::check(root, &raw);
    raw.checked()
}

fn read_limits(root: &Reader<'_>) -> Option<Limits> {
    let raw: RawLimits = root.section_at("limits")?;
    limits::check(root, &raw);
    raw.checked()
}

fn names_of(pools: &[RawPool]) -> Vec<String> {
    pools.iter().filter_map(|pool| pool.name.clone()).collect()
}
