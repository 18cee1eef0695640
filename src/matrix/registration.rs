//! The registration file that tells a homeserver who we are (Application Service API,
//! "Registration").

use std::fmt;
use std::fmt::Write as _;

use rand::CryptoRng;
use ruma::UserId;
use secrecy::{ExposeSecret, SecretString};

/// What a homeserver must know of us.
#[derive(Debug, Clone)]
pub struct Registration<'a> {
    /// Our id at this homeserver.
    pub id: &'a str,
    /// Where it calls us.
    pub url: &'a str,
    /// The token that we show to it.
    pub as_token: &'a SecretString,
    /// The token that it shows to us.
    pub hs_token: &'a SecretString,
    /// Our own user on it.
    pub bot: &'a UserId,
    /// What the localparts of ghosts begin with.
    pub ghost_prefix: &'a str,
}

impl fmt::Display for Registration<'_> {
    /// The whole file, tokens included.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let server = regex_escape(self.bot.server_name().as_str());
        let ghosts = format!(r"^@{}.*:{server}$", regex_escape(self.ghost_prefix));
        let bot = format!(r"^@{}:{server}$", regex_escape(self.bot.localpart()));
        write!(
            f,
            r"# The registration of matrix-smpp at {server_name}. It holds secrets: let only the
# homeserver read it. Name it in app_service_config_files of Synapse and restart Synapse.
id: {id}
# Where the homeserver sends what happens in the rooms of phones.
url: {url}
as_token: {as_token}
hs_token: {hs_token}
# The gateway's bot.
sender_localpart: {bot_localpart}
# Texts come as fast as the phone network brings them.
rate_limited: false
# Typing notices and read receipts are not for phones.
receive_ephemeral: false
# Clients may ask which Matrix user a phone number is.
protocols: [tel]
namespaces:
  users:
    # One Matrix user for each phone, and the bot. Nobody else may register these.
    - exclusive: true
      regex: {ghosts}
    - exclusive: true
      regex: {bot}
  aliases: []
  rooms: []
# Ghosts own a device each, without logging in, so that a text sent twice appears once.
io.element.msc4190: true
# Device lists and key counts come with the transactions.
org.matrix.msc3202: true
",
            server_name = self.bot.server_name(),
            id = quoted(self.id),
            url = quoted(self.url),
            as_token = quoted(self.as_token.expose_secret()),
            hs_token = quoted(self.hs_token.expose_secret()),
            bot_localpart = quoted(self.bot.localpart()),
            ghosts = quoted(&ghosts),
            bot = quoted(&bot),
        )
    }
}

/// A new token: 32 random octets in hexadecimal.
pub fn generate_token(random: &mut impl CryptoRng) -> SecretString {
    let mut octets = [0; 32];
    random.fill_bytes(&mut octets);
    let hex = octets.iter().fold(String::new(), |mut hex, octet| {
        write!(hex, "{octet:02x}").expect("a String takes all");
        hex
    });
    hex.into()
}

/// A YAML scalar in single quotes: nothing in it has a meaning but the quote itself.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Escapes what has a meaning in the regular expressions of homeservers.
fn regex_escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        if r"\.+*?()|[]{}^$".contains(letter) {
            out.push('\\');
        }
        out.push(letter);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;
    use ruma::user_id;

    fn written() -> String {
        Registration {
            id: "smsgw",
            url: "http://127.0.0.1:29300",
            as_token: &SecretString::from("as'secret"),
            hs_token: &SecretString::from("hs-secret"),
            bot: user_id!("@.tel.bot:example.org"),
            ghost_prefix: ".tel.",
        }
        .to_string()
    }

    fn value(key: &str) -> String {
        let key = format!("{key}: ");
        let written = written();
        let line = written
            .lines()
            .find_map(|line| line.trim_start().strip_prefix(&key));
        line.expect("the key").to_owned()
    }

    #[test]
    fn the_homeserver_learns_who_and_where_we_are() {
        for (key, expected) in [
            ("id", "'smsgw'"),
            ("url", "'http://127.0.0.1:29300'"),
            ("as_token", "'as''secret'"),
            ("hs_token", "'hs-secret'"),
            ("sender_localpart", "'.tel.bot'"),
            ("rate_limited", "false"),
            ("protocols", "[tel]"),
            ("io.element.msc4190", "true"),
            ("org.matrix.msc3202", "true"),
        ] {
            assert_eq!(value(key), expected, "{key}");
        }
    }

    #[test]
    fn the_namespaces_are_those_of_this_server_only() {
        let written = written();
        let regexes = written
            .lines()
            .filter_map(|line| line.trim_start().strip_prefix("regex: "));
        let expected = [
            r"'^@\.tel\..*:example\.org$'",
            r"'^@\.tel\.bot:example\.org$'",
        ];
        assert_eq!(regexes.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn debug_tells_no_token() {
        let secret = SecretString::from("a-secret");
        let registration = Registration {
            id: "smsgw",
            url: "",
            as_token: &secret,
            hs_token: &secret,
            bot: user_id!("@b:c.d"),
            ghost_prefix: ".tel.",
        };
        assert!(!format!("{registration:?}").contains("a-secret"));
    }

    #[test]
    fn tokens_are_long_and_differ() {
        let mut random = StdRng::seed_from_u64(7);
        let (one, two) = (generate_token(&mut random), generate_token(&mut random));
        assert_eq!(one.expose_secret().len(), 64);
        assert!(
            one.expose_secret()
                .bytes()
                .all(|octet| octet.is_ascii_hexdigit())
        );
        assert_ne!(one.expose_secret(), two.expose_secret());
    }
}
