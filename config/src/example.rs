//! The example file, written from the declarations of the sections.

use crate::appservice::RawAppservice;
use crate::esme::RawEsme;
use crate::fraud::RawFraud;
use crate::gateway::RawGateway;
use crate::homeserver::RawHomeserver;
use crate::limits::RawLimits;
use crate::link::RawLink;
use crate::link_group::RawLinkGroup;
use crate::listener::RawListener;
use crate::log::RawLog;
use crate::ops::RawOps;
use crate::opt_out::RawOptOut;
use crate::pool::{RawDedicated, RawPool};
use crate::route::RawRoute;
use crate::section::{Field, Kind, Section};
use crate::store::RawStore;

const HEAD: &str = "\
# The configuration of matrix-smpp.
#
# Lines that begin with `# ` explain. A key behind `#` shows its default, or an example where it says
# so; take the `#` away to set it. The other keys must be set.
# Times are a number and a unit: 500ms, 10s, 5m, 24h, 30d.
# A secret is given by one of three keys: here, in a file of its own (`_file`), or as a credential of
# systemd (`_credential`, with LoadCredential= in the unit).
";

/// Which of the keys that need not be set are set. The example sets none, tests do.
#[derive(Debug, Clone, Copy, Default)]
struct Set {
    defaults: bool,
    optional: bool,
}

/// The commented example of a configuration file: every key with its documentation and its default.
#[must_use]
pub fn example() -> String {
    render(Set::default())
}

fn render(set: Set) -> String {
    let mut out = HEAD.to_owned();
    section::<RawGateway>(&mut out, "[gateway]", set);
    section::<RawStore>(&mut out, "[store]", set);
    section::<RawAppservice>(&mut out, "[appservice]", set);
    section::<RawOps>(&mut out, "[ops]", set);
    section::<RawLog>(&mut out, "[log]", set);
    section::<RawHomeserver>(&mut out, "[[homeserver]]", set);
    section::<RawLinkGroup>(&mut out, "[[link_group]]", set);
    section::<RawLink>(&mut out, "[[link_group.link]]", set);
    section::<RawListener>(&mut out, "[listener]", set);
    section_aside::<RawEsme>(&mut out, "[[esme]]", set);
    section::<RawPool>(&mut out, "[[pool]]", set);
    section::<RawRoute>(&mut out, "[[route]]", set);
    section::<RawDedicated>(&mut out, "[[dedicated]]", set);
    section::<RawOptOut>(&mut out, "[opt_out]", set);
    section::<RawFraud>(&mut out, "[fraud]", set);
    section::<RawLimits>(&mut out, "[limits]", set);
    out
}

fn section<S: Section>(out: &mut String, header: &str, set: Set) {
    out.push('\n');
    docs(out, S::DOC);
    line(out, &[header]);
    for field in S::FIELDS {
        key(out, "", field, set);
    }
}

/// A section that most configurations do not have: all of it is behind `#`, unless what is optional
/// is set.
fn section_aside<S: Section>(out: &mut String, header: &str, set: Set) {
    let mut text = String::new();
    section::<S>(&mut text, header, set);
    for one in text.lines() {
        let hidden = !set.optional && !one.is_empty() && !one.starts_with('#');
        line(out, &[if hidden { "#" } else { "" }, one]);
    }
}

fn docs(out: &mut String, doc: &[&str]) {
    for text in doc {
        line(out, &["#", text]);
    }
}

fn line(out: &mut String, parts: &[&str]) {
    out.extend(parts.iter().copied().chain(["\n"]));
}

