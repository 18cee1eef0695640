//! Kannel: its bearerbox as an ESME, its smsbox with an HTTP API before it, and an HTTP server of
//! the test's that hears of every SMS and receipt that comes to them.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::routing::get;

use tokio::task::JoinSet;

use super::http::Api;
use super::peer::{Peer, free_port};
use super::sim::{PASSWORD, SYSTEM_ID};
use super::wait::until;

/// The parameters of one call to our HTTP server.
pub(crate) type Told = HashMap<String, String>;

/// A running Kannel with one link to an SMSC.
#[derive(Debug)]
pub(crate) struct Kannel {
    _bearerbox: Peer,
    _smsbox: Peer,
    _server: JoinSet<()>,
    status: Api,
    api: Api,
    ears: Ears,
}

/// What Kannel told us: `/mo` for an SMS, `/dlr` for a receipt.
#[derive(Debug, Clone, Default)]
struct Ears {
    port: u16,
    heard: Arc<Mutex<Vec<(&'static str, Told)>>>,
}

impl Ears {
    /// Listens for as long as `server` lives.
    async fn open(server: &mut JoinSet<()>) -> Self {
        let ears = Self {
            port: free_port(),
            ..Self::default()
        };
        let hear = |kind| {
            get(async move |State(ears): State<Self>, RawQuery(query)| {
                let mut heard = ears.heard.lock().expect("no test thread has panicked");
                heard.push((kind, told(&query.unwrap_or_default())));
            })
        };
        let routes = Router::new()
            .route("/mo", hear("mo"))
            .route("/dlr", hear("dlr"))
            .with_state(ears.clone());
        let socket = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, ears.port));
        let socket = socket.await.expect("a free port");
        server.spawn(async {
            axum::serve(socket, routes)
                .await
                .expect("a listening socket");
        });
        ears
    }
}

/// Kannel escapes octets, and says beside them in which charset they are a text.
fn told(query: &str) -> Told {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let octets: HashMap<_, _> = pairs.map(|(key, value)| (key, unescaped(value))).collect();
    let is_utf16 = octets
        .get("charset")
        .is_some_and(|name| name == b"UTF-16BE");
    let read = |(key, value): (&str, Vec<u8>)| {
        let text = if is_utf16 && key == "text" {
            let units = value
                .chunks(2)
                .map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
            String::from_utf16_lossy(&units.collect::<Vec<_>>())
        } else {
            String::from_utf8_lossy(&value).into_owned()
        };
        (key.to_owned(), text)
    };
    octets.into_iter().map(read).collect()
}

/// The octets that a part of a query stands for.
fn unescaped(text: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        octets.push(match (first, after) {
            (b'+', _) => b' ',
            (b'%', [high, low, after @ ..]) => {
                rest = after;
                let digits = [*high, *low];
                let digits = std::str::from_utf8(&digits).expect("ASCII");
                u8::from_str_radix(digits, 16).expect("two hexadecimal digits")
            }
            (other, _) => *other,
        });
    }
    octets
}

impl Kannel {
    /// Starts Kannel, bound to an SMSC on a loopback port.
    pub(crate) async fn start(home: &Path, smsc: u16) -> Self {
        let home = home.join("kannel");
        std::fs::create_dir_all(&home).expect("a folder for Kannel");
        let mut server = JoinSet::new();
        let ears = Ears::open(&mut server).await;
        let ports = Ports {
            smsc,
            admin: free_port(),
            boxes: free_port(),
            http: free_port(),
            ears: ears.port,
        };
        std::fs::write(home.join("kannel.conf"), ports.config()).expect("Kannel's config");
        let status = Api::at(&format!("http://127.0.0.1:{}", ports.admin));
        let mut bearerbox = start(&home, "bearerbox");
        bearerbox
            .ready(async |_| status.probe("/status").await)
            .await;
        let mut smsbox = start(&home, "smsbox");
        smsbox
            .ready(async |said| said.contains("Connected to bearerbox").then_some(()))
            .await;
        let kannel = Self {
            _bearerbox: bearerbox,
            _smsbox: smsbox,
            _server: server,
            status,
            api: Api::at(&format!("http://127.0.0.1:{}", ports.http)),
            ears,
        };
        until("Kannel is bound", async || kannel.is_online().await).await;
        kannel
    }

