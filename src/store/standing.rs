//! Who works with a store, as a gateway knows it that would take it over.

use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;
use uuid::Uuid;

/// How the others reach the inner door of a gateway while it works.
#[derive(Clone, PartialEq, Eq)]
pub struct Reach {
    /// `host:port`.
    pub address: String,
    /// Who knows it may come in. Of one gateway's time at work, and never printed.
    pub secret: String,
}

impl fmt::Debug for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Reach");
        shown
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Reach {
    /// At this address, with a secret that nobody can guess.
    #[must_use]
    pub fn at(address: String) -> Self {
        let secret = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        Self { address, secret }
    }

    /// As it stands in the store.
    pub(crate) fn to_text(&self) -> String {
        format!("{} {}", self.secret, self.address)
    }

    /// As it stands in the store; `None` for a gateway that tells nobody.
    pub(crate) fn from_text(text: &str) -> Option<Self> {
        let (secret, address) = text.split_once(' ')?;
        Some(Self {
            address: address.to_owned(),
            secret: secret.to_owned(),
        })
    }
}

/// Who works with the store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Sight {
    /// Nobody, as far as is known, or a gateway that does not tell how it is reached.
    #[default]
    Nobody,
    /// Another gateway. A secret is of one epoch, so that two owners are never the same.
    Other(Reach),
    /// This one, for as long as it lives.
    Ours,
}

/// What a gateway tells of itself when it takes a store over, and what it has seen of the owner until
/// then. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    reach: Option<Reach>,
    sight: Arc<watch::Sender<Sight>>,
}

impl Standing {
    /// Of a gateway that the others shall reach there once it works.
    #[must_use]
    pub fn reached_at(reach: Reach) -> Self {
        Self {
            reach: Some(reach),
            sight: Arc::default(),
        }
    }

    /// Who works, from now on.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Sight> {
        self.sight.subscribe()
    }

    /// How the others reach this one, as it stands in the store.
    pub(crate) fn reach(&self) -> String {
        self.reach.as_ref().map(Reach::to_text).unwrap_or_default()
    }

    /// Notes who works.
    pub(crate) fn see(&self, sight: Sight) {
        self.sight.send_if_modified(|known| {
            let is_other = *known != sight;
            *known = sight;
            is_other
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_with_its_secret_is_read_as_it_was_written() {
        let reach = Reach::at("gateway-1.example.org:29310".to_owned());
        assert_eq!(Reach::from_text(&reach.to_text()), Some(reach.clone()));
        assert_eq!(Reach::from_text(""), None);
        assert_ne!(reach, Reach::at(reach.address.clone()), "another secret");
    }

    #[test]
    fn a_secret_is_not_printed() {
        let reach = Reach::at("192.0.2.1:1".to_owned());
        let shown = format!("{:?}", Sight::Other(reach.clone()));
        assert!(shown.contains("192.0.2.1:1") && !shown.contains(&reach.secret));
    }
}