/// One key with its documentation; `outer` is the table it is in, with its point.
fn key(out: &mut String, outer: &str, field: &Field, set: Set) {
    if matches!(field.kind, Kind::Tables) {
        return;
    }
    out.push('\n');
    docs(out, field.doc);
    let name = format!("{outer}{}", field.name);
    let mark = |is_set| if is_set { "" } else { "#" };
    match field.kind {
        Kind::Required(value) => line(out, &[&name, " = ", value]),
        Kind::Default(value) | Kind::Derived(value) | Kind::Apart(value) => {
            line(out, &[mark(set.defaults), &name, " = ", value]);
        }
        Kind::Optional(value) => {
            let note = "  # an example; not set by default";
            line(out, &[mark(set.optional), &name, " = ", value, note]);
        }
        Kind::Secret(credential) | Kind::OptionalSecret(credential) => {
            line(out, &["#", &name, " = \"...\""]);
            line(
                out,
                &["#", &name, "_file = \"/etc/matrix-smpp/", credential, "\""],
            );
            line(out, &[&name, "_credential = \"", credential, "\""]);
        }
        Kind::Nested(inner) | Kind::OptionalNested(inner) => {
            for field in inner {
                key(out, &format!("{name}."), field, set);
            }
        }
        Kind::Tables => {}
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::io;
    use std::path::{Path, PathBuf};

    use matrix_smpp_codec::{Quirk, Quirks};

    use super::*;
    use crate::{Env, Settings, parse};

    /// A world in which every file of TLS holds what it should, and any other its own name, cut to the
    /// length of a password.
    struct Everywhere;

    impl Env for Everywhere {
        fn read_file(&self, path: &Path) -> io::Result<String> {
            match path.extension().and_then(OsStr::to_str) {
                Some("pem") => return Ok("-----BEGIN CERTIFICATE-----\n".to_owned()),
                Some("key") => return Ok("-----BEGIN PRIVATE KEY-----\n".to_owned()),
                _ => {}
            }
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            Ok(name.chars().take(8).collect())
        }

        fn credentials_directory(&self) -> Option<PathBuf> {
            Some(PathBuf::from("/run/credentials/matrix-smpp"))
        }

        fn is_public(&self, _: &Path) -> bool {
            false
        }

        fn is_folder(&self, _: &Path) -> bool {
            false
        }
    }

    fn load(text: &str) -> Settings {
        match parse(text, Path::new("/etc/matrix-smpp/config.toml"), &Everywhere) {
            Ok(settings) => settings,
            Err(mistakes) => panic!("{mistakes}"),
        }
    }

    /// `UPDATE_EXAMPLE=1 cargo test -p matrix-smpp-config` writes it anew.
    #[test]
    fn the_committed_example_is_fresh() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/matrix-smpp.example.toml");
        if std::env::var_os("UPDATE_EXAMPLE").is_some() {
            std::fs::write(path, example()).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), example());
    }

    #[test]
    fn the_example_loads() {
        let settings = load(&example());
        assert_eq!(settings.gateway.name, "smsgw");
        assert_eq!(settings.link_groups.first().unwrap().links.len(), 1);
        assert_eq!(
            settings.routing.routes.first().unwrap().price.to_string(),
            "0.045"
        );
    }

    #[test]
    fn each_default_that_the_example_shows_is_the_one_in_force() {
        let shown = load(&render(Set {
            defaults: true,
            optional: false,
        }));
        assert_eq!(format!("{shown:?}"), format!("{:?}", load(&example())));
    }

    #[test]
    fn each_optional_key_of_the_example_can_be_set() {
        let settings = load(&render(Set {
            defaults: true,
            optional: true,
        }));
        let link = settings.link_groups.first().unwrap().links.first().unwrap();
        assert!(link.rate.is_some() && link.inactivity.is_some());
        assert!(link.tls.as_ref().unwrap().server_name.is_some());
    }

    #[test]
    fn each_quirk_of_the_example_sets_its_own() {
        let example = example();
        for quirk in Quirk::ALL {
            let off = format!("#quirks.{quirk} = false");
            let text = example.replacen(&off, &format!("quirks.{quirk} = true"), 1);
            assert_ne!(text, example, "{quirk}");
            let settings = load(&text);
            let group = settings.link_groups.first().unwrap();
            assert_eq!(group.quirks, Quirks::NONE.with(*quirk));
        }
    }
}
