//! Which Matrix users are ours: the ghosts of handsets and the bot.

use ruma::{OwnedUserId, ServerName, UserId};

use super::model::{E164Text, Handset};
use super::number::{self, NumberError};

/// How the Matrix users of one homeserver are named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    prefix: String,
    bot: OwnedUserId,
}

/// Who a Matrix user is to the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// Somebody else.
    Foreign,
    /// The bot.
    Bot,
    /// The Matrix user of a handset.
    Ghost(Handset),
    /// In our namespace, but no handset's canonical name.
    Misnamed {
        /// What is wrong with it.
        why: NumberError,
        /// The user that was probably meant.
        meant: Option<OwnedUserId>,
    },
}

impl Names {
    /// Ghosts' localparts begin with `prefix`.
    #[must_use]
    pub fn new(prefix: impl Into<String>, bot: OwnedUserId) -> Self {
        Self {
            prefix: prefix.into(),
            bot,
        }
    }

    /// The bot.
    #[must_use]
    pub fn bot(&self) -> &UserId {
        &self.bot
    }

    /// The homeserver of all these users.
    #[must_use]
    pub fn server(&self) -> &ServerName {
        self.bot.server_name()
    }

    /// The Matrix user of a handset. `None` where its key is too long for a Matrix ID (255 octets).
    #[must_use]
    pub fn ghost(&self, handset: &Handset) -> Option<OwnedUserId> {
        let localpart = format!("{}{}", self.prefix, handset.key());
        UserId::parse(format!("@{localpart}:{}", self.server())).ok()
    }

    /// Who `user` is.
    #[must_use]
    pub fn who(&self, user: &UserId) -> Who {
        if user == self.bot {
            return Who::Bot;
        }
        if user.server_name() != self.server() {
            return Who::Foreign;
        }
        let Some(key) = user.localpart().strip_prefix(self.prefix.as_str()) else {
            return Who::Foreign;
        };
        if key.starts_with('=') {
            return match Handset::from_key(key) {
                Some(handset) => Who::Ghost(handset),
                None => Who::Misnamed {
                    why: NumberError::NotANumber,
                    meant: None,
                },
            };
        }
        match number::check(key) {
            Ok(number) => Who::Ghost(Handset::Number(E164Text(number))),
            Err(why) => Who::Misnamed {
                why,
                meant: self.meant(key),
            },
        }
    }

    /// True for the bot and everything in the namespace.
    #[must_use]
    pub fn is_ours(&self, user: &UserId) -> bool {
        user == self.bot
            || user.server_name() == self.server()
                && user.localpart().starts_with(self.prefix.as_str())
    }

    fn meant(&self, key: &str) -> Option<OwnedUserId> {
        let number = number::parse_typed(key).ok()?;
        self.ghost(&Handset::Number(E164Text(number)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names::new(
            ".tel.",
            UserId::parse("@.tel.bot:example.org").expect("a user"),
        )
    }

    fn who(user: &str) -> Who {
        names().who(&UserId::parse(user).expect("a user"))
    }

    #[test]
    fn a_ghost_is_known_by_its_digits() {
        let Who::Ghost(handset) = who("@.tel.447700900123:example.org") else {
            panic!("not a ghost")
        };
        let ghost = names().ghost(&handset).expect("short enough");
        assert_eq!(ghost.as_str(), "@.tel.447700900123:example.org");
    }

    #[test]
    fn the_bot_and_strangers_are_told_apart() {
        assert_eq!(who("@.tel.bot:example.org"), Who::Bot);
        assert_eq!(who("@alice:example.org"), Who::Foreign);
        assert_eq!(who("@.tel.447700900123:elsewhere.org"), Who::Foreign);
    }

    #[test]
    fn a_misnamed_ghost_is_told_its_right_name() {
        for user in [
            "@.tel.+447700900123:example.org",
            "@.tel.00447700900123:example.org",
        ] {
            let Who::Misnamed {
                meant: Some(meant), ..
            } = who(user)
            else {
                panic!("{user} has no right name")
            };
            assert_eq!(meant.as_str(), "@.tel.447700900123:example.org");
        }
        assert!(matches!(
            who("@.tel.hello:example.org"),
            Who::Misnamed { meant: None, .. }
        ));
        assert!(matches!(
            who("@.tel.999123456789:example.org"),
            Who::Misnamed { meant: None, .. }
        ));
    }

    #[test]
    fn inbound_only_senders_have_ghosts_of_their_own() {
        assert_eq!(
            who("@.tel.=s12345:example.org"),
            Who::Ghost(Handset::Shortcode("12345".into()))
        );
        assert_eq!(
            who("@.tel.=a4d7942616e6b:example.org"),
            Who::Ghost(Handset::Alphanumeric("MyBank".into()))
        );
        assert!(matches!(
            who("@.tel.=x:example.org"),
            Who::Misnamed { meant: None, .. }
        ));
    }
}
