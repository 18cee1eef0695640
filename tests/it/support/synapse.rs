//! A homeserver: the real Synapse, alone on the loopback interface, with a database of its own.

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rustix::process::Signal;

use super::http::Api;
use super::peer::{Peer, free_port};
use super::user::User;
use super::{installed, target_dir};

/// The server part of every user id in the tests.
pub(crate) const SERVER: &str = "sms.test";

/// A running Synapse and what outlives its restarts.
#[derive(Debug)]
pub(crate) struct Synapse {
    home: PathBuf,
    server: &'static str,
    port: u16,
    peer: Option<Peer>,
}

impl Synapse {
    /// Writes the configuration of a fresh homeserver into `home`. It starts with [`Self::start`].
    pub(crate) fn prepare(home: &Path, server: &'static str) -> Self {
        let home = home.join(format!("synapse-{server}"));
        std::fs::create_dir_all(&home).expect("a folder for Synapse");
        let port = free_port();
        std::fs::write(home.join("log.yaml"), LOG_CONFIG).expect("Synapse's log configuration");
        Self {
            home,
            server,
            port,
            peer: None,
        }
    }

    /// Starts it, with or without an application service, and waits until it answers. To start
    /// again after [`Self::stop`] keeps all data; its transaction ids begin at 1 again.
    pub(crate) async fn start(&mut self, registration: Option<&Path>) {
        let config = self.home.join("homeserver.yaml");
        std::fs::write(&config, self.config(registration)).expect("Synapse's configuration");
        let python = installed(
            target_dir().join("peers/synapse-venv/bin/python"),
            "Synapse",
        );
        let command = [
            python.to_str(),
            Some("-m"),
            Some("synapse.app.homeserver"),
            Some("-c"),
            config.to_str(),
        ]
        .map(|word| word.expect("paths of the tests are UTF-8"));
        let mut peer = Peer::start("synapse", &self.home, &command);
        let api = Api::at(&self.url());
        peer.ready(async |_| api.probe("/health").await).await;
        self.peer = Some(peer);
    }

    /// Stops it cleanly.
    pub(crate) async fn stop(&mut self) {
        let peer = self.peer.take().expect("a Synapse that runs");
        let status = peer.end(Signal::TERM).await;
        assert!(status.success(), "Synapse ended with {status}");
    }

    /// The port of its client API.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Where its client API is.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Registers an ordinary user and logs in.
    pub(crate) async fn register(&self, name: &str) -> User {
        User::register(&Api::at(&self.url()), name).await
    }

    /// Has one that is stopped forget what it has noted down for application services and not told
    /// them, as far as it has noted anything: what a kill at the wrong moment does.
    pub(crate) fn forget(&self) {
        let database = Connection::open(self.home.join("homeserver.db"));
        let database = database.expect("the database of a Synapse that is stopped");
        let forgotten = database.execute("DELETE FROM application_services_txns", []);
        forgotten.expect("its transactions for application services");
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let peer = self.peer.as_ref().expect("a Synapse that runs");
        peer.signal(signal);
    }

    fn config(&self, registration: Option<&Path>) -> String {
        let services = registration.map(|file| format!("\"{}\"", file.display()));
        CONFIG
            .replace("@SERVER@", self.server)
            .replace("@PORT@", &self.port.to_string())
            .replace(
                "@HOME@",
                self.home.to_str().expect("paths of the tests are UTF-8"),
            )
            .replace("@SERVICES@", &services.unwrap_or_default())
    }
}

const CONFIG: &str = r#"
server_name: "@SERVER@"
public_baseurl: "http://127.0.0.1:@PORT@/"
pid_file: "@HOME@/homeserver.pid"
listeners:
  - bind_addresses: ["127.0.0.1"]
    port: @PORT@
    type: http
    tls: false
    resources: [{names: [client], compress: false}]
database: {name: sqlite3, args: {database: "@HOME@/homeserver.db"}}
log_config: "@HOME@/log.yaml"
media_store_path: "@HOME@/media"
signing_key_path: "@HOME@/signing.key"
signing_key: "ed25519 test Nn4dRvBMlMmqj6kFTFu9ldQcXBLzC9hBHdBpfO1tOQU"
macaroon_secret_key: "tests"
form_secret: "tests"
report_stats: false
enable_registration: true
enable_registration_without_verification: true
bcrypt_rounds: 4
trusted_key_servers: []
federation_domain_whitelist: []
presence: {enabled: false}
url_preview_enabled: false
app_service_config_files: [@SERVICES@]
rc_message: &unlimited {per_second: 100000, burst_count: 100000}
rc_registration: *unlimited
rc_login: {address: *unlimited, account: *unlimited, failed_attempts: *unlimited}
rc_joins: {local: *unlimited, remote: *unlimited}
rc_joins_per_room: *unlimited
rc_invites: {per_room: *unlimited, per_user: *unlimited, per_issuer: *unlimited}
rc_room_creation: *unlimited
"#;

const LOG_CONFIG: &str = r"
version: 1
formatters: {line: {format: '%(asctime)s %(levelname)s %(name)s %(message)s'}}
handlers: {console: {class: logging.StreamHandler, formatter: line}}
root: {level: WARNING, handlers: [console]}
disable_existing_loggers: false
";