    async fn is_online(&self) -> Option<()> {
        let status = self.status.probe("/status").await?;
        status.contains("(online").then_some(())
    }

    /// Sends a text and asks for a receipt, which will bear `tag`.
    pub(crate) async fn sends(&self, from: &str, to: &str, text: &str, tag: &str) {
        let report = format!("http://127.0.0.1:{}/dlr?tag={tag}&state=%d", self.ears.port);
        let coding = if text.is_ascii() { "0" } else { "2" };
        let query = [
            ("username", "tester"),
            ("password", "secret"),
            ("from", from),
            ("to", to),
            ("text", text),
            ("coding", coding),
            ("charset", "UTF-8"),
            ("dlr-mask", "31"),
            ("dlr-url", &report),
        ];
        let path = ["/cgi-bin/sendsms"];
        let answer = self.api.call(reqwest::Method::GET, &path, &query, None);
        let answer = answer.await;
        assert!(answer.status.is_success(), "Kannel said {answer:?}");
    }

    /// Waits for an SMS with this text. Returns all that Kannel told of it.
    pub(crate) async fn hears(&self, text: &str) -> Told {
        self.is_told(&format!("an SMS {text:?}"), |kind, told| {
            kind == "mo" && told.get("text").is_some_and(|heard| heard == text)
        })
        .await
    }

    /// Waits for a receipt of a state (1 delivered, 2 failed, 8 accepted by the SMSC).
    pub(crate) async fn is_receipted(&self, tag: &str, state: &str) {
        self.is_told(&format!("state {state} of {tag}"), |kind, told| {
            kind == "dlr" && told["tag"] == tag && told["state"] == state
        })
        .await;
    }

    async fn is_told(&self, what: &str, is_it: impl Fn(&str, &Told) -> bool) -> Told {
        until(&format!("Kannel tells of {what}"), async || {
            let heard = self.ears.heard.lock().expect("no test thread has panicked");
            let found = heard.iter().find(|(kind, told)| is_it(kind, told));
            found.map(|(_, told)| told.clone())
        })
        .await
    }
}

fn start(home: &Path, program: &'static str) -> Peer {
    let path = format!("/usr/sbin/{program}");
    Peer::start(program, home, &[&path, "-v", "1", "kannel.conf"])
}

struct Ports {
    smsc: u16,
    admin: u16,
    boxes: u16,
    http: u16,
    ears: u16,
}

impl Ports {
    fn config(&self) -> String {
        let Self {
            smsc,
            admin,
            boxes,
            http,
            ears,
        } = self;
        format!(
            r#"
group = core
admin-port = {admin}
admin-interface = 127.0.0.1
admin-password = "secret"
smsbox-port = {boxes}
smsbox-interface = 127.0.0.1
box-allow-ip = "127.0.0.1"
dlr-storage = internal

group = smsc
smsc = smpp
smsc-id = peer
host = 127.0.0.1
port = {smsc}
transceiver-mode = true
smsc-username = "{SYSTEM_ID}"
smsc-password = "{PASSWORD}"
system-type = ""
interface-version = 34
reconnect-delay = 1
source-addr-autodetect = true

group = smsbox
bearerbox-host = 127.0.0.1
sendsms-port = {http}
sendsms-interface = 127.0.0.1

group = sendsms-user
username = tester
password = secret
max-messages = 10
concatenation = true

group = sms-service
keyword = default
catch-all = true
max-messages = 0
omit-empty = true
get-url = "http://127.0.0.1:{ears}/mo?from=%p&to=%P&text=%b&charset=%C&coding=%c"
"#
        )
    }
}
