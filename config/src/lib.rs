//! TOML text to checked [`Settings`], every mistake reported at once with its place and its mend.
//!
//! [`load`] reads a file and [`parse`] a text. Each section has a file here, in which one
//! declaration gives its public type, its documentation, its defaults and its part of
//! [`example`]. The world outside (files of secrets, systemd's credentials) is the argument [`Env`].
//! Nothing here prints, and nothing private is in a `Debug` or in a mistake.
//!
//! ```
//! use std::path::Path;
//!
//! use matrix_smpp_config::{ProcessEnv, parse};
//!
//! let mistakes = parse("[store]\nengin = 1", Path::new("gw.toml"), &ProcessEnv).unwrap_err();
//! let said: Vec<_> = mistakes.iter().map(ToString::to_string).collect();
//! assert_eq!(said[1], "line 2: store.engin: is not a known key; did you mean `engine`?");
//! ```

mod adapt;
mod appservice;
mod check;
mod env;
mod esme;
mod example;
mod fixed;
mod fraud;
mod gateway;
mod homeserver;
mod limits;
mod link;
mod link_group;
mod listener;
mod log;
mod mistake;
mod money;
mod number;
mod ops;
mod opt_out;
mod pool;
mod quirks;
mod read;
mod route;
mod routing;
mod same;
mod secret;
mod section;
mod settings;
mod store;
mod suggest;
mod value;

pub use self::adapt::Adapt;
pub use self::appservice::Appservice;
pub use self::env::{Env, MAX_FILE_BYTES, ProcessEnv};
pub use self::esme::Esme;
pub use self::example::example;
pub use self::fraud::Fraud;
pub use self::gateway::Gateway;
pub use self::homeserver::Homeserver;
pub use self::limits::Limits;
pub use self::link::{Bind, Link, Tls};
pub use self::link_group::{LinkGroup, MessageIds, MoUnleased};
pub use self::listener::{Listener, ListenerTls};
pub use self::log::{Log, LogFormat};
pub use self::mistake::{Mistake, Mistakes};
pub use self::money::{Money, MoneyError};
pub use self::number::{MAX_POOL_NUMBERS, NumberRange, Numbers, OwnNumber, Prefix};
pub use self::ops::Ops;
pub use self::opt_out::{OptOut, OptOutScope, essence};
pub use self::pool::{Dedicated, Pool};
pub use self::route::{LongMessages, Originator, Route, Uncertain};
pub use self::routing::Routing;
pub use self::settings::{Settings, load, parse};
pub use self::store::{Engine, Redis, RedisDurability, RedisMode, Store};
