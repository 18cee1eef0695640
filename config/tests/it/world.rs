//! A small file that loads, and a world around it in which tests place files.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use matrix_smpp_config::{Env, Mistakes, Settings, parse};

/// A file that loads. Tests change one thing in it.
pub(crate) const BASE: &str = r#"[gateway]
data_dir = "/data"
[[homeserver]]
name = "example.org"
url = "http://127.0.0.1:8008/"
as_token = "as-1"
hs_token = "hs-1"
[[link_group]]
name = "operator"
[[link_group.link]]
name = "a"
address = "127.0.0.1:2775"
system_id = "smsgw"
password = "secret"
[[link_group.link]]
name = "b"
address = "smsc.example.net:2775"
bind = "pair"
system_id = "smsgw"
password_file = "operator.password"
[[pool]]
name = "uk"
numbers = ["447700900900", "447700900910-447700900919"]
[[route]]
name = "uk"
prefixes = ["44"]
link_group = "operator"
originator = { pool = "uk" }
price = "0.045"
[[route]]
name = "world"
prefixes = ["", "447"]
link_group = "operator"
originator = { shortcode = "12345" }
price = "0.1"
[[dedicated]]
number = "447700900999"
owner = "@alice:example.org"
"#;

/// Files by path, and perhaps a directory of credentials.
#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) files: BTreeMap<PathBuf, String>,
    pub(crate) credentials: Option<PathBuf>,
    /// Files that every user can read.
    pub(crate) public: BTreeSet<PathBuf>,
    pub(crate) folders: BTreeSet<PathBuf>,
}

impl World {
    /// The world of [`BASE`]: the one file that it names.
    pub(crate) fn new() -> Self {
        Self::default().with("/etc/gw/operator.password", "secret2\n")
    }

    pub(crate) fn with(mut self, path: &str, text: &str) -> Self {
        self.files.insert(PathBuf::from(path), text.to_owned());
        self
    }
}

impl Env for World {
    fn read_file(&self, path: &Path) -> io::Result<String> {
        let absent = || io::Error::new(io::ErrorKind::NotFound, "no such file");
        self.files.get(path).cloned().ok_or_else(absent)
    }

    fn credentials_directory(&self) -> Option<PathBuf> {
        self.credentials.clone()
    }

    fn is_public(&self, path: &Path) -> bool {
        self.public.contains(path)
    }

    fn is_folder(&self, path: &Path) -> bool {
        self.folders.contains(path)
    }
}

pub(crate) fn load(text: &str, world: &World) -> Result<Settings, Mistakes> {
    parse(text, Path::new("/etc/gw/config.toml"), world)
}

/// [`BASE`] with one place changed.
pub(crate) fn changed(from: &str, to: &str) -> String {
    assert_eq!(
        BASE.matches(from).count(),
        1,
        "{from:?} stands once in the base"
    );
    BASE.replacen(from, to, 1)
}
