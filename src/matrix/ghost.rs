//! Brings the Matrix user of a phone, or the bot, into being.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use ruma::{OwnedUserId, UserId};

use super::homeserver::{Homeserver, MatrixError};
use crate::store::{Store, StoreError};

/// Ghosts known to be ready without asking the store; the oldest is forgotten for a new one.
const REMEMBERED: usize = 16_384;

/// What is remembered of ghosts across restarts.
#[async_trait]
pub trait GhostMemory: fmt::Debug + Send + Sync {
    /// True once the ghost is registered, named and has its device.
    async fn is_ready(&self, ghost: &UserId) -> Result<bool, StoreError>;

    /// Remembers that it is.
    async fn set_ready(&self, ghost: &UserId) -> Result<(), StoreError>;
}

#[async_trait]
impl GhostMemory for Arc<dyn Store> {
    async fn is_ready(&self, ghost: &UserId) -> Result<bool, StoreError> {
        self.ghost_is_ready(ghost).await
    }

    async fn set_ready(&self, ghost: &UserId) -> Result<(), StoreError> {
        self.set_ghost_ready(ghost).await
    }
}

/// Why a ghost could not be made; making it again starts over.
#[derive(Debug, thiserror::Error)]
pub enum GhostError {
    /// The homeserver did not do it.
    #[error(transparent)]
    Homeserver(#[from] MatrixError),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes ghosts, each one once.
#[derive(Debug)]
pub struct Ghosts {
    memory: Box<dyn GhostMemory>,
    ready: Mutex<Recent>,
    making: Mutex<HashMap<OwnedUserId, Arc<tokio::sync::Mutex<()>>>>,
}

impl Ghosts {
    /// Makes ghosts that `memory` does not know. An `Arc<dyn Store>` is a memory.
    #[must_use]
    pub fn new(memory: impl GhostMemory + 'static) -> Self {
        Self {
            memory: Box::new(memory),
            ready: Mutex::new(Recent::with_room(REMEMBERED)),
            making: Mutex::default(),
        }
    }

    /// Sees to it that `user` is registered, has its device and a display name. Whoever asks for
    /// the same user meanwhile waits for the one who makes it.
    pub async fn ensure(
        &self,
        homeserver: &dyn Homeserver,
        user: &UserId,
        display_name: impl FnOnce() -> String + Send,
    ) -> Result<(), GhostError> {
        if lock(&self.ready).has(user) {
            return Ok(());
        }
        let turn = Turn::of(user, &self.making);
        let _held = turn.gate.lock().await;
        if lock(&self.ready).has(user) {
            return Ok(());
        }
        if !self.memory.is_ready(user).await? {
            self.make(homeserver, user, &display_name()).await?;
        }
        lock(&self.ready).add(user);
        Ok(())
    }

    /// The same, whatever is remembered: the homeserver may have lost the user.
    pub async fn renew(
        &self,
        homeserver: &dyn Homeserver,
        user: &UserId,
        display_name: &str,
    ) -> Result<(), GhostError> {
        let turn = Turn::of(user, &self.making);
        let _held = turn.gate.lock().await;
        self.make(homeserver, user, display_name).await?;
        lock(&self.ready).add(user);
        Ok(())
    }

    async fn make(
        &self,
        homeserver: &dyn Homeserver,
        user: &UserId,
        display_name: &str,
    ) -> Result<(), GhostError> {
        homeserver.register(user).await?;
        homeserver.create_device(user).await?;
        homeserver.set_display_name(user, display_name).await?;
        self.memory.set_ready(user).await?;
        Ok(())
    }
}

/// The last few users that were added.
#[derive(Debug)]
struct Recent {
    users: HashSet<OwnedUserId>,
    order: VecDeque<OwnedUserId>,
    room: usize,
}

impl Recent {
    fn with_room(room: usize) -> Self {
        Self {
            users: HashSet::new(),
            order: VecDeque::new(),
            room,
        }
    }

    fn has(&self, user: &UserId) -> bool {
        self.users.contains(user)
    }

    fn add(&mut self, user: &UserId) {
        if !self.users.insert(user.to_owned()) {
            return;
        }
        self.order.push_back(user.to_owned());
        if self.order.len() > self.room
            && let Some(oldest) = self.order.pop_front()
        {
            self.users.remove(&oldest);
        }
    }
}

/// The right to wait for one user's gate; the last to let go removes the gate.
struct Turn<'a> {
    user: &'a UserId,
    gate: Arc<tokio::sync::Mutex<()>>,
    gates: &'a Mutex<HashMap<OwnedUserId, Arc<tokio::sync::Mutex<()>>>>,
}

impl<'a> Turn<'a> {
    fn of(
        user: &'a UserId,
        gates: &'a Mutex<HashMap<OwnedUserId, Arc<tokio::sync::Mutex<()>>>>,
    ) -> Self {
        let gate = lock(gates).entry(user.to_owned()).or_default().clone();
        Self { user, gate, gates }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut gates = lock(self.gates);
        // The map's and ours: nobody else waits, and nobody can come while the map is locked.
        if Arc::strong_count(&self.gate) == 2 {
            gates.remove(self.user);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::fake::{FakeHomeserver, Op};
    use ruma::{owned_user_id, user_id};

    /// The ghosts that are ready; what a test keeps of the memory is the same memory.
    #[derive(Debug, Clone, Default)]
    struct Notes(Arc<Mutex<HashSet<OwnedUserId>>>);

    #[async_trait]
    impl GhostMemory for Notes {
        async fn is_ready(&self, ghost: &UserId) -> Result<bool, StoreError> {
            tokio::task::yield_now().await;
            Ok(lock(&self.0).contains(ghost))
        }

        async fn set_ready(&self, ghost: &UserId) -> Result<(), StoreError> {
            tokio::task::yield_now().await;
            lock(&self.0).insert(ghost.to_owned());
            Ok(())
        }
    }

    fn server() -> FakeHomeserver {
        FakeHomeserver::new(owned_user_id!("@.tel.bot:example.org"))
    }

    fn ghost() -> &'static UserId {
        user_id!("@.tel.447700900123:example.org")
    }

    #[tokio::test]
    async fn a_ghost_is_registered_named_and_noted() {
        let (server, notes) = (server(), Notes::default());
        let ghosts = Ghosts::new(notes.clone());
        ghosts
            .ensure(&server, ghost(), || "+44 7700 900123".to_owned())
            .await
            .expect("made");
        assert_eq!(
            server.display_name(ghost()).as_deref(),
            Some("+44 7700 900123")
        );
        assert_eq!(server.count(Op::CreateDevice), 1);
        assert!(lock(&notes.0).contains(ghost()));
    }

    #[tokio::test]
    async fn a_ghost_is_made_once_however_many_ask() {
        let server = server();
        let ghosts = Ghosts::new(Notes::default());
        let ask = || ghosts.ensure(&server, ghost(), || "x".to_owned());
        let asked = tokio::join!(ask(), ask(), ask(), ask());
        assert!(asked.0.is_ok() && asked.1.is_ok() && asked.2.is_ok() && asked.3.is_ok());
        assert_eq!(server.count(Op::Register), 1);
        assert!(lock(&ghosts.making).is_empty());
    }

    #[tokio::test]
    async fn a_ghost_of_an_earlier_life_is_not_made_again() {
        let (server, notes) = (server(), Notes::default());
        lock(&notes.0).insert(ghost().to_owned());
        let ghosts = Ghosts::new(notes);
        ghosts
            .ensure(&server, ghost(), || "x".to_owned())
            .await
            .expect("known");
        assert_eq!(server.calls(), []);
    }

    #[tokio::test]
    async fn a_ghost_that_was_half_made_is_made_again() {
        let (server, notes) = (server(), Notes::default());
        let ghosts = Ghosts::new(notes.clone());
        server.fail_next(Op::SetDisplayName, MatrixError::refused(500, None, None));
        let error = ghosts
            .ensure(&server, ghost(), || "x".to_owned())
            .await
            .expect_err("failed");
        assert!(matches!(error, GhostError::Homeserver(error) if error.is_temporary()));
        assert!(!lock(&notes.0).contains(ghost()));
        ghosts
            .ensure(&server, ghost(), || "x".to_owned())
            .await
            .expect("made");
        assert_eq!(server.count(Op::SetDisplayName), 2);
        assert!(lock(&ghosts.making).is_empty());
    }

    #[tokio::test]
    async fn one_who_gives_up_leaves_the_way_free() {
        let server = server();
        let ghosts = Ghosts::new(Notes::default());
        let first = ghosts.ensure(&server, ghost(), || "x".to_owned());
        tokio::select! {
            biased;
            _ = first => panic!("the store answers at its second look only"),
            () = std::future::ready(()) => {}
        }
        assert!(lock(&ghosts.making).is_empty());
        ghosts
            .ensure(&server, ghost(), || "x".to_owned())
            .await
            .expect("made");
    }

    #[test]
    fn the_oldest_ghost_is_forgotten_for_a_new_one() {
        let mut recent = Recent::with_room(2);
        let [one, two, three] =
            [user_id!("@1:b.c"), user_id!("@2:b.c"), user_id!("@3:b.c")].map(|user| {
                recent.add(user);
                recent.add(user);
                user
            });
        assert!(!recent.has(one) && recent.has(two) && recent.has(three));
        assert_eq!(recent.users.len(), recent.order.len());
    }
}
