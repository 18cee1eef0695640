//! The store that the configuration names.

use std::sync::Arc;
use std::time::Duration;

use matrix_smpp_config::{self as config, Engine, RedisDurability, RedisMode, Settings};

use super::base::Base;
use super::front::TableStore;
use super::migrate::{Migration, Moved};
use super::redis::{self, Durability, Place, Redis};
use super::sqlite::Sqlite;
use super::standing::Standing;
use super::{Result, StoreError};

/// Opens the store that the settings name; one in Redis that another gateway works with is waited for,
/// for `patience` at most where there is one, and `standing` hears who that is. Blocks; one in Redis needs
/// a runtime of tokio.
///
/// Fails with [`StoreError::Unavailable`] while another process uses it, and with
/// [`StoreError::Conflict`] where another version has written it, or where Redis would lose what it is
/// given.
pub fn open(
    settings: &Settings,
    patience: Option<Duration>,
    standing: Standing,
) -> Result<Arc<TableStore>> {
    let ttl = settings.limits.mo_part_ttl;
    match settings.store.engine {
        Engine::Sqlite => TableStore::open_sqlite(&settings.store.path, ttl),
        Engine::Redis => {
            let redis = redis_settings(&settings.store.redis, patience, standing)?;
            TableStore::open_redis(redis, ttl)
        }
    }
}

/// Moves the store to `to` from the other engine, both as the settings name them, or goes on where the
/// last run was interrupted. `tell` hears how far it is. Blocks.
///
/// Fails with [`StoreError::Unavailable`] while a gateway works with either, with
/// [`StoreError::Conflict`] where one of them may not be used for this, and with
/// [`StoreError::Corrupt`] where the copy is not the same at the end. After any failure the source may
/// be used as before.
pub fn migrate(settings: &Settings, to: Engine, tell: &mut dyn FnMut(&str)) -> Result<Moved> {
    let path = &settings.store.path;
    let is_there = path.try_exists().unwrap_or(true);
    if to == Engine::Redis && !is_there {
        let reason = format!("there is no store at {}", path.display());
        return Err(StoreError::Conflict(reason));
    }
    let mut file = Sqlite::open(path)?;
    // A gateway that says nothing for so long has died.
    let patience = Some(settings.store.redis.takeover_after);
    let redis = redis_settings(&settings.store.redis, patience, Standing::default())?;
    let mut redis = Redis::open(redis)?;
    let (source, target): (&mut dyn Base, &mut dyn Base) = match to {
        Engine::Redis => (&mut file, &mut redis),
        Engine::Sqlite => (&mut redis, &mut file),
    };
    let migration = Migration {
        source,
        target,
        to: to.word(),
        tell,
    };
    let moved = migration.run();
    file.close();
    redis.close();
    moved
}

fn redis_settings(
    from: &config::Redis,
    patience: Option<Duration>,
    standing: Standing,
) -> Result<redis::Settings> {
    Ok(redis::Settings {
        place: place(from)?,
        prefix: from.prefix.clone(),
        owner_ttl: from.takeover_after,
        durability: match from.durability {
            RedisDurability::Always => Durability::Always,
            RedisDurability::Everysec => Durability::Everysec,
            RedisDurability::None => Durability::None,
        },
        replicas: from.replicas,
        allow_eviction: from.allow_eviction,
        patience,
        standing,
    })
}

fn place(from: &config::Redis) -> Result<Place> {
    let unreadable = |error: std::io::Error| {
        StoreError::Conflict(format!("cannot read store.redis.password_file: {error}"))
    };
    let file = from.password_file.as_ref().map(std::fs::read_to_string);
    let password = file.transpose().map_err(unreadable)?;
    let servers = from
        .servers
        .split_whitespace()
        .map(|server| match &password {
            Some(password) => with_password(server, password.trim_end_matches(['\r', '\n'])),
            None => Ok(server.to_owned()),
        });
    let mut servers: Vec<String> = servers.collect::<Result<_>>()?;
    Ok(match from.mode {
        RedisMode::Standalone if servers.len() > 1 => {
            return Err(StoreError::Conflict(
                "store.redis.servers has several addresses; set store.redis.mode".to_owned(),
            ));
        }
        RedisMode::Standalone => Place::Standalone(servers.pop().unwrap_or_default()),
        RedisMode::Sentinel => Place::Sentinel {
            sentinels: servers,
            master: from.master.clone().unwrap_or_default(),
        },
        RedisMode::Cluster => Place::Cluster(servers),
    })
}

/// The address with the password in it, as the client wants it.
fn with_password(server: &str, password: &str) -> Result<String> {
    let wrong = || {
        StoreError::Conflict(
            "store.redis.servers: a password fits into redis://host only".to_owned(),
        )
    };
    let mut address = url::Url::parse(server).map_err(|_| wrong())?;
    address.set_password(Some(password)).map_err(|()| wrong())?;
    Ok(address.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_stands_in_the_address_as_it_must_be_written_there() {
        let server = with_password("redis://gateway@db.example:6379/0", "p@ss/word").unwrap();
        assert_eq!(server, "redis://gateway:p%40ss%2Fword@db.example:6379/0");
    }
}
