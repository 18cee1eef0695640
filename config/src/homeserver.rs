//! `[[homeserver]]`: the homeservers that the gateway serves.

use ruma::OwnedServerName;
use secrecy::{ExposeSecret, SecretString};

use crate::check::{http_url, localpart};
use crate::read::{Context, Reader};
use crate::secret::token;
use crate::section::{Section, section};

section! {
    /// A homeserver that the gateway serves as an application service. Repeat it for each one.
    pub struct Homeserver, raw RawHomeserver {
        /// Its server name: what stands behind the colon in its Matrix IDs. It is part of the keys
        /// in the store, so it must not change.
        name: OwnedServerName = required("\"example.org\"");
        /// Where its client-server API is reached, without a slash at the end.
        url: String = required("\"http://127.0.0.1:8008\""), check http_url;
        /// The token that the gateway shows to the homeserver.
        as_token: SecretString = secret("as_token"), check token;
        /// The token that the homeserver shows to the gateway, another one for each homeserver.
        hs_token: SecretString = secret("hs_token"), check token;
        /// Where the homeserver calls the gateway; it goes into the registration.
        appservice_url: String = default("\"http://127.0.0.1:29300\""), check http_url;
        /// The localpart of the bot's Matrix ID. By default `ghost_prefix` and "bot".
        bot_localpart: String = derived("\".tel.bot\""), check localpart;
    }
}

/// Reads every `[[homeserver]]`; there is at least one, and no two share a name or a token.
pub(crate) fn read_all(root: &Reader<'_>, ghost_prefix: Option<&str>) -> Option<Vec<Homeserver>> {
    let tables = root.tables_at("homeserver");
    if root.get("homeserver").is_none() {
        root.cx.wrong(
            "homeserver",
            "is missing; add a [[homeserver]] with its name, url and tokens",
        );
    }
    let raws: Vec<(String, RawHomeserver)> = tables
        .iter()
        .map(|table| (table.path.clone(), table.section()))
        .collect();
    check(root.cx, &raws, ghost_prefix);
    raws.into_iter()
        .map(|(_, raw)| raw.filled(ghost_prefix).checked())
        .collect()
}

fn check(cx: &Context<'_>, raws: &[(String, RawHomeserver)], ghost_prefix: Option<&str>) {
    let names = raws
        .iter()
        .filter_map(|(path, raw)| Some((raw.name.clone()?, format!("{path}.name"))));
    cx.unique("the name", &names.collect::<Vec<_>>());
    let tokens = raws.iter().filter_map(|(path, raw)| {
        Some((
            raw.hs_token.as_ref()?.expose_secret(),
            format!("{path}.hs_token"),
        ))
    });
    cx.unique("the token", &tokens.collect::<Vec<_>>());
    for (path, raw) in raws {
        check_bot(cx, path, raw, ghost_prefix);
        check_tokens(cx, path, raw);
    }
}

fn check_bot(cx: &Context<'_>, path: &str, raw: &RawHomeserver, ghost_prefix: Option<&str>) {
    let (Some(bot), Some(prefix)) = (&raw.bot_localpart, ghost_prefix) else {
        return;
    };
    let class = bot.strip_prefix(prefix);
    let is_ghost = class.is_some_and(|class| {
        class.starts_with(['=']) || class.bytes().all(|octet| octet.is_ascii_digit())
    });
    if is_ghost {
        cx.wrong(
            &format!("{path}.bot_localpart"),
            format!("is the Matrix ID of a phone; write e.g. \"{prefix}bot\""),
        );
    }
}

fn check_tokens(cx: &Context<'_>, path: &str, raw: &RawHomeserver) {
    let (Some(ours), Some(theirs)) = (&raw.as_token, &raw.hs_token) else {
        return;
    };
    if ours.expose_secret() == theirs.expose_secret() {
        let mend = "is the same as as_token; give each its own long random text";
        cx.wrong(&format!("{path}.hs_token"), mend);
    }
}

impl RawHomeserver {
    /// Names the bot where the file does not say, and drops the slash at the end of the URLs.
    fn filled(mut self, ghost_prefix: Option<&str>) -> Self {
        if self.bot_localpart.is_none() {
            self.bot_localpart = ghost_prefix.map(|prefix| format!("{prefix}bot"));
        }
        for url in [&mut self.url, &mut self.appservice_url]
            .into_iter()
            .flatten()
        {
            url.truncate(url.trim_end_matches('/').len());
        }
        self
    }
}
