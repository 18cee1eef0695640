//! `[store]`: where messages, leases and accounts are kept.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::check::{host_port, lasts, within};
use crate::link::check_readable;
use crate::read::{FromToml, Mend, Node};
use crate::section::{Section, section, words};

words! {
    /// What keeps the data.
    pub enum Engine {
        /// An SQLite database in one file.
        Sqlite = "sqlite",
        /// Redis 7.0 or later, or Valkey.
        Redis = "redis",
    }
}

words! {
    /// How the servers of Redis stand together.
    pub enum RedisMode {
        /// One server.
        Standalone = "standalone",
        /// Sentinels, who tell which server is the primary.
        Sentinel = "sentinel",
        /// A Cluster.
        Cluster = "cluster",
    }
}

words! {
    /// What Redis must keep of what it has acknowledged, when its machine loses power.
    pub enum RedisDurability {
        /// Everything: `appendfsync always`.
        Always = "always",
        /// All but the last second or two: `appendfsync everysec`.
        Everysec = "everysec",
        /// What its last snapshot has, or nothing.
        None = "none",
    }
}

section! {
    /// Redis, for `engine = "redis"`. Several gateways may name the same one: one of them works, and the
    /// others take over when it ends.
    pub struct Redis, raw RawRedis {
        /// The address, or several with blanks between them (Sentinels; nodes of a Cluster):
        /// `redis://user@host:6379/0`, `rediss://` for TLS, `unix:///path` for a socket.
        servers: String = default("\"redis://127.0.0.1:6379\""), check addresses;
        /// The file of the password, where one is needed. Read at the start.
        password_file: Option<PathBuf> = optional("\"/etc/matrix-smpp/redis_password\"");
        /// How the servers stand together: "standalone", "sentinel" or "cluster".
        mode: RedisMode = default("\"standalone\"");
        /// What the Sentinels call the primary. Needed with `mode = "sentinel"`.
        master: Option<String> = optional("\"mymaster\"");
        /// The beginning of every key, as its hash tag: all keys lie in one slot of a Cluster. Gateways
        /// with another prefix share nothing with this one. Letters, digits, `-`, `_`, `.` and `:`.
        prefix: String = default("\"matrix-smpp\""), check is_prefix;
        /// What Redis must keep of what it has acknowledged: "always", "everysec" or "none". One that
        /// keeps less is refused at the start.
        durability: RedisDurability = default("\"always\"");
        /// How many replicas must have a change before it counts. 0 to 10. With 0 a fail-over to a
        /// replica may lose the last changes.
        replicas: u32 = default("0"), check within(0..=10);
        /// Use a Redis that throws rows away when its memory is full (`maxmemory-policy`), which loses
        /// messages and money.
        allow_eviction: bool = default("false");
        /// After so long without a sign of the gateway that works, another one takes over. 1s to 5m.
        takeover_after: Duration = default("\"5s\""), check lasts("1s", "5m");
        /// The IP address and port at which this gateway, while it works, takes the connections that the
        /// others forward to it; those that stand by open their listeners then and forward. For a network
        /// of the gateways' own: what comes in is not encrypted beyond what the peers themselves encrypt.
        /// Without it a gateway that stands by opens nothing.
        inner_listen: Option<SocketAddr> = optional("\"192.0.2.1:29310\"");
        /// How the other gateways reach `inner_listen`, where they do not by the same address.
        inner_advertise: Option<String> = optional("\"gateway-1.example.org:29310\""), check host_port;
    }
}

impl FromToml for Redis {
    fn from_toml(node: &Node<'_>) -> Option<Self> {
        let raw: RawRedis = node.table("a table of Redis' settings")?.section();
        let password = raw.password_file.as_ref().and_then(Option::as_ref);
        check_readable(node, "password_file", password);
        if raw.mode == Some(RedisMode::Sentinel) && matches!(raw.master, Some(None)) {
            return node.wrong("has no master; add what the Sentinels call it");
        }
        match (&raw.inner_listen, &raw.inner_advertise) {
            (Some(None), Some(Some(_))) => node.wrong("has no inner_listen; add where to listen"),
            (Some(Some(listen)), Some(None)) if listen.ip().is_unspecified() => node.wrong(
                "has no inner_advertise, and inner_listen is no address to connect to; add it",
            ),
            _ => raw.checked(),
        }
    }
}

#[expect(clippy::ptr_arg, reason = "a check takes what it checks")]
fn addresses(servers: &String) -> Mend {
    let mut any = false;
    for address in servers.split_whitespace() {
        any = true;
        let schemes = ["redis://", "rediss://", "unix://", "redis+unix://"];
        if !schemes.iter().any(|scheme| address.starts_with(scheme)) {
            return Err("has something that is no address; write redis://host:port".to_owned());
        }
    }
    if any {
        return Ok(());
    }
    Err("is empty; write redis://host:port".to_owned())
}

#[expect(clippy::ptr_arg, reason = "a check takes what it checks")]
fn is_prefix(prefix: &String) -> Mend {
    let fits = |octet: u8| octet.is_ascii_alphanumeric() || b"-_.:".contains(&octet);
    if !prefix.is_empty() && prefix.len() <= 64 && prefix.bytes().all(fits) {
        return Ok(());
    }
    Err("is no prefix; write 1 to 64 letters, digits, `-`, `_`, `.` or `:`".to_owned())
}

section! {
    /// The store of messages, leases and accounts.
    pub struct Store, raw RawStore {
        /// What keeps the data: "sqlite" is one file, and needs no server; "redis" lets another gateway
        /// take over.
        engine: Engine = default("\"sqlite\"");
        /// The file of the database. By default `gateway.db` in `data_dir`.
        path: PathBuf = derived("\"/var/lib/matrix-smpp/gateway.db\"");
        /// Redis, for `engine = "redis"`. Several gateways may name the same one: one of them works, and
        /// the others take over when it ends.
        redis: Redis = nested(RawRedis::FIELDS);
    }
}
